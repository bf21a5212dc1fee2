//! Looking at what a queue has: nothing is taken, and everything that was there is seen, in memory or on disk.

use crossdock_common::command::{Browse, BrowsePlace, Lease, Outcome};
use crossdock_common::definition::{DeduplicationScope, Definition, Fifo, QueueSettings, QueueSpec};
use crossdock_common::event::{BrowsedMessages, Reply};
use crossdock_common::random::Random;
use crossdock_common::{Command, Event, Refusal, RequestId, Value};

use super::support::{Tester, World, bodies, message, queue_spec, some_paging, table};
use crate::Paging;
use crate::outbox::cost_bytes;
use crate::permissions::{Grant, Permissions};

const TINY: Paging = Paging { memory_bytes_max: 8_000, read_ahead_bytes: 1_000, page_references: 8, part_bytes: 100 };

fn look(
    world: &World,
    client: &mut Tester,
    after: Option<BrowsePlace>,
    (count_max, selector): (u32, &str),
) -> Result<BrowsedMessages, Refusal> {
    let arguments = match selector {
        "" => Vec::new(),
        selector => table(&[("x-selector", Value::string(selector.to_owned()))]),
    };
    let browse = Box::new(Browse { queue: "q".into(), after, count_max, arguments });
    let request = client.ask(world, |request| Command::Browse { request, browse });
    world.serve_reads();
    client.hear(world);
    let browsed = match client.answer(request).expect("an answer")? {
        Reply::Browsed(browsed) => *browsed,
        other => panic!("{other:?}"),
    };
    client.client.written(world.now, cost_of(request, &browsed));
    Ok(browsed)
}

fn cost_of(request: RequestId, browsed: &BrowsedMessages) -> usize {
    cost_bytes(&Event::Reply { request, result: Ok(Reply::Browsed(Box::new(browsed.clone()))) })
}

/// Everything that is shown, a few messages at a time.
pub(super) fn browse_by(world: &World, client: &mut Tester, count_max: u32, selector: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let browsed = look(world, client, after, (count_max, selector)).expect("is shown");
        assert!(browsed.deliveries.len() <= count_max as usize);
        seen.extend(bodies(&browsed.deliveries));
        after = browsed.next;
        if after.is_none() {
            return seen;
        }
    }
}

fn browse(world: &World, client: &mut Tester) -> Vec<String> {
    browse_by(world, client, u32::MAX, "")
}

fn filled(paging: Paging, arguments: &[(&str, Value)], count: usize) -> (World, Tester) {
    let world = World::paging(paging);
    let mut client = world.client("u");
    client.queue(&world, "q", arguments);
    for number in 0..count {
        let mut message = message(&world, "", "q", &number.to_string());
        (message.durable, message.priority) = (number % 4 != 0, (number % 3) as u8);
        client.publish_message(&world, message, None);
    }
    world.sync();
    (world, client)
}

fn numbers(range: impl IntoIterator<Item = usize>) -> Vec<String> {
    range.into_iter().map(|number| number.to_string()).collect()
}

#[test]
fn everything_is_shown_and_stays() {
    for (paging, count) in [(Paging::default(), 600), (TINY, 600), (TINY, 3), (TINY, 0)] {
        let (world, mut client) = filled(paging, &[], count);
        for count_max in [1, 7, u32::MAX] {
            assert_eq!(browse_by(&world, &mut client, count_max, ""), numbers(0..count));
        }
        let all = client.fetch(&world, "q", u32::MAX, Lease::Connection);
        assert!(all.iter().all(|delivery| delivery.delivery_count == 0), "looking is no delivery");
        assert_eq!(bodies(&all), numbers(0..count));
    }
}

#[test]
fn higher_priorities_are_shown_first() {
    for paging in [Paging::default(), TINY] {
        let (world, mut client) = filled(paging, &[("x-max-priority", Value::I32(2))], 100);
        let by_priority = (0..3).rev().flat_map(|priority| (0..100).filter(move |number| number % 3 == priority));
        assert_eq!(browse_by(&world, &mut client, 10, ""), numbers(by_priority));
    }
}

#[test]
fn a_selector_that_is_none_is_refused() {
    let (world, mut client) = filled(Paging::default(), &[], 10);
    let refused = look(&world, &mut client, None, (1, "color ="));
    assert!(matches!(refused, Err(Refusal::PreconditionFailed(_))), "{refused:?}");
    assert_eq!(browse(&world, &mut client).len(), 10, "a refusal holds nobody up");
}

