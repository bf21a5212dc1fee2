//! Consumers and bindings that want only some messages.

use crossdock_common::command::{BoundedBy, Lease, Outcome, Subscribe};
use crossdock_common::definition::{BindingSpec, Definition};
use crossdock_common::event::Reply;
use crossdock_common::hub::Hub;
use crossdock_common::testkit::plain_format;
use crossdock_common::{Command, ConsumerId, Format, FormatTag, Lane, Message, Refusal, Value};

use super::browsing::browse_by;
use super::support::{Tester, World, binding, bodies, message, table};
use crate::Paging;

/// A format whose messages have their body as the header `color`.
#[derive(Debug)]
pub(super) struct Colored;

impl Format for Colored {
    fn tag(&self) -> FormatTag {
        plain_format().tag()
    }

    fn to_hub(&self, message: &Message) -> Hub {
        let color = Value::string(String::from_utf8_lossy(&message.body).into_owned());
        Hub { application_properties: vec![("color".into(), color)], ..Hub::default() }
    }
}

pub(super) static COLORED: Colored = Colored;

fn publish(world: &World, client: &mut Tester, (exchange, key): (&str, &str), colors: &[&str]) {
    for color in colors {
        let mut colored = message(world, exchange, key, color);
        (colored.format, colored.durable) = (&COLORED, false);
        client.publish_message(world, colored, None);
    }
}

pub(super) fn consume(
    world: &World,
    client: &mut Tester,
    number: u64,
    window: u32,
    selector: &str,
) -> Result<Reply, Refusal> {
    let subscribe = Box::new(Subscribe {
        consumer: ConsumerId(number),
        lane: Lane(0),
        queue: "q".into(),
        presettled: false,
        exclusive: false,
        priority: 0,
        window,
        bounded_by: BoundedBy::Peer,
        arguments: table(&[("x-selector", Value::string(selector.to_owned()))]),
    });
    client.request(world, |request| Command::Subscribe { request, subscribe })
}

fn world() -> (World, Tester) {
    let world = World::new();
    let mut client = world.client("u");
    client.queue(&world, "q", &[]);
    (world, client)
}

#[test]
fn each_gets_what_it_wants_and_the_rest_stays() {
    let (world, mut publisher) = world();
    let (mut red, mut blue) = (world.client("u"), world.client("u"));
    consume(&world, &mut red, 1, 0, "color = 'red'").expect("consumes");
    consume(&world, &mut blue, 1, 0, "color = 'blue'").expect("consumes");
    publish(&world, &mut publisher, ("", "q"), &["green", "red", "blue", "green", "red"]);
    assert_eq!((red.bodies(&world), blue.bodies(&world)), (vec!["red".into(), "red".into()], vec!["blue".to_owned()]));
    let mut other = world.client("u");
    assert_eq!(other.drain(&world, "q"), ["green", "green"], "whoever fetches gets anything");
}

#[test]
fn who_has_no_room_does_not_hold_up_others() {
    let (world, mut publisher) = world();
    let (mut red, mut blue) = (world.client("u"), world.client("u"));
    consume(&world, &mut red, 1, 1, "color = 'red'").expect("consumes");
    consume(&world, &mut blue, 1, 0, "color = 'blue'").expect("consumes");
    publish(&world, &mut publisher, ("", "q"), &["red", "red", "blue", "blue"]);
    let first = red.deliveries(&world);
    assert_eq!((bodies(&first), blue.bodies(&world)), (vec!["red".to_owned()], vec!["blue".to_owned(), "blue".into()]));
    red.settle(&world, &first, Outcome::Accepted);
    assert_eq!(red.bodies(&world), ["red"]);
}

#[test]
fn a_consumer_that_comes_later_gets_what_nobody_wanted_in_order() {
    let (world, mut publisher) = world();
    let mut red = world.client("u");
    consume(&world, &mut red, 1, 0, "color = 'red'").expect("consumes");
    publish(&world, &mut publisher, ("", "q"), &["green", "blue", "red", "green"]);
    let mut rest = world.client("u");
    rest.consume(&world, "q", 1, 0).expect("consumes");
    assert_eq!(rest.bodies(&world), ["green", "blue", "green"]);
    assert_eq!(red.bodies(&world), ["red"]);
}

