//! Whole histories from a seed: what a restart finds is what was there, from the log alone and from snapshot and tail.

use std::collections::BTreeMap;

use crossdock_common::command::{Lease, Outcome};
use crossdock_common::event::Delivery;
use crossdock_common::random::Random;
use crossdock_common::{Command, Value};

use super::support::{Tester, World, message};

const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];

struct History {
    world: World,
    client: Tester,
    random: Random,
    held: Vec<Delivery>,
    published: u64,
    /// Bodies that are confirmed and not accepted, by queue.
    expected: BTreeMap<&'static str, Vec<String>>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let world = World::paging(super::support::some_paging(&mut random));
        let mut client = world.client("u");
        for queue in QUEUES {
            client.queue(&world, queue, &[("x-max-priority", Value::I32(3))]);
            client.bind(&world, "amq.fanout", queue, "");
        }
        Self { world, client, random, held: vec![], published: 0, expected: BTreeMap::new() }
    }

    fn step(&mut self) {
        match self.random.below(10) {
            0..=3 => self.publish(),
            4..=5 => self.fetch(),
            6..=7 => self.settle(),
            8 => self.world.snapshot(),
            _ => self.restart(),
        }
    }

    fn publish(&mut self) {
        self.published += 1;
        let width = if self.random.below(4) == 0 { 8 + self.random.below(60) as usize } else { 0 };
        let body = format!("{:0width$}", self.published);
        let queue = QUEUES[self.random.below(4) as usize];
        let everywhere = self.random.below(3) == 0;
        let (exchange, key) = if everywhere { ("amq.fanout", "") } else { ("", queue) };
        let mut message = message(&self.world, exchange, key, &body);
        message.priority = self.random.below(4) as u8;
        self.client.publish_message(&self.world, message, Some(self.published));
        assert!(self.client.confirmed(&self.world).contains(&self.published));
        for name in QUEUES.into_iter().filter(|name| everywhere || *name == queue) {
            self.expected.entry(name).or_default().push(body.clone());
        }
    }

    fn fetch(&mut self) {
        let queue = QUEUES[self.random.below(4) as usize];
        let lease = if self.random.below(2) == 0 { Lease::Connection } else { Lease::Timed { lease_ms: 1_000_000 } };
        let count = self.random.below(4) as u32;
        self.held.extend(self.client.fetch(&self.world, queue, count, lease));
    }

    fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let delivery = self.held.swap_remove(self.random.below(self.held.len() as u64) as usize);
        if self.random.below(3) == 0 {
            return self.client.settle(&self.world, &[delivery], Outcome::Released);
        }
        let id = delivery.id;
        let accept =
            |request| Command::Settle { deliveries: vec![id], outcome: Outcome::Accepted, request: Some(request) };
        self.client.request(&self.world, accept).expect("settles");
        let body = String::from_utf8_lossy(&delivery.message.body).into_owned();
        let name = self.queue_of(&delivery);
        self.expected.entry(name).or_default().retain(|kept| *kept != body);
    }

    fn queue_of(&self, delivery: &Delivery) -> &'static str {
        let definitions = self.world.broker.definitions();
        let (_, name) = definitions.queue_name(delivery.id.queue).expect("a queue");
        QUEUES.into_iter().find(|queue| *queue == name.as_str()).expect("one of ours")
    }

    fn restart(&mut self) {
        self.world.restart();
        self.client = self.world.client("u");
        self.held.clear();
        self.check();
    }

    fn check(&mut self) {
        for queue in QUEUES {
            let fetched = self.client.fetch(&self.world, queue, u32::MAX, Lease::Connection);
            let mut found = super::support::bodies(&fetched);
            for run in fetched.windows(2) {
                let (a, b) = (&run[0], &run[1]);
                let in_order = a.message.priority > b.message.priority || a.id.position < b.id.position;
                assert!(in_order, "{queue}: {a:?} before {b:?}");
            }
            self.client.settle(&self.world, &fetched, Outcome::Released);
            let mut expected = self.expected.get(queue).cloned().unwrap_or_default();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{queue}");
        }
    }
}

#[test]
fn histories_from_seeds() {
    let seeds: u64 = std::env::var("CROSSDOCK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            (0..120).for_each(|_| history.step());
            history.restart();
        });
        assert!(outcome.is_ok(), "seed {seed} failed; see above");
    }
}
