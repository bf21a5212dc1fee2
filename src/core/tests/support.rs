//! A broker in memory whose logs become durable when the test says so.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::{
    BoundedBy, Fetch, FetchRetained, Lease, Outcome, Publish, PublishRun, RetainedPlace, Subscribe,
};
use crossdock_common::definition::{BindingSpec, Definition, Destination, ExchangeSpec, QueueSpec};
use crossdock_common::event::{Delivery, Principal, Reply};
use crossdock_common::names::DeliveryId;
use crossdock_common::testkit::plain_format;
use crossdock_common::{
    Arrived, Command, ConsumerId, Event, Format, Instant, Lane, Message, Name, Now, Refusal, RequestId, Run, Table,
    Text, UnixMillis, Value,
};
use parking_lot::Mutex;

use super::memory_log::{Batches, MemoryLog, SnapshotLog};
use crate::{
    Broker, BrokerOptions, Client, Log, Paging, Partition, Permissions, Policies, ReadRequest, Recovery, Sequence,
};

pub(super) const SHARDS: usize = 2;

/// A broker, its logs and the time.
pub(super) struct World {
    pub broker: Arc<Broker>,
    pub logs: Vec<Arc<Mutex<Batches>>>,
    pub now: Now,
    /// Everything is durable at once, as on a very fast disk.
    pub instantly_durable: bool,
    /// What messages are that were read back.
    pub format: &'static dyn Format,
    settings: (Paging, Policies),
    reads: Reads,
    reads_served: Cell<usize>,
}

/// What the shards want to have read.
type Reads = Arc<Mutex<VecDeque<(usize, ReadRequest)>>>;

impl World {
    pub(super) fn new() -> Self {
        Self::paging(Paging::default())
    }

    pub(super) fn paging(paging: Paging) -> Self {
        let now = Now { instant: Instant(1_000_000), unix: UnixMillis(1_700_000_000_000) };
        let settings = (paging, Policies::default());
        let mut world = Self::start((0..=SHARDS).map(|_| Arc::default()).collect(), now, settings);
        world.broker.add_vhost(&"/".into());
        world.instantly_durable = true;
        world
    }

    fn start(logs: Vec<Arc<Mutex<Batches>>>, now: Now, settings: (Paging, Policies)) -> Self {
        let (paging, policies) = settings.clone();
        let mut recovery = Recovery::new(SHARDS as u8, vec![plain_format()], policies, 7, now);
        logs[0].lock().replay(|(kind, _, payload), _| {
            recovery.replay_definition(*kind, payload).expect("readable");
        });
        let log = |batches: &Arc<Mutex<Batches>>| Box::new(MemoryLog::new(batches.clone())) as Box<dyn Log>;
        for (batches, mut shard) in logs[1..].iter().zip(recovery.begin_shards()) {
            batches.lock().replay(|(kind, stream, payload), location| {
                shard.replay(*kind, *stream, payload, location).expect("readable");
            });
            for page in shard.pages_to_read() {
                let payload = batches.lock().read(&page.location);
                shard.page_read(&page, Some(payload));
            }
            shard.finish(log(batches), paging);
        }
        let reads: Reads = Arc::default();
        let asked = reads.clone();
        let options = BrokerOptions {
            outgoing_bytes_max: 1 << 20,
            dead_letter_copies_max: 100,
            sessions_max: crate::SessionLimits::default(),
            deadline_changed: Box::new(|_| {}),
            read: Box::new(move |index, request| asked.lock().push_back((index, request))),
        };
        let broker = recovery.finish(log(&logs[0]), options);
        broker.set_permissions(Permissions::everything());
        let (instantly_durable, format, reads_served) = (true, plain_format(), Cell::new(0));
        let mut world = Self { broker, logs, now, instantly_durable, format, settings, reads, reads_served };
        world.tick();
        world
    }

    /// The process dies and starts again from what is in the logs.
    pub(super) fn restart(&mut self) {
        self.restart_with(self.settings.1.clone());
    }

    /// The same, and the operator has changed the policies.
    pub(super) fn restart_with(&mut self, policies: Policies) {
        self.sync();
        let all = vec![usize::MAX; self.logs.len()];
        self.settings.1 = policies;
        self.crash(&all);
    }

    /// Bytes of the longest batch of any log.
    pub(super) fn longest_batch_bytes(&self) -> usize {
        self.logs.iter().map(|batches| batches.lock().longest_bytes()).max().unwrap_or(0)
    }

    /// The process dies and starts again from so many batches of each log; what came after was not durable.
    pub(super) fn crash(&mut self, kept: &[usize]) {
        for (log, &kept) in self.logs.iter().zip(kept) {
            log.lock().restart(kept);
        }
        *self = Self::start(self.logs.clone(), self.now, self.settings.clone());
        self.broker.add_vhost(&"/".into());
    }

