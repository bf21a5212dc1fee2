use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use crossdock_common::definition::Definition;
use crossdock_common::event::{BrowsedMessages, Delivery, Principal, Reply};
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::output::Close;
use crossdock_common::testkit::Peer;
use crossdock_common::{
    Command, ConsumerId, Event, Lane, Limits, Machine, Message, Name, Now, Output, Refusal, UnixMillis,
};

use crate::{Connection, ConnectionOptions};

pub fn options() -> ConnectionOptions {
    ConnectionOptions { server_version: "1".into(), ..ConnectionOptions::default() }
}

/// A core that says yes, except to what is listed, and remembers what it was asked.
#[derive(Default)]
pub struct Core {
    pub asked: Vec<Command>,
    pub vhosts_unknown: Vec<&'static str>,
    pub refuse: Option<Refusal>,
    pub hold_confirms: bool,
    pub hold_replies: bool,
    pub names: u64,
    /// Queues that are there, of whatever pattern.
    pub queues: Vec<Name>,
    /// What is in the queue that is looked at.
    pub browsed: VecDeque<BrowsedMessages>,
}

impl Core {
    fn answer(&mut self, command: &Command) -> Option<Event> {
        let request = match command {
            Command::Authenticate { request, credentials } => {
                let name = match credentials {
                    crossdock_common::command::Credentials::Password { user, .. } => user.clone(),
                    _ => Name::from("nobody"),
                };
                let wrong = &*name == "mallory";
                let result =
                    if wrong { Err(Refusal::InvalidCredentials) } else { Ok(Principal { name, tags: vec![] }) };
                return Some(Event::Authenticated { request: *request, result });
            }
            Command::Open { request, vhost } => {
                let unknown = self.vhosts_unknown.contains(&&**vhost);
                let refusal = Refusal::VhostNotFound { vhost: vhost.clone() };
                let result = if unknown { Err(refusal) } else { Ok(Reply::Done) };
                return Some(Event::Reply { request: *request, result });
            }
            Command::Publish(publish) => {
                let confirm = publish.confirm.filter(|_| !self.hold_confirms)?;
                return Some(Event::Confirmed { lane: Lane(0), confirms: vec![confirm] });
            }
            Command::PublishRun(publish) => {
                let first = publish.confirm.filter(|_| !self.hold_confirms)?;
                let confirms = (first..).take(publish.run.len()).collect();
                return Some(Event::Confirmed { lane: Lane(0), confirms });
            }
            Command::Settle { request, .. } => (*request)?,
            Command::Define { request, .. }
            | Command::Subscribe { request, .. }
            | Command::Unsubscribe { request, .. }
            | Command::FollowQueues { request, .. }
            | Command::Browse { request, .. } => *request,
            _ => return None,
        };
        let result = self.refuse.clone().map_or_else(|| Ok(self.good(command)), Err);
        (!self.hold_replies).then_some(Event::Reply { request, result })
    }

    fn good(&mut self, command: &Command) -> Reply {
        match command {
            Command::Define { definition, .. } => match &**definition {
                Definition::DeclareQueue { spec, .. } if spec.name.is_empty() => {
                    self.names += 1;
                    let name = Name::from(format!("amq.gen-{}", self.names));
                    Reply::Queue { name, ready: 0, consumers: 0 }
                }
                _ => Reply::Done,
            },
            Command::FollowQueues { .. } => Reply::Names(self.queues.clone()),
            Command::Browse { .. } => Reply::Browsed(Box::new(self.browsed.pop_front().unwrap_or_default())),
            _ => Reply::Done,
        }
    }
}

impl Peer for Core {
    fn command(&mut self, _: Now, command: Command) -> Vec<Event> {
        let event = self.answer(&command);
        self.asked.push(command);
        event.into_iter().collect()
    }
}

/// A connection with a core behind it, driven by hand.
pub struct Wire {
    pub machine: Connection,
    pub core: Core,
    pub close: Option<Close>,
    pub now: Now,
    pub input: BytesMut,
}

