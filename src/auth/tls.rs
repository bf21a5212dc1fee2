//! Loads certificates and makes the TLS side of listeners. TLS 1.2 and 1.3, with aws-lc-rs and nothing else.

mod certificate_name;
mod expiry;

pub use certificate_name::certificate_name;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use crate::config::{ClientCertificates, TlsSettings};

/// Why the TLS settings cannot be used. It names the file and what to do, and never quotes a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{setting} is not set, and a TLS listener needs it")]
    NotSet { setting: &'static str },
    #[error("{setting}: cannot read {}: {source}", path.display())]
    Unreadable { setting: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{setting}: {} has no PEM section {wanted}", path.display())]
    Missing { setting: &'static str, path: PathBuf, wanted: &'static str },
    #[error("{setting}: {} is not valid PEM: {reason}", path.display())]
    Malformed { setting: &'static str, path: PathBuf, reason: String },
    #[error("{setting}: {} cannot be used: {reason}", path.display())]
    Unusable { setting: &'static str, path: PathBuf, reason: String },
    #[error("the key {} does not belong to the certificate {}", private_key.display(), certificate.display())]
    KeyMismatch { certificate: PathBuf, private_key: PathBuf },
    #[error("TLS cannot be set up: {0}")]
    Library(rustls::Error),
}

/// A file and the setting that names it.
struct PemFile<'a> {
    setting: &'static str,
    path: &'a Path,
}

/// Makes the TLS configuration of a listener that offers the protocols `alpn` (none for AMQP, MQTT and STOMP).
///
/// # Errors
/// See [`TlsError`]: a file that is missing, unreadable or not what it should be, or a key of another certificate.
pub fn server_config(settings: &TlsSettings, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = certified_key(settings, &provider)?;
    let verifier = client_verifier(settings, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Library)?;
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key));
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

fn certified_key(settings: &TlsSettings, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let certificate = PemFile::of("tls.certificate", settings.certificate.as_deref())?;
    let private_key = PemFile::of("tls.private_key", settings.private_key.as_deref())?;
    let chain = certificate.certificates()?;
    let key = provider
        .key_provider
        .load_private_key(private_key.private_key()?)
        .map_err(|error| private_key.unusable(error))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let (certificate, private_key) = (certificate.path.to_owned(), private_key.path.to_owned());
            Err(TlsError::KeyMismatch { certificate, private_key })
        }
        Err(error) => Err(certificate.unusable(error)),
    }
}

fn client_verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if settings.client_certificates == ClientCertificates::Off {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let file = PemFile::of("tls.client_ca", settings.client_ca.as_deref())?;
    let mut roots = RootCertStore::empty();
    for certificate in file.certificates()? {
        roots.add(certificate).map_err(|error| file.unusable(error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if settings.client_certificates == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| file.unusable(error))
}

impl<'a> PemFile<'a> {
    fn of(setting: &'static str, path: Option<&'a Path>) -> Result<Self, TlsError> {
        path.map(|path| Self { setting, path }).ok_or(TlsError::NotSet { setting })
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        let unreadable = |source| TlsError::Unreadable { setting: self.setting, path: self.path.to_owned(), source };
        std::fs::read(self.path).map(Zeroizing::new).map_err(unreadable)
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let pem = self.read()?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|error| self.pem_error(error, "CERTIFICATE"))?;
        if certificates.is_empty() { Err(self.missing("CERTIFICATE")) } else { Ok(certificates) }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| self.pem_error(error, "PRIVATE KEY"))
    }

    fn missing(&self, wanted: &'static str) -> TlsError {
        TlsError::Missing { setting: self.setting, path: self.path.to_owned(), wanted }
    }

    /// The reason is our own word, since the library's may quote the line at fault, and that may be part of a key.
    fn pem_error(&self, error: rustls::pki_types::pem::Error, wanted: &'static str) -> TlsError {
        use rustls::pki_types::pem::Error;
        let reason = match error {
            Error::NoItemsFound => return self.missing(wanted),
            Error::MissingSectionEnd { .. } => "a section has no END line",
            Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
            Error::Base64Decode(_) => "a section is not base64",
            _ => "it cannot be parsed",
        };
        TlsError::Malformed { setting: self.setting, path: self.path.to_owned(), reason: reason.into() }
    }

    fn unusable(&self, error: impl std::fmt::Display) -> TlsError {
        TlsError::Unusable { setting: self.setting, path: self.path.to_owned(), reason: error.to_string() }
    }
}

/// When the server's certificates end, in seconds since 1970, in the order of the file.
///
/// # Errors
/// The file cannot be read.
pub fn certificates_end(settings: &TlsSettings) -> Result<Vec<Option<i64>>, TlsError> {
    let file = PemFile::of("tls.certificate", settings.certificate.as_deref())?;
    Ok(file.certificates()?.iter().map(expiry::not_after).collect())
}

#[cfg(test)]
mod tests;