    /// How many batches each log has.
    pub(super) fn batches(&self) -> Vec<usize> {
        self.logs.iter().map(|log| log.lock().all.len()).collect()
    }

    /// From now on a start begins with a snapshot.
    pub(super) fn snapshot(&self) {
        (0..self.logs.len()).for_each(|log| self.snapshot_of(log));
    }

    /// The same for one log, which is durable then.
    pub(super) fn snapshot_of(&self, index: usize) {
        let (log, partition) = (&self.logs[index], partition_of(index));
        let mut writer = SnapshotLog::default();
        let point = self.broker.snapshot(partition, self.now, &mut writer).expect("exists");
        let length = log.lock().all.len() as u64;
        assert_eq!(point.usable_after, Sequence(length));
        self.broker.durable(partition, Sequence(length), self.now);
        log.lock().snapshot = Some((point, writer.0));
        if let Partition::Shard(index) = partition {
            self.broker.snapshot_ended(index, true);
        }
    }

    /// Reads what the shards have asked for.
    pub(super) fn serve_reads(&self) {
        assert_eq!(self.serve_reads_if_possible(), 0, "everything can be read");
    }

    /// Reads what the shards have asked for; gives how many messages cannot be read.
    pub(super) fn serve_reads_if_possible(&self) -> u64 {
        let mut lost = 0;
        loop {
            let Some((index, request)) = self.reads.lock().pop_front() else { return lost };
            self.reads_served.set(self.reads_served.get() + 1);
            let read: Vec<_> =
                request.locations().iter().map(|at| Some(self.logs[index + 1].lock().read(at))).collect();
            let result = request.finish(read, &Arc::new(vec![self.format]));
            lost += self.broker.take_read(index, result, self.now);
        }
    }

    /// How often something was read back.
    pub(super) fn reads_served(&self) -> usize {
        self.reads_served.get()
    }

    /// Every message of every queue is accounted for.
    pub(super) fn check_ledgers(&self) {
        assert_eq!(self.broker.ledger().1, 0, "a ledger does not add up");
    }

    /// A connection that has said nothing yet.
    pub(super) fn stranger(&self) -> Tester {
        let client = self.broker.connect(std::task::Waker::noop().clone());
        Tester { client, next_request: 1, commands: VecDeque::new(), events: VecDeque::new() }
    }

    pub(super) fn client(&self, user: &str) -> Tester {
        let mut tester = self.stranger();
        tester.client.authenticated(RequestId(0), Principal { name: user.into(), tags: vec![] });
        tester.request(self, |request| Command::Open { request, vhost: "/".into() }).expect("enters");
        tester
    }

    /// All that was handed to the logs is durable.
    pub(super) fn sync(&self) {
        loop {
            self.serve_reads();
            let before: Vec<usize> = self.logs.iter().map(|log| log.lock().all.len()).collect();
            for (index, &length) in before.iter().enumerate() {
                self.broker.durable(partition_of(index), Sequence(length as u64), self.now);
            }
            if self.logs.iter().map(|log| log.lock().all.len()).eq(before) && self.reads.lock().is_empty() {
                return;
            }
        }
    }

    /// What was handed to the shards' logs until now is durable, and not what follows from that.
    pub(super) fn sync_once(&self) {
        self.for_each_shard(|shard, length| self.broker.durable(Partition::Shard(shard), length, self.now));
    }

    /// What was handed to the shards' logs until now is written, and what follows from that is not.
    pub(super) fn write_once(&self) {
        self.for_each_shard(|shard, length| self.broker.written(shard, length, self.now));
    }

    fn for_each_shard(&self, tell: impl Fn(usize, Sequence)) {
        for (shard, log) in self.logs[1..].iter().enumerate() {
            let length = log.lock().all.len() as u64;
            tell(shard, Sequence(length));
        }
    }

    pub(super) fn advance_ms(&mut self, ms: u64) {
        self.now = Now { instant: self.now.instant.after_ms(ms), unix: UnixMillis(self.now.unix.0 + ms) };
        self.tick();
    }

    fn tick(&mut self) {
        for partition in [Partition::Definitions, Partition::Shard(0), Partition::Shard(1)] {
            self.broker.tick(partition, self.now);
        }
        if self.instantly_durable {
            self.sync();
        }
    }
}

/// Whose log it is.
pub(super) fn partition_of(log: usize) -> Partition {
    log.checked_sub(1).map_or(Partition::Definitions, Partition::Shard)
}

/// A connection and what it heard.
pub(super) struct Tester {
    pub client: Client,
    next_request: u64,
    /// Those that wait for something to become durable.
    pub commands: VecDeque<Command>,
    pub events: VecDeque<Event>,
}

