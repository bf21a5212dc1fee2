//! HTTP and WebSocket at the doors that lead to messaging protocols; and what a client speaks, by the first byte it says.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::http::{self, Answer, Responder};
use super::shutdown::ShutdownSignal;
use super::transport::Transport;
use super::websocket::{Agreement, Gate, Rejection, WebSocket};
use crate::config::WebProtocol;
use crate::telemetry::events::{ConnectionClosed, ConnectionOpened, ProtocolViolation};
use crate::telemetry::{Metrics, Protocol};

/// Most bytes of a handshake's head: the least that hyper can do with.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// Paths that are the management's; everything else over HTTP is SQS's and SNS's.
const OF_MANAGEMENT: [&str; 4] = ["api", "metrics", "livez", "readyz"];

/// What a client begins to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Tls,
    /// AMQP of any version: the machine answers with the one that it speaks.
    Amqp,
    Mqtt,
    Stomp,
    Http,
}

impl Greeting {
    /// No two of them begin alike: a TLS record is 0x16, `AMQP`, an MQTT CONNECT 0x10, `CONNECT`, `STOMP` or an empty line, and the methods
    /// of HTTP but CONNECT, which nothing here answers.
    pub(super) fn of(first: u8) -> Option<Self> {
        Some(match first {
            0x16 => Self::Tls,
            b'A' => Self::Amqp,
            0x10 => Self::Mqtt,
            b'C' | b'S' | b'\n' | b'\r' => Self::Stomp,
            b'D' | b'G' | b'H' | b'O' | b'P' | b'T' => Self::Http,
            _ => return None,
        })
    }
}

/// Who answers HTTP at a door that has it.
#[derive(Clone, Default)]
pub struct Responders {
    pub management: Option<Arc<dyn Responder>>,
    pub aws: Option<Arc<dyn Responder>>,
}

impl Responders {
    fn of(&self, path: &str) -> Option<(Protocol, &Arc<dyn Responder>)> {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let is_management = OF_MANAGEMENT.contains(&first);
        let management = self.management.as_ref().map(|responder| (Protocol::Management, responder));
        let aws = self.aws.as_ref().map(|responder| (Protocol::Aws, responder));
        if is_management { management } else { aws.or(management) }
    }
}

/// A door that HTTP knocks at.
pub(super) struct HttpDoor<'a> {
    pub gate: Arc<Gate>,
    /// Nothing but WebSocket without them.
    pub responders: Option<Responders>,
    pub idle_timeout: Duration,
    pub metrics: &'a Arc<Metrics>,
    pub peer: SocketAddr,
}

impl HttpDoor<'_> {
    /// Answers requests until one of them makes a WebSocket, which is given then, with what it carries; `None` if the connection is over.
    pub(super) async fn open(self, wire: Transport, mut shutdown: ShutdownSignal) -> Option<(WebProtocol, Transport)> {
        let (agreed, spoken) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let (gate, responders, metrics, peer) =
            (self.gate.clone(), self.responders.clone(), self.metrics.clone(), self.peer);
        let (of_service, of_requests, is_tls) = (agreed.clone(), spoken.clone(), wire.is_tls());
        let service = service_fn(move |request: Request<Incoming>| -> Answer {
            match (gate.consider(&request, is_tls), &responders) {
                (Ok(agreement), _) => {
                    let response = agreement.response(&request);
                    // A connection becomes a WebSocket once.
                    let _ = of_service.set(agreement);
                    ready(response)
                }
                (Err(rejection), Some(responders)) if !rejection.is_of_a_websocket() => {
                    let Some((protocol, responder)) = responders.of(request.uri().path()) else {
                        return ready(Rejection::Path.response());
                    };
                    // By its first request, the connection is one of SQS and SNS or of the management.
                    if of_requests.set(protocol).is_ok() {
                        ConnectionOpened { protocol, peer }.emit(&metrics);
                    }
                    responder.clone().respond(request, peer)
                }
                (Err(rejection), _) => {
                    report(rejection, peer, &metrics);
                    ready(rejection.response())
                }
            }
        });
        let is_answered = self.responders.is_some();
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).keep_alive(is_answered);
        if is_answered {
            builder.header_read_timeout(self.idle_timeout).max_buf_size(http::HEAD_BYTES_MAX);
        } else {
            builder.header_read_timeout(self.gate.timeout).max_buf_size(HEAD_BYTES_MAX);
        }
        let mut connection = builder.serve_connection(TokioIo::new(wire), service);
        let served = http::converse(&mut connection, &mut shutdown).await;
        if let Some(&protocol) = spoken.get() {
            let reason = served.as_ref().map_or_else(ToString::to_string, |()| "closed".to_owned());
            ConnectionClosed { protocol, peer, reason: &reason }.emit(self.metrics);
        }
        let parts = connection.into_parts();
        let mut wire = parts.io.into_inner();
        match (served, agreed.get()) {
            (Ok(()), Some(agreement)) => Some(self.websocket(*agreement, wire, parts.read_buf)),
            (served, _) => {
                http::part(&mut wire, &parts.read_buf, served.is_ok(), &mut shutdown).await;
                None
            }
        }
    }

    fn websocket(&self, agreement: Agreement, wire: Transport, early: Bytes) -> (WebProtocol, Transport) {
        let (limits, messages) = (self.gate.limits(&agreement), agreement.messages());
        let socket = WebSocket::new(wire, early, limits, messages);
        (agreement.protocol, Transport::WebSocket(Box::new(socket)))
    }
}

fn ready(response: Response<Body>) -> Answer {
    Box::pin(std::future::ready(Ok(response)))
}

fn report(rejection: Rejection, peer: SocketAddr, metrics: &Metrics) {
    let (protocol, detail) = (Protocol::Unknown, rejection.detail());
    ProtocolViolation { protocol, peer, rule: "WebSocket handshake", detail }.emit(metrics);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_says_what_is_spoken() {
        for (bytes, greeting) in [
            (&b"AMQP\0\0\x09\x01"[..], Some(Greeting::Amqp)),
            (b"AMQP\x03\x01\0\0", Some(Greeting::Amqp)),
            (b"\x10\x0c\0\x04MQTT", Some(Greeting::Mqtt)),
            (b"CONNECT\n", Some(Greeting::Stomp)),
            (b"STOMP\n", Some(Greeting::Stomp)),
            (b"\n\nCONNECT\n", Some(Greeting::Stomp)),
            (b"\x16\x03\x01\x02", Some(Greeting::Tls)),
            (b"SSH-2.0-OpenSSH", Some(Greeting::Stomp)),
            (b"\0", None),
            (b"\x30\x05", None),
            (b"\xff", None),
        ] {
            assert_eq!(Greeting::of(bytes[0]), greeting, "{bytes:?}");
        }
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"] {
            assert_eq!(Greeting::of(method.as_bytes()[0]), Some(Greeting::Http), "{method}");
        }
    }
}
