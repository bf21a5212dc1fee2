//! Runs: whatever a queue is like, what is seen is the same as if their messages had come one by one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crossdock_common::command::{BoundedBy, Fetch, Lease, Outcome, PublishRun, Subscribe};
use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::event::{Delivery, Reply};
use crossdock_common::names::DeliveryId;
use crossdock_common::random::Random;
use crossdock_common::testkit::plain_format;
use crossdock_common::{Arrived, Command, ConsumerId, Event, Lane, Name, RequestId, Run, Value};

use super::support::{Tester, World, bodies, message, queue_spec};
use crate::{Paging, cost_bytes};

const QUEUE: &str = "q";
const LETTERS: &str = "letters";
/// What a queue may be declared with.
const KINDS: [&[(&str, i32)]; 9] = [
    &[],
    &[("x-message-ttl", 400)],
    &[("x-message-ttl", 0)],
    &[("x-max-length", 5)],
    &[("x-max-length", 7), ("reject", 1)],
    &[("x-max-length-bytes", 20)],
    &[("x-max-priority", 3)],
    &[("x-delivery-limit", 2)],
    &[("single", 1)],
];

fn arguments(kind: &[(&str, i32)]) -> Vec<(&'static str, Value)> {
    let mut arguments =
        vec![("x-dead-letter-exchange", Value::string("")), ("x-dead-letter-routing-key", Value::string(LETTERS))];
    for (name, value) in kind {
        arguments.push(match *name {
            "reject" => ("x-overflow", Value::string("reject-publish")),
            "single" => ("x-single-active-consumer", Value::Bool(true)),
            name => {
                let known = KINDS.iter().flat_map(|kind| kind.iter()).find(|(known, _)| *known == name);
                (known.map_or("", |(known, _)| known), Value::I32(*value))
            }
        });
    }
    arguments
}

/// A broker whose publisher sends runs, or the same messages one by one.
struct Side {
    world: World,
    client: Tester,
    in_runs: bool,
    /// What was seen, by who saw it, in order; confirms and refusals by number.
    seen: BTreeMap<String, Vec<String>>,
    held: Vec<DeliveryId>,
    runs_heard: usize,
}

impl Side {
    fn new(kind: &[(&str, i32)], random: &mut Random, in_runs: bool) -> Self {
        let mut world = World::new();
        let mut client = world.client("u");
        client.queue(&world, LETTERS, &[]);
        client.queue(&world, QUEUE, &arguments(kind));
        // Nothing of it survives, so that durable messages are not written for it.
        let spec = QueueSpec { durable: false, ..queue_spec("other", &[]) };
        client.define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
        for queue in [QUEUE, "other"] {
            client.bind(&world, "amq.fanout", queue, "");
        }
        world.instantly_durable = random.below(2) == 0;
        Self { world, client, in_runs, seen: BTreeMap::new(), held: Vec::new(), runs_heard: 0 }
    }

    fn publish(&mut self, publish: PublishRun) {
        let commands = match self.in_runs {
            true => VecDeque::from([Command::PublishRun(Box::new(publish))]),
            false => publish.publishes().map(Command::Publish).collect(),
        };
        self.client.commands.extend(commands);
        self.client.client.execute(self.world.now, &mut self.client.commands);
    }

    fn hear(&mut self) {
        loop {
            self.client.hear(&self.world);
            self.world.serve_reads();
            let events = std::mem::take(&mut self.client.events);
            if events.is_empty() {
                return;
            }
            let written_bytes = events.iter().map(cost_bytes).sum();
            events.into_iter().for_each(|event| self.heard(event));
            self.client.client.written(self.world.now, written_bytes);
        }
    }

    fn heard(&mut self, event: Event) {
        match event {
            Event::Deliver(deliveries) => deliveries.iter().for_each(|delivery| self.delivered(delivery)),
            Event::DeliverRun(run) => {
                self.runs_heard += 1;
                run.deliveries().for_each(|delivery| self.delivered(&delivery));
            }
            Event::Fetched { deliveries, .. } => deliveries.iter().for_each(|delivery| self.delivered(delivery)),
            Event::Confirmed { confirms, .. } => confirms.into_iter().for_each(|number| self.see("good", number)),
            Event::Rejected { confirm, .. } => self.see("bad", confirm),
            Event::Unroutable { message, .. } => self.see("unroutable", format!("{:?}", message.body)),
            Event::Reply { result, .. } => assert!(result.is_ok(), "{result:?}"),
            other => self.see("other", format!("{other:?}")),
        }
    }