impl Wire {
    pub fn new(options: ConnectionOptions) -> Self {
        let now = Now { unix: UnixMillis(1_700_000_000_000), ..Now::default() };
        let machine = Connection::new(now, options);
        Self { machine, core: Core::default(), close: None, now, input: BytesMut::new() }
    }

    pub fn limited(limits: Limits) -> Self {
        let mut wire = Self::new(ConnectionOptions { limits: Arc::new(limits), ..options() });
        wire.login("1.2");
        wire
    }

    /// Logged in with that version; the core has forgotten how.
    pub fn connected(version: &str) -> Self {
        let mut wire = Self::new(options());
        wire.login(version);
        wire
    }

    fn login(&mut self, version: &str) {
        let connect = format!("CONNECT\naccept-version:{version}\nhost:/\nlogin:guest\npasscode:guest\n\n\0");
        let connected = self.send(&connect);
        assert!(connected.starts_with("CONNECTED\n"), "{connected}");
        self.core.asked.clear();
    }

    /// The client sends; what it reads comes back.
    pub fn send(&mut self, frame: &str) -> String {
        self.input.extend_from_slice(frame.as_bytes());
        self.run(Machine::receive)
    }

    /// The core says something; what the client reads comes back.
    pub fn event(&mut self, event: Event) -> String {
        self.run(|machine, now, _, output| machine.handle(now, event, output))
    }

    pub fn run(&mut self, act: impl FnOnce(&mut Connection, Now, &mut BytesMut, &mut Output)) -> String {
        assert_eq!(self.close, None, "nothing follows a close");
        let mut output = Output::default();
        act(&mut self.machine, self.now, &mut self.input, &mut output);
        let mut commands: VecDeque<Command> = output.commands.drain(..).collect();
        while let Some(command) = commands.pop_front() {
            for event in self.core.command(self.now, command) {
                if output.close.is_none() {
                    self.machine.handle(self.now, event, &mut output);
                    self.machine.receive(self.now, &mut self.input, &mut output);
                }
            }
            commands.extend(output.commands.drain(..));
        }
        self.close = output.close;
        String::from_utf8_lossy(&output.bytes.take_all()).into_owned()
    }

    /// What the core was asked since the last time.
    pub fn asked(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.core.asked)
    }

    pub fn published(&mut self) -> Vec<Arc<Message>> {
        let publish = |command| if let Command::Publish(publish) = command { Some(publish.message) } else { None };
        self.asked().into_iter().filter_map(publish).collect()
    }

    pub fn definitions(&mut self) -> Vec<Definition> {
        let definition = |command| match command {
            Command::Define { definition, .. } => Some(*definition),
            _ => None,
        };
        self.asked().into_iter().filter_map(definition).collect()
    }

    /// The core delivers messages to one consumer, at positions counting from `first`.
    pub fn deliver(&mut self, consumer: u64, first: u64, messages: Vec<Message>) -> String {
        let deliveries = (first..).zip(messages).map(|(position, message)| delivery(consumer, position, message));
        self.event(Event::Deliver(deliveries.collect()))
    }
}

pub fn delivery(consumer: u64, position: u64, message: Message) -> Delivery {
    Delivery {
        consumer: ConsumerId(consumer),
        id: DeliveryId { queue: QueueId(7), position, lease: 1 },
        message: Arc::new(message),
        delivery_count: 0,
        is_counted: false,
        first_delivered_at: UnixMillis(0),
        expires_at: None,
        binding: None,
        stream_offset: None,
    }
}

pub fn message(exchange: &str, key: &'static str, properties: &'static str, body: &'static str) -> Message {
    Message::new(
        &crate::FORMAT,
        Name::from(exchange),
        bytes::Bytes::from_static(key.as_bytes()),
        bytes::Bytes::from_static(properties.as_bytes()),
        bytes::Bytes::from_static(body.as_bytes()),
    )
}

pub fn receipt(id: &str) -> String {
    format!("RECEIPT\nreceipt-id:{id}\n\n\0")
}

/// An ERROR frame's `message`.
pub fn error_of(read: &str) -> &str {
    read.strip_prefix("ERROR\nmessage:").and_then(|rest| rest.split('\n').next()).unwrap_or(read)
}
