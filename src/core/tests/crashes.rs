//! Whole histories from a seed on a slow disk, with crashes that lose whatever was not durable: what was confirmed and not
//! taken is there, what was answered as gone is gone, and nothing is there that nobody sent.

use std::collections::{BTreeMap, BTreeSet};

use crossdock_common::command::{Lease, Outcome};
use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::event::Delivery;
use crossdock_common::random::Random;
use crossdock_common::{Command, Event, RequestId, Value};

use super::support::{SHARDS, Tester, World, message, queue_spec};
use crate::{Partition, Sequence};

/// The last one is deleted and made again now and then; `q0` sends its rejected messages to `dead`.
const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];
const DEAD: &str = "dead";

/// What may have become of a message in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It may be there or not: it was sent, or somebody is about to take it.
    Open,
    /// It must be there.
    Safe,
    /// It must not be there.
    Gone,
}

type Key = (&'static str, u64);

struct Crashes {
    world: World,
    client: Tester,
    admin: Tester,
    purger: Tester,
    random: Random,
    durable: Vec<usize>,
    published: u64,
    transient: BTreeSet<u64>,
    fates: BTreeMap<Key, Fate>,
    /// Somebody has begun to take them away: a confirm says nothing about them any more.
    touched: BTreeSet<Key>,
    /// Messages on their way from `q0` to `dead`: one of the two has them.
    moving: BTreeSet<u64>,
    held: Vec<Delivery>,
    /// Handed out or delayed since a check last fetched everything: a purge may leave them.
    away: BTreeSet<Key>,
    /// Gone once the request is answered.
    leaving: BTreeMap<u64, Vec<Key>>,
    requests: u64,
}

impl Crashes {
    fn new(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let world = World::paging(super::support::some_paging(&mut random));
        let [client, admin, purger] = std::array::from_fn(|_| world.client("u"));
        let mut history = Self {
            world,
            client,
            admin,
            purger,
            random,
            durable: vec![],
            published: 0,
            transient: BTreeSet::new(),
            fates: BTreeMap::new(),
            touched: BTreeSet::new(),
            moving: BTreeSet::new(),
            held: vec![],
            away: BTreeSet::new(),
            leaving: BTreeMap::new(),
            requests: 1_000,
        };
        history.begin();
        history
    }

    /// Makes sure that the queues are there, on a disk that is fast for a moment.
    fn begin(&mut self) {
        self.client = self.world.client("u");
        self.admin = self.world.client("u");
        self.purger = self.world.client("u");
        let letters =
            [("x-dead-letter-exchange", Value::string("")), ("x-dead-letter-routing-key", Value::string(DEAD))];
        for queue in QUEUES.into_iter().chain([DEAD]) {
            let arguments: &[_] = if queue == "q0" { &letters } else { &[] };
            self.admin.queue(&self.world, queue, arguments);
            if queue != DEAD {
                self.admin.bind(&self.world, "amq.fanout", queue, "");
            }
        }
        self.world.sync();
        self.durable = self.lengths();
        self.world.instantly_durable = false;
        self.held.clear();
        self.leaving.clear();
        self.moving.clear();
        self.touched.clear();
        self.away.clear();
    }

    fn lengths(&self) -> Vec<usize> {
        self.world.logs.iter().map(|log| log.lock().all.len()).collect()
    }

    fn step(&mut self) {
        match self.random.below(24) {
            0..=5 => self.publish(),
            6 => self.publish_run(),
            7..=9 => self.fetch(),
            10..=13 => self.settle(),
            14..=18 => self.sync_some(),
            19 => self.world.advance_ms(400),
            20 if self.random.below(2) == 0 => self.write_some(),
            20 => self.purge(),
            21 => self.delete_or_make(),
            22 => self.snapshot(),
            _ => self.crash(),
        }
        self.hear();
    }

    fn exists(&self, queue: &str) -> bool {
        let definitions = self.world.broker.definitions();
        definitions.vhost(&"/".into()).is_ok_and(|vhost| vhost.queues.contains_key(queue))
    }

    fn publish(&mut self) {
        self.published += 1;
        let number = self.published;
        let queue = QUEUES[self.random.below(4) as usize];
        let everywhere = self.random.below(3) == 0;
        let (exchange, key) = if everywhere { ("amq.fanout", "") } else { ("", queue) };
        // Some are large, as far as this world goes.
        let width = if self.random.below(4) == 0 { 8 + self.random.below(60) as usize } else { 0 };
        let mut message = message(&self.world, exchange, key, &format!("{number:0width$}"));
        message.durable = self.random.below(5) != 0;
        let is_delayed = self.random.below(6) == 0;
        if is_delayed {
            message.rare_mut().delay_ms = Some(500);
        }
        if !message.durable {
            self.transient.insert(number);
        }
        for name in QUEUES.into_iter().filter(|name| everywhere || *name == queue) {
            if self.exists(name) {
                self.fates.insert((name, number), Fate::Open);
                self.away.extend(is_delayed.then_some((name, number)));
            }
        }
        self.client.publish_message(&self.world, message, Some(number));
    }

    fn publish_run(&mut self) {
        let first = self.published + 1;
        self.published += 1 + self.random.below(9);
        let numbers = first..=self.published;
        let queue = QUEUES[self.random.below(4) as usize];
        let everywhere = self.random.below(3) == 0;
        let (exchange, key) = if everywhere { ("amq.fanout", "") } else { ("", queue) };
        let durable = self.random.below(5) == 0;
        if !durable {
            self.transient.extend(numbers.clone());
        }
        for name in QUEUES.into_iter().filter(|name| everywhere || *name == queue) {
            if self.exists(name) {
                self.fates.extend(numbers.clone().map(|number| ((name, number), Fate::Open)));
            }
        }
        let bodies: Vec<String> = numbers.map(|number| number.to_string()).collect();
        self.client.publish_run(&self.world, (exchange, key), durable, &bodies, Some(first));
    }

    fn fetch(&mut self) {
        let queue = QUEUES.into_iter().chain([DEAD]).nth(self.random.below(5) as usize).unwrap_or(DEAD);
        if !self.exists(queue) {
            return;
        }
        let lease = if self.random.below(2) == 0 { Lease::Connection } else { Lease::Timed { lease_ms: 1_000 } };
        let count = self.random.below(4) as u32;
        for delivery in self.client.fetch(&self.world, queue, count, lease) {
            self.handed_out(queue, delivery);
        }
    }

    fn handed_out(&mut self, queue: &'static str, delivery: Delivery) {
        let key = (queue, number_of(&delivery));
        let fate = self.fates.get(&key).copied().unwrap_or(Fate::Gone);
        assert_ne!(fate, Fate::Gone, "{key:?} was handed out");
        if queue != DEAD && queue != "q3" && !self.transient.contains(&key.1) {
            // Who has seen it counts on it, unless the queue itself is not durable yet.
            self.fates.insert(key, Fate::Safe);
        }
        self.away.insert(key);
        self.held.push(delivery);
    }

    fn name_of(&self, delivery: &Delivery) -> Option<&'static str> {
        let definitions = self.world.broker.definitions();
        let (_, name) = definitions.queue_name(delivery.id.queue)?;
        QUEUES.into_iter().chain([DEAD]).find(|queue| *queue == name.as_str())
    }

    fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let delivery = self.held.swap_remove(self.random.below(self.held.len() as u64) as usize);
        let Some(name) = self.name_of(&delivery) else { return };
        let key = (name, number_of(&delivery));
        let outcome = match self.random.below(6) {
            0 => Outcome::Released,
            1 => Outcome::Modified { delay_ms: 300 },
            2 if name == "q0" => Outcome::Rejected,
            _ => Outcome::Accepted,
        };
        self.requests += 1;
        let request = self.requests;
        let before = self.fates.get(&key).copied().unwrap_or(Fate::Gone);
        if matches!(outcome, Outcome::Accepted | Outcome::Rejected) {
            self.open(key);
        }
        if outcome == Outcome::Rejected {
            self.fates.insert((DEAD, key.1), Fate::Open);
        } else if outcome == Outcome::Accepted && name != DEAD {
            // A crash may have made two of a dead letter: the other may still be there.
            self.leaving.insert(request, vec![key]);
        }
        let deliveries = vec![delivery.id];
        self.client.send(&self.world, Command::Settle { deliveries, outcome, request: Some(RequestId(request)) });
        let refused = self
            .client
            .events
            .iter()
            .any(|event| matches!(event, Event::Reply { request: of, result: Err(_) } if of.0 == request));
        if refused {
            self.leaving.remove(&request);
            self.fates.insert(key, before);
        } else if outcome == Outcome::Rejected && before == Fate::Safe {
            self.moving.insert(key.1);
        } else if outcome == Outcome::Accepted && name == DEAD {
            self.moving.remove(&key.1);
        }
    }

    fn open(&mut self, key: Key) {
        self.touched.insert(key);
        if let Some(fate) = self.fates.get_mut(&key).filter(|fate| **fate == Fate::Safe) {
            *fate = Fate::Open;
        }
    }

    /// The disk gets on with one of the logs.
    fn sync_some(&mut self) {
        let index = self.random.below(SHARDS as u64 + 1) as usize;
        let more = self.world.logs[index].lock().all.len() - self.durable[index];
        self.durable[index] += self.random.below(more as u64 + 1) as usize;
        let partition = if index == 0 { Partition::Definitions } else { Partition::Shard(index - 1) };
        self.world.broker.durable(partition, Sequence(self.durable[index] as u64), self.world.now);
    }

    /// One of the shards' logs is written, but not synced.
    fn write_some(&mut self) {
        let index = self.random.below(SHARDS as u64) as usize;
        let length = self.world.logs[index + 1].lock().all.len() as u64;
        self.world.broker.written(index, Sequence(length), self.world.now);
        self.world.serve_reads();
    }

    fn define(&mut self, definition: Definition) -> u64 {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.admin.send(&self.world, Command::Define { request, definition: Box::new(definition) });
        self.requests
    }

    /// Somebody takes all of a queue away.
    fn open_all(&mut self, queue: &str) -> Vec<Key> {
        let all: Vec<Key> = self.fates.keys().filter(|(name, _)| *name == queue).copied().collect();
        all.iter().for_each(|key| self.open(*key));
        all
    }

    fn purge(&mut self) {
        // Fetches may have been answered meanwhile: a purge leaves what was handed out.
        self.hear();
        let queue = QUEUES[1 + self.random.below(3) as usize];
        self.requests += 1;
        let request = RequestId(self.requests);
        self.purger.send(&self.world, Command::Purge { request, queue: queue.into(), everything: false });
        if self.purger.commands.pop_front().is_some() {
            // It would have to wait for the purge before it.
            return;
        }
        let mut all = self.open_all(queue);
        all.retain(|key| !self.away.contains(key));
        self.leaving.insert(self.requests, all);
    }

    fn delete_or_make(&mut self) {
        if self.exists("q3") {
            let delete = Definition::DeleteQueue { name: "q3".into(), if_unused: false, if_empty: false };
            let request = self.define(delete);
            let all = self.open_all("q3");
            self.leaving.insert(request, all);
        } else {
            let spec = QueueSpec { durable: true, ..queue_spec("q3", &[]) };
            self.define(Definition::DeclareQueue { spec, passive: false });
            self.define(Definition::Bind(super::support::binding("amq.fanout", "q3", "")));
        }
    }

    fn snapshot(&mut self) {
        self.world.snapshot();
        self.durable = self.lengths();
    }

    fn hear(&mut self) {
        self.client.hear(&self.world);
        self.admin.hear(&self.world);
        self.purger.hear(&self.world);
        let clients = [&mut self.client, &mut self.admin, &mut self.purger];
        let events: Vec<Event> = clients.into_iter().flat_map(|client| client.events.drain(..)).collect();
        for event in events {
            match event {
                Event::Confirmed { confirms, .. } => confirms.into_iter().for_each(|number| self.confirmed(number)),
                Event::Reply { request, result } => {
                    let keys = self.leaving.remove(&request.0).filter(|_| result.is_ok());
                    self.fates.extend(keys.into_iter().flatten().map(|key| (key, Fate::Gone)));
                }
                Event::Fetched { deliveries, .. } => {
                    for delivery in deliveries {
                        if let Some(queue) = self.name_of(&delivery) {
                            self.handed_out(queue, delivery);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn confirmed(&mut self, number: u64) {
        if self.transient.contains(&number) {
            return;
        }
        for queue in QUEUES {
            let key = (queue, number);
            if self.fates.get(&key) == Some(&Fate::Open) && !self.touched.contains(&key) {
                self.fates.insert(key, Fate::Safe);
            }
        }
    }

    fn crash(&mut self) {
        self.hear();
        let lengths = self.lengths();
        let kept: Vec<usize> = self
            .durable
            .iter()
            .zip(lengths)
            .map(|(&durable, length)| durable + self.random.below((length - durable) as u64 + 1) as usize)
            .collect();
        self.world.crash(&kept);
        if self.random.below(2) == 0 {
            // From the log again, after the work of the first start is in it.
            self.world.restart();
        }
        self.check();
        self.begin();
    }

    fn check(&mut self) {
        self.client = self.world.client("u");
        // What is delayed shows itself.
        self.world.advance_ms(1_000);
        let mut found = BTreeSet::new();
        for queue in QUEUES.into_iter().chain([DEAD]) {
            if !self.exists(queue) {
                continue;
            }
            let fetched = self.client.fetch(&self.world, queue, u32::MAX, Lease::Connection);
            for delivery in &fetched {
                let key = (queue, number_of(delivery));
                let fate = self.fates.get(&key).copied().unwrap_or(Fate::Gone);
                assert_ne!(fate, Fate::Gone, "{key:?} is there");
                assert!(!self.transient.contains(&key.1), "{key:?} was transient");
                assert!(found.insert(key) || queue == DEAD, "{key:?} is there twice");
            }
            self.client.settle(&self.world, &fetched, Outcome::Released);
        }
        for (key, fate) in &self.fates {
            assert!(*fate != Fate::Safe || found.contains(key) || self.transient.contains(&key.1), "{key:?} is lost");
        }
        for number in self.moving.iter().filter(|number| !self.transient.contains(number)) {
            assert!(found.contains(&("q0", *number)) || found.contains(&(DEAD, *number)), "letter {number} is lost");
        }
        for (key, fate) in &mut self.fates {
            *fate = if found.contains(key) { Fate::Safe } else { Fate::Gone };
        }
    }
}

fn number_of(delivery: &Delivery) -> u64 {
    std::str::from_utf8(&delivery.message.body).expect("text").parse().expect("a number")
}

#[test]
fn crashes_from_seeds() {
    let seeds: u64 = std::env::var("CROSSDOCK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let first: u64 = std::env::var("CROSSDOCK_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut history = Crashes::new(seed);
            (0..150).for_each(|_| history.step());
            history.crash();
        });
        assert!(outcome.is_ok(), "seed {seed} failed; see above");
    }
}
