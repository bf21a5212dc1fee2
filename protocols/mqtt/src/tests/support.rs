//! A core that answers as the real one would, and a client that writes bytes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use crossdock_common::command::{Credentials, Outcome, Publish};
use crossdock_common::definition::{BindingSpec, Definition};
use crossdock_common::event::{Delivery, Principal, RejectReason, Reply, RetainedMessages, SessionInfo};
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::output::Close;
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::testkit::Peer;
use crossdock_common::{Command, ConsumerId, Event, Instant, Lane, Machine, Message, Now, Output, Refusal, UnixMillis};

use crate::{Connection, ConnectionOptions, FORMAT, Origin};

/// No bytes.
pub(super) const NOTHING: [u8; 0] = [];

/// Stands for the core behind one connection.
pub(super) struct Core {
    pub session: SessionInfo,
    pub retained: Vec<Arc<Message>>,
    /// Confirms are sent at once.
    pub confirms: bool,
    /// Session states are durable at once.
    pub keeps: bool,
    /// What is published comes back to the session's own queue.
    pub echoes: bool,
    pub position: u64,
    /// How many runs were published.
    pub runs: usize,
    pub log: Vec<Command>,
}

impl Default for Core {
    fn default() -> Self {
        let session = SessionInfo {
            present: false,
            queue: "session.c".into(),
            bindings: Vec::new(),
            state: Vec::new(),
            received: Vec::new(),
        };
        Self {
            session,
            retained: Vec::new(),
            confirms: true,
            keeps: true,
            echoes: false,
            position: 0,
            runs: 0,
            log: Vec::new(),
        }
    }
}

impl Peer for Core {
    fn command(&mut self, _now: Now, command: Command) -> Vec<Event> {
        if let Command::PublishRun(run) = command {
            self.runs += 1;
            return run.publishes().flat_map(|publish| self.take(Command::Publish(publish))).collect();
        }
        self.take(command)
    }
}

fn access_refused() -> Refusal {
    let (name, vhost, user) = ("amq.topic".into(), "/".into(), "u".into());
    Refusal::AccessRefused { access: Access::Read, resource: Resource::Exchange, name, vhost, user }
}

impl Core {
    fn take(&mut self, command: Command) -> Vec<Event> {
        let events = self.answer(&command);
        self.log.push(command);
        events
    }

    fn answer(&mut self, command: &Command) -> Vec<Event> {
        let reply = |request: &_, result| vec![Event::Reply { request: *request, result }];
        match command {
            Command::Authenticate { request, credentials } => {
                vec![Event::Authenticated { request: *request, result: principal(credentials) }]
            }
            Command::Open { request, vhost } if &**vhost == "nowhere" => {
                reply(request, Err(Refusal::VhostNotFound { vhost: vhost.clone() }))
            }
            Command::OpenSession { request, session } if &*session.name == "taken" => {
                reply(request, Err(Refusal::Forbidden("session 'taken' belongs to another user".to_owned())))
            }
            Command::OpenSession { request, .. } => reply(request, Ok(Reply::Session(Box::new(self.session.clone())))),
            Command::Define { request, definition } => reply(request, self.define(definition)),
            Command::Open { request, .. }
            | Command::Subscribe { request, .. }
            | Command::Unsubscribe { request, .. } => reply(request, Ok(Reply::Done)),
            Command::SessionState { request: Some(request), .. } | Command::ReleasePublication { request, .. }
                if self.keeps =>
            {
                reply(request, Ok(Reply::Done))
            }
            Command::FetchRetained { request, .. } => reply(request, Ok(Reply::Retained(Box::new(self.retained())))),
            Command::Publish(publish) => self.publish(publish),
            _ => Vec::new(),
        }
    }

    fn define(&self, definition: &Definition) -> Result<Reply, Refusal> {
        match definition {
            Definition::Bind(spec) if spec.key.starts_with(b"secret") => Err(access_refused()),
            Definition::DeclareQueue { spec, .. } => {
                Ok(Reply::Queue { name: spec.name.clone(), ready: 0, consumers: 0 })
            }
            _ => Ok(Reply::Done),
        }
    }

