//! Listening sockets: accept, handshake, and a driver for each connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use crossdock_common::Name;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::admission::{Admission, NoEntry, Place};
use super::door::{Greeting, HttpDoor, Responders};
use super::driver::{Driver, Stay};
use super::machines::{MachineFactory, Names};
use super::proxy::{Ends, Proxies};
use super::shutdown::ShutdownSignal;
use super::transport::Transport;
use super::websocket::Gate;
use super::workers::{Home, Workers};
use crate::auth::tls::certificate_name;
use crate::broker::Engine;
use crate::config::{CertificateLogin, Listener, ListenerKind, WebProtocol};
use crate::telemetry::events::{ConnectionOpened, ConnectionRefused, ListenerStarted, ProtocolViolation};
use crate::telemetry::{Metrics, Protocol};

/// Pause after a failed accept: the usual reason is that no file descriptor is free, and trying again at once only burns time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that the kernel completes ahead of `accept`. When a whole fleet reconnects at once, everyone beyond this number
/// (or the system's `somaxconn`, when that is smaller) is turned away for a second, then two, then four.
const LISTEN_BACKLOG: u32 = 4096;

/// A listener that runs.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    pub kind: ListenerKind,
    /// With the port that was really taken.
    pub address: SocketAddr,
}

/// What all listeners share, also those that listen before there is an engine.
pub struct Reception {
    metrics: Arc<Metrics>,
    workers: Arc<Workers>,
    factory: MachineFactory,
    tls: Option<TlsAcceptor>,
    certificate_login: CertificateLogin,
    proxies: Proxies,
    /// Listeners whose connections come through a proxy.
    proxied: Vec<ListenerKind>,
    tls_handshake_timeout: Duration,
    http_idle_timeout: Duration,
    admission: Arc<Admission>,
    gate: Arc<Gate>,
    /// What the listener for everything leads to.
    any: Vec<WebProtocol>,
}

impl Reception {
    /// `tls` is needed as soon as a TLS listener is enabled.
    pub fn new(
        metrics: Arc<Metrics>,
        workers: Arc<Workers>,
        settings: &crate::config::Settings,
        tls: Option<Arc<rustls::ServerConfig>>,
        seed: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            workers,
            factory: MachineFactory::new(settings, seed),
            tls: tls.map(TlsAcceptor::from),
            certificate_login: settings.tls.certificate_login,
            proxies: Proxies::new(settings),
            proxied: settings.proxied_listeners(),
            tls_handshake_timeout: settings.limits.tls_handshake_timeout_ms.duration(),
            http_idle_timeout: settings.limits.http_idle_timeout_ms.duration(),
            admission: Admission::new(settings),
            gate: Arc::new(Gate::new(settings)),
            any: WebProtocol::ALL.into_iter().filter(|protocol| settings.has_listener_of(*protocol)).collect(),
        })
    }
}

/// Binds a listener of a messaging protocol, or the one for everything, of which HTTP goes to the responders, and accepts from now on.
///
/// # Errors
/// The address cannot be bound.
pub fn listen(
    reception: &Arc<Reception>,
    engine: &Arc<Engine>,
    listener: Listener,
    responders: Responders,
    shutdown: ShutdownSignal,
) -> Result<Listening> {
    let (socket, listening) = bind(reception, listener)?;
    let of_connections = (reception.clone(), engine.clone(), responders, shutdown.clone());
    tokio::spawn(accept(reception.clone(), listener.kind, socket, shutdown, move |stream, ends, seat| {
        let (reception, engine, responders, shutdown) = of_connections.clone();
        let stay = Stay { workers: reception.workers.clone(), home: seat.0, _place: seat.1, shutdown };
        serve(reception, engine, listener.kind, responders, stream, ends, stay)
    }));
    Ok(listening)
}

/// Binds a listener's socket, and says so.
pub(super) fn bind(reception: &Reception, listener: Listener) -> Result<(TcpListener, Listening)> {
    let kind = listener.kind;
    let socket = listening_socket(listener.address)
        .with_context(|| format!("cannot listen on {} (listeners.{kind}); is the port taken?", listener.address))?;
    let address = socket.local_addr().context("a listener without an address")?;
    ListenerStarted { listener: kind.name(), address }.emit(reception.metrics());
    Ok((socket, Listening { kind, address }))
}

