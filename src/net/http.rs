//! Listening sockets of HTTP: the same places and patience as for every other protocol, then somebody answers.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1::Connection;
use hyper::service::{HttpService, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::listener::{Listening, Reception, accept, bind};
use super::shutdown::ShutdownSignal;
use crate::config::Listener;
use crate::telemetry::events::{ConnectionClosed, ConnectionOpened};

/// Most bytes of a request's head.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;

/// Longest time, and most bytes, that is listened to a peer who was answered already. Closed at once, TCP resets the connection where bytes
/// wait unread, and takes the answer away from who has not read it yet.
const PARTING_TIME_MAX: Duration = Duration::from_secs(2);
const PARTING_BYTES_MAX: u64 = 16 << 20;
/// What a client of HTTP/2 begins with when it asks nobody (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// SETTINGS without any, and GOAWAY with HTTP_1_1_REQUIRED (RFC 9113, section 7).
const HTTP2_REFUSAL: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x15\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0dHTTP/1.1 only";

/// Boxed: the connection is polled in place.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// What answers requests.
pub trait Responder: Send + Sync + 'static {
    /// The answer to one request.
    fn respond(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Answer;
}

impl Responder for Router {
    /// The peer is inserted by hand: a layer would copy the whole router for each connection.
    fn respond(self: Arc<Self>, mut request: Request<Incoming>, peer: SocketAddr) -> Answer {
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut router = Self::clone(&self);
        Box::pin(async move { router.call(request.map(Body::new)).await })
    }
}

/// Binds a listener that speaks HTTP/1.1 and accepts from now on. A peer has `limits.http_idle_timeout_ms` for the head of each
/// request, so neither slow nor forgotten connections pile up.
///
/// # Errors
/// The address cannot be bound.
pub fn listen_http(
    reception: &Arc<Reception>,
    listener: Listener,
    responder: Arc<dyn Responder>,
    shutdown: ShutdownSignal,
) -> Result<Listening> {
    let (socket, listening) = bind(reception, listener)?;
    let of_connections = (reception.clone(), shutdown.clone());
    tokio::spawn(accept(reception.clone(), listener.kind, socket, shutdown, move |stream, ends, (_, place)| {
        let (reception, shutdown) = of_connections.clone();
        let served = serve(reception, listener, responder.clone(), stream, ends.peer, shutdown);
        async move {
            served.await;
            drop(place);
        }
    }));
    Ok(listening)
}

async fn serve(
    reception: Arc<Reception>,
    listener: Listener,
    responder: Arc<dyn Responder>,
    stream: TcpStream,
    peer: SocketAddr,
    mut shutdown: ShutdownSignal,
) {
    let protocol = super::machines::MachineFactory::protocol(listener.kind);
    ConnectionOpened { protocol, peer }.emit(reception.metrics());
    let service = service_fn(move |request| responder.clone().respond(request, peer));
    let mut connection = server(reception.http_idle_timeout()).serve_connection(TokioIo::new(stream), service);
    let served = converse(&mut connection, &mut shutdown).await;
    let reason = served.as_ref().map_or_else(ToString::to_string, |()| "closed".to_owned());
    ConnectionClosed { protocol, peer, reason: &reason }.emit(reception.metrics());
    let parts = connection.into_parts();
    part(&mut parts.io.into_inner(), &parts.read_buf, served.is_ok(), &mut shutdown).await;
}

/// Serves a connection until it is over or becomes something else; the answers are written then, and nothing is closed.
pub(super) async fn converse<I, S>(
    connection: &mut Connection<I, S>,
    shutdown: &mut ShutdownSignal,
) -> hyper::Result<()>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = Body, Future: Unpin> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    tokio::select! {
        served = poll_fn(|context| connection.poll_without_shutdown(context)) => served,
        () = shutdown.begun() => {
            Pin::new(&mut *connection).graceful_shutdown();
            poll_fn(|context| connection.poll_without_shutdown(context)).await
        }
    }
}

/// Closes a connection, `unread` being what came and was not understood. Who was answered has time to read it.
pub(super) async fn part<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    unread: &[u8],
    was_answered: bool,
    shutdown: &mut ShutdownSignal,
) {
    if unread.starts_with(HTTP2_PREFACE) {
        let _ = stream.write_all(HTTP2_REFUSAL).await;
    }
    // Nobody waits for it: the answers are written.
    let _ = stream.shutdown().await;
    if was_answered {
        let (mut rest, mut nowhere) = (stream.take(PARTING_BYTES_MAX), tokio::io::sink());
        tokio::select! {
            _ = tokio::time::timeout(PARTING_TIME_MAX, tokio::io::copy(&mut rest, &mut nowhere)) => {}
            () = shutdown.begun() => {}
        }
    }
}

fn server(idle_timeout: Duration) -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(idle_timeout).max_buf_size(HEAD_BYTES_MAX);
    builder
}
