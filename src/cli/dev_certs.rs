//! `crossdock dev-certs`: an authority, a server and a client certificate for development and tests.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use zeroize::Zeroizing;

/// Everybody may read a certificate, only the owner a key.
const CERTIFICATE_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;

/// Days that a development certificate is valid.
const VALID_DAYS: u64 = 365;

/// A file to be written.
struct PemFile {
    name: &'static str,
    pem: Zeroizing<String>,
    mode: u32,
}

/// Writes `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key` (mode 0600) to `directory`, and returns
/// their paths. The authority's key is thrown away, so nobody can sign more with it.
///
/// The server certificate is for `localhost`, `127.0.0.1`, `::1` and `host_name`.
///
/// # Errors
/// When a file exists and `overwrite` is false (then nothing is written), or cannot be written.
pub fn write_dev_certificates(directory: &Path, host_name: Option<&str>, overwrite: bool) -> Result<Vec<PathBuf>> {
    let files = generate(host_name).context("cannot generate certificates")?;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let paths: Vec<PathBuf> = files.iter().map(|file| directory.join(file.name)).collect();
    if let Some(existing) = paths.iter().find(|path| !overwrite && path.exists()) {
        bail!("{} exists; use --force to replace it, or name another directory", existing.display());
    }
    for (file, path) in files.iter().zip(&paths) {
        write_file(path, file).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(paths)
}

/// What to tell after [`write_dev_certificates`]: the files and how to use them.
pub fn summary(paths: &[PathBuf]) -> String {
    let mut text: String = paths.iter().map(|path| format!("wrote {}\n", path.display())).collect();
    if let Some(directory) = paths.first().and_then(|path| path.parent()) {
        let directory = directory.display();
        text.push_str(&format!(
            "serve TLS with: crossdock --set tls.certificate={directory}/server.pem \
             --set tls.private_key={directory}/server.key\n"
        ));
    }
    text
}

/// A file that is replaced is removed first, so that a key never takes over the wider mode of an old file.
fn write_file(path: &Path, file: &PemFile) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(file.mode).open(path)?.write_all(file.pem.as_bytes())
}

fn generate(host_name: Option<&str>) -> Result<Vec<PemFile>, rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let authority = authority_params()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let (server_key, client_key) = (KeyPair::generate()?, KeyPair::generate()?);
    let server = server_params(host_name)?.signed_by(&server_key, &issuer)?;
    let client = client_params()?.signed_by(&client_key, &issuer)?;
    let certificate = |name, pem| PemFile { name, pem: Zeroizing::new(pem), mode: CERTIFICATE_MODE };
    let key = |name, key: KeyPair| PemFile { name, pem: Zeroizing::new(key.serialize_pem()), mode: KEY_MODE };
    Ok(vec![
        certificate("ca.pem", authority_pem),
        certificate("server.pem", server.pem()),
        key("server.key", server_key),
        certificate("client.pem", client.pem()),
        key("client.key", client_key),
    ])
}

fn named_params(common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = std::time::SystemTime::now();
    // A little into the past, for clocks that are behind.
    params.not_before = (now - std::time::Duration::from_secs(3600)).into();
    params.not_after = (now + std::time::Duration::from_secs(VALID_DAYS * 24 * 3600)).into();
    Ok(params)
}

fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = named_params("Crossdock development authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server_params(host_name: Option<&str>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = named_params("localhost")?;
    let names = ["localhost"].into_iter().chain(host_name.filter(|name| *name != "localhost"));
    for name in names {
        params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
    }
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn client_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = named_params("crossdock-client")?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_readable_by_their_owner_only_even_when_an_open_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("server.key");
        std::fs::write(&key, "old").unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o666)).unwrap();
        let paths = write_dev_certificates(directory.path(), Some("box.example"), true).unwrap();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "key")) {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }

    #[test]
    fn existing_files_are_kept_without_force() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("client.key"), "mine").unwrap();
        let error = write_dev_certificates(directory.path(), None, false).unwrap_err();
        assert!(error.to_string().contains("client.key exists; use --force"), "{error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else was written");
    }
}