    fn delivered(&mut self, delivery: &Delivery) {
        let Delivery { id, message, delivery_count, first_delivered_at, expires_at, .. } = delivery;
        self.see(
            &format!("consumer {} of {}", delivery.consumer.0, id.queue.0),
            format!(
                "{} {:?} {:?} {delivery_count} {first_delivered_at:?} {expires_at:?}",
                id.position, message.body, message.ttl_ms
            ),
        );
        self.held.push(*id);
    }

    fn see(&mut self, who: &str, what: impl ToString) {
        self.seen.entry(who.to_owned()).or_default().push(what.to_string());
    }

    fn send(&mut self, make: impl FnOnce(RequestId) -> Command) {
        self.client.ask(&self.world, make);
    }

    /// What was seen and what is there.
    fn outcome(&mut self) -> (BTreeMap<String, Vec<String>>, String) {
        self.hear();
        self.world.check_ledgers();
        // Queues are served in any order.
        self.held.sort_by_key(|id| (id.queue, id.position));
        for who in ["good", "bad"] {
            self.seen.entry(who.to_owned()).or_default().sort();
        }
        (self.seen.clone(), format!("{:?} {:?}", self.world.broker.ledger(), self.world.broker.counts()))
    }
}

fn run_of(world: &World, key: &str, exchange: &str, random: &mut Random, number: u64) -> Run {
    let count = 1 + random.below(8);
    let bodies: Vec<String> = (0..count).map(|index| format!("{}", number + index)).collect();
    let (exchange, user) = (Name::from(exchange), Name::from("u"));
    let arrived = Arrived {
        format: plain_format(),
        exchange: &exchange,
        routing_key: key.as_bytes(),
        properties: b"p",
        body: &[],
        durable: random.below(3) == 0,
        priority: random.below(3) as u8,
        ttl_ms: [None, None, None, Some(300)][random.below(4) as usize],
        user: &user,
        received_at: world.now.unix,
    };
    Run::new(&arrived, bodies.iter().map(String::as_bytes))
}

fn step(random: &mut Random, sides: &mut [Side; 2], number: u64) {
    let choice = random.below(12);
    let (argument, more) = (random.below(1 << 20), random.below(3));
    let run = {
        let (exchange, key) = [("", QUEUE), ("amq.fanout", ""), ("", QUEUE), ("", "nobody")][argument as usize % 4];
        run_of(&sides[0].world, key, exchange, random, number)
    };
    for side in sides {
        let queue = Name::from([QUEUE, QUEUE, "other"][more as usize]);
        match choice {
            0..=4 => {
                let confirm = (argument & 8 != 0).then_some(number);
                side.publish(PublishRun { lane: Lane(0), confirm, run: run.clone(), mandatory: argument & 16 != 0 });
                // Sometimes more comes at once.
                if argument & 32 == 0 {
                    side.hear();
                }
            }
            5..=6 => side.send(|request| {
                let subscribe = Subscribe {
                    consumer: ConsumerId(number),
                    lane: Lane(1),
                    queue,
                    presettled: argument & 3 != 0,
                    exclusive: false,
                    priority: (argument & 1) as i32,
                    window: (argument >> 3) as u32 % 4,
                    bounded_by: BoundedBy::Peer,
                    arguments: vec![],
                };
                Command::Subscribe { request, subscribe: Box::new(subscribe) }
            }),
            7 => side.send(|request| {
                let (lease, presettled) = (Lease::Connection, argument & 1 == 0);
                let (lane, wait_ms, count_max) = (Lane(0), (argument & 2) * 200, more as u32 + 1);
                Command::Fetch {
                    request,
                    fetch: Box::new(Fetch { lane, queue, count_max, presettled, lease, wait_ms }),
                }
            }),
            8..=9 if !side.held.is_empty() => {
                let at = argument as usize % side.held.len();
                let deliveries: Vec<DeliveryId> = side.held.drain(at..side.held.len().min(at + 3)).collect();
                let outcome = [Outcome::Accepted, Outcome::Released, Outcome::Rejected][more as usize];
                side.client.send(&side.world, Command::Settle { deliveries, outcome, request: None });
            }
            10 => side.world.sync(),
            11 => side.world.advance_ms(argument % 300),
            _ => {}
        }
    }
}

fn compare(seed: u64) -> usize {
    let mut random = Random::from_seed(seed);
    let kind = KINDS[random.below(KINDS.len() as u64) as usize];
    let start = random.below(u64::MAX);
    let mut sides = [true, false].map(|in_runs| Side::new(kind, &mut Random::from_seed(start), in_runs));
    for number in 0..60 {
        step(&mut random, &mut sides, 1 + number * 10);
        sides.iter_mut().for_each(|side| side.world.sync());
        let [runs, single] = sides.each_mut().map(Side::outcome);
        assert_eq!(runs, single, "seed {seed}: {kind:?}");
    }
    sides[0].runs_heard
}

