//! What must be there, and what must not.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use crossdock_common::definition::{Durability, Fifo, QueueSettings};
use crossdock_common::event::Delivery;
use crossdock_common::message::Deduplication;
use crossdock_common::random::Random;
use crossdock_common::testkit::plain_format;
use crossdock_common::{Arrived, Message, Name, Now, Run, Text, Value};

/// A queue of the simulated broker.
pub(super) struct Plan {
    pub name: &'static str,
    pub durability: Durability,
    /// Where its dead letters go.
    pub letters: Option<&'static str>,
    pub arguments: &'static [(&'static str, i64)],
}

const fn plan(
    name: &'static str,
    durability: Durability,
    letters: Option<&'static str>,
    arguments: &'static [(&'static str, i64)],
) -> Plan {
    Plan { name, durability, letters, arguments }
}

/// The queues that clients publish to. The fourth is deleted and made again.
pub(super) const PUBLISHED: usize = 8;
/// The queue that is deleted and made again.
pub(super) const FLEETING: &str = "fleeting";
/// The queue of message groups.
pub(super) const FIFO: &str = "fifo";

/// All queues; dead letters last.
pub(super) const PLANS: [Plan; 11] = [
    plan("plain", Durability::Fsync, Some("dead"), &[]),
    plan("priorities", Durability::Fsync, None, &[("x-max-priority", 3), ("x-delivery-limit", 1_000)]),
    plan("os", Durability::Os, None, &[]),
    plan(FLEETING, Durability::Fsync, None, &[]),
    plan("expiring", Durability::Fsync, Some("expired"), &[("x-message-ttl", 700)]),
    plan("memory", Durability::Memory, None, &[]),
    plan("short", Durability::Fsync, Some("dropped"), &[("x-max-length", 5)]),
    plan(FIFO, Durability::Fsync, None, &[]),
    plan("dead", Durability::Fsync, None, &[]),
    plan("expired", Durability::Fsync, None, &[]),
    plan("dropped", Durability::Fsync, None, &[]),
];

/// The queue of that name.
pub(super) fn plan_of(name: &str) -> Option<&'static Plan> {
    PLANS.iter().find(|plan| plan.name == name)
}

impl Plan {
    /// The queue whose dead letters come here.
    pub(super) fn source(&self) -> Option<&'static str> {
        PLANS.iter().find(|plan| plan.letters == Some(self.name)).map(|plan| plan.name)
    }

    /// It gives none away unasked. What expired or was dropped comes back if its letter was not safe yet.
    fn keeps_its_messages(&self) -> bool {
        self.letters.is_none() || self.name == "plain"
    }

    pub(super) fn settings(&self) -> QueueSettings {
        QueueSettings { fifo: (self.name == FIFO).then(Fifo::default), ..QueueSettings::default() }
    }

    pub(super) fn table(&self) -> crossdock_common::Table {
        let numbers = self.arguments.iter().map(|(name, number)| ((*name).into(), Value::I64(*number)));
        let letters = self.letters.iter().flat_map(|letters| {
            [("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", *letters)]
                .map(|(name, value)| (name.into(), Value::string(value)))
        });
        let durability = ("x-durability".into(), Value::string(self.durability.word()));
        numbers.chain(letters).chain([durability]).collect()
    }
}

/// What all messages of runs have.
const RUN_PRIORITY: u8 = 2;
const RUN_PROPERTIES: &[u8] = b"run";

/// What may have become of a message in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may be there or not: it was sent, or somebody is about to take it.
    Open,
    /// It, or its dead letter, must be there.
    Safe,
    /// It must not be there.
    Gone,
}

/// A message in a queue.
pub(super) type Key = (&'static str, u64);

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Orderly, or killed while the machine went on.
    Process,
    /// With the machine.
    Power,
}

