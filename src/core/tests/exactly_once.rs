//! Publications that their session's peer sends again: each is in each queue once, whatever dies.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crossdock_common::command::{ExactlyOnce, OpenSession, Publish};
use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::event::{Reply, SessionInfo};
use crossdock_common::random::Random;
use crossdock_common::{Command, ConsumerId, Event, Lane, RequestId, Shared, Value};

use super::support::{SHARDS, Tester, World, binding, message, partition_of, queue_spec, some_paging};
use crate::{Partition, RecordKind, Sequence};

/// Queues of both shards, and the session's.
const QUEUES: [&str; 3] = ["a", "b", "c"];

fn open(world: &World) -> (Tester, Box<SessionInfo>) {
    let mut client = world.client("u");
    let name = "s".into();
    let session = OpenSession {
        name,
        clean: false,
        expiry_ms: None,
        will: None,
        window: 10,
        consumer: ConsumerId(0),
        exchange: "amq.topic".into(),
        queue: Shared::default(),
    };
    let request = client.ask(world, |request| Command::OpenSession { request, session: Box::new(session) });
    world.broker.durable(Partition::Definitions, Sequence(world.logs[0].lock().all.len() as u64), world.now);
    client.hear(world);
    match client.answer(request) {
        Some(Ok(Reply::Session(info))) => (client, info),
        other => panic!("{other:?}"),
    }
}

fn publish(world: &World, client: &mut Tester, (id, again): (u16, bool), body: &str, confirm: u64) {
    let message = Arc::new(message(world, "amq.fanout", "", body));
    let (lane, confirm, exactly_once) = (Lane(0), Some(confirm), Some(ExactlyOnce { id, again }));
    let publish = Publish { lane, confirm, message, mandatory: false, retain: false, exactly_once };
    client.send(world, Command::Publish(publish));
}

/// Queues of both shards that everything goes to; logs become durable when the test says so.
fn world() -> World {
    let mut world = World::new();
    prepare(&mut world);
    world
}

fn prepare(world: &mut World) {
    let mut client = world.client("u");
    for queue in QUEUES {
        client.queue(world, queue, &[]);
        client.bind(world, "amq.fanout", queue, "");
    }
    drop(open(world));
    let before = lengths(world);
    client.publish(world, "amq.fanout", "", "to all");
    assert!(lengths(world)[1..].iter().zip(&before[1..]).all(|(now, then)| now > then), "both shards have a queue");
    QUEUES.iter().for_each(|queue| assert_eq!(client.drain(world, queue), ["to all"]));
    world.instantly_durable = false;
}

fn lengths(world: &World) -> Vec<usize> {
    world.logs.iter().map(|log| log.lock().all.len()).collect()
}

fn crash(world: &mut World, kept: &[usize]) {
    world.crash(kept);
    world.instantly_durable = false;
}

fn contents(world: &mut World) -> Vec<Vec<String>> {
    world.instantly_durable = true;
    world.sync();
    let mut client = world.client("u");
    let contents = QUEUES.iter().map(|queue| client.drain(world, queue)).collect();
    world.instantly_durable = false;
    contents
}

fn assert_everywhere(world: &mut World, bodies: &[&str]) {
    assert_eq!(contents(world), vec![bodies.to_vec(); QUEUES.len()]);
}

/// Sends it again and lets all logs become durable: it is confirmed.
fn send_again(world: &World, (id, body): (u16, &str)) -> Tester {
    let (mut client, info) = open(world);
    assert!(info.received.is_empty(), "{:?}", info.received);
    publish(world, &mut client, (id, true), body, 0);
    assert!(client.confirmed(world).is_empty(), "not durable yet");
    world.sync();
    assert_eq!(client.confirmed(world), [0]);
    assert_eq!(open(world).1.received, [id]);
    client
}

/// What there is becomes durable, and what follows from that does not. Gives the log that is to keep the id.
fn sync_to_the_id(world: &World) -> usize {
    let before = lengths(world);
    world.sync_once();
    let is_state = |record: &(RecordKind, u64, Vec<u8>)| record.0 == RecordKind::SessionState;
    let of_session = |log: usize| world.logs[log].lock().all[before[log]..].iter().flatten().any(is_state);
    (1..=SHARDS).find(|log| of_session(*log)).expect("the id is to be kept")
}