#[test]
fn what_comes_back_is_the_same_consumers_again_and_before_later_ones() {
    let (world, mut publisher) = world();
    let mut red = world.client("u");
    consume(&world, &mut red, 1, 1, "color LIKE 'red%'").expect("consumes");
    publish(&world, &mut publisher, ("", "q"), &["red1", "green", "red2"]);
    let first = red.deliveries(&world);
    red.settle(&world, &first, Outcome::Released);
    let again = red.deliveries(&world);
    assert_eq!((bodies(&again), again[0].delivery_count), (vec!["red1".to_owned()], 1));
    red.settle(&world, &again, Outcome::Accepted);
    assert_eq!(red.bodies(&world), ["red2"]);
}

#[test]
fn when_the_last_selector_goes_the_queue_is_as_any_other() {
    let (world, mut publisher) = world();
    let mut red = world.client("u");
    consume(&world, &mut red, 1, 0, "color = 'red'").expect("consumes");
    publish(&world, &mut publisher, ("", "q"), &["green", "blue"]);
    let gone = |request| Command::Unsubscribe { request, consumer: ConsumerId(1) };
    red.request(&world, gone).expect("ends");
    publish(&world, &mut publisher, ("", "q"), &["red"]);
    assert_eq!(publisher.drain(&world, "q"), ["green", "blue", "red"]);
}

#[test]
fn runs_that_were_there_before_fall_apart() {
    let (world, mut publisher) = world();
    let bodies_of = |first: u32| (first..first + 5).map(|number| number.to_string()).collect::<Vec<_>>();
    // The route is known from the first message on.
    publisher.publish_run(&world, ("", "q"), false, &bodies_of(0), None);
    publisher.publish_run(&world, ("", "q"), false, &bodies_of(5), None);
    publisher.publish_run(&world, ("", "q"), false, &bodies_of(10), None);
    let (mut none, mut all) = (world.client("u"), world.client("u"));
    consume(&world, &mut none, 1, 0, "color = 'red'").expect("consumes");
    consume(&world, &mut all, 1, 0, "color IS NULL").expect("consumes");
    assert_eq!(all.bodies(&world), [bodies_of(0), bodies_of(5), bodies_of(10)].concat());
    assert!(none.bodies(&world).is_empty());
}

/// Durable messages leave memory while they are set aside, and are read back for whoever wants them.
#[test]
fn what_is_set_aside_may_be_on_disk_only() {
    let paging = Paging { memory_bytes_max: 2_000, read_ahead_bytes: 500, page_references: 4, part_bytes: 1 << 20 };
    let world = World::paging(paging);
    let mut publisher = world.client("u");
    publisher.queue(&world, "q", &[]);
    let mut none = world.client("u");
    consume(&world, &mut none, 1, 0, "color = 'red'").expect("consumes");
    let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    names.iter().for_each(|name| publisher.publish(&world, "", "q", name));
    assert!(none.bodies(&world).is_empty());
    let mut all = world.client("u");
    all.consume(&world, "q", 1, 0).expect("consumes");
    world.serve_reads();
    assert_eq!(all.bodies(&world), names);
}

#[test]
fn a_restart_finds_what_was_set_aside() {
    let (mut world, mut publisher) = world();
    let mut red = world.client("u");
    consume(&world, &mut red, 1, 0, "color = 'red'").expect("consumes");
    publisher.publish(&world, "", "q", "one");
    publisher.publish(&world, "", "q", "two");
    world.snapshot();
    world.restart();
    assert_eq!(world.client("u").drain(&world, "q"), ["one", "two"]);
}

#[test]
fn a_selector_that_is_none_is_refused() {
    let (world, mut client) = world();
    let refused = consume(&world, &mut client, 1, 0, "color = ").unwrap_err();
    let text = "invalid selector: a value expected at byte 8";
    assert_eq!(refused, Refusal::PreconditionFailed(text.into()));
    consume(&world, &mut client, 1, 0, " ").expect("an empty one is none");
}

#[test]
fn a_queue_has_so_many_different_selectors_and_not_more() {
    let (world, mut client) = world();
    for number in 0..62 {
        consume(&world, &mut client, number, 0, &format!("color = '{number}'")).expect("consumes");
    }
    assert!(matches!(consume(&world, &mut client, 100, 0, "color = 'x'"), Err(Refusal::LimitReached(_))));
    consume(&world, &mut client, 101, 0, "color = '61'").expect("the same again is no other");
}

