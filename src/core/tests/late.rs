//! Deliveries that are settled after their lease is over.

use std::collections::{BTreeMap, BTreeSet};

use crossdock_common::command::{Lease, Outcome};
use crossdock_common::definition::{Definition, Fifo, QueueSettings, QueueSpec};
use crossdock_common::event::{Delivery, Late, Reply};
use crossdock_common::names::DeliveryId;
use crossdock_common::random::Random;
use crossdock_common::{Command, Value};

use super::support::{Tester, World, bodies, message, queue_spec, some_paging};

const LEASE_MS: u64 = 1_000;
const SHORT: Lease = Lease::Timed { lease_ms: LEASE_MS };

/// `None` if it was taken away.
fn settle_late(world: &World, client: &mut Tester, delivery: DeliveryId, removes: bool) -> Option<Late> {
    match client.request(world, |request| Command::SettleLate { request, delivery, removes }).expect("an answer") {
        Reply::Done => None,
        Reply::Late(late) => Some(late),
        other => panic!("{other:?}"),
    }
}

fn delivered() -> (World, Tester, Delivery) {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.publish(&world, "", "q", "m");
    let delivery = client.fetch(&world, "q", 1, SHORT).remove(0);
    (world, client, delivery)
}

#[test]
fn what_nobody_has_is_taken_away_for_good() {
    for restarts in [false, true] {
        let (mut world, mut client, first) = delivered();
        if restarts {
            world.restart();
            client = world.client("u");
        }
        world.advance_ms(LEASE_MS);
        assert_eq!(settle_late(&world, &mut client, first.id, false), Some(Late::Ready));
        assert_eq!(settle_late(&world, &mut client, first.id, true), None);
        assert_eq!(settle_late(&world, &mut client, first.id, true), Some(Late::Gone));
        world.check_ledgers();
        world.restart();
        assert!(world.client("u").drain(&world, "q").is_empty());
    }
}

#[test]
fn what_somebody_has_stays_with_him() {
    let (mut world, mut client, first) = delivered();
    world.advance_ms(LEASE_MS);
    let second = client.fetch(&world, "q", 1, SHORT);
    assert_eq!(settle_late(&world, &mut client, first.id, true), Some(Late::Leased(second[0].id)));
    client.settle(&world, &second, Outcome::Accepted);
    assert_eq!(settle_late(&world, &mut client, first.id, true), Some(Late::Gone));
}

#[test]
fn what_comes_back_later_is_taken_away_as_well() {
    let (mut world, mut client, first) = delivered();
    client.settle(&world, std::slice::from_ref(&first), Outcome::Modified { delay_ms: 5_000 });
    assert_eq!(settle_late(&world, &mut client, first.id, true), None);
    world.advance_ms(5_000);
    assert!(client.drain(&world, "q").is_empty());
    world.check_ledgers();
}

#[test]
fn it_is_durable_before_it_is_told() {
    let (mut world, mut client, first) = delivered();
    world.advance_ms(LEASE_MS);
    world.instantly_durable = false;
    let request = client.ask(&world, |request| Command::SettleLate { request, delivery: first.id, removes: true });
    assert!(client.answer(request).is_none());
    world.sync();
    client.hear(&world);
    assert!(matches!(client.answer(request), Some(Ok(Reply::Done))));
}

fn declare(world: &World, client: &mut Tester, kind: u64) {
    match kind {
        0 => client.queue(world, "q", &[("x-max-priority", Value::I32(2))]),
        1 => {
            let settings = QueueSettings { fifo: Some(Fifo::default()), ..QueueSettings::default() };
            let spec = QueueSpec { durable: true, settings: settings.into(), ..queue_spec("q", &[]) };
            client.define(world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
        }
        _ => client.queue(world, "q", &[]),
    }
}

/// Random work on a queue of any kind whose messages are mostly on disk, with restarts. Says how many were taken away.
fn history(seed: u64) -> usize {
    let mut random = Random::from_seed(seed);
    let mut world = World::paging(some_paging(&mut random));
    let mut client = world.client("u");
    let (kind, has_groups) = (random.below(3), random.below(2) == 0);
    declare(&world, &mut client, kind);
    let (mut alive, mut known, mut removed) = (BTreeSet::new(), BTreeMap::<DeliveryId, String>::new(), 0);
    for number in 0..60_u64 {
        match random.below(8) {
            0..3 => {
                for part in 0..random.below(12) {
                    let body = format!("{number}-{part}");
                    let mut message = message(&world, "", "q", &body);
                    message.priority = random.below(3) as u8;
                    if has_groups || kind == 1 {
                        message.rare_mut().group = Some(["a", "b", "c"][random.below(3) as usize].into());
                    }
                    client.publish_message(&world, message, None);
                    alive.insert(body);
                }
            }
            3..5 => {
                let fetched = client.fetch(&world, "q", 1 + random.below(6) as u32, SHORT);
                known.extend(fetched.iter().map(|one| one.id).zip(bodies(&fetched)));
            }
            5 => world.advance_ms(LEASE_MS),
            6 => {
                world.snapshot();
                if random.below(2) == 0 {
                    world.restart();
                    client = world.client("u");
                }
            }
            _ => {
                for (id, body) in &known {
                    let late = settle_late(&world, &mut client, *id, random.below(2) == 0);
                    match late {
                        None => {
                            assert!(alive.remove(body), "seed {seed}: {body} was gone");
                            removed += 1;
                        }
                        Some(Late::Leased(_)) => assert!(alive.contains(body), "seed {seed}: {body} is gone"),
                        Some(Late::Gone) => assert!(!alive.contains(body), "seed {seed}: {body} is there"),
                        // A page may have it.
                        Some(Late::Ready) => {}
                    }
                }
            }
        }
    }
    world.advance_ms(LEASE_MS);
    world.check_ledgers();
    let mut left = BTreeSet::new();
    while left.len() < alive.len() {
        let taken = client.fetch(&world, "q", 10, Lease::Connection);
        assert!(!taken.is_empty(), "seed {seed}: {:?} are missing", alive.difference(&left));
        left.extend(bodies(&taken));
        client.settle(&world, &taken, Outcome::Accepted);
    }
    assert_eq!(left, alive, "seed {seed}");
    assert!(client.drain(&world, "q").is_empty());
    world.check_ledgers();
    removed
}

#[test]
fn nothing_else_is_lost_whatever_happens() {
    let removed: usize = (0..200).map(history).sum();
    assert!(removed > 500, "{removed}");
}
