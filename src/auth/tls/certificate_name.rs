//! What the holder of a certificate is called.

use rustls::pki_types::CertificateDer;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate};

use crate::config::CertificateLogin;

/// Characters that RFC 4514 has escaped within a value.
const ESCAPED: [char; 7] = [',', '+', '"', '\\', '<', '>', ';'];

/// The user's name in a certificate that was verified; `None` if it has no such name.
pub fn certificate_name(certificate: &CertificateDer<'_>, which: CertificateLogin) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = match which {
        CertificateLogin::CommonName => subject.iter_common_name().next()?.as_str().ok()?.to_owned(),
        CertificateLogin::DistinguishedName => {
            // RFC 4514: the last part comes first.
            let parts: Vec<_> = subject.iter_rdn().map(|part| part.iter().map(attribute).collect()).collect();
            let parts: Option<Vec<Vec<String>>> = parts.into_iter().rev().collect();
            parts?.iter().map(|part| part.join("+")).collect::<Vec<_>>().join(",")
        }
    };
    (!name.is_empty()).then_some(name)
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let kind = oid2abbrev(attribute.attr_type(), oid_registry()).map(str::to_owned);
    let kind = kind.unwrap_or_else(|_| attribute.attr_type().to_id_string());
    Some(format!("{kind}={}", escaped(attribute.as_str().ok()?)))
}

fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (at, letter) in value.char_indices() {
        let is_edge = letter == ' ' && (at == 0 || at + 1 == value.len());
        if ESCAPED.contains(&letter) || is_edge || (letter == '#' && at == 0) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(parts: &[(DnType, &str)]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn names_are_written_as_rabbitmq_writes_them() {
        let parts =
            [(DnType::CountryName, "DE"), (DnType::OrganizationName, "Shop, Inc."), (DnType::CommonName, "orders")];
        let certificate = certificate(&parts);
        let name = |which| certificate_name(&certificate, which);
        assert_eq!(name(CertificateLogin::DistinguishedName).as_deref(), Some("CN=orders,O=Shop\\, Inc.,C=DE"));
        assert_eq!(name(CertificateLogin::CommonName).as_deref(), Some("orders"));
    }

    #[test]
    fn what_has_no_name_is_nobody() {
        let nameless = certificate(&[(DnType::OrganizationName, "Shop")]);
        assert_eq!(certificate_name(&nameless, CertificateLogin::CommonName), None);
        let empty = certificate(&[]);
        assert_eq!(certificate_name(&empty, CertificateLogin::DistinguishedName), None);
        assert_eq!(certificate_name(&CertificateDer::from(vec![1, 2, 3]), CertificateLogin::CommonName), None);
    }
}