#[test]
fn a_binding_with_a_selector_is_followed_by_what_it_selects() {
    let (world, mut client) = world();
    client.exchange(&world, "x", "topic", &[]);
    client.queue(&world, "all", &[]);
    client.bind(&world, "x", "all", "#");
    let selective = |selector: &str| BindingSpec {
        arguments: table(&[("x-selector", Value::string(selector.to_owned()))]),
        ..binding("x", "q", "#")
    };
    client.define(&world, Definition::Bind(selective("color = 'red'"))).expect("binds");
    publish(&world, &mut client, ("x", "k"), &["red", "blue", "red"]);
    assert_eq!(client.drain(&world, "q"), ["red", "red"]);
    assert_eq!(client.drain(&world, "all"), ["red", "blue", "red"]);
    client.define(&world, Definition::Unbind(selective("color = 'red'"))).expect("unbinds");
    publish(&world, &mut client, ("x", "k"), &["red"]);
    assert!(client.fetch(&world, "q", 1, Lease::Connection).is_empty());
    assert!(client.define(&world, Definition::Bind(selective("("))).is_err());
}

/// One message for each of two consumers among many that nobody wants: each message is looked at once.
#[test]
fn a_long_queue_of_unwanted_messages_is_not_looked_at_again() {
    let (world, mut publisher) = world();
    let (mut red, mut blue) = (world.client("u"), world.client("u"));
    consume(&world, &mut red, 1, 1, "color = 'red'").expect("consumes");
    consume(&world, &mut blue, 1, 1, "color = 'blue'").expect("consumes");
    publish(&world, &mut publisher, ("", "q"), &["green"; 2_000]);
    for _ in 0..500 {
        publish(&world, &mut publisher, ("", "q"), &["red", "blue"]);
        for client in [&mut red, &mut blue] {
            let one = client.deliveries(&world);
            assert_eq!(one.len(), 1);
            client.settle(&world, &one, Outcome::Accepted);
        }
    }
}

#[test]
fn who_looks_may_want_only_some_messages_whatever_consumers_want() {
    let (world, mut client) = world();
    publish(&world, &mut client, ("", "q"), &["red", "blue", "red", "green"]);
    assert_eq!(browse_by(&world, &mut client, 1, "color = 'red'"), ["red", "red"]);
    consume(&world, &mut client, 1, 1, "color = 'blue'").expect("consumes");
    assert_eq!(client.deliveries(&world).len(), 1);
    assert_eq!(browse_by(&world, &mut client, 1, ""), ["red", "red", "green"]);
    assert_eq!(browse_by(&world, &mut client, 9, "color <> 'red'"), ["green"]);
}

#[test]
fn a_reader_of_a_stream_may_want_only_some_messages() {
    for paging in [
        Paging::default(),
        Paging { memory_bytes_max: 2_000, read_ahead_bytes: 1_000, page_references: 4, part_bytes: 100 },
    ] {
        let world = World::paging(paging);
        let mut client = world.client("u");
        client.queue(&world, "q", &[("x-queue-type", Value::string("stream"))]);
        let first = ("x-stream-offset", Value::string("first"));
        for number in 0..30 {
            let mut numbered = message(&world, "", "q", &number.to_string());
            numbered.durable = number % 3 == 0;
            client.publish_message(&world, numbered, None);
        }
        for (consumer, mode, remainders) in [(1, "PERSISTENT", 0..1), (2, "NON_PERSISTENT", 1..3)] {
            let selector = ("x-selector", Value::string(format!("JMSDeliveryMode = '{mode}'")));
            let subscribe = Box::new(Subscribe {
                consumer: ConsumerId(consumer),
                lane: Lane(0),
                queue: "q".into(),
                presettled: false,
                exclusive: false,
                priority: 0,
                window: 100,
                bounded_by: BoundedBy::Peer,
                arguments: table(&[first.clone(), selector]),
            });
            client.request(&world, |request| Command::Subscribe { request, subscribe }).expect("consumes");
            world.sync();
            let expected = (0..30).filter(|number| remainders.contains(&(number % 3))).map(|number| number.to_string());
            assert_eq!(bodies(&client.deliveries(&world)), expected.collect::<Vec<_>>(), "{mode}");
        }
    }
}