#[test]
fn a_run_is_what_its_messages_are_whatever_the_queue_is_like() {
    let seeds: u64 = std::env::var("CROSSDOCK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let runs: usize = (0..seeds).map(compare).sum();
    assert!(runs as u64 > seeds / 4, "only {runs} were passed on as a whole");
}

/// Bodies `from` to `to`.
fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// A client and a queue that has a run of `count` transient messages, `1` and so on.
fn filled(world: &World, count: u64) -> Tester {
    let mut client = world.client("u");
    client.queue(world, QUEUE, &[]);
    client.publish(world, "", QUEUE, "0");
    client.publish_run(world, ("", QUEUE), false, &numbers(1..=count), None);
    client
}

/// How many messages each run had that came since the last call.
fn run_lengths(client: &mut Tester, world: &World) -> Vec<usize> {
    client.hear(world);
    let lengths = client.events.iter().filter_map(|event| match event {
        Event::DeliverRun(run) => Some(run.run.len()),
        _ => None,
    });
    lengths.collect()
}

#[test]
fn a_run_waits_as_a_whole_and_is_cut_where_the_window_ends() {
    let world = World::new();
    let mut client = filled(&world, 9);
    client.consume(&world, QUEUE, 1, 4).expect("consumes");
    assert_eq!(run_lengths(&mut client, &world), [3]);
    let held = client.deliveries(&world);
    assert_eq!(bodies(&held), numbers(0..=3));
    client.settle(&world, &held[..2], Outcome::Accepted);
    assert_eq!(run_lengths(&mut client, &world), [2]);
    let more = client.deliveries(&world);
    client.settle(&world, &[&held[2..], &more].concat(), Outcome::Accepted);
    assert_eq!(run_lengths(&mut client, &world), [4]);
    assert_eq!(client.bodies(&world), numbers(6..=9));
}

#[test]
fn several_consumers_get_the_messages_of_a_run_in_turn() {
    let world = World::new();
    let mut client = filled(&world, 0);
    client.drain(&world, QUEUE);
    (1..=3).for_each(|consumer| drop(client.consume(&world, QUEUE, consumer, 0).expect("consumes")));
    client.publish_run(&world, ("", QUEUE), false, &numbers(1..=6), None);
    let got: Vec<u64> = client.deliveries(&world).iter().map(|delivery| delivery.consumer.0).collect();
    assert_eq!(got.iter().filter(|consumer| **consumer == 2).count(), 2);
}

#[test]
fn a_message_of_a_run_that_is_given_back_comes_again_at_its_place_and_the_others_do_not() {
    let world = World::new();
    let mut client = filled(&world, 9);
    client.consume(&world, QUEUE, 1, 0).expect("consumes");
    let held = client.deliveries(&world);
    client.request(&world, |request| Command::Unsubscribe { request, consumer: ConsumerId(1) }).expect("ends");
    client.settle(&world, &held[..3], Outcome::Accepted);
    client.settle(&world, &[held[6].clone(), held[4].clone()], Outcome::Released);
    client.settle(&world, &[&held[..4], &held[5..]].concat(), Outcome::Accepted);
    let again = client.fetch(&world, QUEUE, 9, Lease::Connection);
    assert_eq!((bodies(&again), again[0].delivery_count), (vec!["4".into(), "6".into()], 1));
    assert_eq!(world.broker.counts().unsettled, 2);
}

#[test]
fn what_a_lost_connection_held_of_a_run_comes_again_before_the_rest() {
    let world = World::new();
    let mut client = filled(&world, 9);
    client.consume(&world, QUEUE, 1, 5).expect("consumes");
    let held = client.deliveries(&world);
    client.settle(&world, &held[2..3], Outcome::Accepted);
    client.hear(&world);
    client.client.close(world.now);
    let mut other = world.client("u");
    assert_eq!(other.drain(&world, QUEUE), ["0", "1", "3", "4", "5", "6", "7", "8", "9"]);
}

#[test]
fn messages_behind_a_run_come_behind_it() {
    let mut world = World::new();
    let mut client = filled(&world, 3);
    world.instantly_durable = false;
    client.publish(&world, "", QUEUE, "durable");
    client.publish_run(&world, ("", QUEUE), false, &numbers(4..=6), None);
    let mut transient = message(&world, "", QUEUE, "single");
    transient.durable = false;
    client.publish_message(&world, transient, None);
    client.consume(&world, QUEUE, 1, 0).expect("consumes");
    world.sync();
    assert_eq!(client.bodies(&world), ["0", "1", "2", "3", "durable", "4", "5", "6", "single"]);
}

#[test]
fn a_purge_and_a_fetch_see_the_messages_of_a_run() {
    let world = World::new();
    let mut client = filled(&world, 9);
    let fetched = client.fetch(&world, QUEUE, 3, Lease::Connection);
    assert_eq!(bodies(&fetched), numbers(0..=2));
    assert_eq!(world.broker.counts().ready, 7);
    client.publish_run(&world, ("", QUEUE), false, &numbers(10..=19), None);
    assert!(matches!(client.purge(&world, QUEUE), Ok(Reply::Count(17))));
    client.settle(&world, &fetched, Outcome::Released);
    assert_eq!(client.drain(&world, QUEUE), numbers(0..=2));
}

#[test]
fn a_run_expires_as_its_messages_do() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, LETTERS, &[]);
    client.queue(&world, QUEUE, &arguments(&[("x-message-ttl", 400)]));
    client.publish(&world, "", QUEUE, "0");
    client.publish_run(&world, ("", QUEUE), false, &numbers(1..=9), Some(1));
    assert_eq!(client.confirmed(&world), (1..=9).collect::<Vec<_>>());
    world.advance_ms(401);
    assert_eq!(client.drain(&world, LETTERS), numbers(0..=9));
}