#[test]
fn what_comes_later_is_not_shown_nor_what_has_gone() {
    for paging in [Paging::default(), TINY] {
        let (world, mut client) = filled(paging, &[], 40);
        let first = look(&world, &mut client, None, (5, "")).expect("is shown");
        client.publish(&world, "", "q", "late");
        let taken = client.fetch(&world, "q", 10, Lease::Connection);
        let mut seen = bodies(&first.deliveries);
        let mut after = first.next;
        while after.is_some() {
            let more = look(&world, &mut client, after, (5, "")).expect("is shown");
            seen.extend(bodies(&more.deliveries));
            after = more.next;
        }
        assert_eq!(seen, numbers((0..5).chain(10..40)));
        client.settle(&world, &taken, Outcome::Released);
        let back = look(&world, &mut client, None, (1, "")).expect("is shown");
        assert_eq!((bodies(&back.deliveries), back.deliveries[0].delivery_count), (numbers([0]), 1));
    }
}

#[test]
fn what_was_shown_cannot_be_settled() {
    let (world, mut client) = filled(Paging::default(), &[], 1);
    let shown = look(&world, &mut client, None, (1, "")).expect("is shown").deliveries;
    for outcome in [Outcome::Accepted, Outcome::Rejected] {
        client.settle(&world, &shown, outcome);
    }
    let taken = client.fetch(&world, "q", 1, Lease::Connection);
    client.settle(&world, &shown, Outcome::Accepted);
    client.settle(&world, &taken, Outcome::Released);
    assert_eq!(browse(&world, &mut client), numbers([0]));
}

#[test]
fn what_is_set_aside_is_shown() {
    let world = World::paging(TINY);
    let mut client = world.client("u");
    let fifo = Some(Fifo { deduplication_scope: DeduplicationScope::Queue });
    let settings = QueueSettings { fifo, ..QueueSettings::default() };
    let spec = QueueSpec { durable: true, settings: settings.into(), ..queue_spec("q", &[]) };
    client.define(&world, Definition::DeclareQueue { spec, passive: false }).expect("declares");
    (0..50).for_each(|number| client.publish(&world, "", "q", &number.to_string()));
    let all = numbers(0..50);
    assert_eq!(browse_by(&world, &mut client, 7, ""), all);
    // They have no group, which is one: while somebody has the first, the others wait, set aside.
    let first = client.fetch(&world, "q", 1, Lease::Connection);
    assert_eq!(bodies(&first), all[..1]);
    assert_eq!(client.fetch(&world, "q", 1, Lease::Connection).len(), 0);
    assert_eq!(browse_by(&world, &mut client, 7, ""), all[1..]);
}

#[test]
fn a_run_is_shown_as_its_messages_are() {
    let (world, mut client) = filled(Paging::default(), &[], 3);
    let all = numbers(0..40);
    client.publish_run(&world, ("", "q"), false, &all[3..20], None);
    client.publish_run(&world, ("", "q"), false, &all[20..], None);
    for count_max in [1, 7, u32::MAX] {
        assert_eq!(browse_by(&world, &mut client, count_max, ""), all);
    }
    client.fetch(&world, "q", 5, Lease::Connection);
    assert_eq!(browse_by(&world, &mut client, 7, ""), all[5..]);
}

#[test]
fn a_stream_may_be_looked_at() {
    let (world, mut client) = filled(TINY, &[("x-queue-type", Value::string("stream"))], 50);
    assert_eq!(browse_by(&world, &mut client, 7, ""), numbers(0..50));
    let first = look(&world, &mut client, None, (1, "")).expect("is shown");
    assert_eq!(first.deliveries[0].stream_offset, Some(0));
}

#[test]
fn what_has_expired_is_not_shown() {
    for paging in [Paging::default(), TINY] {
        let (mut world, mut client) = filled(paging, &[], 0);
        for number in 0..30 {
            let mut message = message(&world, "", "q", &number.to_string());
            message.ttl_ms = (number % 2 == 1).then_some(1_000);
            client.publish_message(&world, message, None);
        }
        // Messages behind the first one stay until it has gone.
        world.advance_ms(2_000);
        assert_eq!(browse(&world, &mut client), numbers((0..30).filter(|number| number % 2 == 0)));
    }
}

