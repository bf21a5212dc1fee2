use bytes::Bytes;
use crossdock_common::command::{Lease, Outcome};
use crossdock_common::testkit::plain_format;
use crossdock_common::{Format, FormatTag, Hub, Message, Value};

use super::support::{Tester, World, message, table};

/// A format whose properties are `VALUE` or `VALUE TTL`: the headers `x-deduplication-header` and `x-cache-ttl`.
#[derive(Debug)]
struct Headed;

impl Format for Headed {
    fn tag(&self) -> FormatTag {
        plain_format().tag()
    }

    fn to_hub(&self, message: &Message) -> Hub {
        let text = String::from_utf8_lossy(&message.properties).into_owned();
        let mut words = text.split(' ');
        let value = Value::string(words.next().unwrap_or_default().to_owned());
        let mut headers = table(&[("x-deduplication-header", value)]);
        headers
            .extend(table(&words.map(|ttl| ("x-cache-ttl", Value::I64(ttl.parse().expect("ms")))).collect::<Vec<_>>()));
        Hub { application_properties: headers, ..Hub::default() }
    }
}

fn queue(world: &World, more: &[(&str, Value)]) -> Tester {
    let mut client = world.client("u");
    let mut arguments = vec![("x-message-deduplication", Value::Bool(true))];
    arguments.extend_from_slice(more);
    client.queue(world, "q", &arguments);
    client
}

fn publish(world: &World, client: &mut Tester, headers: &str, body: &str, confirm: Option<u64>) {
    let plain = message(world, "", "q", body);
    let properties = Bytes::copy_from_slice(headers.as_bytes());
    let mut headed = Message::new(&Headed, plain.exchange, plain.routing_key, properties, plain.body);
    (headed.durable, headed.received_at) = (true, plain.received_at);
    client.publish_message(world, headed, confirm);
}

#[test]
fn the_first_of_each_value_is_kept_and_all_are_confirmed() {
    let world = World::new();
    let mut client = queue(&world, &[]);
    for (number, (value, body)) in [("a", "1"), ("b", "2"), ("a", "3")].into_iter().enumerate() {
        publish(&world, &mut client, value, body, Some(number as u64 + 1));
    }
    for body in ["4", "5"] {
        client.publish(&world, "", "q", body);
    }
    assert_eq!(client.confirmed(&world), [1, 2, 3]);
    assert_eq!(client.drain(&world, "q"), ["1", "2", "4", "5"], "those without the header are all kept");
    publish(&world, &mut client, "a", "6", None);
    assert!(client.drain(&world, "q").is_empty(), "also when the first is gone");
}

#[test]
fn values_are_known_over_restarts_and_snapshots() {
    let mut world = World::new();
    let mut client = queue(&world, &[]);
    publish(&world, &mut client, "a", "1", None);
    assert_eq!(client.drain(&world, "q"), ["1"]);
    world.restart();
    publish(&world, &mut world.client("u"), "a", "2", None);
    world.snapshot();
    world.restart();
    let mut client = world.client("u");
    publish(&world, &mut client, "a", "3", None);
    publish(&world, &mut client, "b", "4", None);
    assert_eq!(client.drain(&world, "q"), ["4"]);
}

#[test]
fn the_oldest_values_are_forgotten_when_there_are_too_many() {
    let world = World::new();
    let mut client = queue(&world, &[("x-cache-size", Value::I32(2))]);
    for (value, body) in [("a", "1"), ("b", "2"), ("a", "twice"), ("c", "3"), ("a", "4"), ("c", "twice")] {
        publish(&world, &mut client, value, body, None);
    }
    assert_eq!(client.drain(&world, "q"), ["1", "2", "3", "4"]);
}

#[test]
fn values_are_forgotten_after_their_time() {
    let mut world = World::new();
    let mut client = queue(&world, &[("x-cache-ttl", Value::I32(100))]);
    publish(&world, &mut client, "a", "1", None);
    publish(&world, &mut client, "b 1000", "2", None);
    world.advance_ms(99);
    publish(&world, &mut client, "a", "twice", None);
    world.advance_ms(1);
    publish(&world, &mut client, "a", "3", None);
    world.advance_ms(899);
    publish(&world, &mut client, "b", "twice", None);
    world.restart();
    world.advance_ms(1);
    let mut client = world.client("u");
    publish(&world, &mut client, "b", "4", None);
    assert_eq!(client.drain(&world, "q"), ["1", "2", "3", "4"]);
}

#[test]
fn a_dead_letter_is_another_message() {
    let world = World::new();
    let mut client = queue(
        &world,
        &[("x-dead-letter-exchange", Value::string("")), ("x-dead-letter-routing-key", Value::string("q"))],
    );
    publish(&world, &mut client, "a", "1", None);
    let held = client.fetch(&world, "q", 1, Lease::Connection);
    client.settle(&world, &held, Outcome::Rejected);
    assert_eq!(client.drain(&world, "q"), ["1"]);
}
