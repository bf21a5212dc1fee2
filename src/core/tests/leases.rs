use crossdock_common::command::{Fetch, Lease, Outcome};
use crossdock_common::definition::Definition;
use crossdock_common::{Command, Lane, Refusal, RequestId, Value};

use super::support::{World, bodies};

const SHORT: Lease = Lease::Timed { lease_ms: 1_000 };

#[test]
fn a_timed_lease_ends_and_the_late_settlement_is_refused() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.publish(&world, "", "q", "m");
    let first = client.fetch(&world, "q", 10, SHORT);
    assert!(client.fetch(&world, "q", 10, SHORT).is_empty());
    world.advance_ms(1_000);
    let second = client.fetch(&world, "q", 10, SHORT);
    assert_eq!(second[0].delivery_count, 1);
    let settle = |id| {
        move |request| Command::Settle { deliveries: vec![id], outcome: Outcome::Accepted, request: Some(request) }
    };
    let late = client.request(&world, settle(first[0].id));
    assert!(matches!(late, Err(Refusal::UnknownDelivery(_))));
    client.request(&world, settle(second[0].id)).expect("settles");
    world.restart();
    assert!(world.client("u").drain(&world, "q").is_empty());
}

#[test]
fn a_lease_can_be_extended_and_ended() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.publish(&world, "", "q", "m");
    let delivery = client.fetch(&world, "q", 1, SHORT)[0].id;
    let extend = |lease_ms| move |request| Command::ExtendLease { request, delivery, lease_ms };
    client.request(&world, extend(5_000)).expect("extends");
    world.advance_ms(4_999);
    assert!(client.fetch(&world, "q", 1, SHORT).is_empty());
    client.request(&world, extend(0)).expect("ends");
    world.advance_ms(0);
    assert_eq!(client.fetch(&world, "q", 1, SHORT).len(), 1);
    assert!(client.request(&world, extend(1)).is_err(), "the first lease is over");
}

#[test]
fn a_fetch_waits_for_the_first_message_or_its_time() {
    let mut world = World::new();
    let mut client = world.client("u");
    let mut publisher = world.client("u");
    client.queue(&world, "q", &[]);
    let wait = |client: &mut super::support::Tester, world: &World, request| {
        let fetch =
            Fetch { lane: Lane(0), queue: "q".into(), count_max: 10, presettled: false, lease: SHORT, wait_ms: 2_000 };
        client.send(world, Command::Fetch { request: RequestId(request), fetch: Box::new(fetch) });
    };
    wait(&mut client, &world, 100);
    assert!(client.fetched().is_none());
    publisher.publish(&world, "", "q", "m");
    client.hear(&world);
    assert_eq!(bodies(&client.fetched().expect("answered")), ["m"]);
    wait(&mut client, &world, 101);
    world.advance_ms(999);
    client.hear(&world);
    assert!(client.fetched().is_none());
    world.advance_ms(1);
    client.hear(&world);
    assert_eq!(bodies(&client.fetched().expect("the lease of the first ended")), ["m"]);
    wait(&mut client, &world, 102);
    world.advance_ms(999);
    client.hear(&world);
    assert!(client.fetched().is_none());
}

#[test]
fn delayed_messages_appear_in_time_also_after_a_restart() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    let mut message = super::support::message(&world, "", "q", "later");
    message.rare_mut().delay_ms = Some(1_000);
    client.publish_message(&world, message, None);
    assert!(client.drain(&world, "q").is_empty());
    world.advance_ms(400);
    world.restart();
    let mut client = world.client("u");
    world.advance_ms(599);
    assert!(client.drain(&world, "q").is_empty());
    world.advance_ms(1);
    assert_eq!(client.drain(&world, "q"), ["later"]);
}

#[test]
fn attempts_survive_where_they_matter() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[("x-delivery-limit", Value::I32(1))]);
    client.publish(&world, "", "q", "m");
    client.fetch(&world, "q", 1, SHORT);
    world.restart();
    let mut client = world.client("u");
    let second = client.fetch(&world, "q", 1, SHORT);
    assert_eq!(second[0].delivery_count, 1);
    client.settle(&world, &second, Outcome::Released);
    assert!(client.drain(&world, "q").is_empty(), "handed out twice, returned twice: over the limit of one");
}

#[test]
fn an_extension_of_what_is_not_in_flight_leaves_nothing_behind() {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    client.publish(&world, "", "q", "x");
    let held = client.fetch(&world, "q", 1, Lease::Connection);
    client.settle(&world, &held, Outcome::Accepted);
    let delivery = held[0].id;
    let result = client.request(&world, |request| Command::ExtendLease { request, delivery, lease_ms: 43_200_000 });
    assert!(result.is_err());
    let deadlines = (0..super::support::SHARDS).map(|shard| world.broker.deadline(crate::Partition::Shard(shard)));
    assert!(deadlines.flatten().next().is_none(), "a timer for nothing");
}

#[test]
fn a_queue_expires_also_when_a_fetch_was_waiting_at_the_time() {
    let mut world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[("x-expires", Value::I32(1_000))]);
    world.advance_ms(900);
    let fetch = Fetch {
        lane: Lane(0),
        queue: "q".into(),
        count_max: 1,
        presettled: false,
        lease: Lease::Connection,
        wait_ms: 500,
    };
    client.send(&world, Command::Fetch { request: RequestId(77), fetch: Box::new(fetch) });
    world.advance_ms(500);
    world.advance_ms(1_000);
    world.advance_ms(1_000);
    let gone = client.define(&world, Definition::InspectQueue { name: "q".into() });
    assert!(matches!(gone, Err(Refusal::NotFound { .. })));
}
