//! The core alone, through one connection's [`Client`]: the stages that a protocol's scenarios count together.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::{BoundedBy, Outcome, Publish, Subscribe};
use crossdock_common::definition::{BindingSpec, Definition, Destination, QueueSpec};
use crossdock_common::event::Principal;
use crossdock_common::names::DeliveryId;
use crossdock_common::{Command, ConsumerId, Event, Lane, Message, Name, RequestId};
use crossdock_core::Client;

use crate::peer::USER;
use crate::probe::{MESSAGES, Probe, Stage};
use crate::world::{NOW, World};

const BODY: [u8; 1024] = [b'x'; 1024];
const QUEUE: &str = "orders";

/// How deliveries are settled.
#[derive(Clone, Copy)]
pub enum Settling {
    /// All of a round in one command.
    Together,
    /// Each by its own command.
    Each,
}

/// A client that is in, and what it heard.
struct Caller {
    world: World,
    client: Client,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
}

/// The connection has published to the same key before.
pub fn route_kept(probe: &mut Probe) {
    let mut caller = Caller::with_topics();
    probe.rounds(|probe| caller.route(probe, |_| "plant.7.line.3.humidity".to_owned()));
}

/// The connection has published to these keys before, but to another one last.
pub fn route_kept_of_many(probe: &mut Probe) {
    let mut caller = Caller::with_topics();
    probe.rounds(|probe| caller.route(probe, |index| format!("plant.{index}.line.3.humidity")));
}

/// The connection publishes to every key for the first time.
pub fn route_new(probe: &mut Probe) {
    let mut caller = Caller::with_topics();
    let mut round = 0;
    probe.rounds(|probe| {
        round += 1;
        caller.route(probe, |index| format!("plant.{index}.line.{round}.humidity"));
    });
}

/// Into a queue without consumers; durable messages are confirmed.
pub fn enqueue(probe: &mut Probe, durable: bool, body_bytes: usize) {
    let mut caller = Caller::with_queue();
    probe.rounds(|probe| {
        caller.publish(durable, body_bytes);
        probe.stage(Stage::Enqueue, || caller.execute());
        probe.stage(Stage::Durable, || caller.world.make_durable());
        caller.hear();
        let deliveries = caller.take_all(probe);
        caller.settle(deliveries, Settling::Together);
        caller.execute();
    });
}

/// Out of a queue that holds a round's messages, to a consumer that comes.
pub fn deliver_and_settle(probe: &mut Probe, durable: bool, settling: Settling) {
    let mut caller = Caller::with_queue();
    probe.rounds(|probe| {
        caller.publish(durable, 16);
        caller.execute();
        caller.hear();
        let deliveries = caller.take_all(probe);
        caller.settle(deliveries, settling);
        probe.stage(Stage::Settle, || caller.execute());
        caller.hear();
    });
}

/// One message to as many queues as other scenarios have messages, each with a consumer that waits.
pub fn fan_out(probe: &mut Probe) {
    let mut caller = Caller::new();
    for index in 0..MESSAGES as u64 {
        let queue = format!("q{index}");
        caller.declare(&queue);
        caller.bind("amq.fanout", &queue, "");
        caller.subscribe(&queue, index, true);
    }
    probe.rounds(|probe| {
        caller.commands.push_back(publish("amq.fanout", "", false, None, 16));
        probe.stage(Stage::Core, || caller.execute());
        probe.stage(Stage::Deliver, || caller.client.take_events(NOW, &mut caller.events));
        assert_eq!(caller.deliveries().len(), MESSAGES);
    });
}

impl Caller {
    fn new() -> Self {
        let world = World::new();
        let mut client = world.connect();
        client.authenticated(RequestId(0), Principal { name: USER.into(), tags: Vec::new() });
        let mut caller = Self { world, client, commands: VecDeque::new(), events: VecDeque::new() };
        caller.ask(Command::Open { request: RequestId(0), vhost: "/".into() });
        caller
    }

    fn with_queue() -> Self {
        let mut caller = Self::new();
        caller.declare(QUEUE);
        caller
    }

    /// A topic exchange with a thousand patterns, of which none fits to the end.
    fn with_topics() -> Self {
        let mut caller = Self::with_queue();
        for index in 0..1_000 {
            caller.bind("amq.topic", QUEUE, &format!("plant.{index}.line.*.temperature"));
        }
        caller
    }