#[test]
fn a_crash_after_the_message_and_before_its_id_is_kept() {
    for snapshot in [false, true] {
        let mut world = world();
        let (mut client, _) = open(&world);
        publish(&world, &mut client, (5, false), "m", 0);
        let kept = lengths(&world);
        if snapshot {
            // Only a snapshot speaks of some of the messages then; what follows from their being durable is not kept.
            let session = sync_to_the_id(&world);
            (1..=SHARDS).filter(|log| *log != session).for_each(|log| world.snapshot_of(log));
        }
        crash(&mut world, &kept);
        send_again(&world, (5, "m"));
        assert_everywhere(&mut world, &["m"]);
    }
}

#[test]
fn a_crash_when_one_of_two_shards_had_the_message() {
    for lucky in 0..SHARDS {
        let mut world = world();
        let (mut client, _) = open(&world);
        let mut kept = lengths(&world);
        publish(&world, &mut client, (5, false), "m", 0);
        kept[1 + lucky] = lengths(&world)[1 + lucky];
        crash(&mut world, &kept);
        // And once more when the other one has it.
        let (mut client, _) = open(&world);
        publish(&world, &mut client, (5, true), "m", 0);
        let kept = lengths(&world);
        crash(&mut world, &kept);
        let mut client = send_again(&world, (5, "m"));
        client.ask(&world, |request| Command::ReleasePublication { request, id: 5 });
        world.sync();
        assert_everywhere(&mut world, &["m"]);
    }
}

#[test]
fn what_was_consumed_before_the_crash_does_not_come_again() {
    let mut world = world();
    let (mut client, _) = open(&world);
    publish(&world, &mut client, (5, false), "m", 0);
    let before = lengths(&world);
    let session = sync_to_the_id(&world);
    assert_eq!(contents(&mut world), vec![vec!["m"]; QUEUES.len()]);
    let mut kept = lengths(&world);
    kept[session] = before[session];
    crash(&mut world, &kept);
    let left = contents(&mut world);
    assert!(left.contains(&Vec::new()), "consumed in the other shard: {left:?}");
    send_again(&world, (5, "m"));
    assert_everywhere(&mut world, &[]);
}

#[test]
fn an_id_that_was_released_is_a_new_messages() {
    let mut world = world();
    let (mut client, _) = open(&world);
    publish(&world, &mut client, (5, false), "first", 0);
    world.sync();
    assert_eq!(client.confirmed(&world), [0]);
    let request = client.ask(&world, |request| Command::ReleasePublication { request, id: 5 });
    assert!(client.answer(request).is_none(), "not durable yet");
    world.sync();
    client.hear(&world);
    assert!(matches!(client.answer(request), Some(Ok(Reply::Done))));
    // The next message with that id was on its way when the broker died: nothing of it arrived.
    let kept = lengths(&world);
    publish(&world, &mut client, (5, false), "second", 1);
    crash(&mut world, &kept);
    send_again(&world, (5, "second"));
    assert_everywhere(&mut world, &["first", "second"]);
}

#[test]
fn an_id_that_is_used_anew_without_a_word_is_a_new_messages() {
    let mut world = world();
    let (mut client, _) = open(&world);
    publish(&world, &mut client, (5, false), "first", 0);
    let kept = lengths(&world);
    crash(&mut world, &kept);
    let (mut client, _) = open(&world);
    publish(&world, &mut client, (5, false), "second", 0);
    world.sync();
    assert_eq!(client.confirmed(&world), [0]);
    assert_everywhere(&mut world, &["first", "second"]);
}

#[test]
fn a_connection_that_comes_back_waits_for_what_the_last_one_sent() {
    let mut world = world();
    let (mut old, _) = open(&world);
    publish(&world, &mut old, (5, false), "m", 0);
    let (mut new, info) = open(&world);
    assert!(info.received.is_empty());
    publish(&world, &mut new, (5, true), "m", 7);
    assert!(new.confirmed(&world).is_empty());
    publish(&world, &mut new, (6, true), "n", 8);
    // What the old connection's socket still held is not taken.
    publish(&world, &mut old, (6, false), "n", 1);
    world.sync();
    assert_eq!(new.confirmed(&world), [7, 8]);
    publish(&world, &mut new, (5, true), "m", 9);
    assert_eq!(new.confirmed(&world), [7, 8, 9], "at once");
    assert_everywhere(&mut world, &["m", "n"]);
}

