//! Wildcards in the names of queues.

use crossdock_common::refusal::Resource;
use crossdock_common::{Command, ConsumerId, Event, Limits, Name, Refusal, Value};

use super::support::*;
use crate::ConnectionOptions;

const FOLLOWER: ConsumerId = ConsumerId(1);
const SUBSCRIBE: &str =
    "SUBSCRIBE\nid:0\ndestination:/queue/a.>\nack:client\nprefetch-count:5\nselector:x = 1\nreceipt:s\n\n\0";

fn following(queues: &[&'static str]) -> Wire {
    let mut wire = Wire::connected("1.2");
    wire.core.queues = queues.iter().map(|queue| Name::from(*queue)).collect();
    assert_eq!(wire.send(SUBSCRIBE), receipt("s"));
    wire
}

fn made(wire: &mut Wire, queue: &str) -> String {
    wire.event(Event::QueueMade { follower: FOLLOWER, queue: queue.into() })
}

/// Queues that were subscribed to, each with its consumer.
fn subscribed(wire: &mut Wire) -> Vec<(u64, String)> {
    let subscribe = |command| match command {
        Command::Subscribe { subscribe, .. } => Some((subscribe.consumer.0, subscribe.queue.to_string())),
        _ => None,
    };
    wire.asked().into_iter().filter_map(subscribe).collect()
}

#[test]
fn every_queue_that_is_found_has_a_consumer() {
    let mut wire = following(&["a.b", "stomp-durable-x.y", "aws.sns.x", "a.c"]);
    let asked = wire.asked();
    let Command::FollowQueues { follower: FOLLOWER, pattern, .. } = &asked[1] else { panic!("{asked:?}") };
    assert_eq!(&pattern[..], b"a.#");
    let subscribes: Vec<_> = asked[2..]
        .iter()
        .map(|command| match command {
            Command::Subscribe { subscribe, .. } => (**subscribe).clone(),
            other => panic!("nothing is declared: {other:?}"),
        })
        .collect();
    assert_eq!(subscribes.iter().map(|one| &*one.queue).collect::<Vec<_>>(), ["a.b", "a.c"]);
    for subscribe in subscribes {
        assert_eq!((subscribe.window, subscribe.presettled), (5, false));
        assert_eq!(subscribe.arguments, [("x-selector".into(), Value::string("x = 1"))]);
    }
    assert_eq!(made(&mut wire, "a.d"), "");
    assert_eq!(subscribed(&mut wire), [(4, "a.d".into())]);
    assert!(wire.deliver(4, 1, vec![message("", "a.d", "", "x")]).contains("\nsubscription:0\n"));
}

#[test]
fn a_queue_that_is_deleted_is_no_loss_and_comes_back() {
    let mut wire = following(&["a.b", "a.c"]);
    wire.asked();
    made(&mut wire, "a.b");
    assert!(subscribed(&mut wire).is_empty(), "it is consumed already");
    assert_eq!(wire.event(Event::ConsumerCancelled { consumer: ConsumerId(2) }), "");
    made(&mut wire, "a.b");
    assert_eq!(subscribed(&mut wire), [(4, "a.b".into())]);
}

#[test]
fn what_was_delivered_of_a_deleted_queue_may_be_acknowledged() {
    let mut wire = following(&["a.b"]);
    let read = wire.deliver(2, 1, vec![message("", "a.b", "", "x")]);
    let id = read.lines().find_map(|line| line.strip_prefix("ack:")).expect("an id").to_owned();
    wire.event(Event::ConsumerCancelled { consumer: ConsumerId(2) });
    wire.core.refuse = Some(Refusal::UnknownDelivery("the lease of the delivery is over".to_owned()));
    assert_eq!(wire.send(&format!("ACK\nid:{id}\nreceipt:a\n\n\0")), receipt("a"));
}

#[test]
fn a_queue_that_refuses_is_passed_over() {
    let (name, vhost) = (Name::from("a.d"), Name::from("/"));
    let gone = Refusal::NotFound { resource: Resource::Queue, name: name.clone(), vhost: vhost.clone() };
    for refusal in [gone, Refusal::ResourceLocked { name, vhost }] {
        let mut wire = following(&["a.b"]);
        wire.core.refuse = Some(refusal);
        assert_eq!(made(&mut wire, "a.d"), "");
        wire.core.refuse = None;
        wire.asked();
        assert_eq!(made(&mut wire, "a.d"), "");
        assert_eq!(subscribed(&mut wire), [(4, "a.d".into())]);
    }
    let mut wire = following(&["a.b"]);
    wire.core.refuse = Some(Refusal::PreconditionFailed("too many selectors".to_owned()));
    assert_eq!(error_of(&made(&mut wire, "a.d")), "precondition_failed");
}

#[test]
fn the_end_of_the_subscription_is_that_of_all_its_consumers() {
    let mut wire = following(&["a.b", "a.c"]);
    wire.asked();
    assert_eq!(wire.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0"), receipt("u"));
    let asked = wire.asked();
    let is_end = |command: &Command| matches!(command, Command::UnfollowQueues { follower: FOLLOWER });
    assert_eq!(asked.iter().filter(|command| is_end(command)).count(), 1);
    assert_eq!(asked.iter().filter(|command| matches!(command, Command::Unsubscribe { .. })).count(), 2);
    assert_eq!(made(&mut wire, "a.d"), "", "it was on its way");
    assert!(subscribed(&mut wire).is_empty());
    assert_eq!(error_of(&wire.send("UNSUBSCRIBE\nid:0\n\n\0")), "No subscription found");
}

/// Hostile row ST-5: others may make many queues.
#[test]
fn consumers_of_a_wildcard_are_bounded() {
    let mut wire = Wire::limited(Limits { consumers_max: 2, ..Limits::default() });
    wire.send(SUBSCRIBE);
    assert_eq!(made(&mut wire, "a.b"), "");
    assert_eq!(error_of(&made(&mut wire, "a.c")), "Too many subscriptions");
}

#[test]
fn a_browser_looks_at_one_queue() {
    let mut wire = Wire::connected("1.2");
    assert_eq!(
        error_of(&wire.send("SUBSCRIBE\nid:0\ndestination:/queue/*\nbrowser:true\n\n\0")),
        "Invalid destination"
    );
}

#[test]
fn wildcards_can_be_parts_of_names_as_with_rabbitmq() {
    let mut wire = Wire::new(ConnectionOptions { queue_wildcards: false, ..options() });
    wire.send("CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\n\n\0");
    wire.asked();
    wire.send(SUBSCRIBE);
    assert_eq!(subscribed(&mut wire), [(1, "a.>".into())]);
}