#[test]
fn only_who_may_read_the_queue_may_look() {
    let (world, mut client) = filled(Paging::default(), &[], 1);
    let mut permissions = Permissions::default();
    permissions.grant("u".into(), "/".into(), Grant::new(".*", ".*", "^other$").expect("valid"));
    world.broker.set_permissions(permissions);
    let refused = look(&world, &mut client, None, (1, ""));
    assert!(matches!(refused, Err(Refusal::AccessRefused { .. })), "{refused:?}");
}

#[test]
fn an_answer_has_a_bound_and_waits_for_who_does_not_read() {
    let (world, mut client) = filled(Paging::default(), &[], 0);
    for _ in 0..4 {
        client.publish(&world, "", "q", &"x".repeat(100 << 10));
    }
    let mut ask = |after| {
        let browse = Box::new(Browse { queue: "q".into(), after, count_max: u32::MAX, arguments: Vec::new() });
        client.ask(&world, |request| Command::Browse { request, browse })
    };
    let (one, other) = (ask(None), ask(None));
    let Some(Ok(Reply::Browsed(first))) = client.answer(one) else { panic!("no answer") };
    assert_eq!(first.deliveries.len(), 2, "256 KiB");
    assert!(client.answer(other).is_none(), "the first one is not read yet");
    client.client.written(world.now, cost_of(one, &first));
    client.hear(&world);
    assert!(client.answer(other).is_some());
}

#[test]
fn many_small_messages_are_several_answers() {
    let (world, mut client) = filled(Paging::default(), &[], 513);
    let first = look(&world, &mut client, None, (u32::MAX, "")).expect("is shown");
    assert_eq!(first.deliveries.len(), 512);
    assert_eq!(look(&world, &mut client, first.next, (u32::MAX, "")).expect("is shown").deliveries.len(), 1);
}

#[test]
fn a_queue_that_is_deleted_meanwhile_is_told() {
    let (mut world, mut client) = filled(TINY, &[], 50);
    let after = Some(BrowsePlace { level: 0, position: 40, until: 50 });
    let all = Box::new(Browse { queue: "q".into(), after, count_max: 50, arguments: Vec::new() });
    world.instantly_durable = false;
    let request = client.ask(&world, |request| Command::Browse { request, browse: all });
    assert!(client.answer(request).is_none(), "it has to be read");
    world.instantly_durable = true;
    let delete = Definition::DeleteQueue { name: "q".into(), if_unused: false, if_empty: false };
    client.define(&world, delete).expect("deletes");
    world.serve_reads();
    client.hear(&world);
    assert!(matches!(client.answer(request), Some(Err(Refusal::Unavailable(_)))));
    client.queue(&world, "q", &[]);
    assert!(browse(&world, &mut client).is_empty());
}

/// Whatever has happened to a queue: what is shown is what consumers get.
#[test]
fn what_is_shown_is_what_there_is() {
    for seed in 0..60 {
        let mut random = Random::from_seed(seed);
        let mut world = World::paging(some_paging(&mut random));
        let mut client = world.client("u");
        let priorities = [("x-max-priority", Value::I32(2))];
        client.queue(&world, "q", if random.below(3) == 0 { &priorities } else { &[] });
        for step in 0..random.below(150) {
            match random.below(9) {
                8 => {
                    let bodies = numbers(1_000 * step as usize..1_000 * step as usize + random.below(8) as usize + 1);
                    client.publish_run(&world, ("", "q"), random.below(2) == 0, &bodies, None);
                }
                0..5 => {
                    let mut message = message(&world, "", "q", &step.to_string());
                    (message.durable, message.priority) = (random.below(2) == 0, random.below(3) as u8);
                    client.publish_message(&world, message, None);
                }
                5 => {
                    let taken = client.fetch(&world, "q", random.below(10) as u32, Lease::Connection);
                    let (back, gone) = taken.split_at(taken.len() / 2);
                    client.settle(&world, gone, Outcome::Accepted);
                    client.settle(&world, back, Outcome::Released);
                }
                6 => drop(browse_by(&world, &mut client, 1 + random.below(20) as u32, "")),
                _ if random.below(6) == 0 => {
                    world.snapshot();
                    world.restart();
                    client = world.client("u");
                }
                _ => world.sync(),
            }
        }
        let shown = browse_by(&world, &mut client, 1 + random.below(20) as u32, "");
        assert_eq!(shown, client.drain(&world, "q"), "seed {seed}");
    }
}