#[test]
fn a_queue_that_is_not_durable_itself_is_waited_for() {
    let mut world = World::new();
    let (mut client, _) = open(&world);
    world.instantly_durable = false;
    let mut admin = world.client("u");
    let spec = QueueSpec { durable: true, ..queue_spec("new", &[]) };
    let declare = Box::new(Definition::DeclareQueue { spec, passive: false });
    admin.ask(&world, |request| Command::Define { request, definition: declare });
    admin.ask(&world, |request| Command::Define {
        request,
        definition: Box::new(Definition::Bind(binding("amq.fanout", "new", ""))),
    });
    publish(&world, &mut client, (1, false), "m", 0);
    (0..3).for_each(|_| world.sync_once());
    assert!(client.confirmed(&world).is_empty(), "the queue may be gone after a crash");
    world.sync();
    assert_eq!(client.confirmed(&world), [0]);
}

#[test]
fn a_message_that_a_full_queue_refused_is_over() {
    let mut world = World::new();
    let mut client = world.client("u");
    let full = [("x-max-length", Value::U64(1)), ("x-overflow", Value::string("reject-publish"))];
    client.queue(&world, "a", &full);
    client.bind(&world, "amq.fanout", "a", "");
    let (mut client, _) = open(&world);
    publish(&world, &mut client, (1, false), "first", 0);
    publish(&world, &mut client, (2, false), "second", 1);
    assert_eq!(client.confirmed(&world), [0]);
    assert!(client.events.iter().any(|event| matches!(event, Event::Rejected { confirm: 1, .. })));
    assert_eq!(client.drain(&world, "a"), ["first"]);
    world.restart();
    let (mut client, info) = open(&world);
    assert_eq!(info.received, [1]);
    publish(&world, &mut client, (2, true), "second", 0);
    assert_eq!(client.confirmed(&world), [0]);
    assert_eq!(client.drain(&world, "a"), ["second"]);
}

/// What the peer has of a message that it sends.
struct Outgoing {
    id: u16,
    body: u64,
    /// It knows that the broker has it.
    received: bool,
}

/// A peer that keeps its rules, as the machine would tell of it, with a memory that survives.
struct Peer {
    client: Tester,
    outgoing: VecDeque<Outgoing>,
    last: u64,
    /// Ids that wait for a confirm on this connection; their numbers have no gaps.
    waiting: VecDeque<(u16, bool)>,
    next_confirm: u64,
    releases: BTreeMap<RequestId, u16>,
}

impl Peer {
    fn new(world: &World) -> Self {
        let (client, _) = open(world);
        let (outgoing, waiting, releases) = (VecDeque::new(), VecDeque::new(), BTreeMap::new());
        Self { client, outgoing, last: 0, waiting, next_confirm: 0, releases }
    }

    fn send(&mut self, world: &World, id: u16, body: u64, again: bool) {
        publish(world, &mut self.client, (id, again), &body.to_string(), self.next_confirm);
        self.waiting.push_back((id, false));
        self.next_confirm += 1;
    }

    fn release(&mut self, world: &World, id: u16) {
        let request = self.client.ask(world, |request| Command::ReleasePublication { request, id });
        self.releases.insert(request, id);
    }

    /// A new message; sometimes it is on its way when the connection ends.
    fn send_new(&mut self, world: &World, random: &mut Random) {
        let is_free = |id: &u16| self.outgoing.iter().all(|outgoing| outgoing.id != *id);
        let Some(id) = (1..=4).find(is_free) else { return };
        self.last += 1;
        self.outgoing.push_back(Outgoing { id, body: self.last, received: false });
        if random.below(8) == 0 {
            let Some(mut old) = self.reconnect(world, random) else { return };
            // The socket of the old connection is read to its end.
            let late = random.below(2) == 0;
            late.then(|| publish(world, &mut old, (id, false), &self.last.to_string(), u64::MAX));
            return old.client.close(world.now);
        }
        self.send(world, id, self.last, false);
    }

