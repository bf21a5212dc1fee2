//! When certificates end.

use rustls::pki_types::CertificateDer;
use yasna::tags::TAG_UTCTIME;
use yasna::{ASN1Result, BERReader, BERReaderSeq, Tag};

/// The last second in which the certificate is valid, since 1970; `None` if it cannot be read.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    yasna::parse_der(certificate, |reader| {
        reader.read_sequence(|reader| {
            let end = reader.next().read_sequence(facts)?;
            rest(reader)?;
            Ok(end)
        })
    })
    .ok()
}

/// RFC 5280, 4.1: version, serial number, signature, issuer, validity, and more.
fn facts(reader: &mut BERReaderSeq<'_, '_>) -> ASN1Result<i64> {
    let version = Tag::context(0);
    reader.read_optional(|reader| reader.read_tagged(version, skip))?;
    for _ in 0..3 {
        skip(reader.next())?;
    }
    let end = reader.next().read_sequence(|reader| {
        skip(reader.next())?;
        time(reader.next())
    })?;
    rest(reader)?;
    Ok(end)
}

fn rest(reader: &mut BERReaderSeq<'_, '_>) -> ASN1Result<()> {
    while reader.read_optional(skip)?.is_some() {}
    Ok(())
}

fn skip(reader: BERReader<'_, '_>) -> ASN1Result<()> {
    reader.read_der().map(drop)
}

fn time(reader: BERReader<'_, '_>) -> ASN1Result<i64> {
    if reader.lookahead_tag()? == TAG_UTCTIME {
        return Ok(reader.read_utctime()?.datetime().unix_timestamp());
    }
    Ok(reader.read_generalized_time()?.datetime().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_a_time_are_read() {
        for (year, seconds) in [(2049, 2_493_072_000), (2050, 2_524_608_000)] {
            let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = parameters.self_signed(&key).unwrap();
            assert_eq!(not_after(certificate.der()), Some(seconds), "{year}");
        }
        assert_eq!(not_after(&CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x01])), None);
    }
}