    fn publish(&mut self, publish: &Publish) -> Vec<Event> {
        let (lane, confirm, message) = (Lane(0), publish.confirm, publish.message.clone());
        let mut events = Vec::new();
        if self.echoes {
            let delivery = self.delivery(message.clone());
            events.push(Event::Deliver(vec![delivery]));
        }
        match &message.routing_key[..] {
            b"secret" => return vec![Event::PublishRefused { lane, confirm, refusal: access_refused() }],
            b"full" => {
                let confirm = confirm.unwrap_or_default();
                return vec![Event::Rejected { lane, confirm, reason: RejectReason::QueueFull }];
            }
            b"nobody" => events.push(Event::Unroutable { lane, confirm, mandatory: false, message }),
            _ => {}
        }
        if let (true, Some(confirm)) = (self.confirms, confirm) {
            events.push(Event::Confirmed { lane, confirms: vec![confirm] });
        }
        events
    }

    fn retained(&self) -> RetainedMessages {
        RetainedMessages { messages: self.retained.clone(), next: None }
    }

    /// The next delivery from the session's own queue.
    pub(super) fn delivery(&mut self, message: Arc<Message>) -> Delivery {
        self.position += 1;
        Delivery {
            consumer: ConsumerId(0),
            id: DeliveryId { queue: QueueId(7), position: self.position - 1, lease: 1 },
            message,
            delivery_count: 0,
            is_counted: false,
            first_delivered_at: UnixMillis(0),
            expires_at: None,
            binding: None,
            stream_offset: None,
        }
    }
}

fn principal(credentials: &Credentials) -> Result<Principal, Refusal> {
    match credentials {
        Credentials::Password { password, .. } if &password[..] == b"bad" => Err(Refusal::InvalidCredentials),
        Credentials::Password { user, .. } => Ok(Principal { name: user.clone(), tags: Vec::new() }),
        Credentials::Anonymous => Ok(Principal { name: "anonymous".into(), tags: Vec::new() }),
        Credentials::Certificate => Ok(Principal { name: "certificate".into(), tags: Vec::new() }),
        Credentials::Exchange { .. } => Err(Refusal::InvalidCredentials),
    }
}

/// A machine with its core.
pub(super) struct Tester {
    pub now: Now,
    pub machine: Connection,
    pub core: Core,
    pub close: Option<Close>,
    input: BytesMut,
}

pub(super) fn options() -> ConnectionOptions {
    ConnectionOptions { allow_anonymous: true, ..ConnectionOptions::default() }
}

impl Tester {
    pub(super) fn new(options: ConnectionOptions) -> Self {
        Self::from_origin(options, Origin::default())
    }

    pub(super) fn from_origin(options: ConnectionOptions, origin: Origin) -> Self {
        let now = Now { instant: Instant(1_000_000), unix: UnixMillis(1_700_000_000_000) };
        let machine = Connection::new(now, options, origin);
        Self { now, machine, core: Core::default(), close: None, input: BytesMut::new() }
    }

    /// A connected client of protocol level 4 or 5, whose session is for the connection only.
    pub(super) fn connected(level: u8) -> Self {
        Self::connected_with(options(), Core::default(), &connect(level, "c"))
    }

