//! Seeded histories: valid packets in any order, answers late and out of order. The machine checks its invariants after
//! every call; here it is checked that nothing is acknowledged twice or never.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossdock_common::random::Random;
use crossdock_common::{Command, Event, Lane};

use super::support::{Core, Tester, connect_with, message, options, publish, subscribe, text, unsubscribe};
use crate::ConnectionOptions;
use crate::packet::fixed_header;

const TOPICS: [&str; 4] = ["a", "a/b", "b", "nobody"];
const FILTERS: [&str; 6] = ["a", "a/#", "+", "#", "a/+", "$share/g/b"];

/// Acknowledgements of QoS 1 by packet id: +1 for a PUBLISH, -1 for a PUBACK.
type Balance = BTreeMap<u16, i32>;

struct History {
    tester: Tester,
    random: Random,
    level: u8,
    balance: Balance,
    /// Confirms that the core has not sent yet.
    open: Vec<u64>,
    seen: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let level = if random.below(2) == 0 { 4 } else { 5 };
        let core = Core { confirms: false, ..Core::default() };
        let properties = [0x11, 0, 0, 0, 60, 0x21, 0, 3];
        let connect = connect_with(level, 0, &properties, &text("c"));
        let options = ConnectionOptions { receive_maximum: 1_000, ..options() };
        let tester = Tester::connected_with(options, core, &connect);
        Self { tester, random, level, balance: Balance::new(), open: Vec::new(), seen: 0 }
    }

    fn pick(&mut self, bound: u64) -> usize {
        self.random.below(bound) as usize
    }

    fn step(&mut self) {
        let answer = match self.pick(8) {
            0..=2 => self.publish(),
            3 => {
                let filter = FILTERS[self.pick(6)];
                let qos = self.pick(3) as u8;
                self.tester.send(&subscribe(self.level, 7, &[(filter, qos)]))
            }
            4 => {
                let filter = FILTERS[self.pick(6)];
                self.tester.send(&unsubscribe(self.level, 7, &[filter]))
            }
            5 => {
                let (key, qos) = (["a", "a.b", "b"][self.pick(3)], self.pick(3) as u8);
                let delivery = self.tester.core.delivery(Arc::new(message(key, qos, &[], "x")));
                self.tester.event(Event::Deliver(vec![delivery]))
            }
            6 => self.confirm(),
            _ => self.tester.send(&[0xC0, 0]),
        };
        self.hear(&answer);
    }

    fn publish(&mut self) -> Vec<u8> {
        let (topic, qos, id) = (TOPICS[self.pick(4)], self.pick(3) as u8, 1 + self.pick(5) as u16);
        if qos == 1 {
            *self.balance.entry(id).or_default() += 1;
        }
        let properties: Option<&[u8]> = (self.level == 5).then_some(&[]);
        self.tester.send(&publish(qos << 1, topic, id, properties, b"x"))
    }

    /// The core confirms some message, not always the oldest.
    fn confirm(&mut self) -> Vec<u8> {
        let published = self.tester.core.log[self.seen..].iter().filter_map(|command| match command {
            Command::Publish(publish) => publish.confirm,
            _ => None,
        });
        self.open.extend(published);
        self.seen = self.tester.core.log.len();
        if self.open.is_empty() {
            return Vec::new();
        }
        let index = self.pick(self.open.len() as u64);
        let confirm = self.open.swap_remove(index);
        self.tester.event(Event::Confirmed { lane: Lane(0), confirms: vec![confirm] })
    }

    /// Answers what the machine says, as a client would.
    fn hear(&mut self, mut bytes: &[u8]) {
        assert_eq!(self.tester.close, None);
        while let Some(header) = fixed_header(bytes).expect("a packet") {
            let (packet, rest) = bytes.split_at(header.packet_bytes());
            bytes = rest;
            let id = |at: usize| [packet[at], packet[at + 1]];
            let answer = match (packet[0] >> 4, (packet[0] >> 1) & 3) {
                (4, _) => {
                    *self.balance.entry(u16::from_be_bytes(id(2))).or_default() -= 1;
                    continue;
                }
                (3, 1) => [&[0x40, 2][..], &id(4 + usize::from(packet[3]))].concat(),
                (3, 2) => [&[0x50, 2][..], &id(4 + usize::from(packet[3]))].concat(),
                (5, _) => [&[0x62, 2][..], &id(2)].concat(),
                (6, _) => [&[0x70, 2][..], &id(2)].concat(),
                _ => continue,
            };
            let answer = self.tester.send(&answer);
            self.hear(&answer);
        }
    }
}

#[test]
fn nothing_is_acknowledged_twice_or_never() {
    for seed in 0..300 {
        let mut history = History::new(seed);
        (0..120).for_each(|_| history.step());
        for _ in 0..500 {
            let answer = history.confirm();
            history.hear(&answer);
        }
        assert!(history.balance.values().all(|balance| *balance == 0), "seed {seed}: {:?}", history.balance);
        let settles = history.tester.core.log.iter().flat_map(|command| match command {
            Command::Settle { deliveries, .. } => deliveries.iter().map(|id| id.position).collect(),
            _ => Vec::new(),
        });
        let mut settled: Vec<u64> = settles.collect();
        settled.sort_unstable();
        let expected: Vec<u64> = (0..history.tester.core.position).collect();
        assert_eq!(settled, expected, "seed {seed}: every delivery is settled once");
    }
}
