//! Purges: when they are answered, and in which order.

use crossdock_common::command::{Lease, Outcome};
use crossdock_common::definition::{Definition, Fifo, QueueSettings, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::{Command, Event, RequestId, Value};

use super::support::{SHARDS, Tester, World, message, queue_spec};
use crate::{Partition, Sequence};

/// A queue `q` with one message, both durable, on a disk that is slow from now on.
fn world() -> (World, Tester) {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.publish(&world, "", "q", "old");
    world.instantly_durable = false;
    (world, client)
}

fn begin_purge(world: &World, client: &mut Tester) -> RequestId {
    client.ask(world, |request| Command::Purge { request, queue: "q".into(), everything: false })
}

fn begin_declare(world: &World, client: &mut Tester, name: &str) -> RequestId {
    let spec = QueueSpec { durable: true, ..queue_spec(name, &[]) };
    let definition = Box::new(Definition::DeclareQueue { spec, passive: false });
    client.ask(world, |request| Command::Define { request, definition })
}

/// How many messages went, if the purge is answered.
fn purged(client: &mut Tester, request: RequestId) -> Option<u64> {
    match client.answer(request)? {
        Ok(Reply::Count(count)) => Some(count),
        other => panic!("{other:?}"),
    }
}

fn shards_are_durable(world: &World) {
    (0..SHARDS).for_each(|index| world.broker.durable(Partition::Shard(index), last(world, index + 1), world.now));
}

fn definitions_are_durable(world: &World) {
    world.broker.durable(Partition::Definitions, last(world, 0), world.now);
}

fn last(world: &World, log: usize) -> Sequence {
    Sequence(world.logs[log].lock().all.len() as u64)
}

/// The requests that were answered, in that order.
fn answered(client: &Tester) -> Vec<u64> {
    let request = |event: &Event| match event {
        Event::Reply { request, .. } | Event::Fetched { request, .. } => Some(request.0),
        _ => None,
    };
    client.events.iter().filter_map(request).collect()
}

#[test]
fn a_purge_is_answered_when_it_is_durable_and_holds_from_then_on() {
    let (mut world, mut client) = world();
    let purge = begin_purge(&world, &mut client);
    (0..SHARDS).for_each(|index| world.broker.written(index, last(&world, index + 1), world.now));
    client.hear(&world);
    assert_eq!(purged(&mut client, purge), None, "it is written, and not synced");
    shards_are_durable(&world);
    client.hear(&world);
    assert_eq!(purged(&mut client, purge), Some(1));
    world.restart();
    assert!(world.client("u").drain(&world, "q").is_empty());
}

#[test]
fn a_purge_takes_what_still_waits_for_the_log() {
    let (mut world, mut client) = world();
    client.publish(&world, "", "q", "new");
    let purge = begin_purge(&world, &mut client);
    world.sync();
    client.hear(&world);
    assert_eq!(purged(&mut client, purge), Some(2));
    world.restart();
    assert!(world.client("u").drain(&world, "q").is_empty());
}

#[test]
fn a_purge_is_as_durable_as_the_queues_messages() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "memory", &[("x-durability", Value::string("memory"))]);
    client.queue(&world, "os", &[("x-durability", Value::string("os"))]);
    let spec = queue_spec("transient", &[]);
    client.define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
    world.instantly_durable = false;
    for name in ["memory", "transient", "os"] {
        client.publish(&world, "", name, "x");
    }
    for name in ["memory", "transient"] {
        assert!(matches!(client.purge(&world, name), Ok(Reply::Count(1))), "{name} is answered at once");
    }
    let purge = client.ask(&world, |request| Command::Purge { request, queue: "os".into(), everything: false });
    assert_eq!(purged(&mut client, purge), None);
    (0..SHARDS).for_each(|index| world.broker.written(index, last(&world, index + 1), world.now));
    client.hear(&world);
    assert_eq!(purged(&mut client, purge), Some(1));
}