/// What was published, and what must have become of it.
#[derive(Default)]
pub(super) struct Truth {
    pub published: u64,
    /// How often the power went.
    pub power_cuts: u64,
    fates: BTreeMap<Key, Fate>,
    /// Somebody has begun to take them away: a confirm says nothing about them any more.
    touched: BTreeSet<Key>,
    transient: BTreeSet<u64>,
    /// Published in runs.
    in_runs: BTreeSet<u64>,
    delayed: BTreeSet<u64>,
    /// Handed out, delayed or rejected since a check last found everything: a purge may leave them.
    away: BTreeSet<Key>,
    /// Handed out, ever.
    seen: BTreeSet<Key>,
    /// Handed out for the first time since the process started.
    first: BTreeSet<Key>,
    /// The newest message of each queue, and priority or group, that was handed out as a new one.
    newest: BTreeMap<(&'static str, u8), u64>,
    /// Confirmed by the queue of groups, ever: what is published again is known to it.
    known: BTreeSet<u64>,
    /// Published to it before it was purged, with which it forgets them: nobody publishes these again.
    forgotten: BTreeSet<u64>,
    /// They come back if the power goes before the purge or deletion is durable.
    removed: BTreeSet<Key>,
    /// Some could not be read for a while, and come later than they should.
    pub out_of_order: bool,
    /// Something on the disk was damaged: what was settled may come back.
    pub damaged: bool,
    /// Queues are what they shall be, whatever happens.
    pub defined: bool,
}

impl Truth {
    /// The next message: everything in it follows from its number.
    pub(super) fn next(&mut self, now: Now, random: &mut Random, exchange: &str, key: &str) -> Message {
        self.published += 1;
        let number = self.published;
        let large = random.below(12) == 0;
        let mut message = message_of(number, if large { random.below(3_000) } else { random.below(120) } as usize);
        message.exchange = exchange.into();
        message.routing_key = Bytes::copy_from_slice(key.as_bytes());
        message.received_at = now.unix;
        message.durable = random.below(5) != 0;
        if random.below(8) == 0 {
            message.rare_mut().delay_ms = Some(500);
            self.delayed.insert(number);
        }
        if !message.durable {
            self.transient.insert(number);
        }
        message
    }

    /// The next messages, which differ in their bodies only, and the number of the first.
    pub(super) fn next_run(&mut self, now: Now, random: &mut Random, exchange: &str, key: &str) -> (u64, Run) {
        let first = self.published + 1;
        self.published += 1 + random.below(12);
        let numbers = first..=self.published;
        let bodies: Vec<Bytes> =
            numbers.clone().map(|number| message_of(number, random.below(120) as usize).body).collect();
        let durable = random.below(5) == 0;
        let (exchange, user) = (Name::from(exchange), Name::default());
        let arrived = Arrived {
            format: plain_format(),
            exchange: &exchange,
            routing_key: key.as_bytes(),
            properties: RUN_PROPERTIES,
            body: &[],
            durable,
            priority: RUN_PRIORITY,
            ttl_ms: None,
            user: &user,
            received_at: now.unix,
        };
        self.in_runs.extend(numbers.clone());
        self.transient.extend(numbers.filter(|_| !durable));
        (first, Run::new(&arrived, bodies.iter().map(|body| &body[..])))
    }

    pub(super) fn sent(&mut self, plan: &Plan, number: u64) {
        self.fates.insert((plan.name, number), Fate::Open);
        if self.delayed.contains(&number) {
            self.away.insert((plan.name, number));
        }
        if let Some(letters) = plan.letters.filter(|_| plan.name != "plain") {
            self.fates.insert((letters, number), Fate::Open);
        }
    }

    pub(super) fn rejected(&mut self, plan: &Plan, number: u64) {
        match plan.letters {
            // Either the message or its letter is there, as before.
            Some(letters) => {
                let fate = self.fates.entry((letters, number)).or_insert(Fate::Open);
                if *fate == Fate::Gone {
                    *fate = Fate::Open;
                }
            }
            None => self.open((plan.name, number)),
        }
    }

    /// Somebody takes it away. A letter stands for its message.
    pub(super) fn open(&mut self, key: Key) {
        let source = plan_of(key.0).and_then(Plan::source);
        for key in [Some(key), source.map(|source| (source, key.1))].into_iter().flatten() {
            self.touched.insert(key);
            if let Some(fate) = self.fates.get_mut(&key).filter(|fate| **fate == Fate::Safe) {
                *fate = Fate::Open;
            }
        }
    }