impl Tester {
    pub(super) fn send(&mut self, world: &World, command: Command) {
        self.commands.push_back(command);
        self.client.execute(world.now, &mut self.commands);
        self.hear(world);
    }

    /// Takes what there is to hear, and gets on with what waited for that.
    pub(super) fn hear(&mut self, world: &World) {
        loop {
            if world.instantly_durable {
                world.sync();
            }
            world.check_ledgers();
            let heard = self.events.len();
            self.client.take_events(world.now, &mut self.events);
            if self.commands.is_empty() || self.events.len() == heard {
                return;
            }
            self.client.execute(world.now, &mut self.commands);
        }
    }

    pub(super) fn request(&mut self, world: &World, make: impl FnOnce(RequestId) -> Command) -> Result<Reply, Refusal> {
        let request = self.ask(world, make);
        self.answer(request).expect("an answer")
    }

    /// Sends a request; [`answer`](Self::answer) gives its answer once there is one.
    pub(super) fn ask(&mut self, world: &World, make: impl FnOnce(RequestId) -> Command) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.send(world, make(request));
        request
    }

    pub(super) fn answer(&mut self, request: RequestId) -> Option<Result<Reply, Refusal>> {
        let is_it = |event: &Event| matches!(event, Event::Reply { request: of, .. } if *of == request);
        let index = self.events.iter().position(is_it)?;
        match self.events.remove(index) {
            Some(Event::Reply { result, .. }) => Some(result),
            _ => None,
        }
    }

    pub(super) fn purge(&mut self, world: &World, queue: &str) -> Result<Reply, Refusal> {
        self.request(world, |request| Command::Purge { request, queue: queue.into(), everything: false })
    }

    pub(super) fn define(&mut self, world: &World, definition: Definition) -> Result<Reply, Refusal> {
        self.request(world, |request| Command::Define { request, definition: Box::new(definition) })
    }

    pub(super) fn queue(&mut self, world: &World, name: &str, arguments: &[(&str, Value)]) {
        let spec = QueueSpec { durable: true, ..queue_spec(name, arguments) };
        self.define(world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
    }

    pub(super) fn exchange(&mut self, world: &World, name: &str, kind: &str, arguments: &[(&str, Value)]) {
        let spec = ExchangeSpec {
            name: name.into(),
            kind: kind.into(),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: table(arguments),
            attributes: vec![],
        };
        self.define(world, Definition::DeclareExchange { spec, passive: false }).expect("declares");
    }

    pub(super) fn bind(&mut self, world: &World, source: &str, queue: &str, key: &str) {
        self.define(world, Definition::Bind(binding(source, queue, key))).expect("binds");
    }

    pub(super) fn publish(&mut self, world: &World, exchange: &str, key: &str, body: &str) {
        self.publish_message(world, message(world, exchange, key, body), None);
    }

    pub(super) fn publish_message(&mut self, world: &World, message: Message, confirm: Option<u64>) {
        let lane = Lane(0);
        let message = Arc::new(message);
        self.send(
            world,
            Command::Publish(Publish { lane, confirm, message, mandatory: true, retain: false, exactly_once: None }),
        );
    }

    pub(super) fn publish_run(
        &mut self,
        world: &World,
        (exchange, key): (&str, &str),
        durable: bool,
        bodies: &[String],
        confirm: Option<u64>,
    ) {
        let (exchange, user) = (Name::from(exchange), Name::from("u"));
        let arrived = Arrived {
            format: plain_format(),
            exchange: &exchange,
            routing_key: key.as_bytes(),
            properties: &[],
            body: &[],
            durable,
            priority: 0,
            ttl_ms: None,
            user: &user,
            received_at: world.now.unix,
        };
        let run = Run::new(&arrived, bodies.iter().map(String::as_bytes));
        self.send(world, Command::PublishRun(Box::new(PublishRun { lane: Lane(0), confirm, run, mandatory: true })));
    }

    pub(super) fn consume(&mut self, world: &World, queue: &str, consumer: u64, window: u32) -> Result<Reply, Refusal> {
        let subscribe = Box::new(Subscribe {
            consumer: ConsumerId(consumer),
            lane: Lane(0),
            queue: queue.into(),
            presettled: false,
            exclusive: false,
            priority: 0,
            window,
            bounded_by: BoundedBy::Peer,
            arguments: vec![],
        });
        self.request(world, |request| Command::Subscribe { request, subscribe })
    }

    /// Up to so many messages; with `u32::MAX`, all there are.
    pub(super) fn fetch(&mut self, world: &World, queue: &str, count_max: u32, lease: Lease) -> Vec<Delivery> {
        if count_max < u32::MAX {
            return self.fetch_once(world, queue, count_max, lease);
        }
        let mut all = Vec::new();
        loop {
            let more = self.fetch_once(world, queue, count_max, lease);
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    fn fetch_once(&mut self, world: &World, queue: &str, count_max: u32, lease: Lease) -> Vec<Delivery> {
        self.next_request += 1;
        let fetch = Fetch { lane: Lane(0), queue: queue.into(), count_max, presettled: false, lease, wait_ms: 0 };
        self.send(world, Command::Fetch { request: RequestId(self.next_request), fetch: Box::new(fetch) });
        world.serve_reads();
        self.hear(world);
        // What is on its way in is waited for: then the answer comes later.
        let request = RequestId(self.next_request);
        let is_it = |event: &Event| matches!(event, Event::Fetched { request: of, .. } if *of == request);
        let answer = self.events.iter().position(is_it).and_then(|index| self.events.remove(index));
        match answer {
            Some(Event::Fetched { deliveries, .. }) => deliveries,
            _ => Vec::new(),
        }
    }

    pub(super) fn fetched(&mut self) -> Option<Vec<Delivery>> {
        let index = self.events.iter().position(|event| matches!(event, Event::Fetched { .. }))?;
        match self.events.remove(index) {
            Some(Event::Fetched { deliveries, .. }) => Some(deliveries),
            _ => None,
        }
    }

    pub(super) fn settle(&mut self, world: &World, deliveries: &[Delivery], outcome: Outcome) {
        let deliveries: Vec<DeliveryId> = deliveries.iter().map(|delivery| delivery.id).collect();
        self.send(world, Command::Settle { deliveries, outcome, request: None });
    }

    /// The deliveries that came since the last call.
    pub(super) fn deliveries(&mut self, world: &World) -> Vec<Delivery> {
        self.hear(world);
        let mut found = Vec::new();
        self.events.retain(|event| match event {
            Event::Deliver(deliveries) => {
                found.extend(deliveries.iter().cloned());
                false
            }
            Event::DeliverRun(run) => {
                found.extend(run.deliveries());
                false
            }
            _ => true,
        });
        found
    }

    pub(super) fn bodies(&mut self, world: &World) -> Vec<String> {
        bodies(&self.deliveries(world))
    }

    pub(super) fn confirmed(&mut self, world: &World) -> Vec<u64> {
        self.hear(world);
        let confirms = self.events.iter().filter_map(|event| match event {
            Event::Confirmed { confirms, .. } => Some(confirms.clone()),
            _ => None,
        });
        confirms.flatten().collect()
    }

    /// Everything in the queue, taken and settled.
    pub(super) fn drain(&mut self, world: &World, queue: &str) -> Vec<String> {
        let all = self.fetch(world, queue, u32::MAX, Lease::Connection);
        self.settle(world, &all, Outcome::Accepted);
        bodies(&all)
    }
}

pub(super) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| String::from_utf8_lossy(&delivery.message.body).into_owned()).collect()
}

