//! Listening sockets of HTTP: the same places and patience as for every other protocol, then a router answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;

use super::listener::{Listening, Reception, accept, bind};
use super::shutdown::ShutdownSignal;
use crate::config::Listener;
use crate::telemetry::events::{ConnectionClosed, ConnectionOpened};

/// Most bytes of a request's head.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;

/// Binds a listener that speaks HTTP/1.1 and accepts from now on. A peer has `limits.http_idle_timeout_ms` for the head of each
/// request, so neither slow nor forgotten connections pile up.
///
/// # Errors
/// The address cannot be bound.
pub fn listen_http(
    reception: &Arc<Reception>,
    listener: Listener,
    router: Router,
    shutdown: ShutdownSignal,
) -> Result<Listening> {
    let (socket, listening) = bind(reception, listener)?;
    let of_connections = (reception.clone(), shutdown.clone());
    tokio::spawn(accept(reception.clone(), listener.kind, socket, shutdown, move |stream, ends, (_, place)| {
        let (reception, shutdown) = of_connections.clone();
        let served = serve(reception, listener, router.clone(), stream, ends.peer, shutdown);
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
    router: Router,
    stream: TcpStream,
    peer: SocketAddr,
    mut shutdown: ShutdownSignal,
) {
    let protocol = super::machines::MachineFactory::protocol(listener.kind);
    ConnectionOpened { protocol, peer }.emit(reception.metrics());
    let router = TowerToHyperService::new(router);
    // Inserted by hand: a layer would copy the whole router for each connection.
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let mut connection =
        std::pin::pin!(server(reception.http_idle_timeout()).serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    let reason = result.map_or_else(|error| error.to_string(), |()| "closed".to_owned());
    ConnectionClosed { protocol, peer, reason: &reason }.emit(reception.metrics());
}

fn server(idle_timeout: Duration) -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(idle_timeout).max_buf_size(HEAD_BYTES_MAX);
    builder
}