#[test]
fn runs_are_no_way_around_the_memory_limit() {
    let world = World::paging(Paging { memory_bytes_max: 20_000, page_references: 64, ..Paging::default() });
    let mut client = filled(&world, 9);
    for number in 0..100 {
        client.publish_run(&world, ("", QUEUE), false, &numbers(10 + number * 9..=18 + number * 9), None);
    }
    assert!(world.broker.messages_memory_bytes() < 40_000);
    assert_eq!(client.drain(&world, QUEUE), numbers(0..=909));
}

/// Memory for some of what a short test publishes.
fn little_memory(random: &mut Random) -> Paging {
    Paging {
        memory_bytes_max: random.below(8_000),
        read_ahead_bytes: 1 + random.below(2_000),
        page_references: 1 + random.below(6) as usize,
        ..Paging::default()
    }
}

/// Publishes, takes and gives back, where only some of the messages fit into memory. Bodies are numbers that grow.
fn keep_in_order(seed: u64) {
    let mut random = Random::from_seed(seed);
    let world = World::paging(little_memory(&mut random));
    let mut client = world.client("u");
    client.queue(&world, QUEUE, &[]);
    let is_consumed = random.below(2) == 0;
    if is_consumed {
        client.consume(&world, QUEUE, 1, 1 + random.below(9) as u32).expect("consumes");
    }
    let (mut ready, mut held, mut next) = (BTreeSet::new(), Vec::new(), 10_000);
    for _ in 0..80 {
        let count = 1 + random.below(12);
        match random.below(9) {
            0..=3 => {
                let published = numbers(next..=next + count - 1);
                client.publish_run(&world, ("", QUEUE), random.below(4) == 0, &published, None);
                (next, ready) = (next + count, ready.into_iter().chain(published).collect());
            }
            4 => {
                let mut single = message(&world, "", QUEUE, &next.to_string());
                single.durable = random.below(2) == 0;
                client.publish_message(&world, single, None);
                ready.insert(next.to_string());
                next += 1;
            }
            5 => world.snapshot(),
            6 => {
                let settled: Vec<Delivery> = held.drain(random.below(held.len() as u64 + 1) as usize..).collect();
                if random.below(2) == 0 {
                    client.settle(&world, &settled, Outcome::Accepted);
                } else {
                    ready.extend(bodies(&settled));
                    client.settle(&world, &settled, Outcome::Released);
                }
            }
            _ if is_consumed => client.settle(&world, &std::mem::take(&mut held), Outcome::Accepted),
            _ => {
                let fetched = client.fetch(&world, QUEUE, count as u32, Lease::Connection);
                assert_eq!(fetched.is_empty(), ready.is_empty(), "seed {seed}");
                take_first(&mut ready, &fetched, seed);
                held.extend(fetched);
            }
        }
        world.serve_reads();
        let delivered = client.deliveries(&world);
        take_first(&mut ready, &delivered, seed);
        held.extend(delivered);
    }
    world.check_ledgers();
    client.client.close(world.now);
    ready.extend(bodies(&held));
    assert_eq!(world.client("u").drain(&world, QUEUE), ready.into_iter().collect::<Vec<_>>(), "seed {seed}");
}

/// They are the oldest.
fn take_first(ready: &mut BTreeSet<String>, taken: &[Delivery], seed: u64) {
    let first: Vec<String> = taken.iter().filter_map(|_| ready.pop_first()).collect();
    assert_eq!(bodies(taken), first, "seed {seed}");
}

#[test]
fn runs_and_what_is_on_disk_stay_in_order() {
    (0..400).for_each(keep_in_order);
}