pub(super) fn message(world: &World, exchange: &str, key: &str, body: &str) -> Message {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let mut message = Message::new(plain_format(), exchange.into(), bytes(key), Bytes::new(), bytes(body));
    message.durable = true;
    message.received_at = world.now.unix;
    message
}

pub(super) fn table(entries: &[(&str, Value)]) -> Table {
    entries.iter().map(|(name, value)| (Text::from(*name), value.clone())).collect()
}

pub(super) fn queue_spec(name: &str, arguments: &[(&str, Value)]) -> QueueSpec {
    QueueSpec { name: name.into(), arguments: table(arguments), ..QueueSpec::default() }
}

pub(super) fn binding(source: &str, queue: &str, key: &str) -> BindingSpec {
    BindingSpec {
        source: source.into(),
        destination: Destination::Queue(Name::from(queue)),
        key: Bytes::copy_from_slice(key.as_bytes()),
        arguments: vec![],
        announced: false,
        attributes: vec![],
    }
}

/// Sometimes everything fits into memory, sometimes nearly nothing.
pub(super) fn some_paging(random: &mut crossdock_common::random::Random) -> Paging {
    if random.below(4) == 0 {
        return Paging::default();
    }
    Paging {
        memory_bytes_max: random.below(3_000),
        read_ahead_bytes: 1 + random.below(2_000),
        page_references: 1 + random.below(6) as usize,
        part_bytes: 4 + random.below(12) as usize,
    }
}

/// Asks for retained messages of `amq.topic`, from a place on.
pub(super) fn fetch_retained(pattern: &str, after: Option<RetainedPlace>) -> impl FnOnce(RequestId) -> Command + use<> {
    let fetch = FetchRetained { exchange: "amq.topic".into(), pattern: pattern.to_owned().into(), after };
    |request| Command::FetchRetained { request, fetch: Box::new(fetch) }
}