    pub(super) fn connected_with(options: ConnectionOptions, core: Core, connect: &[u8]) -> Self {
        let mut tester = Self::new(options);
        tester.core = core;
        let connack = tester.send(connect);
        assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:x?}");
        tester.core.log.clear();
        tester
    }

    /// Sends bytes and gives what comes back.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.input.extend_from_slice(bytes);
        let mut output = Output::default();
        self.machine.receive(self.now, &mut self.input, &mut output);
        self.run(output)
    }

    /// Tells the machine an event and gives what it writes.
    pub(super) fn event(&mut self, event: Event) -> Vec<u8> {
        let mut output = Output::default();
        self.machine.handle(self.now, event, &mut output);
        self.run(output)
    }

    pub(super) fn deliver(&mut self, message: Message) -> Vec<u8> {
        let delivery = self.core.delivery(Arc::new(message));
        self.event(Event::Deliver(vec![delivery]))
    }

    pub(super) fn timeout(&mut self) -> Vec<u8> {
        let mut output = Output::default();
        self.machine.timeout(self.now, &mut output);
        self.run(output)
    }

    pub(super) fn run(&mut self, mut output: Output) -> Vec<u8> {
        while !output.commands.is_empty() {
            for command in std::mem::take(&mut output.commands) {
                for event in self.core.command(self.now, command) {
                    if output.close.is_none() {
                        self.machine.handle(self.now, event, &mut output);
                    }
                }
            }
            if !self.input.is_empty() && output.close.is_none() {
                self.machine.receive(self.now, &mut self.input, &mut output);
            }
        }
        self.close = output.close;
        output.bytes.take_all().to_vec()
    }

    pub(super) fn published(&self) -> Vec<&Publish> {
        let publishes = self.core.log.iter().filter_map(|command| match command {
            Command::Publish(publish) => Some(publish),
            _ => None,
        });
        publishes.collect()
    }

    pub(super) fn settled(&self, wanted: Outcome) -> Vec<u64> {
        let positions = |command: &Command| match command {
            Command::Settle { deliveries, outcome, .. } if *outcome == wanted => {
                deliveries.iter().map(|id| id.position).collect()
            }
            _ => Vec::new(),
        };
        self.core.log.iter().flat_map(positions).collect()
    }

    pub(super) fn bound(&self) -> Vec<&BindingSpec> {
        let definitions = self.core.log.iter().filter_map(|command| match command {
            Command::Define { definition, .. } => Some(&**definition),
            _ => None,
        });
        let bindings = definitions.filter_map(|definition| match definition {
            Definition::Bind(spec) => Some(spec),
            _ => None,
        });
        bindings.collect()
    }
}

/// A packet with a body of less than 16,384 bytes.
pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    crate::packet::primitives::put_variable(&mut bytes, body.len());
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// CONNECT with clean session and keep-alive 60, without user name.
pub(super) fn connect(level: u8, id: &str) -> Vec<u8> {
    connect_with(level, 0b10, &[], &text(id))
}

pub(super) fn connect_with(level: u8, flags: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let name = text(if level == 3 { "MQIsdp" } else { "MQTT" });
    let mut body = [&name[..], &[level, flags, 0, 60]].concat();
    if level == 5 {
        body.push(properties.len() as u8);
        body.extend_from_slice(properties);
    }
    body.extend_from_slice(payload);
    packet(0x10, &body)
}

/// PUBLISH of version 3.1.1, or of version 5 if there is a property section.
pub(super) fn publish(flags: u8, topic: &str, id: u16, properties: Option<&[u8]>, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    if flags & 0b0110 != 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    if let Some(section) = properties {
        body.push(section.len() as u8);
        body.extend_from_slice(section);
    }
    body.extend_from_slice(payload);
    packet(0x30 | flags, &body)
}

pub(super) fn subscribe(level: u8, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend((level == 5).then_some(0));
    for (filter, options) in filters {
        body.extend(text(filter));
        body.push(*options);
    }
    packet(0x82, &body)
}

pub(super) fn unsubscribe(level: u8, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend((level == 5).then_some(0));
    filters.iter().for_each(|filter| body.extend(text(filter)));
    packet(0xA2, &body)
}

/// A stored MQTT message.
pub(super) fn message(key: &str, qos: u8, properties: &[u8], body: &str) -> Message {
    let section = [&[qos], properties].concat();
    let (key, body) = (Bytes::from(key.to_owned()), Bytes::from(body.to_owned()));
    let mut message = Message::new(&FORMAT, "amq.topic".into(), key, section.into(), body);
    message.durable = qos > 0;
    message.received_at = UnixMillis(1_700_000_000_000);
    message
}
