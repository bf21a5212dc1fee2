//! A client written by hand (it shares no code with the machine), a core that knows a few names, and both around a machine.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use crossdock_amqp091::{Connection, ConnectionOptions};
use crossdock_common::command::{Credentials, Outcome};
use crossdock_common::definition::Definition;
use crossdock_common::event::{Delivery, Principal, Reply};
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::output::Close;
use crossdock_common::refusal::Resource;
use crossdock_common::{
    Command, ConsumerId, Event, Instant, Limits, Machine, Message, Name, Now, Output, Refusal, RequestId, UnixMillis,
};

pub const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// Arguments of a method, byte by byte.
#[derive(Clone, Default)]
pub struct Args(pub Vec<u8>);

impl Args {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn u8(mut self, n: u8) -> Self {
        self.0.push(n);
        self
    }

    pub fn u16(mut self, n: u16) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    pub fn u32(mut self, n: u32) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    pub fn u64(mut self, n: u64) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    pub fn short(mut self, text: &str) -> Self {
        self.0.push(text.len() as u8);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub fn long(self, bytes: &[u8]) -> Self {
        let mut this = self.u32(bytes.len() as u32);
        this.0.extend_from_slice(bytes);
        this
    }
}

pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&channel.to_be_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.push(0xCE);
    bytes
}

pub fn method(channel: u16, class: u16, number: u16, args: Args) -> Vec<u8> {
    let head = Args::new().u16(class).u16(number);
    frame(1, channel, &[head.0, args.0].concat())
}

pub fn header(channel: u16, size: u64, properties: &[u8]) -> Vec<u8> {
    let head = Args::new().u16(60).u16(0).u64(size);
    frame(2, channel, &[&head.0[..], properties].concat())
}

pub fn publish_method(channel: u16, exchange: &str, key: &str, bits: u8) -> Vec<u8> {
    method(channel, 60, 40, Args::new().u16(0).short(exchange).short(key).u8(bits))
}

pub fn publish_with(channel: u16, exchange: &str, key: &str, bits: u8, properties: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = publish_method(channel, exchange, key, bits);
    bytes.extend(header(channel, body.len() as u64, properties));
    if !body.is_empty() {
        bytes.extend(frame(3, channel, body));
    }
    bytes
}

pub fn publish(channel: u16, exchange: &str, key: &str, body: &[u8]) -> Vec<u8> {
    publish_with(channel, exchange, key, 0, &[0, 0], body)
}

pub fn start_ok(mechanism: &str, response: &[u8]) -> Vec<u8> {
    let capabilities: Vec<u8> = ["authentication_failure_close", "consumer_cancel_notify", "connection.blocked"]
        .iter()
        .flat_map(|name| Args::new().short(name).u8(b't').u8(1).0)
        .collect();
    let properties = Args::new().short("capabilities").u8(b'F').long(&capabilities);
    method(0, 10, 11, Args::new().long(&properties.0).short(mechanism).long(response).short("en_US"))
}

pub fn tune_ok(channel_max: u16, frame_max: u32, heartbeat: u16) -> Vec<u8> {
    method(0, 10, 31, Args::new().u16(channel_max).u32(frame_max).u16(heartbeat))
}

pub fn open(vhost: &str) -> Vec<u8> {
    method(0, 10, 40, Args::new().short(vhost).short("").u8(0))
}

pub fn open_channel(channel: u16) -> Vec<u8> {
    method(channel, 20, 10, Args::new().short(""))
}

pub fn close_channel(channel: u16) -> Vec<u8> {
    method(channel, 20, 40, Args::new().u16(200).short("bye").u16(0).u16(0))
}

pub fn close_connection() -> Vec<u8> {
    method(0, 10, 50, Args::new().u16(200).short("bye").u16(0).u16(0))
}

pub fn declare_queue(channel: u16, name: &str, bits: u8) -> Vec<u8> {
    method(channel, 50, 10, Args::new().u16(0).short(name).u8(bits).long(b""))
}

pub fn consume(channel: u16, queue: &str, tag: &str, bits: u8) -> Vec<u8> {
    method(channel, 60, 20, Args::new().u16(0).short(queue).short(tag).u8(bits).long(b""))
}

pub fn get(channel: u16, queue: &str, no_ack: bool) -> Vec<u8> {
    method(channel, 60, 70, Args::new().u16(0).short(queue).u8(no_ack.into()))
}

pub fn ack(channel: u16, tag: u64, multiple: bool) -> Vec<u8> {
    method(channel, 60, 80, Args::new().u64(tag).u8(multiple.into()))
}