#[test]
fn nothing_of_the_same_connection_overtakes_a_purge() {
    let (world, mut client) = world();
    client.events.clear();
    let declare = begin_declare(&world, &mut client, "before");
    let purge = begin_purge(&world, &mut client);
    let after = begin_declare(&world, &mut client, "after");
    client.publish_message(&world, message(&world, "", "q", "new"), Some(1));
    let fetch = crossdock_common::command::Fetch {
        lane: crossdock_common::Lane(0),
        queue: "q".into(),
        count_max: 1,
        presettled: true,
        lease: Lease::Connection,
        wait_ms: 1_000,
    };
    client.send(&world, Command::Fetch { request: RequestId(77), fetch: Box::new(fetch) });
    shards_are_durable(&world);
    client.hear(&world);
    assert_eq!(answered(&client), [0u64; 0], "the purge waits for the declaration before it");
    definitions_are_durable(&world);
    client.hear(&world);
    assert_eq!(answered(&client), [declare.0]);
    definitions_are_durable(&world);
    client.hear(&world);
    assert_eq!(answered(&client), [declare.0], "the declaration after it waits for the purge");
    for _ in 0..3 {
        world.sync();
        client.hear(&world);
    }
    assert_eq!(answered(&client), [declare.0, purge.0, after.0, 77]);
    assert!(matches!(purged(&mut client, purge), Some(1)), "what was published later is not purged");
    assert_eq!(client.fetched().map(|found| super::support::bodies(&found)), Some(vec!["new".to_owned()]));
}

#[test]
fn a_purge_of_a_queue_that_another_connection_has_just_made_waits_for_that_too() {
    let (mut world, mut client) = world();
    let mut other = world.client("u");
    let delete = Definition::DeleteQueue { name: "q".into(), if_unused: false, if_empty: false };
    other.ask(&world, |request| Command::Define { request, definition: Box::new(delete) });
    begin_declare(&world, &mut other, "q");
    let purge = begin_purge(&world, &mut client);
    shards_are_durable(&world);
    client.hear(&world);
    assert_eq!(purged(&mut client, purge), None, "the old queue could still come back");
    definitions_are_durable(&world);
    client.hear(&world);
    assert_eq!(purged(&mut client, purge), Some(0));
    world.restart();
    assert!(world.client("u").drain(&world, "q").is_empty());
}

#[test]
fn a_connection_may_end_while_its_purge_waits() {
    let (mut world, mut client) = world();
    begin_purge(&world, &mut client);
    begin_declare(&world, &mut client, "last");
    client.client.finish(world.now, &mut client.commands);
    assert!(client.commands.is_empty(), "the last commands wait for nothing");
    client.client.end(world.now);
    world.sync();
    world.restart();
    let mut client = world.client("u");
    assert!(client.drain(&world, "q").is_empty());
    client.queue(&world, "last", &[]);
}

#[test]
fn a_purge_that_a_failed_journal_does_not_write_is_not_answered_as_publishes_are_not_confirmed() {
    let (mut world, mut client) = world();
    let kept: Vec<usize> = world.logs.iter().map(|log| log.lock().all.len()).collect();
    let purge = begin_purge(&world, &mut client);
    let mut publisher = world.client("u");
    publisher.publish_message(&world, message(&world, "", "q", "new"), Some(1));
    definitions_are_durable(&world);
    world.advance_ms(60_000);
    client.hear(&world);
    assert_eq!(purged(&mut client, purge), None);
    assert!(publisher.confirmed(&world).is_empty());
    client.client.end(world.now);
    world.crash(&kept);
    assert_eq!(world.client("u").drain(&world, "q"), ["old"]);
}

#[test]
fn everything_goes_wherever_it_is() {
    for is_fifo in [false, true] {
        let mut world = World::new();
        let mut client = world.client("u");
        let fifo = is_fifo.then(Fifo::default);
        let settings = QueueSettings { fifo, delay_ms: Some(0), ..QueueSettings::default() };
        let spec = QueueSpec { durable: true, settings: settings.into(), ..queue_spec("q", &[]) };
        client.define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
        for body in ["a", "b", "c", "d"] {
            client.publish(&world, "", "q", body);
        }
        let held = client.fetch(&world, "q", 1, Lease::Timed { lease_ms: 1_000 });
        let given_back = client.fetch(&world, "q", 1, Lease::Connection);
        client.settle(&world, &given_back, Outcome::Modified { delay_ms: 5_000 });
        client.consume(&world, "q", 1, 1).expect("consumes");
        let everything = |request| Command::Purge { request, queue: "q".into(), everything: true };
        assert!(matches!(client.request(&world, everything), Ok(Reply::Count(4))), "{is_fifo}");
        world.check_ledgers();
        client.settle(&world, &held, Outcome::Released);
        world.advance_ms(10_000);
        client.publish(&world, "", "q", "e");
        assert_eq!(
            client.bodies(&world).last().map(String::as_str),
            Some("e"),
            "the group is free, and the consumer has room"
        );
        world.restart();
        assert_eq!(world.client("u").drain(&world, "q"), ["e"]);
        world.check_ledgers();
    }
}
