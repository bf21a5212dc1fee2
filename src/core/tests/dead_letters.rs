use crossdock_common::Value;
use crossdock_common::command::{Lease, Outcome};
use crossdock_common::definition::Definition;
use crossdock_common::event::Reply;
use crossdock_common::message::DeathReason;

use super::support::{World, message};

fn with_letters(world: &World, more: &[(&str, Value)]) -> super::support::Tester {
    let mut client = world.client("u");
    client.queue(world, "letters", &[]);
    let mut arguments =
        vec![("x-dead-letter-exchange", Value::string("")), ("x-dead-letter-routing-key", Value::string("letters"))];
    arguments.extend_from_slice(more);
    client.queue(world, "q", &arguments);
    client
}

#[test]
fn rejected_expired_and_dropped_messages_say_why() {
    let mut world = World::new();
    let mut client = with_letters(&world, &[("x-max-length", Value::I32(1))]);
    client.publish(&world, "", "q", "rejected");
    let fetched = client.fetch(&world, "q", 1, Lease::Connection);
    client.settle(&world, &fetched, Outcome::Rejected);
    client.publish(&world, "", "q", "dropped");
    let mut expiring = message(&world, "", "q", "expired");
    expiring.ttl_ms = Some(100);
    client.publish_message(&world, expiring, None);
    world.advance_ms(100);
    let letters = client.fetch(&world, "letters", 10, Lease::Connection);
    let reasons: Vec<_> = letters.iter().map(|letter| letter.message.deaths()[0].reason).collect();
    assert_eq!(reasons, [DeathReason::Rejected, DeathReason::MaxLength, DeathReason::Expired]);
    let death = &letters[2].message.deaths()[0];
    assert_eq!((death.queue.as_str(), death.count, death.original_ttl_ms), ("q", 1, Some(100)));
    assert_eq!(letters[2].message.ttl_ms, None, "it does not expire again");
}

#[test]
fn a_letter_is_not_lost_between_two_logs() {
    let mut world = World::new();
    let mut client = with_letters(&world, &[]);
    client.publish(&world, "", "q", "m");
    let fetched = client.fetch(&world, "q", 1, Lease::Connection);
    world.instantly_durable = false;
    client.settle(&world, &fetched, Outcome::Rejected);
    // The copy was handed to the other log; the original is still in its own.
    world.restart();
    let mut client = world.client("u");
    let (original, copy) = (client.drain(&world, "q"), client.drain(&world, "letters"));
    assert!(original.len() + copy.len() >= 1);
}

#[test]
fn a_cycle_without_rejection_is_cut() {
    let mut world = World::new();
    let mut client = world.client("u");
    let back = [
        ("x-message-ttl", Value::I32(10)),
        ("x-dead-letter-exchange", Value::string("")),
        ("x-dead-letter-routing-key", Value::string("q")),
    ];
    client.queue(&world, "q", &back);
    client.publish(&world, "", "q", "round and round");
    world.advance_ms(10);
    assert!(client.drain(&world, "q").is_empty());
}

#[test]
fn deaths_count_and_survive_a_restart() {
    let mut world = World::new();
    let mut client = world.client("u");
    let back = [("x-dead-letter-exchange", Value::string("")), ("x-dead-letter-routing-key", Value::string("q"))];
    client.queue(&world, "q", &back);
    client.publish(&world, "", "q", "m");
    for _ in 0..3 {
        let fetched = client.fetch(&world, "q", 1, Lease::Connection);
        client.settle(&world, &fetched, Outcome::Rejected);
    }
    world.restart();
    let fetched = world.client("u").fetch(&world, "q", 1, Lease::Connection);
    let deaths = fetched[0].message.deaths();
    assert_eq!((deaths.len(), deaths[0].count), (1, 3));
}

#[test]
fn letters_keep_their_order() {
    let world = World::new();
    let mut client = with_letters(&world, &[]);
    for body in ["1", "2", "3"] {
        client.publish(&world, "", "q", body);
    }
    let held = client.fetch(&world, "q", 3, Lease::Connection);
    client.settle(&world, &held, Outcome::Rejected);
    assert_eq!(client.drain(&world, "letters"), ["1", "2", "3"]);
}