pub fn nack(channel: u16, tag: u64, multiple: bool, requeue: bool) -> Vec<u8> {
    method(channel, 60, 120, Args::new().u64(tag).u8(u8::from(multiple) | u8::from(requeue) << 1))
}

pub fn handshake(frame_max: u32, heartbeat: u16) -> Vec<u8> {
    [HEADER, &start_ok("PLAIN", b"\0guest\0guest"), &tune_ok(0, frame_max, heartbeat), &open("/")].concat()
}

/// Answers at once: names that contain `missing` are not there, `refused` is not allowed; routing key `nowhere` leads
/// nowhere, `full` to a full queue. Messages to the default exchange wait for `basic.get`.
#[derive(Default)]
pub struct Core {
    pub log: Vec<String>,
    pub queues: HashMap<String, VecDeque<Arc<Message>>>,
    pub hold: bool,
    pub held: Vec<Event>,
    /// Runs that were published; the log has their messages.
    pub runs: usize,
    position: u64,
}

fn done(request: RequestId, reply: Reply) -> Vec<Event> {
    vec![Event::Reply { request, result: Ok(reply) }]
}

pub fn missing(resource: Resource, name: &str) -> Refusal {
    Refusal::NotFound { resource, name: Name::from(name), vhost: Name::from("/") }
}

impl Core {
    pub fn answer(&mut self, command: Command) -> Vec<Event> {
        if let Command::PublishRun(publish) = command {
            self.runs += 1;
            return publish.publishes().flat_map(|publish| self.answer(Command::Publish(publish))).collect();
        }
        self.log.push(format!("{command:?}"));
        let events = self.events(command);
        if self.hold {
            self.held.extend(events);
            return Vec::new();
        }
        events
    }

    fn events(&mut self, command: Command) -> Vec<Event> {
        match command {
            Command::Authenticate { request, credentials } => {
                let result = match credentials {
                    Credentials::Password { user, password } if password == "guest" => {
                        Ok(Principal { name: user, tags: vec![] })
                    }
                    Credentials::Password { .. } => Err(Refusal::InvalidCredentials),
                    _ => Ok(Principal { name: Name::from("somebody"), tags: vec![] }),
                };
                vec![Event::Authenticated { request, result }]
            }
            Command::Open { request, vhost } if vhost.contains("missing") => {
                vec![Event::Reply { request, result: Err(Refusal::VhostNotFound { vhost }) }]
            }
            Command::Define { request, definition } => vec![Event::Reply { request, result: define(*definition) }],
            Command::Purge { request, queue, .. } => vec![Event::Reply { request, result: purge(&queue) }],
            Command::Publish(publish) => self.publish(publish),
            Command::Subscribe { request, subscribe } if subscribe.queue.contains("missing") => {
                let result = Err(missing(Resource::Queue, &subscribe.queue));
                vec![Event::Reply { request, result }]
            }
            Command::Subscribe { request, subscribe } if subscribe.queue.contains("impatient") => {
                done(request, Reply::Consumer { queue: QueueId(1), consumer_timeout_ms: 10_000 })
            }
            Command::Fetch { request, fetch } => {
                let queue = self.queues.entry(fetch.queue.to_string()).or_default();
                let message = queue.pop_front();
                let ready = queue.len() as u64;
                let deliveries = message.into_iter().map(|message| self.delivery(ConsumerId(0), message, 0)).collect();
                vec![Event::Fetched { request, deliveries, ready }]
            }
            Command::Open { request, .. }
            | Command::Subscribe { request, .. }
            | Command::Unsubscribe { request, .. }
            | Command::Settle { request: Some(request), .. } => done(request, Reply::Done),
            _ => vec![],
        }
    }

    fn publish(&mut self, publish: crossdock_common::command::Publish) -> Vec<Event> {
        let (lane, confirm, message) = (publish.lane, publish.confirm, publish.message);
        if message.exchange.contains("missing") {
            let refusal = missing(Resource::Exchange, &message.exchange);
            return vec![Event::PublishRefused { lane, confirm, refusal }];
        }
        if message.routing_key == "full" {
            let reason = crossdock_common::event::RejectReason::QueueFull;
            return confirm.map(|confirm| Event::Rejected { lane, confirm, reason }).into_iter().collect();
        }
        let confirmed = confirm.map(|number| Event::Confirmed { lane, confirms: vec![number] });
        if message.routing_key == "nowhere" {
            let unroutable = Event::Unroutable { lane, confirm, mandatory: publish.mandatory, message };
            return [unroutable].into_iter().chain(confirmed).collect();
        }
        if message.exchange.is_empty() {
            let queue = String::from_utf8_lossy(&message.routing_key).into_owned();
            self.queues.entry(queue).or_default().push_back(message);
        }
        confirmed.into_iter().collect()
    }

