//! Connections to endpoints: the host is resolved once, and the address that was checked is the one that is connected to.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::address::AddressRules;

/// Makes connections.
#[derive(Clone)]
pub(super) struct Doorway(Arc<Inner>);

struct Inner {
    /// `None` for what the operator has configured, who may send anywhere.
    rules: Option<AddressRules>,
    authorities: Option<PathBuf>,
    /// Read when it is needed first.
    tls: OnceCell<TlsConnector>,
}

impl Doorway {
    pub(super) fn new(rules: Option<AddressRules>, authorities: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner { rules, authorities, tls: OnceCell::new() }))
    }
}

impl Inner {
    async fn connect(&self, uri: &Uri) -> io::Result<Wire> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let stream = connect_to_any(&self.checked(host, port).await?).await?;
        stream.set_nodelay(true)?;
        if !is_https {
            return Ok(Wire(Box::new(stream)));
        }
        let tls = self.tls.get_or_try_init(|| connector(self.authorities.clone())).await?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Wire(Box::new(tls.connect(name, stream).await?)))
    }

    /// The addresses of the host that messages may go to.
    async fn checked(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
        let Some(rules) = &self.rules else { return Ok(found) };
        let mut refusal = format!("{host} has no address");
        let mut allowed = Vec::new();
        for address in found {
            match rules.check(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(reason) => refusal = reason,
            }
        }
        if allowed.is_empty() { Err(io::Error::other(refusal)) } else { Ok(allowed) }
    }
}

async fn connect_to_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::other("there is no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Believes the machine's authorities, and those of the file.
async fn connector(authorities: Option<PathBuf>) -> io::Result<TlsConnector> {
    let read = tokio::task::spawn_blocking(move || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = authorities {
            for certificate in CertificateDer::pem_file_iter(&file).map_err(io::Error::other)? {
                roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
            }
        }
        Ok::<_, io::Error>(roots)
    });
    let roots = read.await.map_err(io::Error::other)??;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Service<Uri> for Doorway {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Wire>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { inner.connect(&uri).await.map(TokioIo::new) })
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, with or without TLS.
pub(super) struct Wire(Box<dyn Io>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
