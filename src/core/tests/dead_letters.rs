use crossdock_common::Value;
use crossdock_common::command::{Lease, Outcome};
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
