use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::{Lease, Outcome};
use crossdock_common::definition::{BindingSpec, Definition, DelayedInfo, Destination, ExchangeSpec};
use crossdock_common::event::Reply;
use crossdock_common::testkit::plain_format;
use crossdock_common::{Command, Event, Format, FormatTag, Hub, Message, Refusal, Value};

use super::support::{Tester, World, binding, bodies, message, table};
use crate::Paging;

/// A format whose properties are the text of the header `x-delay`.
#[derive(Debug)]
struct Asking;

impl Format for Asking {
    fn tag(&self) -> FormatTag {
        plain_format().tag()
    }

    fn to_hub(&self, message: &Message) -> Hub {
        let text = String::from_utf8_lossy(&message.properties).into_owned();
        Hub { application_properties: table(&[("x-delay", Value::string(text))]), ..Hub::default() }
    }
}

fn with_delays(world: &World) -> Tester {
    let mut client = world.client("u");
    client.exchange(world, "later", "x-delayed-message", &[("x-delayed-type", Value::string("topic"))]);
    client.queue(world, "q", &[]);
    client.bind(world, "later", "q", "a.*");
    client
}

fn asking(world: &World, exchange: &str, delay: &str, body: &str) -> Message {
    let asks = message(world, exchange, "a.b", body);
    let properties = Bytes::copy_from_slice(delay.as_bytes());
    let mut message = Message::new(&Asking, asks.exchange, asks.routing_key, properties, asks.body);
    (message.durable, message.received_at) = (true, asks.received_at);
    message
}

fn delay(world: &World, client: &mut Tester, delay: &str, body: &str) {
    client.publish_message(world, asking(world, "later", delay, body), None);
}

fn list(world: &World, client: &mut Tester, after: Option<&DelayedInfo>, count_max: usize) -> Vec<DelayedInfo> {
    let after = after.map(|info| (info.due, info.position));
    let list = Definition::ListDelayed { exchange: "later".into(), after, count_max };
    match client.define(world, list) {
        Ok(Reply::Delayed(infos)) => infos,
        other => panic!("no list: {other:?}"),
    }
}

#[test]
fn messages_go_on_when_their_delay_is_over_in_that_order() {
    let mut world = World::new();
    let mut client = with_delays(&world);
    for (asked, body) in [("300", "late"), ("100", "early"), ("0", "now"), ("-5", "again"), ("soon", "unclear")] {
        delay(&world, &mut client, asked, body);
    }
    delay(&world, &mut client, "4294967296", "too long to wait for");
    assert_eq!(client.drain(&world, "q"), ["now", "again", "unclear", "too long to wait for"]);
    world.advance_ms(99);
    assert!(client.drain(&world, "q").is_empty());
    world.advance_ms(1);
    let early = client.fetch(&world, "q", 1, Lease::Connection);
    assert_eq!(bodies(&early), ["early"]);
    let rare = early[0].message.rare.as_ref().expect("it waited");
    assert_eq!((rare.exchange_delay_ms, rare.deaths.len()), (Some(-100), 0));
    assert_eq!(early[0].message.exchange.as_str(), "later");
    world.advance_ms(200);
    assert_eq!(client.drain(&world, "q"), ["late"]);
    world.check_ledgers();
}

#[test]
fn a_delayed_message_is_confirmed_when_it_is_durable_and_survives() {
    let mut world = World::new();
    let mut client = with_delays(&world);
    world.instantly_durable = false;
    client.publish_message(&world, asking(&world, "later", "1000", "m"), Some(1));
    assert!(client.confirmed(&world).is_empty());
    world.instantly_durable = true;
    assert_eq!(client.confirmed(&world), [1]);
    assert!(!client.events.iter().any(|event| matches!(event, Event::Unroutable { .. })), "it is not returned");
    for snapshot in [false, true] {
        world.advance_ms(400);
        if snapshot {
            world.snapshot();
        }
        world.restart();
        assert!(world.client("u").drain(&world, "q").is_empty());
    }
    world.advance_ms(199);
    assert!(world.client("u").drain(&world, "q").is_empty());
    world.advance_ms(1);
    assert_eq!(world.client("u").drain(&world, "q"), ["m"]);
    world.restart();
    assert!(world.client("u").drain(&world, "q").is_empty(), "once");
}

