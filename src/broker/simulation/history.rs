//! One history: clients, faults, crashes, and what must hold after each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::{Fetch, Lease, Outcome, Publish, Subscribe};
use crossdock_common::definition::{BindingSpec, Definition, Destination, QueueSpec};
use crossdock_common::event::{Delivery, Principal};
use crossdock_common::names::DeliveryId;
use crossdock_common::random::Random;
use crossdock_common::{Command, ConsumerId, Event, Lane, Now, RequestId, UnixMillis};
use crossdock_core::{Client, cost_bytes};
use crossdock_store::simulated::Fault;

use super::damage::{Damaged, damage};
use super::truth::{End, FLEETING, Fate, Key, PLANS, PUBLISHED, Plan, Truth, plan_of};
use super::world::{Life, World};

/// Consumers from this number on need no settlement.
const PRESETTLED: u64 = 100;

/// What became wrong on purpose in this life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    power: bool,
    write: bool,
    /// A sync failed: the page cache lies, only a new machine tells the truth.
    sync: bool,
    read: bool,
}

pub(super) struct History {
    world: World,
    life: Life,
    random: Random,
    truth: Truth,
    client: Client,
    admin: Client,
    purger: Client,
    faults: Faults,
    held: Vec<(DeliveryId, Key)>,
    /// Gone once the request is answered.
    leaving: BTreeMap<u64, Vec<Key>>,
    /// Fetches under way: whether they need no settlement.
    fetches: BTreeMap<u64, bool>,
    requests: u64,
    consumers: u64,
    unwritten_bytes: usize,
    fleeting_exists: bool,
    /// What a check has found; `None` while nobody checks.
    found: Option<Vec<Key>>,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let world = World::new(seed, &mut random);
        let life = world.start().expect("starts on an empty disk");
        let [client, admin, purger] = std::array::from_fn(|_| connect(&life, world.now));
        let mut history = Self {
            world,
            life,
            random,
            truth: Truth::default(),
            client,
            admin,
            purger,
            faults: Faults::default(),
            held: Vec::new(),
            leaving: BTreeMap::new(),
            fetches: BTreeMap::new(),
            requests: 10,
            consumers: 0,
            unwritten_bytes: 0,
            fleeting_exists: true,
            found: None,
        };
        for plan in &PLANS {
            history.declare(plan);
        }
        history.rest();
        history.truth.defined = true;
        history
    }

    pub(super) fn play(mut self) {
        for _ in 0..1 + self.random.below(4) {
            self.live();
            if self.faults == Faults::default() && self.random.below(3) == 0 {
                self.world.disk.set_capacity_bytes(u64::MAX);
                self.check();
            }
            self.end();
            if self.random.below(3) != 0 {
                self.check();
            }
        }
        self.check();
    }

    fn live(&mut self) {
        self.plan_faults();
        for _ in 0..40 + self.random.below(260) {
            if !self.world.disk.is_powered() || self.life.has_failed() && self.random.below(20) == 0 {
                return;
            }
            self.step();
        }
    }

    fn plan_faults(&mut self) {
        let disk = &self.world.disk;
        let nth = 1 + self.random.below(120);
        self.faults = Faults::default();
        match self.random.below(12) {
            0..=4 => {
                disk.cut_power(nth);
                self.faults.power = true;
            }
            5 | 6 => {
                disk.fail_write(nth, if nth.is_multiple_of(2) { Fault::Broken } else { Fault::Full });
                self.faults.write = true;
            }
            7 => {
                disk.fail_sync(nth);
                self.faults.sync = true;
            }
            8 => {
                disk.fail_read(nth);
                self.faults.read = true;
            }
            _ => {}
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=13 => self.publish(),
            14..=18 => self.fetch(),
            19..=25 => self.settle(),
            26 => self.consume(),
            27 => self.purge(),
            28 => self.delete_or_make(),
            29 => {
                let ms = 1 + 100 * self.random.below(6);
                self.advance_ms(ms);
            }
            30 => self.written(),
            31 => self.fill_disk(),
            32 if self.random.below(3) == 0 => self.reconnect(),
            _ => self.life.step(self.world.now, &mut self.random),
        }
        self.truth.out_of_order |= self.life.lost_reads > 0;
        self.hear();
        assert_eq!(self.life.broker.ledger().1, 0, "a ledger does not add up");
        assert!(self.life.lost_reads == 0 || self.faults.read || !self.world.disk.is_powered(), "a read failed");
    }

    fn some_queue(&mut self, among: usize) -> &'static Plan {
        &PLANS[self.random.below(among as u64) as usize]
    }

    fn exists(&self, plan: &Plan) -> bool {
        plan.name != FLEETING || self.fleeting_exists
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn send(&mut self, command: Command) {
        let mut commands = VecDeque::from([command]);
        self.client.execute(self.world.now, &mut commands);
        assert!(commands.is_empty(), "a client without definitions waits for nothing");
    }

    fn define(&mut self, definition: Definition) -> RequestId {
        let request = self.request();
        let command = Command::Define { request, definition: Box::new(definition) };
        self.admin.execute(self.world.now, &mut VecDeque::from([command]));
        request
    }

    // ---- what clients do ----

    fn declare(&mut self, plan: &Plan) {
        let name = plan.name.into();
        let spec = QueueSpec { name, durable: true, arguments: plan.table(), ..QueueSpec::default() };
        self.define(Definition::DeclareQueue { spec, passive: false });
        if plan.source().is_none() {
            let announced = self.random.below(2) == 0;
            self.define(Definition::Bind(BindingSpec {
                source: "amq.fanout".into(),
                destination: Destination::Queue(plan.name.into()),
                key: Bytes::new(),
                arguments: vec![],
                announced,
                attributes: vec![],
            }));
        }
    }

    fn publish(&mut self) {
        let plan = self.some_queue(PUBLISHED);
        let everywhere = self.random.below(3) == 0;
        let (exchange, key) = if everywhere { ("amq.fanout", "") } else { ("", plan.name) };
        let message = self.truth.next(self.world.now, &mut self.random, exchange, key);
        let number = self.truth.published;
        for plan in PLANS[..PUBLISHED].iter().filter(|other| everywhere || other.name == plan.name) {
            if self.exists(plan) {
                self.truth.sent(plan, number);
            }
        }
        let confirm = (self.random.below(4) != 0).then_some(number);
        let message = Arc::new(message);
        self.send(Command::Publish(Publish { lane: Lane(0), confirm, message, mandatory: false, retain: false }));
    }

    fn fetch(&mut self) {
        let plan = self.some_queue(PLANS.len());
        if !self.exists(plan) {
            return;
        }
        let lease = if self.random.below(2) == 0 { Lease::Connection } else { Lease::Timed { lease_ms: 1_000 } };
        let (count_max, presettled) = (self.random.below(4) as u32, self.random.below(8) == 0);
        let wait_ms = self.random.below(2) * 300;
        self.fetch_with(Fetch { lane: Lane(0), queue: plan.name.into(), count_max, presettled, lease, wait_ms });
    }

    fn fetch_with(&mut self, fetch: Fetch) {
        let request = self.request();
        self.fetches.insert(request.0, fetch.presettled);
        self.send(Command::Fetch { request, fetch: Box::new(fetch) });
    }

    fn consume(&mut self) {
        // One at a time: several would each have an order of their own.
        if self.consumers > 0 {
            let consumer = ConsumerId(self.consumers);
            let request = self.request();
            self.consumers = 0;
            return self.send(Command::Unsubscribe { request, consumer });
        }
        let plan = self.some_queue(PLANS.len());
        if !self.exists(plan) {
            return;
        }
        let request = self.request();
        let presettled = self.random.below(6) == 0;
        self.consumers = if presettled { PRESETTLED + request.0 } else { 1 + request.0 % (PRESETTLED - 1) };
        let subscribe = Box::new(Subscribe {
            consumer: ConsumerId(self.consumers),
            lane: Lane(1),
            queue: plan.name.into(),
            presettled,
            exclusive: false,
            priority: 0,
            window: 1 + self.random.below(6) as u32,
            arguments: vec![],
        });
        self.send(Command::Subscribe { request, subscribe });
    }

    fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let (delivery, key) = self.held.swap_remove(self.random.below(self.held.len() as u64) as usize);
        let Some(plan) = self.plan_of(&delivery) else { return };
        let outcome = match self.random.below(7) {
            0 => Outcome::Released,
            1 => Outcome::Modified { delay_ms: 300 },
            2 => Outcome::Rejected,
            _ => Outcome::Accepted,
        };
        let request = (self.random.below(4) != 0).then(|| self.request());
        match outcome {
            Outcome::Accepted => self.truth.open(key),
            Outcome::Rejected => self.truth.rejected(plan, key.1),
            Outcome::Released | Outcome::Modified { .. } => {}
        }
        let leaves = outcome == Outcome::Accepted || outcome == Outcome::Rejected && plan.letters.is_none();
        if let Some(request) = request.filter(|_| leaves) {
            self.leaving.insert(request.0, vec![key]);
        }
        self.send(Command::Settle { deliveries: vec![delivery], outcome, request });
    }

    fn purge(&mut self) {
        let plan = self.some_queue(PLANS.len());
        if !self.exists(plan) {
            return;
        }
        let request = self.request();
        let mut commands = VecDeque::from([Command::Purge { request, queue: plan.name.into() }]);
        self.purger.execute(self.world.now, &mut commands);
        // It may have to wait for the purge before it: then nobody asked.
        if commands.is_empty() {
            let going = self.truth.purge(plan);
            self.leaving.insert(request.0, going);
        }
    }

    fn delete_or_make(&mut self) {
        if std::mem::replace(&mut self.fleeting_exists, false) {
            let all = self.truth.remove(FLEETING);
            let delete = Definition::DeleteQueue { name: FLEETING.into(), if_unused: false, if_empty: false };
            let request = self.define(delete);
            self.leaving.insert(request.0, all);
        } else {
            self.fleeting_exists = true;
            plan_of(FLEETING).into_iter().for_each(|plan| self.declare(plan));
        }
    }

    fn advance_ms(&mut self, ms: u64) {
        let now = self.world.now;
        self.world.now = Now { instant: now.instant.after_ms(ms), unix: UnixMillis(now.unix.0 + ms) };
        self.life.tick(self.world.now);
    }

    fn written(&mut self) {
        self.client.written(self.world.now, std::mem::take(&mut self.unwritten_bytes));
    }

    fn fill_disk(&mut self) {
        let disk = &self.world.disk;
        let room_bytes = if self.random.below(2) == 0 { self.random.below(20_000) } else { 1 << 40 };
        disk.set_capacity_bytes(disk.used_bytes() + room_bytes);
    }

    fn reconnect(&mut self) {
        self.client.end(self.world.now);
        // What it was given in the end, it has seen.
        self.hear();
        self.client = connect(&self.life, self.world.now);
        self.forget_client();
    }

    fn connect_all(&mut self) {
        self.forget_client();
        self.leaving.clear();
        [self.client, self.admin, self.purger] = std::array::from_fn(|_| connect(&self.life, self.world.now));
    }

    fn forget_client(&mut self) {
        self.held.clear();
        self.fetches.clear();
        (self.consumers, self.unwritten_bytes) = (0, 0);
    }

    // ---- what they hear ----

    fn hear(&mut self) {
        let mut events = VecDeque::new();
        // Hearing of some may make room for more.
        loop {
            for client in [&mut self.client, &mut self.admin, &mut self.purger] {
                client.take_events(self.world.now, &mut events);
            }
            if events.is_empty() {
                return;
            }
            events.drain(..).for_each(|event| self.heard(event));
        }
    }

    fn heard(&mut self, event: Event) {
        match event {
            Event::Confirmed { confirms, .. } => {
                confirms.into_iter().for_each(|number| self.truth.confirmed(number));
            }
            Event::Reply { request, result } => {
                self.fetches.remove(&request.0);
                let keys = self.leaving.remove(&request.0);
                if result.is_ok() {
                    keys.iter().for_each(|keys| self.truth.gone(keys));
                }
            }
            Event::Fetched { request, deliveries, .. } => {
                let presettled = self.fetches.remove(&request.0).unwrap_or(false);
                deliveries.iter().for_each(|delivery| self.delivered(delivery, presettled));
            }
            Event::Deliver(deliveries) => {
                self.unwritten_bytes += deliveries.iter().map(cost_bytes).sum::<usize>();
                deliveries.iter().for_each(|delivery| self.delivered(delivery, delivery.consumer.0 >= PRESETTLED));
            }
            _ => {}
        }
    }

    fn plan_of(&self, delivery: &DeliveryId) -> Option<&'static Plan> {
        let name = self.life.broker.queue_name(delivery.queue)?;
        plan_of(name.split(' ').next()?)
    }

    fn delivered(&mut self, delivery: &Delivery, presettled: bool) {
        let Some(plan) = self.plan_of(&delivery.id) else { return };
        let key = self.truth.delivered(plan, delivery, if presettled { Fate::Open } else { Fate::Safe });
        match &mut self.found {
            Some(found) => found.push(key),
            None if !presettled => self.held.push((delivery.id, key)),
            None => {}
        }
    }

    // ---- ends and beginnings ----

    fn end(&mut self) {
        self.hear();
        let was_cut = !self.world.disk.is_powered();
        let end = if was_cut || self.faults.sync || self.random.below(2) == 0 { End::Power } else { End::Process };
        self.world.disk.set_capacity_bytes(u64::MAX);
        if end == End::Process && self.random.below(2) == 0 && !self.life.has_failed() {
            self.close();
        }
        match end {
            End::Power => self.world.disk.crash(),
            End::Process => self.world.disk.kill(),
        }
        self.truth.ended(end);
        self.begin();
    }

    fn close(&mut self) {
        self.client.end(self.world.now);
        self.admin.end(self.world.now);
        self.purger.end(self.world.now);
        self.rest();
        self.life.close(self.world.now);
    }

    /// Starts again; the power may go while it does.
    fn begin(&mut self) {
        while self.random.below(4) == 0 {
            self.world.disk.cut_power(1 + self.random.below(30));
            if self.world.start().is_ok_and(|life| life.damages.is_empty()) && self.world.disk.is_powered() {
                break;
            }
            self.world.disk.crash();
            self.truth.ended(End::Power);
        }
        self.world.disk.kill();
        self.life = self.world.start().expect("a healthy disk");
        assert_eq!(self.life.damages, [""; 0], "a crash is not damage");
        self.faults = Faults::default();
        self.connect_all();
        self.fleeting_exists = self.fleeting_is_there();
        if self.fleeting_exists {
            // Its binding may not have survived.
            plan_of(FLEETING).into_iter().for_each(|plan| self.declare(plan));
        }
    }

    fn fleeting_is_there(&mut self) -> bool {
        let request = self.define(Definition::InspectQueue { name: FLEETING.into() });
        let mut events = VecDeque::new();
        self.admin.take_events(self.world.now, &mut events);
        events.iter().any(|event| matches!(event, Event::Reply { request: of, result: Ok(_) } if *of == request))
    }

    fn rest(&mut self) {
        self.life.rest(self.world.now);
        self.hear();
        self.written();
    }

    /// Compares all there is with what should be.
    fn check(&mut self) {
        let found = self.find_all();
        assert_eq!(self.life.lost_reads, 0, "a read failed");
        self.truth.check(&found);
        self.reconnect();
        self.rest();
    }

    /// Fetches all there is.
    fn find_all(&mut self) -> Vec<Key> {
        self.reconnect();
        self.rest();
        // What is leased or delayed shows itself; what may expire does.
        self.advance_ms(1_500);
        self.rest();
        self.found = Some(Vec::new());
        for plan in PLANS.iter().filter(|plan| self.exists(plan)).collect::<Vec<_>>() {
            self.fetch_all(plan);
        }
        self.found.take().unwrap_or_default()
    }

    /// Something on the disk is damaged while the process is down: what it says is true, it says whom it hurts, and nobody else
    /// misses anything.
    pub(super) fn play_damage(mut self) {
        for _ in 0..60 + self.random.below(300) {
            self.step();
        }
        self.world.disk.set_capacity_bytes(u64::MAX);
        self.check();
        let is_orderly = self.random.below(2) == 0;
        if is_orderly {
            self.close();
        }
        self.world.disk.kill();
        self.truth.ended(End::Process);
        self.truth.damaged = true;
        let how = damage(&self.world.disk, &mut self.random);
        self.life =
            self.world.start().unwrap_or_else(|error| panic!("{how:?} keeps the broker from starting: {error}"));
        self.connect_all();
        let found = self.find_all();
        assert_eq!(self.life.broker.ledger().1, 0, "a ledger does not add up");
        self.check_losses(&self.truth.lost(&found), &how, is_orderly);
    }

    /// Without an orderly end, damage in the last write looks like one that was torn.
    fn check_losses(&self, lost: &[Key], how: &Damaged, is_orderly: bool) {
        let is_told = !self.life.damages.is_empty() || self.life.lost_reads > 0;
        assert!(lost.is_empty() || is_told || !is_orderly, "{how:?}: {lost:?} are lost without a word");
        let numbers: BTreeSet<u64> = lost.iter().map(|key| key.1).collect();
        let queues: BTreeSet<&str> = lost.iter().map(|key| key.0).collect();
        let is_one = numbers.len() <= 1 || queues.len() <= 1;
        assert!(is_one || how.is_truncated || !is_orderly, "{how:?} costs {lost:?}");
    }

    fn fetch_all(&mut self, plan: &'static Plan) {
        loop {
            let before = self.found.as_ref().map_or(0, Vec::len);
            self.fetch_with(Fetch {
                lane: Lane(0),
                queue: plan.name.into(),
                count_max: u32::MAX,
                presettled: false,
                lease: Lease::Connection,
                wait_ms: 0,
            });
            self.rest();
            assert!(self.fetches.is_empty(), "a fetch of {} is not answered", plan.name);
            if self.found.as_ref().map_or(0, Vec::len) == before {
                return;
            }
        }
    }
}

fn connect(life: &Life, now: Now) -> Client {
    let mut client = life.broker.connect(Box::new(|| {}));
    client.authenticated(RequestId(0), Principal { name: "u".into(), tags: vec![] });
    client.execute(now, &mut VecDeque::from([Command::Open { request: RequestId(1), vhost: "/".into() }]));
    client
}
