//! Clients that are just enough to load and to annoy a broker, byte by byte. That the broker speaks the protocols is for the real
//! clients to prove, in `clients`.

pub mod amqp;
pub mod aws;
pub mod http;
pub mod mqtt;
pub mod stomp;
pub mod websocket;

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConnection, StreamOwned};

use crate::support::PATIENCE;

/// Connects, with time-outs so that no test hangs.
pub fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A client that trusts the authority in the folder.
pub fn through_tls(certificates: &Path, stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let file = certificates.join("ca.pem");
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(file).expect("PEM")).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), stream)
}
