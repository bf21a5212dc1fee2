use std::io;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConnection};

use super::*;
use crate::cli::dev_certs::write_dev_certificates;

struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_dev_certificates(directory.path(), Some("box.example"), false).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn settings(&self, client_certificates: ClientCertificates) -> TlsSettings {
        TlsSettings {
            certificate: Some(self.path("server.pem")),
            private_key: Some(self.path("server.key")),
            client_ca: Some(self.path("ca.pem")),
            client_certificates,
            ..TlsSettings::default()
        }
    }

    fn client(&self, with_certificate: bool) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        if !with_certificate {
            return Arc::new(builder.with_no_client_auth());
        }
        let chain = vec![CertificateDer::from_pem_file(self.path("client.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.path("client.key")).unwrap();
        Arc::new(builder.with_client_auth_cert(chain, key).unwrap())
    }

    fn error(&self, change: impl FnOnce(&mut TlsSettings)) -> String {
        let mut settings = self.settings(ClientCertificates::Required);
        change(&mut settings);
        let text = server_config(&settings, &[]).expect_err("an error").to_string();
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

/// Carries bytes between both ends until neither has more to say.
fn handshake(server: Arc<ServerConfig>, client: Arc<ClientConfig>, name: &'static str) -> Result<(), rustls::Error> {
    let mut client = ClientConnection::new(client, ServerName::try_from(name).unwrap()).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut io::Cursor::new(bytes)).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut io::Cursor::new(bytes)).unwrap();
        client.process_new_packets()?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
}

#[test]
fn development_certificates_give_a_handshake_for_every_local_name() {
    let certificates = Certificates::new();
    let server = server_config(&certificates.settings(ClientCertificates::Off), &[]).unwrap();
    for name in ["localhost", "127.0.0.1", "::1", "box.example"] {
        handshake(Arc::clone(&server), certificates.client(false), name).unwrap();
    }
    assert!(handshake(server, certificates.client(false), "elsewhere.example").is_err());
}

#[test]
fn client_certificates_are_required_optional_or_not_asked_for() {
    use ClientCertificates::{Off, Optional, Required};
    let certificates = Certificates::new();
    for (mode, with_certificate, accepted) in [
        (Off, false, true),
        (Off, true, true),
        (Optional, false, true),
        (Required, true, true),
        (Required, false, false),
    ] {
        let server = server_config(&certificates.settings(mode), &[]).unwrap();
        let result = handshake(server, certificates.client(with_certificate), "localhost");
        assert_eq!(result.is_ok(), accepted, "{mode:?} {with_certificate}");
    }
}

#[test]
fn a_client_certificate_of_another_authority_is_refused() {
    let (certificates, stranger) = (Certificates::new(), Certificates::new());
    std::fs::copy(certificates.path("ca.pem"), stranger.path("ca.pem")).unwrap();
    let server = server_config(&certificates.settings(ClientCertificates::Optional), &[]).unwrap();
    assert!(handshake(server, stranger.client(true), "localhost").is_err());
}

#[test]
fn alpn_is_offered() {
    let settings = Certificates::new();
    let config = server_config(&settings.settings(ClientCertificates::Off), &[b"mqtt"]).unwrap();
    assert_eq!(config.alpn_protocols, [b"mqtt"]);
}

#[test]
fn errors_name_the_setting_and_the_file() {
    let certificates = Certificates::new();
    let other = Certificates::new();
    let missing = certificates.error(|tls| tls.certificate = Some(certificates.path("none.pem")));
    assert!(missing.starts_with("tls.certificate: cannot read none.pem: No such file"), "{missing}");
    let swapped = certificates.error(|tls| tls.certificate = Some(certificates.path("server.key")));
    assert_eq!(swapped, "tls.certificate: server.key has no PEM section CERTIFICATE");
    let swapped = certificates.error(|tls| tls.private_key = Some(certificates.path("server.pem")));
    assert_eq!(swapped, "tls.private_key: server.pem has no PEM section PRIVATE KEY");
    let empty = certificates.error(|tls| tls.client_ca = Some(certificates.write("empty.pem", "")));
    assert_eq!(empty, "tls.client_ca: empty.pem has no PEM section CERTIFICATE");
    assert_eq!(
        certificates.error(|tls| tls.private_key = None),
        "tls.private_key is not set, and a TLS listener needs it"
    );
    std::fs::copy(other.path("server.key"), certificates.path("other.key")).unwrap();
    let mismatch = certificates.error(|tls| tls.private_key = Some(certificates.path("other.key")));
    assert_eq!(mismatch, "the key other.key does not belong to the certificate server.pem");
}

#[test]
fn a_broken_key_is_reported_without_quoting_it() {
    let certificates = Certificates::new();
    for (text, reason) in [
        ("-----BEGIN PRIVATE KEY-----\ncanary!\n-----END PRIVATE KEY-----\n", "a section is not base64"),
        ("-----BEGIN PRIVATE KEY-----\ncanary\n", "a section has no END line"),
        ("-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n", "cannot be used"),
    ] {
        let error = certificates.error(|tls| tls.private_key = Some(certificates.write("broken.key", text)));
        assert!(error.contains("broken.key") && error.contains(reason) && !error.contains("canary"), "{error}");
    }
}
