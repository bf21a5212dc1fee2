//! One history: clients, faults, crashes, and what must hold after each. This is the plot; who does what is in the modules.

mod checks;
mod clients;
mod hearing;
mod lives;
mod streams;

use std::collections::{BTreeMap, VecDeque};

use crossdock_common::definition::Definition;
use crossdock_common::event::Principal;
use crossdock_common::names::DeliveryId;
use crossdock_common::random::Random;
use crossdock_common::{Command, Now, RequestId};
use crossdock_core::Client;
use crossdock_store::simulated::Fault;

use super::damage::damage;
use super::streams::{STREAMS, StreamTruth};
use super::truth::{End, FLEETING, Key, PLANS, Plan, Truth};
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
    streams: [StreamTruth; STREAMS.len()],
    cursors: Vec<streams::Cursor>,
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
            streams: StreamTruth::all(),
            cursors: Vec::new(),
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
        STREAMS.iter().for_each(|plan| history.declare_stream(plan));
        history.rest();
        history.truth.defined = true;
        history
    }

    /// Gives how many power cuts it survived.
    pub(super) fn play(mut self) -> u64 {
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
        self.truth.power_cuts
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
        self.ended(End::Process);
        self.truth.damaged = true;
        let how = damage(&self.world.disk, &mut self.random);
        self.life =
            self.world.start().unwrap_or_else(|error| panic!("{how:?} keeps the broker from starting: {error}"));
        self.connect_all();
        let found = self.find_all();
        let read = self.find_in_streams();
        assert_eq!(self.life.broker.ledger().1, 0, "a ledger does not add up");
        let mut lost = self.truth.lost(&found);
        lost.extend(self.streams.iter().zip(&read).flat_map(|(stream, read)| stream.lost(read)));
        self.check_losses(&lost, &how, is_orderly);
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
            33 => self.publish_again(),
            34 | 35 => self.read_stream(),
            36..=40 => self.settle_in_stream(),
            41..=45 => self.publish_run(),
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

    fn rest(&mut self) {
        self.life.rest(self.world.now);
        self.hear();
        self.written();
    }
}

fn connect(life: &Life, now: Now) -> Client {
    let mut client = life.broker.connect(std::task::Waker::noop().clone());
    client.authenticated(RequestId(0), Principal { name: "u".into(), tags: vec![] });
    client.execute(now, &mut VecDeque::from([Command::Open { request: RequestId(1), vhost: "/".into() }]));
    client
}
