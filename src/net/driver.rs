//! One connection: bytes in, machine, core, machine, bytes out.
//!
//! Work is done in rounds. A round decodes all that was read, gives the commands to the core as one batch, gives the core's
//! events to the machine, and repeats until nothing moves; then the connection waits for whatever comes first: bytes, room to
//! write, events (or the end of the broker), or its deadline.

mod moving;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use crossdock_common::command::Credentials;
use crossdock_common::event::Principal;
use crossdock_common::output::Close;
use crossdock_common::{Command, Description, DropReason, Event, Instant, Machine, Name, Output, Refusal, RequestId};
use crossdock_core::{Client, Execution, cost_bytes};
use tokio::io::AsyncWrite;
use tokio::sync::Notify;
use tokio::time::Sleep;

use moving::Served;
pub(super) use moving::Stay;

use super::outcome::Ending;
use super::scratch;
use super::transport::Transport;
use crate::auth::{self, AuthenticationError, ScramExchange};
use crate::broker::{Connection, Engine, Newcomer, SyncWatch};
use crate::telemetry::events::{AuthenticationFailed, LimitReached};
use crate::telemetry::{Protocol, ProtocolMetrics};

/// Slices of one vectored write.
const SLICES_MAX: usize = 64;
/// Unwritten bytes beyond which nothing more is read: a peer that asks and does not listen.
const UNWRITTEN_BYTES_MAX: usize = 4 << 20;
/// How long a publisher that is ahead of the disk is not read before it is looked at again.
const DISK_PAUSE: Duration = Duration::from_millis(1);
/// A command that comes this soon after an answer, in microseconds, is the next of somebody who waits for each.
const NEXT_US_MAX: u64 = 500;
/// A round with so many commands and events is one of a connection that may be idle from now on.
const QUIET_MAX: usize = 16;
/// Time to write the goodbye.
const GOODBYE_MS_MAX: u64 = 2_000;

/// A connection that is being served.
pub(super) struct Driver {
    pub engine: Arc<Engine>,
    pub protocol: Protocol,
    pub peer: SocketAddr,
    /// A SCRAM exchange that waits for the peer.
    exchange: Option<Box<ScramExchange>>,
    /// The name in the peer's verified certificate.
    certificate_name: Option<Name>,
    /// Our end of it.
    local: SocketAddr,
    transport: Transport,
    machine: Box<dyn Machine>,
    client: Client,
    notify: Arc<Notify>,
    input: BytesMut,
    output: Output,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
    /// Cost of deliveries that are encoded and not written.
    unwritten_cost_bytes: usize,
    /// Written, but perhaps not on its way yet.
    unflushed: bool,
    /// It publishes faster than the disk writes: it is not read for a moment.
    behind: bool,
    /// What woke it last was not the peer: its bytes come first now, or a stream of events would keep them waiting for ever.
    read_first: bool,
    /// When the core last had something for it.
    heard: Instant,
    /// A sync that it waits for awake.
    watch: Option<SyncWatch>,
    /// Its entry among the connections, once it has logged in.
    entry: Option<Arc<Connection>>,
    /// The core knows that the connection is over.
    ended: bool,
    /// Messages that the peer did not get, by [`DropReason`].
    drops: [u64; DropReason::ALL.len()],
    stay: Stay,
}

/// What ended the wait.
enum Wake {
    Read(usize),
    Written,
    Events,
    Deadline,
    /// Time to see whether the disk has caught up.
    Disk,
}