    /// A queue is being purged. Gives what is gone once that is answered: what expires or is dropped is not, since it may be on its
    /// way to another queue.
    pub(super) fn purge(&mut self, plan: &Plan) -> Vec<Key> {
        let mut all = self.remove(plan.name);
        if plan.name == FIFO {
            self.forgotten.extend(all.iter().map(|(_, number)| *number));
            self.known.retain(|number| !self.forgotten.contains(number));
        }
        all.retain(|key| plan.keeps_its_messages() && !self.away.contains(key));
        all
    }

    /// A queue is being purged or deleted.
    pub(super) fn remove(&mut self, queue: &str) -> Vec<Key> {
        let all: Vec<Key> = self.fates.keys().filter(|(name, _)| *name == queue).copied().collect();
        all.iter().for_each(|key| self.open(*key));
        self.removed.extend(&all);
        all
    }

    /// A durable message that was confirmed by the queue of groups, to be published there again: it is not kept, whatever has
    /// become of it.
    pub(super) fn again(&self, now: Now, random: &mut Random) -> Option<Message> {
        let number = *self.known.range(random.below(self.published + 1)..).next()?;
        let mut message = message_of(number, 0);
        message.routing_key = Bytes::from_static(FIFO.as_bytes());
        message.received_at = now.unix;
        message.durable = true;
        Some(message)
    }

    pub(super) fn confirmed(&mut self, number: u64) {
        let has_id = !self.in_runs.contains(&number) && !self.forgotten.contains(&number);
        if has_id && self.fates.contains_key(&(FIFO, number)) && !self.transient.contains(&number) {
            self.known.insert(number);
        }
        for plan in &PLANS[..PUBLISHED] {
            let key = (plan.name, number);
            if self.fates.get(&key) == Some(&Fate::Open) && !self.touched.contains(&key) {
                self.fates.insert(key, Fate::Safe);
            }
        }
    }

    /// It was answered that they are gone. A crash may have made two of a dead letter: another may still be there.
    pub(super) fn gone(&mut self, keys: &[Key]) {
        let gone = keys.iter().filter(|key| plan_of(key.0).is_some_and(|plan| plan.source().is_none()));
        self.fates.extend(gone.map(|key| (*key, Fate::Gone)));
    }

    /// A message has come out of a queue.
    pub(super) fn delivered(&mut self, plan: &Plan, delivery: &Delivery, fate: Fate) -> Key {
        let key = self.look(plan, delivery);
        if self.damaged {
            return key;
        }
        let known = self.fates.get(&key).copied().unwrap_or(Fate::Gone);
        assert_ne!(known, Fate::Gone, "{key:?} was handed out");
        let is_letter = plan.source().is_some();
        if delivery.delivery_count == 0 && !is_letter {
            assert!(self.first.insert(key), "{key:?} was handed out twice");
        }
        let level = match plan.name {
            "priorities" => delivery.message.priority.min(3),
            FIFO => group_of(key.1),
            _ => 0,
        };
        self.away.insert(key);
        if self.seen.insert(key)
            && !is_letter
            && plan.keeps_its_messages()
            && !self.delayed.contains(&key.1)
            // Those of runs have no group.
            && (plan.name != FIFO || !self.in_runs.contains(&key.1))
            && !self.removed.contains(&key)
        {
            let newest = self.newest.insert((plan.name, level), key.1);
            assert!(newest < Some(key.1) || self.out_of_order, "{key:?} was handed out after {newest:?}");
        }
        if fate == Fate::Open {
            self.open(key);
        } else if !is_letter && self.defined && plan.name != FLEETING {
            // Who has seen it counts on it.
            self.fates.insert(key, Fate::Safe);
        }
        key
    }

    /// Checks what can be said of a message alone.
    fn look(&self, plan: &Plan, delivery: &Delivery) -> Key {
        let number = number_of(plan.name, &delivery.message);
        assert_eq!(delivery.message.durable, !self.transient.contains(&number));
        (plan.name, number)
    }