#[test]
fn a_message_that_was_rejected_once_does_not_go_round_for_ever_later() {
    let mut world = World::new();
    let mut client = world.client("u");
    let round = [
        ("x-message-ttl", Value::I32(0)),
        ("x-dead-letter-exchange", Value::string("")),
        ("x-dead-letter-routing-key", Value::string("round")),
    ];
    client.queue(&world, "round", &round);
    client.queue(&world, "q", &round[1..]);
    let mut transient = message(&world, "", "q", "x");
    transient.durable = false;
    client.publish_message(&world, transient, None);
    let held = client.fetch(&world, "q", 1, Lease::Connection);
    client.settle(&world, &held, Outcome::Rejected);
    world.advance_ms(1);
    assert!(client.drain(&world, "round").is_empty());
}

#[test]
fn a_letter_lives_as_long_as_its_new_queue_says_from_when_it_came_there() {
    let mut world = World::new();
    let mut client = with_letters(&world, &[]);
    client.queue(&world, "retry", &[("x-message-ttl", Value::I32(1_000))]);
    let to_retry =
        [("x-dead-letter-exchange", Value::string("")), ("x-dead-letter-routing-key", Value::string("retry"))];
    client.queue(&world, "work", &to_retry);
    client.publish(&world, "", "work", "x");
    world.advance_ms(5_000);
    let held = client.fetch(&world, "work", 1, Lease::Connection);
    client.settle(&world, &held, Outcome::Rejected);
    world.advance_ms(999);
    world.restart();
    let mut client = world.client("u");
    assert_eq!(client.fetch(&world, "retry", 1, Lease::Connection).len(), 1, "it has another millisecond");
}

/// A queue whose dead letters go to `letters` at least once; that queue does not exist yet.
fn at_least_once(world: &World) -> super::support::Tester {
    let mut client = world.client("u");
    let arguments = [
        ("x-dead-letter-exchange", Value::string("")),
        ("x-dead-letter-routing-key", Value::string("letters")),
        ("x-dead-letter-strategy", Value::string("at-least-once")),
        ("x-overflow", Value::string("reject-publish")),
        ("x-max-length", Value::I32(3)),
    ];
    client.queue(world, "q", &arguments);
    client
}

fn reject(client: &mut super::support::Tester, world: &World, bodies: &[&str]) {
    for body in bodies {
        client.publish(world, "", "q", body);
        let held = client.fetch(world, "q", 1, Lease::Connection);
        client.settle(world, &held, Outcome::Rejected);
    }
}

#[test]
fn at_least_once_keeps_letters_until_there_is_a_route() {
    let mut world = World::new();
    let mut client = at_least_once(&world);
    reject(&mut client, &world, &["1", "2", "3"]);
    assert_eq!(world.broker.ledger().1, 0);
    client.publish(&world, "", "q", "too many");
    assert!(client.drain(&world, "q").is_empty(), "what is kept counts for the length");
    world.advance_ms(60_000);
    client.queue(&world, "letters", &[]);
    assert!(client.drain(&world, "letters").is_empty(), "not yet");
    world.advance_ms(5_000);
    let letters = client.fetch(&world, "letters", 10, Lease::Connection);
    let bodies: Vec<_> = letters.iter().map(|letter| letter.message.body.clone()).collect();
    assert_eq!(bodies, ["1", "2", "3"]);
    assert_eq!(letters[0].message.deaths()[0].count, 1, "it died once");
    client.publish(&world, "", "q", "room again");
    assert_eq!(client.drain(&world, "q"), ["room again"]);
    assert_eq!(world.broker.ledger().1, 0);
}

#[test]
fn at_least_once_keeps_letters_that_are_refused() {
    let mut world = World::new();
    let mut client = at_least_once(&world);
    client.queue(
        &world,
        "letters",
        &[("x-max-length", Value::I32(1)), ("x-overflow", Value::string("reject-publish"))],
    );
    reject(&mut client, &world, &["1", "2", "3"]);
    for expected in ["1", "2", "3"] {
        assert_eq!(client.drain(&world, "letters"), [expected]);
        world.advance_ms(5_000);
    }
    assert_eq!(world.broker.ledger().1, 0);
}