#[test]
fn what_became_due_while_the_broker_was_away_goes_on_at_the_start() {
    let mut world = World::new();
    let mut client = with_delays(&world);
    delay(&world, &mut client, "100", "overdue");
    let later = world.now.instant.after_ms(60_000);
    world.now.instant = later;
    world.now.unix.0 += 60_000;
    world.restart();
    assert_eq!(world.client("u").drain(&world, "q"), ["overdue"]);
}

#[test]
fn waiting_messages_are_listed_and_taken_away() {
    let mut world = World::new();
    let mut client = with_delays(&world);
    for (asked, body) in [("300", "c"), ("100", "a"), ("200", "b")] {
        delay(&world, &mut client, asked, body);
    }
    let all = list(&world, &mut client, None, 10);
    let told: Vec<_> = all.iter().map(|info| (info.due_at.0 - world.now.unix.0, info.body_bytes)).collect();
    assert_eq!(told, [(100, 1), (200, 1), (300, 1)]);
    assert_eq!(all[1].message.as_ref().expect("in memory").body, "b");
    let rest = list(&world, &mut client, Some(&all[0]), 1);
    assert_eq!((rest.len(), rest[0].position), (1, all[1].position));
    let position = all[1].position;
    let cancel = |request| Command::CancelDelayed { request, exchange: "later".into(), position };
    client.request(&world, cancel).expect("is taken away");
    assert!(matches!(client.request(&world, cancel), Err(Refusal::UnknownDelivery(_))));
    world.restart();
    world.advance_ms(300);
    assert_eq!(world.client("u").drain(&world, "q"), ["a", "c"]);
    let of_another = Definition::ListDelayed { exchange: "amq.topic".into(), after: None, count_max: 1 };
    assert!(world.client("u").define(&world, of_another).is_err());
}

#[test]
fn a_cancellation_is_answered_when_it_is_durable() {
    let mut world = World::new();
    let mut client = with_delays(&world);
    delay(&world, &mut client, "100", "m");
    let position = list(&world, &mut client, None, 1)[0].position;
    world.instantly_durable = false;
    let request = client.ask(&world, |request| Command::CancelDelayed { request, exchange: "later".into(), position });
    assert!(client.answer(request).is_none());
    world.instantly_durable = true;
    client.hear(&world);
    client.answer(request).expect("an answer").expect("is taken away");
}

#[test]
fn the_queue_of_an_exchange_is_nobody_elses() {
    let world = World::new();
    let mut client = with_delays(&world);
    delay(&world, &mut client, "100", "m");
    client.publish(&world, "", "amq.delayed.later", "through the back door");
    assert!(client.events.iter().any(|event| matches!(event, Event::Unroutable { .. })));
    let list = Definition::ListQueues { prefix: "".into(), after: None, count_max: 10 };
    let Ok(Reply::Queues(queues)) = client.define(&world, list) else { panic!("no list") };
    assert_eq!(queues.iter().map(|info| info.spec.name.as_str()).collect::<Vec<_>>(), ["q"]);
    assert!(client.consume(&world, "amq.delayed.later", 1, 0).is_err());
    assert!(client.purge(&world, "amq.delayed.later").is_err());
    let bind = Definition::Bind(binding("amq.topic", "amq.delayed.later", "#"));
    assert!(matches!(client.define(&world, bind), Err(Refusal::NotFound { .. })));
}

#[test]
fn a_deleted_exchange_takes_its_messages_along() {
    let mut world = World::new();
    let mut client = with_delays(&world);
    delay(&world, &mut client, "100", "m");
    client.define(&world, Definition::DeleteExchange { name: "later".into(), if_unused: false }).expect("deletes");
    client.exchange(&world, "later", "x-delayed-message", &[("x-delayed-type", Value::string("fanout"))]);
    client.bind(&world, "later", "q", "");
    assert!(list(&world, &mut client, None, 10).is_empty());
    world.restart();
    world.advance_ms(100);
    let mut client = world.client("u");
    assert!(client.drain(&world, "q").is_empty());
    delay(&world, &mut client, "5", "new");
    world.advance_ms(5);
    assert_eq!(client.drain(&world, "q"), ["new"]);
}