    pub fn delivery(&mut self, consumer: ConsumerId, message: Arc<Message>, delivery_count: u32) -> Delivery {
        self.position += 1;
        Delivery {
            consumer,
            id: DeliveryId { queue: QueueId(1), position: self.position, lease: 1 },
            message,
            delivery_count,
            is_counted: delivery_count > 0,
            first_delivered_at: UnixMillis(0),
            expires_at: None,
            binding: None,
            stream_offset: None,
        }
    }
}

fn define(definition: Definition) -> Result<Reply, Refusal> {
    match definition {
        Definition::DeclareQueue { spec, passive: true } if spec.name.contains("missing") => {
            Err(missing(Resource::Queue, &spec.name))
        }
        Definition::DeclareQueue { spec, .. } if spec.name.contains("locked") => {
            Err(Refusal::ResourceLocked { name: spec.name, vhost: Name::from("/") })
        }
        Definition::DeclareQueue { spec, .. } if spec.name.contains("inequivalent") => {
            let text = "inequivalent arg 'durable' for queue 'inequivalent' in vhost '/': received 'true' but current is \
                        'false'";
            Err(Refusal::PreconditionFailed(text.into()))
        }
        Definition::DeclareQueue { spec, .. } => {
            let name = if spec.name.is_empty() { Name::from("amq.gen-1") } else { spec.name };
            Ok(Reply::Queue { name, ready: 3, consumers: 1 })
        }
        Definition::DeclareExchange { spec, .. } if spec.name.contains("refused") => {
            Err(Refusal::Forbidden("exchange name 'amq.refused' contains reserved prefix 'amq.*'".into()))
        }
        Definition::DeclareExchange { spec, .. } if spec.kind.contains("unknown") => {
            Err(Refusal::Invalid("unknown exchange type 'unknown'".into()))
        }
        Definition::DeleteQueue { name, .. } if name.contains("missing") => Err(missing(Resource::Queue, &name)),
        Definition::DeleteExchange { name, .. } if name.contains("missing") => Err(missing(Resource::Exchange, &name)),
        Definition::DeleteQueue { .. } => Ok(Reply::Count(7)),
        _ => Ok(Reply::Done),
    }
}

fn purge(queue: &Name) -> Result<Reply, Refusal> {
    match queue.as_str() {
        "missing" => Err(missing(Resource::Queue, queue)),
        "unavailable" => Err(Refusal::Unavailable("journal failed".into())),
        _ => Ok(Reply::Count(7)),
    }
}

/// A machine with a client before and a core behind it.
pub struct Rig {
    pub machine: Connection,
    pub core: Core,
    pub input: BytesMut,
    pub output: Output,
    pub now: Now,
}

impl Rig {
    pub fn new(options: ConnectionOptions) -> Self {
        let now = Now { instant: Instant(1), unix: UnixMillis(1_700_000_000_000) };
        Self {
            machine: Connection::new(now, options),
            core: Core::default(),
            input: BytesMut::new(),
            output: Output::default(),
            now,
        }
    }

    /// After the handshake, with channel 1 open, and nothing left to read.
    pub fn open() -> Self {
        Self::open_with(Limits::default(), 0)
    }

    pub fn open_with(limits: Limits, frame_max: u32) -> Self {
        let mut rig = Self::new(ConnectionOptions { limits: Arc::new(limits), ..ConnectionOptions::default() });
        rig.send(&handshake(frame_max, 0));
        rig.send(&open_channel(1));
        assert_eq!(rig.read().last().map(String::as_str), Some("1 channel.open-ok"));
        rig.core.log.clear();
        rig
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.receive();
    }

    pub fn receive(&mut self) {
        if self.output.close.is_none() {
            self.machine.receive(self.now, &mut self.input, &mut self.output);
        }
        self.run();
    }

    pub fn event(&mut self, event: Event) {
        self.machine.handle(self.now, event, &mut self.output);
        self.run();
    }

    /// Lets the core's answers through that it held back.
    pub fn unhold(&mut self) {
        self.core.hold = false;
        for event in std::mem::take(&mut self.core.held) {
            self.event(event);
        }
    }

    fn run(&mut self) {
        while !self.output.commands.is_empty() {
            let commands: Vec<Command> = self.output.commands.drain(..).collect();
            for command in commands {
                for event in self.core.answer(command) {
                    if self.output.close.is_some() {
                        return;
                    }
                    self.machine.handle(self.now, event, &mut self.output);
                    if !self.input.is_empty() && self.output.close.is_none() {
                        self.machine.receive(self.now, &mut self.input, &mut self.output);
                    }
                }
            }
        }
    }

