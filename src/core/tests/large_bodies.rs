//! Bodies that are written piece by piece, and what comes to their queues meanwhile.

use crossdock_common::command::{Fetch, Lease};
use crossdock_common::{Command, Lane, RequestId, Value};

use super::support::{SHARDS, Tester, World, message};
use crate::{Paging, Partition, RecordKind, Sequence};

/// Bodies of more than 200 bytes are large; all of them fit into memory.
const PIECES: Paging =
    Paging { memory_bytes_max: 1 << 20, read_ahead_bytes: 1_000, page_references: 8, part_bytes: 100 };

/// A queue `q` that exists for good, on a disk that is slow from now on.
fn slow(paging: Paging) -> (World, Tester) {
    let mut world = World::paging(paging);
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    world.sync();
    world.instantly_durable = false;
    (world, client)
}

#[test]
fn a_large_body_is_written_in_pieces_and_what_comes_after_it_stays_behind_it() {
    let mut world = World::paging(PIECES);
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.queue(&world, "other", &[]);
    world.sync();
    world.instantly_durable = false;
    let large = "x".repeat(1_050);
    client.publish_message(&world, message(&world, "", "q", &large), Some(1));
    client.publish_message(&world, message(&world, "", "q", "behind"), Some(2));
    client.publish_message(&world, message(&world, "", "other", "beside"), Some(3));
    for log in &world.logs[1..] {
        let longest = log.lock().all.iter().flatten().map(|(_, _, payload)| payload.len()).max().unwrap_or(0);
        assert!(longest < 300, "a record of {longest} bytes");
    }
    world.sync_once();
    // Others do not wait for the rest of it.
    assert_eq!(client.confirmed(&world), [2, 3]);
    assert!(client.fetch(&world, "q", 5, Lease::Connection).is_empty());
    for _ in 0..11 {
        world.sync_once();
    }
    assert!(client.confirmed(&world).contains(&1));
    world.restart();
    let mut client = world.client("u");
    assert_eq!(client.drain(&world, "q"), [large, "behind".to_owned()]);
    assert_eq!(client.drain(&world, "other"), ["beside"]);
    world.sync();
    world.snapshot();
    assert_eq!((0..SHARDS).map(|shard| world.broker.needs(shard).live_bytes).sum::<u64>(), 0);
}

#[test]
fn what_is_synced_while_a_large_body_is_written_keeps_its_place_before_it() {
    let (world, mut client) = slow(Paging { memory_bytes_max: 0, ..PIECES });
    let large = "x".repeat(350);
    client.publish(&world, "", "q", "before");
    client.publish(&world, "", "q", &large);
    world.sync_once();
    world.sync();
    assert_eq!(client.drain(&world, "q"), ["before".to_owned(), large]);
}

#[test]
fn what_cannot_go_to_disk_does_not_overtake_a_large_body_that_can() {
    let (world, mut client) = slow(Paging { memory_bytes_max: 500, ..PIECES });
    let (crowding, large) = ("c".repeat(190), "x".repeat(350));
    client.publish(&world, "", "q", &crowding);
    client.publish(&world, "", "q", &large);
    let mut transient = message(&world, "", "q", "transient");
    transient.durable = false;
    client.publish_message(&world, transient, None);
    world.sync();
    assert_eq!(client.drain(&world, "q"), [crowding, large, "transient".to_owned()]);
}

#[test]
fn a_large_body_is_not_served_without_its_pieces() {
    let (mut world, mut client) = slow(PIECES);
    client.publish(&world, "", "q", &"x".repeat(350));
    world.sync();
    world.snapshot();
    for log in &world.logs[1..] {
        // The record of where they are is damaged.
        let mut batches = log.lock();
        let (_, records) = batches.snapshot.as_mut().expect("was taken");
        records.retain(|(kind, _, _)| *kind != RecordKind::Parts);
    }
    world.restart();
    let mut client = world.client("u");
    world.instantly_durable = false;
    let lease = Lease::Connection;
    let fetch = Fetch { lane: Lane(0), queue: "q".into(), count_max: 1, presettled: false, lease, wait_ms: 0 };
    client.send(&world, Command::Fetch { request: RequestId(77), fetch: Box::new(fetch) });
    assert_eq!(world.serve_reads_if_possible(), 1);
    client.hear(&world);
    assert_eq!(client.fetched().map(|found| found.len()), Some(0));
    assert_eq!(world.broker.counts().unreadable, 1);
}

#[test]
fn a_large_message_that_a_snapshot_holds_keeps_its_place_when_its_record_is_replayed_again() {
    let mut world = World::paging(PIECES);
    let mut client = world.client("u");
    client.queue(&world, "q", &[("x-durability", Value::string("os"))]);
    world.instantly_durable = false;
    let large = "x".repeat(300);
    client.publish_message(&world, message(&world, "", "q", &large), Some(1));
    client.publish_message(&world, message(&world, "", "q", "behind"), Some(2));
    let lengths = |world: &World| world.logs[1..].iter().map(|log| log.lock().all.len() as u64).collect::<Vec<_>>();
    // The disk syncs everything but what came last: the record of the large message.
    while !client.confirmed(&world).contains(&1) {
        for (shard, length) in lengths(&world).into_iter().enumerate() {
            world.broker.durable(Partition::Shard(shard), Sequence(length.saturating_sub(1)), world.now);
            world.broker.written(shard, Sequence(length), world.now);
        }
    }
    world.snapshot();
    world.restart();
    assert_eq!(world.client("u").drain(&world, "q"), [large, "behind".to_owned()]);
}