impl Driver {
    pub(super) fn new(
        engine: Arc<Engine>,
        protocol: Protocol,
        (peer, local): (SocketAddr, SocketAddr),
        (transport, certificate_name): (Transport, Option<Name>),
        machine: Box<dyn Machine>,
        stay: Stay,
    ) -> Self {
        let notify = Arc::new(Notify::new());
        let wake = notify.clone();
        let client = engine.connect(Box::new(move || wake.notify_one()));
        Self {
            engine,
            protocol,
            peer,
            exchange: None,
            certificate_name,
            local,
            transport,
            machine,
            client,
            notify,
            input: BytesMut::new(),
            output: Output::default(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            unwritten_cost_bytes: 0,
            unflushed: false,
            behind: false,
            read_first: false,
            heard: Instant(0),
            watch: None,
            entry: None,
            ended: false,
            drops: [0; DropReason::ALL.len()],
            stay,
        }
    }

    /// Serves the connection to its end, and reports it. Boxed, because a future keeps what it was given twice.
    pub(super) async fn run(mut self: Box<Self>) {
        let ending = match self.serve().await {
            Ok(Served::Ends(ending)) => ending,
            Ok(Served::Moves(thread)) => return drop(thread.spawn(self.go_on())),
            Err(error) => Ending::of(error),
        };
        if !matches!(ending, Ending::Closed(_)) {
            self.machine.end(self.engine.clock.now(), &mut self.output);
        }
        // What the connection held goes back at once, however long the peer takes to read its goodbye.
        self.end();
        if let Some(code) = ending.farewell() {
            self.transport.close_with(code);
            // A peer that does not read its goodbye in time does not get it.
            let patience = Duration::from_millis(GOODBYE_MS_MAX);
            let _ = Box::pin(tokio::time::timeout(patience, self.say_goodbye())).await;
        }
        ending.report(self.protocol, self.peer, &self.engine.metrics);
    }

    /// The core does what was asked last and forgets the connection.
    fn end(&mut self) {
        // Nobody looks any more: while the peer takes its time to hang up, others' confirms must not wait for that.
        self.watch = None;
        let now = self.engine.clock.now();
        self.commands.extend(self.output.commands.drain(..));
        self.client.finish(now, &mut self.commands);
        self.client.end(now);
        self.ended = true;
        if let Some(entry) = self.entry.take() {
            self.engine.connections.remove(entry.id);
        }
    }

    async fn serve(&mut self) -> std::io::Result<Served> {
        let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
        let mut armed = Instant(0);
        loop {
            self.round().await;
            if self.client.must_yield() {
                tokio::task::yield_now().await;
            }
            if let Some(close) = self.output.close.take() {
                return Ok(Served::Ends(Ending::Closed(close)));
            }
            if self.client.must_leave() {
                return Ok(Served::Ends(Ending::Closed(self.leave().await)));
            }
            if let Some(thread) = self.moves() {
                return Ok(Served::Moves(thread));
            }
            if let Some(deadline) = self.machine.deadline() {
                // A deadline that moved away is noticed when the old one fires: most never do.
                if armed == Instant(0) || deadline < armed {
                    armed = deadline;
                    sleep.as_mut().reset(self.engine.clock.to_tokio(deadline));
                }
            }
            // Publishers are as fast as the disk; whoever only consumes goes on.
            self.behind = self.publishes() && self.engine.is_behind();
            let wake = self.wait(sleep.as_mut(), armed != Instant(0)).await?;
            self.read_first = !matches!(wake, Wake::Read(_));
            match wake {
                Wake::Read(0) => return Ok(Served::Ends(Ending::PeerGone)),
                Wake::Read(count) => {
                    self.counters().received_bytes.inc_by(count as u64);
                    self.entry.iter().for_each(|entry| entry.octets.read(count));
                    self.receive();
                }
                Wake::Events => self.describe(),
                Wake::Written | Wake::Disk => {}
                Wake::Deadline => {
                    armed = Instant(0);
                    let now = self.engine.clock.now();
                    if self.is_paused() {
                        self.machine.unheard(now);
                    } else if self.transport.was_heard_beneath() {
                        self.machine.heard_beneath(now);
                    }
                    if self.machine.deadline().is_some_and(|at| at <= now.instant) {
                        self.machine.timeout(now, &mut self.output);
                    }
                }
            }
        }
    }

    fn counters(&self) -> &ProtocolMetrics {
        self.engine.metrics.protocol(self.protocol)
    }

    /// Somebody may want to know about the connection.
    fn describe(&mut self) {
        for answer in self.entry.iter().flat_map(|entry| entry.take_askers()) {
            // Whoever asked may have gone.
            let _ = answer.send(Description { drops: self.drops, ..self.machine.describe() });
        }
    }

    /// Enters the connection among those that have logged in.
    fn enter(&mut self) {
        let Some(vhost) = self.client.vhost() else { return };
        let newcomer = Newcomer {
            id: self.client.connection(),
            protocol: self.protocol,
            peer: self.peer,
            local: self.local,
            tls: self.transport.is_tls(),
            user: self.client.user().clone(),
            vhost: vhost.clone(),
            connected_at: self.engine.clock.now().unix,
            wake: self.notify.clone(),
        };
        self.entry = Some(self.engine.connections.add(newcomer));
    }

    async fn leave(&mut self) -> Close {
        let now = self.engine.clock.now();
        self.machine.shutdown(now, &mut self.output);
        self.round().await;
        self.output.close.take().unwrap_or(Close::Shutdown)
    }

    fn receive(&mut self) {
        let now = self.engine.clock.now();
        self.machine.receive(now, &mut self.input, &mut self.output);
        scratch::give_back(&mut self.input);
    }

    /// Lets machine and core talk until both are silent.
    async fn round(&mut self) {
        let mut handled = 0;
        loop {
            let now = self.engine.clock.now();
            self.counters().count_commands(&self.output.commands);
            self.commands.extend(self.output.commands.drain(..));
            handled += self.commands.len();
            let is_next = self.commands.len() == 1 && now.instant.0.saturating_sub(self.heard.0) < NEXT_US_MAX;
            if !self.commands.is_empty()
                && let Execution::Authenticate { request, credentials } = self.client.execute(now, &mut self.commands)
            {
                // Boxed: it happens once, and every connection would keep room for it.
                Box::pin(self.authenticate(request, credentials)).await;
            }
            if let (Some(hurried), true) = (self.client.take_hurried(), is_next) {
                self.watch = self.engine.watch_sync(hurried);
            }
            self.client.take_events(now, &mut self.events);
            self.count_drops();
            if self.events.is_empty() {
                if self.output.bytes.is_empty() && !self.unflushed {
                    self.release_written();
                }
                if self.entry.is_none() {
                    self.enter();
                }
                if handled <= QUIET_MAX {
                    self.rest();
                }
                return;
            }
            handled += self.events.len();
            self.heard = now.instant;
            while let Some(event) = self.events.pop_front() {
                self.counters().count_event(&event);
                self.note_limit(&event);
                self.unwritten_cost_bytes += cost_bytes(&event);
                if self.output.close.is_none() {
                    self.machine.handle(now, event, &mut self.output);
                }
            }
            if !self.input.is_empty() && self.output.close.is_none() {
                self.receive();
            }
        }
    }

    /// An idle connection holds no buffers. Who is busy keeps them: they would be needed again at once.
    fn rest(&mut self) {
        self.output.commands = Vec::new();
        self.events = VecDeque::new();
        if self.commands.is_empty() {
            self.commands = VecDeque::new();
        }
        self.client.rest();
    }

    fn count_drops(&mut self) {
        let unreadable = self.client.take_unreadable();
        if self.output.drops.is_empty() && unreadable == 0 {
            return;
        }
        let mut more = [0; DropReason::ALL.len()];
        self.output.drops.drain(..).for_each(|reason| more[reason as usize] += 1);
        more[DropReason::NotAuthorised as usize] += unreadable;
        for (reason, messages) in DropReason::ALL.into_iter().zip(more) {
            self.drops[reason as usize] += messages;
            self.engine.metrics.count_drops(reason.word(), messages);
        }
    }

    /// What the core refuses because there is too much of it.
    fn note_limit(&self, event: &Event) {
        if let Event::Reply { result: Err(Refusal::LimitReached(limit)), .. } = event {
            LimitReached { protocol: self.protocol, peer: self.peer, limit }.emit(&self.engine.metrics);
        }
    }

    async fn authenticate(&mut self, request: RequestId, credentials: Credentials) {
        let (authenticator, peer) = (&self.engine.authenticator, self.peer.ip());
        let result = match &credentials {
            Credentials::Password { user, password } => authenticator.authenticate(peer, user, password).await,
            Credentials::Anonymous => authenticator.admit_anonymous(peer),
            Credentials::Certificate => match &self.certificate_name {
                Some(name) => authenticator.admit(peer, name),
                None => Err(AuthenticationError::Refused),
            },
            Credentials::Exchange { data } => match self.exchange(request, data) {
                Some(result) => result,
                None => return,
            },
        };
        match result {
            // Other protocols have names for things that the rules of such users say nothing of.
            Ok(principal) if principal.for_mqtt && self.protocol != Protocol::Mqtt => {
                self.refuse(request, &credentials);
            }
            Ok(principal) => {
                self.counters().authentications.inc();
                let tags = principal.tags.iter().map(|tag| Name::from(tag.as_str())).collect();
                self.client.authenticated(request, Principal { name: Name::from(&*principal.name), tags });
            }
            Err(AuthenticationError::Refused) => self.refuse(request, &credentials),
            Err(AuthenticationError::Unavailable) => {
                let busy = "credentials cannot be checked at the moment".to_owned();
                self.client.rejected(request, Refusal::Unavailable(busy));
            }
        }
    }

    /// One step of an exchange; `None` if another one follows.
    fn exchange(&mut self, request: RequestId, data: &[u8]) -> Option<Result<auth::Principal, AuthenticationError>> {
        let authenticator = &self.engine.authenticator;
        let Some(exchange) = self.exchange.take() else {
            return match authenticator.begin_scram(self.peer.ip(), data) {
                Ok((exchange, challenge)) => {
                    self.exchange = Some(Box::new(exchange));
                    self.client.challenge(request, challenge.into());
                    None
                }
                Err(error) => Some(Err(error)),
            };
        };
        let (principal, proof) = match authenticator.finish_scram(&exchange, data) {
            Ok(proved) => proved,
            Err(error) => return Some(Err(error)),
        };
        // Who has logged in stays who it is (MQTT 5, section 4.12.1).
        if self.entry.is_some() && *self.client.user().as_str() != *principal.name {
            return Some(Err(AuthenticationError::Refused));
        }
        self.client.prove(request, proof.into());
        Some(Ok(principal))
    }

    fn refuse(&mut self, request: RequestId, credentials: &Credentials) {
        let (protocol, peer) = (self.protocol, self.peer);
        let user = match credentials {
            Credentials::Password { user, .. } => user.as_str(),
            Credentials::Anonymous | Credentials::Exchange { .. } => "",
            Credentials::Certificate => self.certificate_name.as_deref().unwrap_or_default(),
        };
        AuthenticationFailed { protocol, peer, user }.emit(&self.engine.metrics);
        self.client.rejected(request, Refusal::InvalidCredentials);
    }

    async fn wait(&mut self, mut sleep: Pin<&mut Sleep>, armed: bool) -> std::io::Result<Wake> {
        let notify = self.notify.clone();
        let mut notified = pin!(notify.notified());
        // Boxed: most connections never need it, and all would keep room for it.
        let mut disk = self.behind.then(|| Box::pin(tokio::time::sleep(DISK_PAUSE)));
        poll_fn(|context| {
            if self.read_first
                && let Poll::Ready(result) = self.poll_read(context)
            {
                return Poll::Ready(result.map(Wake::Read));
            }
            if let Poll::Ready(result) = self.poll_write(context) {
                return Poll::Ready(result.map(|()| Wake::Written));
            }
            if notified.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(Wake::Events));
            }
            if self.poll_watch(context).is_ready() {
                return Poll::Ready(Ok(Wake::Events));
            }
            if let Poll::Ready(result) = self.poll_read(context) {
                return Poll::Ready(result.map(Wake::Read));
            }
            if armed && sleep.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(Wake::Deadline));
            }
            if disk.as_mut().is_some_and(|disk| disk.as_mut().poll(context).is_ready()) {
                return Poll::Ready(Ok(Wake::Disk));
            }
            Poll::Pending
        })
        .await
    }

    /// Ready when the sync is done that the connection watches. Until then it looks again as soon as others had their turn.
    fn poll_watch(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(watch) = self.watch.take() else { return Poll::Pending };
        if watch.is_over() {
            return if self.engine.end_watch(watch) { Poll::Ready(()) } else { Poll::Pending };
        }
        self.watch = Some(watch);
        pin!(tokio::task::yield_now()).poll(context)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if self.is_paused() {
            return Poll::Pending;
        }
        let room = self.input_room_bytes();
        scratch::poll_read(&mut self.transport, context, &mut self.input, room)
    }

    /// Whether the peer is not read at the moment: commands wait, it does not listen, or publishers are stopped.
    fn is_paused(&self) -> bool {
        self.behind
            || self.input_room_bytes() == 0
            || !self.commands.is_empty()
            || self.output.bytes.len() >= UNWRITTEN_BYTES_MAX
            || self.publishes() && self.engine.broker.blocked().is_some()
    }

    /// It is one to stop when publishers have to wait.
    fn publishes(&self) -> bool {
        self.client.publishes() || self.machine.publishes()
    }

    fn input_room_bytes(&self) -> usize {
        self.machine.input_bytes_max().saturating_sub(self.input.len())
    }

    /// Ready when everything is written that was waiting; pending also when nothing was.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.output.bytes.is_empty() && !self.unflushed {
            return Poll::Pending;
        }
        while !self.output.bytes.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let used = self.output.bytes.chunks_vectored(&mut slices);
            let count = ready!(Pin::new(&mut self.transport).poll_write_vectored(context, &slices[..used]))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.counters().sent_bytes.inc_by(count as u64);
            self.entry.iter().for_each(|entry| entry.octets.wrote(count));
            self.output.bytes.advance(count);
            self.unflushed = true;
        }
        // TLS may still hold records back that the socket had no room for.
        ready!(Pin::new(&mut self.transport).poll_flush(context))?;
        self.unflushed = false;
        self.release_written();
        Poll::Ready(Ok(()))
    }

    /// Deliveries that are written, or of which the machine wrote nothing, make room for others.
    fn release_written(&mut self) {
        if self.ended {
            return;
        }
        let cost_bytes = std::mem::take(&mut self.unwritten_cost_bytes);
        self.client.written(self.engine.clock.now(), cost_bytes);
    }

    /// Writes what is left, then waits for the peer to hang up: closing on bytes that were not read would be a reset, which
    /// may destroy the goodbye before the peer has it.
    async fn say_goodbye(&mut self) -> std::io::Result<()> {
        use tokio::io::AsyncWriteExt as _;
        if !self.output.bytes.is_empty() || self.unflushed {
            poll_fn(|context| self.poll_write(context)).await?;
        }
        self.transport.shutdown().await?;
        poll_fn(|context| scratch::poll_discard(&mut self.transport, context)).await
    }
}

/// A panic ends its own connection and nothing else: what the connection held must not stay with it.
impl Drop for Driver {
    fn drop(&mut self) {
        if self.ended || !std::thread::panicking() {
            return;
        }
        let now = self.engine.clock.now();
        if let Some(entry) = &self.entry {
            self.engine.connections.remove(entry.id);
        }
        let client = std::panic::AssertUnwindSafe(&mut self.client);
        let _ = std::panic::catch_unwind(move || { client }.0.end(now));
    }
}
