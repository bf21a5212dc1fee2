//! Last values of keys: what a snapshot that is written a piece at a time makes of them.

use std::collections::BTreeMap;

use crossdock_common::command::Publish;
use crossdock_common::event::Reply;
use crossdock_common::random::Random;
use crossdock_common::{Command, Lane};

use super::memory_log::SnapshotLog;
use super::support::{SHARDS, Tester, World, fetch_retained, message};
use crate::{Partition, Sequence};

/// What is retained, by key.
type Values = BTreeMap<Vec<u8>, Vec<u8>>;

fn retain(world: &World, client: &mut Tester, key: &str, body: &str) {
    let message = std::sync::Arc::new(message(world, "amq.topic", key, body));
    let (lane, confirm, mandatory, retain, exactly_once) = (Lane(0), None, false, true, None);
    client.send(world, Command::Publish(Publish { lane, confirm, message, mandatory, retain, exactly_once }));
}

fn values(world: &World) -> Values {
    let (mut values, mut next) = (Values::new(), None);
    let mut client = world.client("u");
    loop {
        let answer = client.request(world, fetch_retained("#", next));
        let Ok(Reply::Retained(found)) = answer else { panic!("{answer:?}") };
        values.extend(found.messages.iter().map(|one| (one.routing_key.to_vec(), one.body.to_vec())));
        next = found.next;
        if next.is_none() {
            return values;
        }
    }
}

/// Writes a snapshot of a shard; in between, others do what they like.
fn snapshot(world: &World, index: usize, random: &mut Random, mut meanwhile: impl FnMut(&mut Random)) {
    let (partition, mut log) = (Partition::Shard(index), SnapshotLog::default());
    let mut unfinished = world.broker.begin_snapshot(partition, world.now, &mut log).expect("a shard");
    while !world.broker.go_on_with_snapshot(&mut unfinished, 1 + random.below(3) as usize, &mut log) {
        meanwhile(random);
    }
    let mut batches = world.logs[index + 1].lock();
    assert_eq!(unfinished.point().usable_after, Sequence(batches.all.len() as u64));
    batches.snapshot = Some((unfinished.point(), log.0));
    drop(batches);
    world.broker.snapshot_ended(index, true);
}

#[test]
fn values_that_change_while_a_snapshot_is_written_are_what_they_were_last() {
    for seed in 0..60 {
        let (mut world, mut random) = (World::new(), Random::from_seed(seed));
        let (mut client, mut expected) = (world.client("u"), Values::new());
        let change = |world: &World, client: &mut Tester, expected: &mut Values, random: &mut Random| {
            let (key, body) = (format!("k.{}", random.below(20)), random.below(1_000).to_string());
            let body = if random.below(4) == 0 { "" } else { &body };
            retain(world, client, &key, body);
            match body {
                "" => drop(expected.remove(key.as_bytes())),
                body => drop(expected.insert(key.into_bytes(), body.into())),
            }
        };
        (0..30).for_each(|_| change(&world, &mut client, &mut expected, &mut random));
        for index in 0..SHARDS {
            snapshot(&world, index, &mut random, |random| {
                (0..random.below(4)).for_each(|_| change(&world, &mut client, &mut expected, random));
            });
        }
        (0..random.below(10)).for_each(|_| change(&world, &mut client, &mut expected, &mut random));
        assert_eq!(values(&world), expected, "seed {seed}");
        world.restart();
        assert_eq!(values(&world), expected, "after a start, seed {seed}");
    }
}

#[test]
fn every_value_is_in_a_snapshot_once_however_small_its_pieces_are() {
    let (world, mut random) = (World::new(), Random::from_seed(1));
    let mut client = world.client("u");
    (0..100).for_each(|number| retain(&world, &mut client, &format!("k.{number}"), "x"));
    for index in 0..SHARDS {
        snapshot(&world, index, &mut random, |_| {});
    }
    let of_values = |index: usize| {
        let batches = world.logs[index + 1].lock();
        let records = batches.snapshot.as_ref().map(|(_, records)| records.clone()).unwrap_or_default();
        records.iter().filter(|(kind, ..)| *kind == crate::RecordKind::Retained).count()
    };
    assert_eq!((0..SHARDS).map(of_values).sum::<usize>(), 100);
}