    fn declare(&mut self, queue: &str) {
        let spec = QueueSpec { name: queue.into(), durable: true, ..QueueSpec::default() };
        self.define(Definition::DeclareQueue { spec, passive: false });
    }

    fn bind(&mut self, exchange: &str, queue: &str, key: &str) {
        self.define(Definition::Bind(BindingSpec {
            source: exchange.into(),
            destination: Destination::Queue(Name::from(queue)),
            key: Bytes::copy_from_slice(key.as_bytes()),
            arguments: Vec::new(),
            announced: false,
            attributes: Vec::new(),
        }));
    }

    fn define(&mut self, definition: Definition) {
        self.ask(Command::Define { request: RequestId(0), definition: Box::new(definition) });
    }

    fn subscribe(&mut self, queue: &str, consumer: u64, presettled: bool) {
        self.commands.push_back(Command::Subscribe {
            request: RequestId(0),
            subscribe: Box::new(Subscribe {
                consumer: ConsumerId(consumer),
                lane: Lane(0),
                queue: queue.into(),
                presettled,
                exclusive: false,
                priority: 0,
                window: 0,
                bounded_by: BoundedBy::Peer,
                arguments: Vec::new(),
            }),
        });
        self.execute();
    }

    /// Carries out a command that is answered with a yes.
    fn ask(&mut self, command: Command) {
        self.commands.push_back(command);
        self.execute();
        self.client.take_events(NOW, &mut self.events);
        assert!(matches!(self.events.pop_back(), Some(Event::Reply { result: Ok(_), .. })), "a yes");
        self.events.clear();
    }

    fn execute(&mut self) {
        self.client.execute(NOW, &mut self.commands);
    }

    /// The log is durable and everything that was said is heard.
    fn hear(&mut self) {
        self.world.make_durable();
        self.client.take_events(NOW, &mut self.events);
        self.events.clear();
    }

    /// A round of messages that no queue takes, with the keys that `key` gives.
    fn route(&mut self, probe: &Probe, key: impl Fn(usize) -> String) {
        self.commands.extend((0..MESSAGES).map(|index| publish("amq.topic", &key(index), false, None, 16)));
        probe.stage(Stage::Route, || self.execute());
    }

    /// A round of messages to the queue.
    fn publish(&mut self, durable: bool, body_bytes: usize) {
        let publish = |index| publish("", QUEUE, durable, durable.then_some(index), body_bytes);
        self.commands.extend((1..=MESSAGES as u64).map(publish));
    }

    /// A consumer takes what is in the queue.
    fn take_all(&mut self, probe: &Probe) -> Vec<DeliveryId> {
        probe.stage(Stage::Deliver, || {
            self.subscribe(QUEUE, 1, false);
            self.client.take_events(NOW, &mut self.events);
        });
        let deliveries = self.deliveries();
        assert_eq!(deliveries.len(), MESSAGES);
        self.commands.push_back(Command::Unsubscribe { request: RequestId(0), consumer: ConsumerId(1) });
        self.execute();
        self.hear();
        deliveries
    }

    fn deliveries(&mut self) -> Vec<DeliveryId> {
        let mut found = Vec::new();
        for event in self.events.drain(..) {
            self.client.written(NOW, crossdock_core::cost_bytes(&event));
            if let Event::Deliver(deliveries) = event {
                found.extend(deliveries.iter().map(|delivery| delivery.id));
            }
        }
        found
    }

    fn settle(&mut self, deliveries: Vec<DeliveryId>, settling: Settling) {
        let settle = |deliveries| Command::Settle { deliveries, outcome: Outcome::Accepted, request: None };
        match settling {
            Settling::Together => self.commands.push_back(settle(deliveries)),
            Settling::Each => self.commands.extend(deliveries.into_iter().map(|delivery| settle(vec![delivery]))),
        }
    }
}

fn publish(exchange: &str, key: &str, durable: bool, confirm: Option<u64>, body_bytes: usize) -> Command {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let body = Bytes::from_static(&BODY[..body_bytes]);
    let properties = Bytes::from_static(b"\0\0");
    let mut message = Message::new(&crossdock_amqp091::FORMAT, exchange.into(), key, properties, body);
    message.durable = durable;
    message.user = USER.into();
    message.received_at = NOW.unix;
    Command::Publish(Publish {
        lane: Lane(0),
        confirm,
        message: Arc::new(message),
        mandatory: false,
        retain: false,
        exactly_once: None,
    })
}
