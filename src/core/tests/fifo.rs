//! FIFO queues: message groups in order, one holder at a time, and ids that were used lately.

use std::collections::{BTreeMap, BTreeSet};

use crossdock_common::command::{Fetch, Lease, Outcome};
use crossdock_common::definition::{DeduplicationScope, Definition, Fifo, QueueSettings, QueueSpec};
use crossdock_common::event::Delivery;
use crossdock_common::message::Deduplication;
use crossdock_common::random::Random;
use crossdock_common::{Command, Event, Lane, Message, RequestId};

use super::support::{Tester, World, bodies, message, queue_spec, some_paging};

const SHORT: Lease = Lease::Timed { lease_ms: 1_000 };

fn fifo(world: &World, client: &mut Tester, scope: DeduplicationScope, more: QueueSettings) {
    let settings = QueueSettings { fifo: Some(Fifo { deduplication_scope: scope }), ..more };
    let spec = QueueSpec { durable: true, settings: settings.into(), ..queue_spec("q.fifo", &[]) };
    client.define(world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
}

fn world() -> (World, Tester) {
    let world = World::new();
    let mut client = world.client("u");
    fifo(&world, &mut client, DeduplicationScope::Queue, QueueSettings::default());
    (world, client)
}

/// The first letter of the body is the group.
fn grouped(world: &World, body: &str) -> Message {
    let mut message = message(world, "", "q.fifo", body);
    message.rare_mut().group = Some(body[..1].into());
    message
}

fn publish(world: &World, client: &mut Tester, names: &[&str]) {
    names.iter().for_each(|name| client.publish_message(world, grouped(world, name), None));
}

fn take(world: &World, client: &mut Tester, count: u32) -> Vec<Delivery> {
    client.fetch(world, "q.fifo", count, SHORT)
}

#[test]
fn a_group_waits_while_somebody_has_messages_of_it_and_others_go_past() {
    let (world, mut client) = world();
    publish(&world, &mut client, &["a1", "a2", "b1", "a3", "c1"]);
    let a1 = take(&world, &mut client, 1);
    assert_eq!(bodies(&a1), ["a1"]);
    let others = take(&world, &mut client, 10);
    assert_eq!(bodies(&others), ["b1", "c1"]);
    assert!(take(&world, &mut client, 10).is_empty());
    client.settle(&world, &a1, Outcome::Accepted);
    assert_eq!(bodies(&take(&world, &mut client, 10)), ["a2", "a3"], "one fetch may take several of a group");
}

#[test]
fn what_comes_back_comes_before_the_rest_of_its_group() {
    let (mut world, mut client) = world();
    publish(&world, &mut client, &["a1", "a2", "a3", "b1"]);
    let first = take(&world, &mut client, 2);
    assert_eq!(bodies(&first), ["a1", "a2"]);
    client.settle(&world, &first[1..], Outcome::Released);
    assert_eq!(bodies(&take(&world, &mut client, 1)), ["b1"], "a1 is still out");
    world.advance_ms(1_000);
    assert_eq!(bodies(&take(&world, &mut client, 10)), ["a1", "a2", "a3", "b1"]);
}

#[test]
fn a_message_given_back_for_later_holds_its_group() {
    let (mut world, mut client) = world();
    publish(&world, &mut client, &["a1", "a2"]);
    let first = take(&world, &mut client, 1);
    client.settle(&world, &first, Outcome::Modified { delay_ms: 5_000 });
    assert!(take(&world, &mut client, 10).is_empty());
    world.restart();
    let mut client = world.client("u");
    assert_eq!(bodies(&take(&world, &mut client, 10)), ["a1", "a2"], "a restart may hand it out early, never late");
}

#[test]
fn consumers_have_one_message_of_a_group_at_a_time() {
    let (world, mut client) = world();
    let mut other = world.client("u");
    client.consume(&world, "q.fifo", 1, 10).expect("consumes");
    other.consume(&world, "q.fifo", 1, 10).expect("consumes");
    publish(&world, &mut client, &["a1", "a2", "b1", "b2"]);
    let (mine, others) = (client.deliveries(&world), other.deliveries(&world));
    assert_eq!((bodies(&mine), bodies(&others)), (vec!["a1".to_owned()], vec!["b1".to_owned()]));
    client.settle(&world, &mine, Outcome::Released);
    let again: Vec<String> = client.bodies(&world).into_iter().chain(other.bodies(&world)).collect();
    assert_eq!(again, ["a1"]);
}

#[test]
fn a_fetch_that_waits_gets_a_message_when_its_group_is_free() {
    let (world, mut client) = world();
    let mut other = world.client("u");
    publish(&world, &mut client, &["a1", "a2"]);
    let first = take(&world, &mut client, 1);
    let (queue, count_max, wait_ms) = ("q.fifo".into(), 10, 20_000);
    let fetch = Fetch { lane: Lane(0), queue, count_max, presettled: false, lease: SHORT, wait_ms };
    other.send(&world, Command::Fetch { request: RequestId(100), fetch: Box::new(fetch) });
    assert!(other.fetched().is_none());
    client.settle(&world, &first, Outcome::Rejected);
    other.hear(&world);
    assert_eq!(bodies(&other.fetched().expect("answered")), ["a2"]);
}

#[test]
fn a_group_goes_on_when_its_last_message_cannot_come_back() {
    let (mut world, mut client) = world();
    publish(&world, &mut client, &["a1", "a2"]);
    world.instantly_durable = false;
    let first = take(&world, &mut client, 1);
    client.settle(&world, &first, Outcome::Accepted);
    assert!(take(&world, &mut client, 1).is_empty(), "a crash would bring a1 back");
    world.sync();
    assert_eq!(bodies(&take(&world, &mut client, 1)), ["a2"]);
}

#[test]
fn messages_with_a_delay_keep_their_order() {
    let mut world = World::new();
    let mut client = world.client("u");
    let later = QueueSettings { delay_ms: Some(5_000), ..QueueSettings::default() };
    fifo(&world, &mut client, DeduplicationScope::Queue, later);
    publish(&world, &mut client, &["a1"]);
    let now = QueueSettings { fifo: Some(Fifo::default()), ..QueueSettings::default() };
    let update = Definition::UpdateQueue { name: "q.fifo".into(), settings: now.into(), attributes: vec![] };
    client.define(&world, update).expect("updates");
    publish(&world, &mut client, &["a2"]);
    assert!(take(&world, &mut client, 10).is_empty());
    world.advance_ms(5_000);
    assert_eq!(bodies(&take(&world, &mut client, 10)), ["a1", "a2"]);
}

/// What is in the queue, by group, and who has it.
#[derive(Default)]
struct Model {
    waiting: BTreeMap<String, BTreeSet<u64>>,
    held: Vec<Delivery>,
}

impl Model {
    fn group(delivery: &Delivery) -> (String, u64) {
        let body = bodies(std::slice::from_ref(delivery)).remove(0);
        (body[..1].to_owned(), body[1..].parse().expect("a number"))
    }

    fn took(&mut self, deliveries: &[Delivery]) {
        for held in &self.held {
            let (group, _) = Self::group(held);
            assert!(deliveries.iter().all(|delivery| Self::group(delivery).0 != group), "{group} was taken");
        }
        for delivery in deliveries {
            let (group, number) = Self::group(delivery);
            let first = self.waiting.get_mut(&group).and_then(BTreeSet::pop_first);
            assert_eq!(first, Some(number), "the first of {group} comes first");
        }
        self.held.extend_from_slice(deliveries);
    }

    fn came_back(&mut self, deliveries: &[Delivery]) {
        for (group, number) in deliveries.iter().map(Self::group) {
            self.waiting.entry(group).or_default().insert(number);
        }
    }
}

/// Random work on a queue whose messages are mostly on disk, with restarts.
fn history(seed: u64) {
    let mut random = Random::from_seed(seed);
    let mut world = World::paging(some_paging(&mut random));
    let mut client = world.client("u");
    fifo(&world, &mut client, DeduplicationScope::Queue, QueueSettings::default());
    let (mut model, mut sent) = (Model::default(), 0);
    for _ in 0..60 {
        match random.below(10) {
            0..4 => {
                for _ in 0..random.below(12) {
                    sent += 1;
                    let group = ["a", "b", "c", "d"][random.below(4) as usize];
                    publish(&world, &mut client, &[&format!("{group}{sent}")]);
                    model.waiting.entry(group.to_owned()).or_default().insert(sent);
                }
            }
            4..7 => {
                let lease = if random.below(2) == 0 { Lease::Connection } else { SHORT };
                model.took(&client.fetch(&world, "q.fifo", 1 + random.below(5) as u32, lease));
            }
            7 => {
                world.snapshot();
                if random.below(2) == 0 {
                    world.restart();
                    client = world.client("u");
                    let held = std::mem::take(&mut model.held);
                    model.came_back(&held);
                }
            }
            _ if model.held.is_empty() => {}
            _ => {
                let settled = [model.held.swap_remove(random.below(model.held.len() as u64) as usize)];
                let accepted = random.below(3) > 0;
                let outcome = if accepted { Outcome::Accepted } else { Outcome::Released };
                client.settle(&world, &settled, outcome);
                if !accepted {
                    model.came_back(&settled);
                }
            }
        }
    }
    client.settle(&world, &model.held, Outcome::Accepted);
    model.held.clear();
    while model.waiting.values().any(|group| !group.is_empty()) {
        let taken = take(&world, &mut client, 10);
        assert!(!taken.is_empty(), "seed {seed}: {:?} are missing", model.waiting);
        model.took(&taken);
        client.settle(&world, &taken, Outcome::Accepted);
        model.held.clear();
    }
    assert!(take(&world, &mut client, 10).is_empty());
}

#[test]
fn groups_keep_their_order_whatever_happens() {
    for seed in 0..150 {
        println!("seed {seed}");
        history(seed);
    }
}

fn known_as(world: &World, body: &str, id: &str, message_id: u128) -> Message {
    let mut message = grouped(world, body);
    message.rare_mut().deduplication = Some(Deduplication { id: id.into(), message_id });
    message
}

/// Where the client's messages were put, and what the first publisher of each called it.
fn places(client: &mut Tester) -> Vec<(u64, u64, Option<u128>)> {
    let place = |event: &Event| match event {
        Event::Placed { confirm, position, original, .. } => Some((*confirm, *position, *original)),
        _ => None,
    };
    client.events.iter().filter_map(place).collect()
}

#[test]
fn a_message_with_a_known_id_is_confirmed_and_not_kept() {
    let (mut world, mut client) = world();
    client.publish_message(&world, known_as(&world, "a1", "x", 7), Some(1));
    let first = take(&world, &mut client, 10);
    client.settle(&world, &first, Outcome::Accepted);
    world.advance_ms(299_999);
    client.publish_message(&world, known_as(&world, "b2", "x", 8), Some(2));
    assert_eq!(client.confirmed(&world), [1, 2]);
    assert_eq!(places(&mut client), [(1, 1, None), (2, 1, Some(7))]);
    assert!(take(&world, &mut client, 10).is_empty());
    world.advance_ms(1);
    client.publish_message(&world, known_as(&world, "a3", "x", 9), Some(3));
    assert_eq!(bodies(&take(&world, &mut client, 10)), ["a3"]);
}

#[test]
fn an_id_is_known_over_restarts_with_and_without_its_message() {
    for snapshot in [false, true] {
        let (mut world, mut client) = world();
        client.publish_message(&world, known_as(&world, "a1", "x", 7), Some(1));
        client.drain(&world, "q.fifo");
        if snapshot {
            world.snapshot();
        }
        world.advance_ms(200_000);
        world.restart();
        let mut client = world.client("u");
        client.publish_message(&world, known_as(&world, "a2", "x", 8), Some(2));
        assert_eq!(client.confirmed(&world), [2]);
        assert_eq!(places(&mut client), [(2, 1, Some(7))]);
        world.advance_ms(100_000);
        client.publish_message(&world, known_as(&world, "a3", "x", 9), Some(3));
        assert_eq!(client.drain(&world, "q.fifo"), ["a3"]);
    }
}

#[test]
fn the_scope_of_an_id_may_be_the_group() {
    let world = World::new();
    let mut client = world.client("u");
    fifo(&world, &mut client, DeduplicationScope::MessageGroup, QueueSettings::default());
    for (body, id) in [("a1", "x"), ("b2", "x"), ("a3", "x"), ("b4", "y")] {
        client.publish_message(&world, known_as(&world, body, id, 0), None);
    }
    assert_eq!(client.drain(&world, "q.fifo"), ["a1", "b2", "b4"]);
}

#[test]
fn a_known_message_is_not_confirmed_before_the_first_one_is_safe() {
    let (mut world, mut client) = world();
    world.instantly_durable = false;
    client.publish_message(&world, known_as(&world, "a1", "x", 7), Some(1));
    client.publish_message(&world, known_as(&world, "a1", "x", 8), Some(2));
    assert!(client.confirmed(&world).is_empty());
    world.sync();
    let mut confirmed = client.confirmed(&world);
    confirmed.sort_unstable();
    assert_eq!(confirmed, [1, 2]);
}

#[test]
fn a_purge_confirms_whoever_waited_for_what_it_took() {
    let (mut world, mut client) = world();
    world.instantly_durable = false;
    client.publish_message(&world, known_as(&world, "a1", "x", 7), Some(1));
    client.publish_message(&world, known_as(&world, "a1", "x", 8), Some(2));
    let purge = client.ask(&world, |request| Command::Purge { request, queue: "q.fifo".into(), everything: false });
    world.sync();
    client.hear(&world);
    assert!(client.answer(purge).is_some());
    assert_eq!(client.confirmed(&world).len(), 2);
}

#[test]
fn an_emptied_queue_takes_the_same_messages_again() {
    for (snapshots, restarts) in [(false, false), (false, true), (true, true)] {
        let (mut world, mut client) = world();
        client.publish_message(&world, known_as(&world, "a1", "x", 7), None);
        client.purge(&world, "q.fifo").expect("is emptied");
        if snapshots {
            world.snapshot();
        }
        if restarts {
            world.restart();
            client = world.client("u");
        }
        client.publish_message(&world, known_as(&world, "a2", "x", 8), None);
        world.restart();
        let mut client = world.client("u");
        client.publish_message(&world, known_as(&world, "a3", "x", 9), None);
        assert_eq!(bodies(&take(&world, &mut client, 10)), ["a2"], "{snapshots} {restarts}");
    }
}