    /// Takes what the broker has said.
    fn hear(&mut self, world: &World) {
        self.client.hear(world);
        let first = self.next_confirm - self.waiting.len() as u64;
        for confirm in self.client.confirmed(world) {
            if let Some((_, is_done)) = confirm.checked_sub(first).and_then(|at| self.waiting.get_mut(at as usize)) {
                *is_done = true;
            }
        }
        self.client.events.retain(|event| !matches!(event, Event::Confirmed { .. }));
        while let Some((id, _)) = self.waiting.pop_front_if(|(_, is_done)| *is_done) {
            self.outgoing.iter_mut().filter(|outgoing| outgoing.id == id).for_each(|outgoing| outgoing.received = true);
            self.release(world, id);
        }
        let done: Vec<_> = self.releases.keys().copied().filter(|at| self.client.answer(*at).is_some()).collect();
        for id in done.iter().filter_map(|request| self.releases.remove(request)) {
            self.outgoing.retain(|outgoing| outgoing.id != id);
        }
    }

    /// Sends what it does not know to be finished again, as MQTT says.
    /// Gives the old connection, if the broker does not know that it is gone.
    fn reconnect(&mut self, world: &World, random: &mut Random) -> Option<Tester> {
        let is_known = random.below(2) == 0;
        if is_known {
            self.client.client.end(world.now);
        }
        let (client, info) = open(world);
        let old = std::mem::replace(&mut self.client, client);
        self.waiting.clear();
        self.next_confirm = 0;
        self.releases.clear();
        for outgoing in std::mem::take(&mut self.outgoing) {
            let Outgoing { id, body, received } = outgoing;
            let is_held = info.received.contains(&id);
            if !received && !is_held {
                self.send(world, id, body, true);
            } else {
                // The machine may find that the id is not held. It is free when that is durable.
                self.release(world, id);
            }
            self.outgoing.push_back(Outgoing { id, body, received: received || is_held });
        }
        (!is_known).then_some(old)
    }
}

/// The logs become durable as far as it happens.
fn sync_somewhat(world: &World, durable: &mut [usize], random: &mut Random) {
    for (index, (log, durable)) in world.logs.iter().zip(durable).enumerate() {
        let length = log.lock().all.len();
        *durable += random.below((length - *durable) as u64 + 1) as usize;
        world.broker.durable(partition_of(index), Sequence(*durable as u64), world.now);
    }
}

fn history(seed: u64) {
    let mut random = Random::from_seed(seed);
    let mut world = World::paging(some_paging(&mut random));
    prepare(&mut world);
    let mut durable = lengths(&world);
    let mut peer = Peer::new(&world);
    let mut taken = vec![Vec::new(); QUEUES.len()];
    for _ in 0..200 {
        match random.below(20) {
            0..8 => peer.send_new(&world, &mut random),
            8..11 => peer.hear(&world),
            11..15 => sync_somewhat(&world, &mut durable, &mut random),
            15..17 => drop(peer.reconnect(&world, &mut random)),
            17 => {
                for (taken, more) in taken.iter_mut().zip(contents(&mut world)) {
                    taken.extend(more);
                }
                durable = lengths(&world);
            }
            18 => {
                let log = random.below(world.logs.len() as u64) as usize;
                let length = world.logs[log].lock().all.len();
                world.snapshot_of(log);
                durable[log] = length;
            }
            _ => {
                let within = |(length, durable): (usize, &usize)| {
                    *durable + random.below((length - durable + 1) as u64) as usize
                };
                let kept: Vec<usize> = lengths(&world).into_iter().zip(&durable).map(within).collect();
                crash(&mut world, &kept);
                durable = lengths(&world);
                drop(peer.reconnect(&world, &mut random));
            }
        }
    }
    drop(peer.reconnect(&world, &mut random));
    while !peer.outgoing.is_empty() {
        world.sync();
        peer.hear(&world);
    }
    for (taken, more) in taken.iter_mut().zip(contents(&mut world)) {
        taken.extend(more);
    }
    let all: Vec<String> = (1..=peer.last).map(|body| body.to_string()).collect();
    assert_eq!(taken, vec![all; QUEUES.len()], "seed {seed}");
}

#[test]
fn every_history_takes_every_message_once() {
    (0..300).for_each(history);
}