#[test]
fn who_has_a_kept_letter_does_not_get_it_again() {
    let mut world = World::new();
    let mut client = world.client("u");
    let arguments = [
        ("x-dead-letter-exchange", Value::string("amq.fanout")),
        ("x-dead-letter-strategy", Value::string("at-least-once")),
        ("x-overflow", Value::string("reject-publish")),
    ];
    client.queue(&world, "q", &arguments);
    let full = [("x-max-length", Value::I32(0)), ("x-overflow", Value::string("reject-publish"))];
    for (name, arguments) in [("full", &full[..]), ("a", &[]), ("b", &[])] {
        client.queue(&world, name, arguments);
        client.bind(&world, "amq.fanout", name, "");
    }
    reject(&mut client, &world, &["x"]);
    world.advance_ms(20_000);
    assert_eq!((client.drain(&world, "a"), client.drain(&world, "b")), (vec!["x".into()], vec!["x".into()]));
    client
        .define(&world, Definition::DeleteQueue { name: "full".into(), if_unused: false, if_empty: false })
        .expect("goes");
    world.advance_ms(5_000);
    client.publish(&world, "amq.fanout", "", "another");
    assert_eq!(client.drain(&world, "a"), ["another"]);
    assert_eq!(world.broker.ledger().1, 0);
}

#[test]
fn kept_letters_survive_restarts_and_snapshots() {
    let mut world = World::new();
    let mut client = at_least_once(&world);
    reject(&mut client, &world, &["1"]);
    world.snapshot();
    reject(&mut client, &world, &["2"]);
    world.restart();
    // Who rejected them is asked again.
    let mut client = world.client("u");
    let held = client.fetch(&world, "q", 10, Lease::Connection);
    assert_eq!(held.len(), 2);
    client.settle(&world, &held, Outcome::Rejected);
    client.queue(&world, "letters", &[]);
    world.advance_ms(5_000);
    assert_eq!(client.drain(&world, "letters"), ["1", "2"]);
}

#[test]
fn transient_letters_are_kept_purged_and_deleted() {
    let mut world = World::new();
    let mut client = at_least_once(&world);
    for body in ["1", "2"] {
        let mut transient = message(&world, "", "q", body);
        transient.durable = false;
        client.publish_message(&world, transient, None);
        let held = client.fetch(&world, "q", 1, Lease::Connection);
        client.settle(&world, &held, Outcome::Rejected);
    }
    assert!(matches!(client.purge(&world, "q"), Ok(Reply::Count(2))));
    reject(&mut client, &world, &["3"]);
    client
        .define(&world, Definition::DeleteQueue { name: "q".into(), if_unused: false, if_empty: false })
        .expect("goes");
    client.queue(&world, "letters", &[]);
    world.advance_ms(10_000);
    assert!(client.drain(&world, "letters").is_empty());
    assert_eq!(world.broker.ledger().1, 0);
}

#[test]
fn at_most_once_and_drop_head_drop_what_nobody_takes() {
    for (strategy, overflow) in [("at-most-once", "reject-publish"), ("at-least-once", "drop-head")] {
        let mut world = World::new();
        let mut client = world.client("u");
        let arguments = [
            ("x-dead-letter-exchange", Value::string("")),
            ("x-dead-letter-routing-key", Value::string("letters")),
            ("x-dead-letter-strategy", Value::string(strategy)),
            ("x-overflow", Value::string(overflow)),
        ];
        client.queue(&world, "q", &arguments);
        reject(&mut client, &world, &["x"]);
        client.queue(&world, "letters", &[]);
        world.advance_ms(10_000);
        assert!(client.drain(&world, "letters").is_empty(), "{strategy} with {overflow}");
    }
}

#[test]
fn many_kept_letters_are_read_back_and_go_in_their_order() {
    let mut world = World::paging(crate::Paging { memory_bytes_max: 0, ..crate::Paging::default() });
    let mut client = world.client("u");
    let arguments = [
        ("x-dead-letter-exchange", Value::string("")),
        ("x-dead-letter-routing-key", Value::string("letters")),
        ("x-dead-letter-strategy", Value::string("at-least-once")),
        ("x-overflow", Value::string("reject-publish")),
    ];
    client.queue(&world, "q", &arguments);
    let bodies: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    bodies.iter().for_each(|body| reject(&mut client, &world, &[body]));
    client.queue(&world, "letters", &[]);
    world.advance_ms(5_000);
    assert_eq!(client.drain(&world, "letters"), bodies);
    assert_eq!(world.broker.ledger().1, 0);
}