    /// Time passes, and the machine does what is due.
    pub fn advance_ms(&mut self, ms: u64) {
        self.now.instant = self.now.instant.after_ms(ms);
        while self.machine.deadline().is_some_and(|at| at <= self.now.instant) && self.output.close.is_none() {
            self.machine.timeout(self.now, &mut self.output);
            self.run();
        }
    }

    /// What the client reads, one line a frame.
    pub fn read(&mut self) -> Vec<String> {
        frames(&self.output.bytes.take_all()).iter().map(Got::line).collect()
    }

    pub fn read_frames(&mut self) -> Vec<Got> {
        frames(&self.output.bytes.take_all())
    }

    pub fn close(&self) -> Option<&Close> {
        self.output.close.as_ref()
    }

    /// Delivers a message with this body to the first consumer.
    pub fn deliver(&mut self, consumer: u64, body: &str) {
        let message = Arc::new(message("x", "k", body));
        let delivery = self.core.delivery(ConsumerId(consumer), message, 0);
        self.event(Event::Deliver(vec![delivery]));
    }

    pub fn settled(&mut self) -> Vec<(Vec<u64>, Outcome)> {
        let log = std::mem::take(&mut self.core.log);
        log.iter().filter(|line| line.starts_with("Settle")).map(|line| parse_settle(line)).collect()
    }
}

fn parse_settle(line: &str) -> (Vec<u64>, Outcome) {
    let positions = line.split("position: ").skip(1);
    let positions = positions.map(|rest| rest.split(',').next().unwrap().parse().unwrap()).collect();
    let outcome = ["Accepted", "Released", "Rejected"].iter().find(|word| line.contains(&format!("outcome: {word}")));
    let outcome = match outcome {
        Some(&"Accepted") => Outcome::Accepted,
        Some(&"Released") => Outcome::Released,
        _ => Outcome::Rejected,
    };
    (positions, outcome)
}

pub fn message(exchange: &str, key: &str, body: &str) -> Message {
    let (key, body) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(body.as_bytes()));
    let properties = Bytes::from_static(&[0x10, 0, 2]);
    Message::new(&crossdock_amqp091::FORMAT, Name::from(exchange), key, properties, body)
}

/// A frame that the client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub kind: u8,
    pub channel: u16,
    pub payload: Vec<u8>,
}

pub fn frames(mut bytes: &[u8]) -> Vec<Got> {
    let mut frames = Vec::new();
    while let Some(rest) = bytes.strip_prefix(HEADER) {
        frames.push(Got { kind: b'A', channel: 0, payload: HEADER.to_vec() });
        bytes = rest;
    }
    while !bytes.is_empty() {
        let size = u32::from_be_bytes(bytes[3..7].try_into().unwrap()) as usize;
        assert_eq!(bytes[7 + size], 0xCE);
        let channel = u16::from_be_bytes(bytes[1..3].try_into().unwrap());
        frames.push(Got { kind: bytes[0], channel, payload: bytes[7..7 + size].to_vec() });
        bytes = &bytes[8 + size..];
    }
    frames
}

impl Got {
    fn number(&self, at: usize, length: usize) -> u64 {
        self.payload[at..at + length].iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
    }

    fn text(&self, at: usize) -> (String, usize) {
        let length = usize::from(self.payload[at]);
        let end = at + 1 + length;
        (String::from_utf8(self.payload[at + 1..end].to_vec()).unwrap(), end)
    }

    pub fn line(&self) -> String {
        let channel = self.channel;
        match self.kind {
            b'A' => "protocol header".into(),
            2 => format!("{channel} header {}", self.number(4, 8)),
            3 => format!("{channel} body {}", self.payload.len()),
            8 => "heartbeat".into(),
            _ => format!("{channel} {}", self.method_line()),
        }
    }

