//! Backlogs larger than memory: what is on disk behaves as what is not.

use crossdock_common::command::{Fetch, Lease, Outcome};
use crossdock_common::event::Reply;
use crossdock_common::{Command, Lane, RequestId, Value};

use super::support::{Tester, World, bodies, message};
use crate::Paging;

/// Ten messages or so stay in memory, and pages are short.
const TINY: Paging = Paging { memory_bytes_max: 8_000, read_ahead_bytes: 1_000, page_references: 8, part_bytes: 100 };
const COUNT: usize = 500;

fn filled(arguments: &[(&str, Value)], durable: bool) -> (World, Tester) {
    let world = World::paging(TINY);
    let mut client = world.client("u");
    client.queue(&world, "q", arguments);
    for number in 0..COUNT {
        let mut message = message(&world, "", "q", &number.to_string());
        message.durable = durable;
        message.priority = (number % 3) as u8;
        client.publish_message(&world, message, None);
    }
    world.sync();
    (world, client)
}

fn numbers(range: impl Iterator<Item = usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn a_backlog_takes_little_memory_and_comes_back_in_order() {
    for durable in [true, false] {
        let (world, mut client) = filled(&[], durable);
        assert!(world.broker.messages_memory_bytes() < 12_000, "{} bytes", world.broker.messages_memory_bytes());
        assert_eq!(client.drain(&world, "q"), numbers(0..COUNT));
        assert_eq!(world.broker.messages_memory_bytes(), 0);
    }
}

/// The journal takes no batch beyond its segments, and nothing after one that it does not take.
#[test]
fn pages_of_many_queues_that_are_completed_at_the_same_time_go_into_several_batches() {
    const QUEUES: usize = 400;
    const PAGE: usize = 1_024;
    let world = World::paging(Paging { page_references: PAGE, ..TINY });
    let mut client = world.client("u");
    for number in 0..QUEUES {
        let name = format!("q{number}");
        client.queue(&world, &name, &[]);
        client.bind(&world, "amq.fanout", &name, "");
    }
    for _ in 0..PAGE + 8 {
        client.publish(&world, "amq.fanout", "", "x");
        world.sync();
    }
    assert!((4 << 20..6 << 20).contains(&world.longest_batch_bytes()), "{} bytes", world.longest_batch_bytes());
}

#[test]
fn a_consumer_gets_a_backlog_as_it_has_room() {
    let (world, mut client) = filled(&[], true);
    client.consume(&world, "q", 1, 20).expect("consumes");
    let mut seen = Vec::new();
    while seen.len() < COUNT {
        let deliveries = client.deliveries(&world);
        assert!(!deliveries.is_empty() && deliveries.len() <= 20, "{} after {}", deliveries.len(), seen.len());
        client.settle(&world, &deliveries, Outcome::Accepted);
        seen.extend(bodies(&deliveries));
    }
    assert_eq!(seen, numbers(0..COUNT));
}

#[test]
fn priorities_hold_in_a_backlog() {
    let (world, mut client) = filled(&[("x-max-priority", Value::I32(2))], true);
    let by_priority = (0..3).rev().flat_map(|priority| (0..COUNT).filter(move |number| number % 3 == priority));
    assert_eq!(client.drain(&world, "q"), numbers(by_priority));
}

#[test]
fn a_backlog_expires() {
    let (mut world, mut client) = filled(&[("x-message-ttl", Value::I32(5_000))], true);
    world.advance_ms(4_000);
    client.publish(&world, "", "q", "late");
    world.advance_ms(2_000);
    assert_eq!(client.drain(&world, "q"), ["late"]);
    assert_eq!(world.broker.ledger().0.expired, COUNT as u64);
}

#[test]
fn a_backlog_expires_although_nobody_looks_and_the_broker_has_restarted() {
    let (mut world, mut client) = filled(
        &[
            ("x-message-ttl", Value::I32(5_000)),
            ("x-dead-letter-exchange", Value::string("")),
            ("x-dead-letter-routing-key", Value::string("dead")),
        ],
        true,
    );
    client.queue(&world, "dead", &[]);
    world.snapshot();
    world.restart();
    world.advance_ms(6_000);
    world.sync();
    assert_eq!(world.client("u").drain(&world, "dead").len(), COUNT);
}

#[test]
fn a_queue_of_limited_length_drops_what_is_on_disk() {
    let (world, mut client) = filled(&[("x-max-length", Value::I32(100))], true);
    assert_eq!(client.drain(&world, "q"), numbers(COUNT - 100..COUNT));
    assert_eq!(world.broker.ledger().0.dropped, (COUNT - 100) as u64);
}

#[test]
fn what_is_settled_in_any_order_is_gone_after_a_restart() {
    let (mut world, mut client) = filled(&[], true);
    let all = client.fetch(&world, "q", u32::MAX, Lease::Connection);
    for (index, delivery) in all.iter().enumerate().rev() {
        if index % 7 != 3 {
            client.settle(&world, std::slice::from_ref(delivery), Outcome::Accepted);
        }
    }
    world.snapshot();
    let left = numbers((0..COUNT).filter(|number| number % 7 == 3));
    world.restart();
    assert_eq!(world.client("u").drain(&world, "q"), left);
}

#[test]
fn what_comes_back_comes_before_what_is_on_disk() {
    let (world, mut client) = filled(&[], true);
    let held = client.fetch(&world, "q", 40, Lease::Connection);
    client.settle(&world, &held, Outcome::Released);
    assert_eq!(client.drain(&world, "q"), numbers(0..COUNT));
}

#[test]
fn a_rejected_message_that_left_memory_becomes_a_dead_letter() {
    let letters = [("x-dead-letter-exchange", Value::string("")), ("x-dead-letter-routing-key", Value::string("dead"))];
    let (world, mut client) = filled(&letters, true);
    client.queue(&world, "dead", &[]);
    let all = client.fetch(&world, "q", u32::MAX, Lease::Connection);
    client.settle(&world, &all, Outcome::Rejected);
    world.sync();
    assert_eq!(client.drain(&world, "dead").len(), COUNT);
}

#[test]
fn a_purge_takes_what_is_on_disk_and_leaves_what_is_held() {
    let (mut world, mut client) = filled(&[], true);
    let held = client.fetch(&world, "q", 3, Lease::Timed { lease_ms: 1_000 });
    let purged = client.purge(&world, "q");
    assert!(matches!(purged, Ok(Reply::Count(count)) if count as usize == COUNT - held.len()), "{purged:?}");
    world.restart();
    assert_eq!(world.client("u").drain(&world, "q"), bodies(&held));
}

#[test]
fn transient_messages_on_disk_do_not_survive() {
    let (mut world, mut client) = filled(&[], false);
    for number in 0..COUNT {
        client.publish(&world, "", "q", &format!("durable {number}"));
    }
    world.snapshot();
    world.restart();
    let left = world.client("u").drain(&world, "q");
    assert_eq!(left, (0..COUNT).map(|number| format!("durable {number}")).collect::<Vec<_>>());
}

#[test]
fn segments_that_nobody_needs_are_released() {
    let (world, mut client) = filled(&[], true);
    let live =
        |world: &World| (0..super::support::SHARDS).map(|shard| world.broker.needs(shard).live_bytes).sum::<u64>();
    assert!(live(&world) > 0);
    client.drain(&world, "q");
    world.sync();
    world.snapshot();
    assert_eq!(live(&world), 0);
    let kept: usize = world.logs[1..].iter().map(|log| log.lock().segments_kept()).sum();
    assert!(kept <= super::support::SHARDS, "{kept} segments are kept");
}

#[test]
fn who_waits_for_a_message_to_be_read_hears_when_it_is_purged() {
    let (mut world, mut client) = filled(&[], true);
    world.instantly_durable = false;
    let everything = client.fetch(&world, "q", 5, Lease::Connection);
    client.settle(&world, &everything, Outcome::Released);
    let fetch = Fetch {
        lane: Lane(0),
        queue: "q".into(),
        count_max: u32::MAX,
        presettled: false,
        lease: Lease::Connection,
        wait_ms: 0,
    };
    // Until what is in memory is gone, and nobody reads on.
    let answered = loop {
        client.send(&world, Command::Fetch { request: RequestId(77), fetch: Box::new(fetch.clone()) });
        client.hear(&world);
        let Some(fetched) = client.fetched() else { break false };
        if fetched.is_empty() {
            break true;
        }
    };
    assert!(!answered, "the rest has to be read first");
    let purge = client.ask(&world, |request| Command::Purge { request, queue: "q".into(), everything: false });
    assert_eq!(client.fetched().map(|found| found.len()), Some(0));
    client.send(&world, Command::Fetch { request: RequestId(78), fetch: Box::new(fetch) });
    assert!(client.fetched().is_none(), "it waits for the purge");
    world.sync();
    client.hear(&world);
    assert!(matches!(client.answer(purge), Some(Ok(Reply::Count(_)))));
    assert_eq!(client.fetched().map(|found| found.len()), Some(0));
}