fn listening_socket(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted broker takes its port back at once, although connections of the old one linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}

/// Accepts until the broker drains. Each connection has a place among `limits.connections_max`, or is hung up on.
pub(super) async fn accept<F>(
    reception: Arc<Reception>,
    kind: ListenerKind,
    socket: TcpListener,
    mut shutdown: ShutdownSignal,
    serve: impl Fn(TcpStream, Ends, (Home, Place)) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = shutdown.begun() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let place = match reception.admission.enter(kind) {
                    Ok(place) => place,
                    Err(reason) => {
                        reception.refuse(kind, peer, reason);
                        continue;
                    }
                };
                let served_by = reception.clone();
                // Latency matters more than a packet saved; writes are whole batches already.
                let _ = stream.set_nodelay(true);
                let serve = serve.clone();
                // Called within the block: a future that is made outside is kept twice, as what was captured and as what is awaited.
                let served = reception.workers.serve(stream, move |mut stream, home| async move {
                    if let Some(ends) = served_by.ends(kind, &mut stream, peer).await {
                        serve(stream, ends, (home, place)).await;
                    }
                });
                if let Err(error) = served {
                    tracing::warn!(listener = kind.name(), %peer, %error, "cannot serve a connection");
                }
            }
            Err(error) => {
                tracing::warn!(listener = kind.name(), %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    reception: Arc<Reception>,
    engine: Arc<Engine>,
    kind: ListenerKind,
    responders: Responders,
    stream: TcpStream,
    ends: Ends,
    stay: Stay,
) {
    // Boxed: other connections should not keep room for what only these go through.
    let spoken = match kind {
        ListenerKind::Any => Box::pin(reception.recognise(stream, ends.peer, responders, &stay.shutdown)).await,
        kind => {
            match (reception.transport(kind, kind.is_tls(), stream, ends.peer).await, MachineFactory::protocol(kind)) {
                (Some(transport), Protocol::Unknown) => {
                    Box::pin(reception.upgrade(transport, ends.peer, &stay.shutdown)).await
                }
                (transport, protocol) => transport.map(|transport| (protocol, transport)),
            }
        }
    };
    if let Some(spoken) = spoken {
        drive(&reception, engine, spoken, ends, stay);
    }
}

/// Serves a connection of which it is known what it speaks.
///
/// In a task of its own, so that nothing is kept of what led here.
fn drive(
    reception: &Reception,
    engine: Arc<Engine>,
    (protocol, transport): (Protocol, Transport),
    Ends { peer, local }: Ends,
    stay: Stay,
) {
    let name = transport.certificate().and_then(|certificate| reception.certificate_name(certificate));
    let names = Names { of_certificate: name.clone(), of_cluster: engine.administration.cluster_name() };
    let Some(machine) = reception.factory.make(protocol, engine.clock.now(), names) else { return };
    ConnectionOpened { protocol, peer }.emit(&reception.metrics);
    let driver = Driver::new(engine, protocol, (peer, local), (transport, name), machine, stay);
    // Boxed once more: the runtime rounds up what it allocates for a task.
    tokio::spawn(Box::pin(Box::new(driver).run()));
}

fn protocol_of(protocol: WebProtocol) -> Protocol {
    match protocol {
        WebProtocol::Mqtt => Protocol::Mqtt,
        WebProtocol::Stomp => Protocol::Stomp,
        WebProtocol::Amqp => Protocol::Amqp091,
    }
}

impl Reception {
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn http_idle_timeout(&self) -> Duration {
        self.http_idle_timeout
    }

    /// What the holder of the certificate is called.
    fn certificate_name(&self, certificate: &CertificateDer<'_>) -> Option<Name> {
        certificate_name(certificate, self.certificate_login).map(|name| Name::from(name.as_str()))
    }

    /// Who connects, and to whom; `None` if the connection is over already.
    async fn ends(&self, kind: ListenerKind, stream: &mut TcpStream, peer: SocketAddr) -> Option<Ends> {
        // A socket that does not know its address is broken.
        let own = Ends { peer, local: stream.local_addr().ok()? };
        let ends = if self.proxied.contains(&kind) { self.announced(kind, stream, own).await? } else { own };
        match self.admission.admit(ends.peer.ip()) {
            Ok(()) => Some(ends),
            Err(reason) => {
                self.refuse(kind, ends.peer, reason);
                None
            }
        }
    }

    fn refuse(&self, kind: ListenerKind, peer: SocketAddr, reason: NoEntry) {
        ConnectionRefused { protocol: MachineFactory::protocol(kind), peer, reason }.emit(&self.metrics);
    }

    /// What a proxy says ahead of everything else.
    async fn announced(&self, kind: ListenerKind, stream: &mut TcpStream, own: Ends) -> Option<Ends> {
        // Boxed: connections without a proxy should not keep room for a header.
        match Box::pin(self.proxies.ends(stream, own)).await {
            Ok(ends) => Some(ends),
            Err(error) => {
                let (protocol, detail) = (MachineFactory::protocol(kind), error.to_string());
                let peer = own.peer;
                ProtocolViolation { protocol, peer, rule: "PROXY protocol", detail: &detail }.emit(&self.metrics);
                None
            }
        }
    }

    /// Takes the handshake of a WebSocket, within its time.
    async fn upgrade(
        &self,
        transport: Transport,
        peer: SocketAddr,
        shutdown: &ShutdownSignal,
    ) -> Option<(Protocol, Transport)> {
        let door = self.http_door(peer, None);
        let opened = tokio::time::timeout(self.gate.timeout, door.open(transport, shutdown.clone())).await.ok()??;
        Some((protocol_of(opened.0), opened.1))
    }

    fn http_door(&self, peer: SocketAddr, responders: Option<Responders>) -> HttpDoor<'_> {
        let (gate, idle_timeout) = (self.gate.clone(), self.http_idle_timeout);
        HttpDoor { gate, responders, idle_timeout, metrics: &self.metrics, peer }
    }

    /// Finds out what a client speaks, with or without TLS, and serves HTTP until it becomes something else.
    async fn recognise(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        responders: Responders,
        shutdown: &ShutdownSignal,
    ) -> Option<(Protocol, Transport)> {
        let mut transport = Transport::Plain(stream);
        let mut greeting = self.greeting(&mut transport, peer).await?;
        if greeting == Greeting::Tls {
            let Transport::Plain(stream) = transport else { return None };
            transport = self.transport(ListenerKind::Any, true, stream, peer).await?;
            greeting = self.greeting(&mut transport, peer).await?;
        }
        let protocol = match greeting {
            Greeting::Amqp => WebProtocol::Amqp,
            Greeting::Mqtt => WebProtocol::Mqtt,
            Greeting::Stomp => WebProtocol::Stomp,
            Greeting::Http => {
                let opened = self.http_door(peer, Some(responders)).open(transport, shutdown.clone()).await?;
                return Some((protocol_of(opened.0), opened.1));
            }
            Greeting::Tls => return self.turn_away(peer, "TLS, where there is none"),
        };
        if self.any.contains(&protocol) {
            return Some((protocol_of(protocol), transport));
        }
        self.turn_away(peer, "what it speaks has no listener of its own, so it is not served here")
    }

    /// What the first byte says, if it comes in time.
    async fn greeting(&self, transport: &mut Transport, peer: SocketAddr) -> Option<Greeting> {
        let first = tokio::time::timeout(self.gate.timeout, transport.first_byte()).await;
        match first.ok().flatten().map(Greeting::of) {
            Some(Some(greeting)) => Some(greeting),
            Some(None) => self.turn_away(peer, "the first byte is of nothing that is served here"),
            None => None,
        }
    }

    fn turn_away<T>(&self, peer: SocketAddr, detail: &'static str) -> Option<T> {
        let protocol = Protocol::Unknown;
        ProtocolViolation { protocol, peer, rule: "one port for everything", detail }.emit(&self.metrics);
        None
    }

    async fn transport(
        &self,
        kind: ListenerKind,
        is_tls: bool,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<Transport> {
        let Some(acceptor) = self.tls.as_ref().filter(|_| is_tls) else {
            return Some(Transport::Plain(stream));
        };
        // Boxed: a connection without TLS should not keep room for a handshake.
        let handshake = Box::pin(tokio::time::timeout(self.tls_handshake_timeout, acceptor.accept(stream)));
        let failure = match handshake.await {
            Ok(Ok(stream)) => return Some(Transport::Tls(Box::new(stream))),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the peer was too slow".to_owned(),
        };
        tracing::info!(listener = kind.name(), %peer, failure, "TLS handshake failed");
        None
    }
}