    /// The process has ended: what was not to survive did not.
    pub(super) fn ended(&mut self, end: End) {
        self.power_cuts += u64::from(end == End::Power);
        for (key, fate) in &mut self.fates {
            let durability = plan_of(key.0).map_or(Durability::Fsync, |plan| plan.durability);
            match durability {
                _ if self.transient.contains(&key.1) => *fate = Fate::Gone,
                Durability::Memory => *fate = Fate::Gone,
                Durability::Os if end == End::Power => *fate = Fate::Open,
                _ => {}
            }
        }
        self.first.clear();
        self.touched.clear();
    }

    /// All that is there was found.
    pub(super) fn check(&mut self, found: &[Key]) {
        let set: BTreeSet<Key> = found.iter().copied().collect();
        let counted = found.iter().filter(|key| plan_of(key.0).is_some_and(|plan| plan.source().is_none()));
        let distinct = set.iter().filter(|key| plan_of(key.0).is_some_and(|plan| plan.source().is_none()));
        assert_eq!(counted.count(), distinct.count(), "something is there twice");
        for (key, fate) in &self.fates {
            let letters = plan_of(key.0).and_then(|plan| plan.letters);
            let is_there = set.contains(key) || letters.is_some_and(|letters| set.contains(&(letters, key.1)));
            assert!(*fate != Fate::Safe || is_there, "{key:?} is lost");
        }
        for (key, fate) in &mut self.fates {
            *fate = match set.contains(key) {
                // Finding them took them away.
                true if key.0 == FIFO => Fate::Open,
                true => Fate::Safe,
                false => Fate::Gone,
            };
        }
        self.away.clear();
        // Letters that are still to come.
        let coming = set.iter().filter_map(|key| Some((plan_of(key.0)?.letters?, key.1)));
        for key in coming.filter(|key| key.0 != "dead") {
            self.fates.entry(key).and_modify(|fate| *fate = Fate::Open);
        }
    }
}

impl Truth {
    /// What must be there, and neither it nor its letter is found.
    pub(super) fn lost(&self, found: &[Key]) -> Vec<Key> {
        let set: BTreeSet<Key> = found.iter().copied().collect();
        let letter = |key: &Key| plan_of(key.0).and_then(|plan| plan.letters).map(|letters| (letters, key.1));
        let is_found = |key: &Key| set.contains(key) || letter(key).is_some_and(|letter| set.contains(&letter));
        let safe = self.fates.iter().filter(|(_, fate)| **fate == Fate::Safe).map(|(key, _)| *key);
        safe.filter(|key| !is_found(key)).collect()
    }
}

/// The number of a message that came out of a queue: everything else of it follows from that.
pub(super) fn number_of(queue: &str, message: &Message) -> u64 {
    let text = message.body.get(..8).and_then(|digits| std::str::from_utf8(digits).ok());
    let number: u64 = text.and_then(|text| text.parse().ok()).expect("a number");
    let expected = message_of(number, message.body.len() - 8);
    assert_eq!(message.body, expected.body, "the body of {number} in {queue}");
    let alike = match message.properties == RUN_PROPERTIES {
        true => (RUN_PRIORITY, RUN_PROPERTIES),
        false => (expected.priority, &expected.properties[..]),
    };
    assert_eq!((message.priority, &message.properties[..]), alike);
    number
}

/// The message of that number: eight digits, then so many bytes that follow from it.
fn message_of(number: u64, filler_bytes: usize) -> Message {
    let mut random = Random::from_seed(number);
    let mut body = format!("{number:08}").into_bytes();
    body.extend((0..filler_bytes).map(|_| random.next_u64() as u8));
    let properties = Bytes::from(vec![number as u8; (number % 7) as usize]);
    let mut message = Message::new(plain_format(), "".into(), Bytes::new(), properties, Bytes::from(body));
    message.priority = (number % 5) as u8;
    let group = Text::from(group_of(number).to_string());
    let known_as = Deduplication { id: number.to_string().into(), message_id: u128::from(number) };
    let rare = message.rare_mut();
    (rare.group, rare.deduplication) = (Some(group), Some(known_as));
    message
}

fn group_of(number: u64) -> u8 {
    (number % 3) as u8
}