    fn method_line(&self) -> String {
        match (self.number(0, 2), self.number(2, 2)) {
            (10, 10) => "connection.start".into(),
            (10, 30) => {
                format!("connection.tune {} {} {}", self.number(4, 2), self.number(6, 4), self.number(10, 2))
            }
            (10, 41) => "connection.open-ok".into(),
            (10, 50) => format!("connection.close {}", self.close_text()),
            (10, 51) => "connection.close-ok".into(),
            (10, 60) => format!("connection.blocked {}", self.text(4).0),
            (10, 61) => "connection.unblocked".into(),
            (10, 71) => "connection.update-secret-ok".into(),
            (20, 11) => "channel.open-ok".into(),
            (20, 21) => format!("channel.flow-ok {}", self.payload[4]),
            (20, 40) => format!("channel.close {}", self.close_text()),
            (20, 41) => "channel.close-ok".into(),
            (30, 11) => "access.request-ok".into(),
            (40, number) => format!("exchange {number}"),
            (50, 11) => {
                let (name, end) = self.text(4);
                format!("queue.declare-ok {name} {} {}", self.number(end, 4), self.number(end + 4, 4))
            }
            (50, 31) => format!("queue.purge-ok {}", self.number(4, 4)),
            (50, 41) => format!("queue.delete-ok {}", self.number(4, 4)),
            (50, number) => format!("queue {number}"),
            (60, number) => self.basic_line(number),
            (85, 11) => "confirm.select-ok".into(),
            (90, number) => format!("tx {number}"),
            other => format!("{other:?}"),
        }
    }

    fn basic_line(&self, number: u64) -> String {
        match number {
            11 => "basic.qos-ok".into(),
            21 => format!("basic.consume-ok {}", self.text(4).0),
            30 => format!("basic.cancel {}", self.text(4).0),
            31 => format!("basic.cancel-ok {}", self.text(4).0),
            50 => {
                let (text, end) = self.text(6);
                let (exchange, end) = self.text(end);
                format!("basic.return {} {text} {exchange} {}", self.number(4, 2), self.text(end).0)
            }
            60 => {
                let (tag, end) = self.text(4);
                let (exchange, key_at) = self.text(end + 9);
                let (delivery_tag, redelivered) = (self.number(end, 8), self.payload[end + 8]);
                format!("basic.deliver {tag} {delivery_tag} {redelivered} {exchange} {}", self.text(key_at).0)
            }
            71 => format!("basic.get-ok {} {}", self.number(4, 8), self.payload[12]),
            72 => "basic.get-empty".into(),
            80 => format!("basic.ack {} {}", self.number(4, 8), self.payload[12]),
            111 => "basic.recover-ok".into(),
            120 => format!("basic.nack {} {}", self.number(4, 8), self.payload[12]),
            other => format!("basic {other}"),
        }
    }

    fn close_text(&self) -> String {
        let (text, end) = self.text(6);
        format!("{} {text} {}/{}", self.number(4, 2), self.number(end, 2), self.number(end + 2, 2))
    }
}

/// A machine that answers its own commands, so that whole sessions can be captures.
pub struct Answered {
    pub machine: Connection,
    pub core: Core,
}

impl Answered {
    pub fn new() -> Self {
        Self { machine: Connection::new(Now::default(), ConnectionOptions::default()), core: Core::default() }
    }
}

/// One line per command, each settlement by itself: how they are batched depends on how the bytes came.
fn lines_of(command: &Command) -> Vec<String> {
    match command {
        Command::Settle { deliveries, outcome, request: None } => {
            deliveries.iter().map(|delivery| format!("{outcome:?} {delivery:?}")).collect()
        }
        other => vec![format!("{other:?}")],
    }
}

impl Machine for Answered {
    fn receive(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) {
        let mut step = Output::default();
        self.machine.receive(now, input, &mut step);
        while !step.commands.is_empty() {
            for command in std::mem::take(&mut step.commands) {
                // What was done is kept as commands that this protocol never gives.
                let record = |line| Command::SessionState { request: None, key: Bytes::from(line), value: None };
                output.commands.extend(lines_of(&command).into_iter().map(record));
                for event in self.core.answer(command) {
                    if step.close.is_none() {
                        self.machine.handle(now, event, &mut step);
                    }
                }
            }
            if step.close.is_none() {
                self.machine.receive(now, input, &mut step);
            }
        }
        output.bytes.buffer().extend_from_slice(&step.bytes.take_all());
        output.close = output.close.take().or(step.close);
    }

    fn handle(&mut self, now: Now, event: Event, output: &mut Output) {
        self.machine.handle(now, event, output);
    }

    fn timeout(&mut self, now: Now, output: &mut Output) {
        self.machine.timeout(now, output);
    }

    fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }

    fn shutdown(&mut self, now: Now, output: &mut Output) {
        self.machine.shutdown(now, output);
    }

    fn end(&mut self, now: Now, output: &mut Output) {
        self.machine.end(now, output);
    }

    fn input_bytes_max(&self) -> usize {
        self.machine.input_bytes_max()
    }

    fn is_authenticated(&self) -> bool {
        self.machine.is_authenticated()
    }
}