#[test]
fn delays_lie_behind_and_ahead_of_other_exchanges_and_dead_letters() {
    let mut world = World::new();
    let mut client = with_delays(&world);
    let to = |source: &str, exchange: &str| BindingSpec {
        destination: Destination::Exchange(exchange.into()),
        ..binding(source, "", "a.b")
    };
    client.queue(&world, "at once", &[]);
    client.queue(&world, "behind", &[("x-dead-letter-exchange", Value::string("later"))]);
    client.define(&world, Definition::Bind(to("amq.direct", "later"))).expect("binds");
    client.bind(&world, "amq.direct", "at once", "a.b");
    client.define(&world, Definition::Bind(to("later", "amq.fanout"))).expect("binds");
    client.bind(&world, "amq.fanout", "behind", "");
    client.publish_message(&world, asking(&world, "amq.direct", "50", "m"), None);
    assert_eq!(client.drain(&world, "at once"), ["m"]);
    assert!(client.drain(&world, "q").is_empty());
    world.advance_ms(50);
    let found = client.fetch(&world, "q", 1, Lease::Connection);
    assert_eq!(found[0].message.exchange.as_str(), "amq.direct");
    let behind = client.fetch(&world, "behind", 1, Lease::Connection);
    client.settle(&world, &behind, Outcome::Rejected);
    assert_eq!(client.drain(&world, "q"), ["m"], "it has waited already");
}

#[test]
fn what_nobody_wants_when_it_is_due_is_gone() {
    let mut world = World::new();
    let mut client = with_delays(&world);
    delay(&world, &mut client, "100", "m");
    client.define(&world, Definition::Unbind(binding("later", "q", "a.*"))).expect("unbinds");
    world.advance_ms(100);
    assert!(list(&world, &mut client, None, 10).is_empty());
    world.restart();
    assert!(list(&world, &mut world.client("u"), None, 10).is_empty());
}

#[test]
fn a_backlog_of_delays_is_on_disk_and_comes_in_order() {
    let paging = Paging { memory_bytes_max: 2_000, ..Paging::default() };
    let mut world = World::paging(paging);
    let mut client = with_delays(&world);
    let names: Vec<String> = (0..3_000).map(|number| number.to_string()).collect();
    for (number, body) in names.iter().enumerate() {
        let mut asked = asking(&world, "later", &format!("{}", 1_000 + number), body);
        asked.durable = number % 2 == 0;
        client.publish_message(&world, asked, None);
    }
    let infos = list(&world, &mut client, None, usize::MAX);
    assert_eq!(infos.len(), 3_000);
    let here: Vec<Arc<Message>> = infos.into_iter().filter_map(|info| info.message).collect();
    assert!(here.len() < 200, "{} are in memory", here.len());
    world.advance_ms(5_000);
    assert_eq!(client.drain(&world, "q"), names);
    world.check_ledgers();
}

#[test]
fn a_delayed_exchange_needs_another_kind_to_be() {
    let world = World::new();
    let mut client = world.client("u");
    let mut declare = |arguments: &[(&str, Value)]| {
        let spec = ExchangeSpec {
            name: "later".into(),
            kind: "x-delayed-message".into(),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: table(arguments),
            attributes: vec![],
        };
        client.define(&world, Definition::DeclareExchange { spec, passive: false }).map(drop)
    };
    let refused = Err(Refusal::PreconditionFailed(
        "Invalid argument, 'x-delayed-type' must be an existing exchange type".to_owned(),
    ));
    assert_eq!(declare(&[]), refused);
    assert_eq!(declare(&[("x-delayed-type", Value::I32(1))]), refused);
    assert_eq!(declare(&[("x-delayed-type", Value::string("x-delayed-message"))]), refused);
    assert!(declare(&[("x-delayed-type", Value::string("no such"))]).is_err());
    assert_eq!(declare(&[("x-delayed-type", Value::string("x-consistent-hash"))]), Ok(()));
}
