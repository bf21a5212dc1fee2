use std::sync::Arc;

use crossdock_common::command::Outcome;
use crossdock_common::definition::{Definition, Destination};
use crossdock_common::{Command, ConsumerId, Event, Limits};

use super::support::{
    Core, NOTHING, Tester, connect, connect_with, message, options, publish, subscribe, text, unsubscribe,
};
use crate::ConnectionOptions;

#[test]
fn a_subscription_is_a_binding_that_remembers_its_options() {
    let mut tester = Tester::connected(5);
    assert_eq!(tester.send(&subscribe(5, 9, &[("a/b.c/+/#", 0b1101)])), [0x90, 4, 0, 9, 0, 1]);
    let spec = tester.bound()[0].clone();
    assert_eq!((&*spec.source, &spec.key[..]), ("amq.topic", &b"a.b/c.*.#"[..]));
    assert_eq!(spec.destination, Destination::Queue("session.c".into()));
    assert!(spec.arguments.is_empty());

    let mut core = Core::default();
    core.session.bindings = vec![spec];
    let mut tester = Tester::connected_with(options(), core, &connect_with(5, 0, &[], &text("c")));
    assert_eq!(tester.deliver(message("a.b/c.x", 0b101, &[], ""))[0], 0x33, "QoS 1, retain as published");
}

#[test]
fn codes_for_each_filter() {
    let deep = "+/".repeat(200);
    let filters = [("a", 2), ("secret/x", 1), (&deep, 0)];
    assert_eq!(Tester::connected(5).send(&subscribe(5, 1, &filters)), [0x90, 6, 0, 1, 0, 2, 0x87, 0x8F]);
    assert_eq!(Tester::connected(4).send(&subscribe(4, 1, &filters)), [0x90, 5, 0, 1, 2, 0x80, 0x80]);
}

#[test]
fn what_is_no_filter_ends_the_connection_before_anything_is_bound() {
    for bad in ["a#", "$share//x", ""] {
        for level in [4, 5] {
            let mut tester = Tester::connected(level);
            let answer = tester.send(&subscribe(level, 1, &[("a", 0), (bad, 0)]));
            assert!(tester.close.is_some() && tester.bound().is_empty(), "{bad}");
            assert_eq!(answer.get(2), (level == 5).then_some(&0x81));
        }
    }
}

#[test]
fn a_refused_subscription_gets_nothing() {
    let mut tester = Tester::connected(4);
    tester.send(&subscribe(4, 1, &[("secret", 1)]));
    assert_eq!(tester.deliver(message("secret", 1, &[], "")), NOTHING);
    assert_eq!(tester.settled(Outcome::Accepted), [0]);
}

#[test]
fn a_literal_star_has_a_binding_of_its_own() {
    let mut tester = Tester::connected(4);
    tester.send(&subscribe(4, 1, &[("a/*", 0), ("a/+", 0)]));
    let bound = tester.bound();
    assert_eq!(bound[0].key, bound[1].key);
    assert_ne!(bound[0].arguments, bound[1].arguments);
}

#[test]
fn unsubscribing() {
    let mut tester = Tester::connected(5);
    tester.send(&subscribe(5, 1, &[("a", 1), ("+", 1)]));
    assert_eq!(tester.send(&unsubscribe(5, 2, &["a", "b", "+"])), [0xB0, 6, 0, 2, 0, 0, 0x11, 0]);
    assert_eq!(tester.deliver(message("a", 1, &[], "")), NOTHING);
    let unbound = |command: &&Command| matches!(command, Command::Define { definition, .. } if matches!(**definition, Definition::Unbind(_)));
    assert_eq!(tester.core.log.iter().filter(unbound).count(), 2);
    assert_eq!(Tester::connected(4).send(&unsubscribe(4, 2, &["a"])), [0xB0, 2, 0, 2]);
}

#[test]
fn retained_messages_follow_the_suback() {
    let core = || Core {
        retained: vec![
            Arc::new(message("a.b", 0b110, &[], "x")),
            Arc::new(message("$SYS.x", 1, &[], "x")),
            Arc::new(message("a", 1, &[], "y")),
        ],
        ..Core::default()
    };
    let mut tester = Tester::connected_with(options(), core(), &connect(4, "c"));
    let bytes = tester.send(&subscribe(4, 1, &[("+/b", 1)]));
    assert_eq!(bytes, [&[0x90, 3, 0, 1, 1][..], b"\x33\x08\0\x03a/b\xFF\xFFx"].concat());
    assert_eq!(tester.send(&[0x40, 2, 0xFF, 0xFF]), NOTHING);
    assert!(tester.settled(Outcome::Accepted).is_empty(), "there is nothing to settle");
    assert_eq!(tester.send(&subscribe(4, 1, &[("+/b", 0)])).len(), 5 + 8, "again with every SUBSCRIBE");

    let mut tester = Tester::connected_with(options(), core(), &connect(5, "c"));
    assert_eq!(tester.send(&subscribe(5, 1, &[("a", 0x10)])).len(), 6 + 7, "retain handling 1: new");
    assert_eq!(tester.send(&subscribe(5, 1, &[("a", 0x10)])).len(), 6, "retain handling 1: not new");
    assert_eq!(tester.send(&subscribe(5, 1, &[("a/b", 0x20)])).len(), 6, "retain handling 2");
    let mut tester = Tester::connected_with(options(), core(), &connect(4, "c"));
    let bytes = tester.send(&subscribe(4, 1, &[("#", 0)]));
    assert_eq!(bytes.len(), 5 + 8 + 6, "wildcards do not reach $SYS (MQ-11)");
}

#[test]
fn shared_subscriptions_are_one_queue_for_a_group() {
    let persistent = connect_with(5, 2, &[0x11, 0, 0, 0, 9], &text("c"));
    let mut tester = Tester::connected_with(options(), Core::default(), &persistent);
    assert_eq!(tester.send(&subscribe(5, 1, &[("$share/g/a/+", 1)])), [0x90, 4, 0, 1, 0, 1]);
    let commands: Vec<String> = tester.core.log.iter().map(|command| format!("{command:?}")).collect();
    assert!(commands[0].contains("DeclareQueue") && commands[0].contains("share.g.a/+"));
    assert!(commands[1].contains("Bind"));
    let Command::Subscribe { subscribe: consume, .. } = &tester.core.log[2] else { panic!() };
    assert_eq!((&*consume.queue, consume.consumer), ("share.g.a/+", ConsumerId(1)));
    let Command::SessionState { key, value, .. } = &tester.core.log[3] else { panic!() };
    assert_eq!(&key[..], b"s$share/g/a/+");
    let state = vec![(key.clone(), value.clone().expect("kept"))];

    let mut delivery = tester.core.delivery(Arc::new(message("a.b", 2, &[], "x")));
    delivery.consumer = ConsumerId(1);
    assert_eq!(tester.event(Event::Deliver(vec![delivery.clone()]))[0], 0x32);
    assert_eq!(tester.send(&unsubscribe(5, 2, &["$share/g/a/+"])), [0xB0, 4, 0, 2, 0, 0]);
    assert_eq!(tester.send(&unsubscribe(5, 2, &["$share/g/a/+"])), [0xB0, 4, 0, 2, 0, 0x11]);
    assert_eq!(tester.event(Event::Deliver(vec![delivery.clone()])), NOTHING);
    assert_eq!(tester.settled(Outcome::Released), [0], "the rest of the group shall have it");
    assert_eq!(tester.send(&subscribe(5, 1, &[("$share/g/b", 1), ("$share/g/b", 1)])), [0x90, 5, 0, 1, 0, 1, 1]);
    let consumers = tester.core.log.iter().filter(|command| matches!(command, Command::Subscribe { .. })).count();
    assert_eq!(consumers, 2, "one for each filter");

    let mut core = Core::default();
    core.session.state = state;
    let mut tester = Tester::connected_with(options(), core, &persistent);
    assert_eq!(tester.event(Event::Deliver(vec![delivery]))[0], 0x32, "resumed");
    assert_eq!(tester.send(&subscribe(5, 1, &[("$share/g/a", 0b101)]))[2], 0x82, "no-local with shared");
}

#[test]
fn queues_that_go_away() {
    let mut tester = Tester::connected(5);
    tester.send(&subscribe(5, 1, &[("$share/g/a", 1)]));
    assert_eq!(tester.event(Event::ConsumerCancelled { consumer: ConsumerId(1) }), NOTHING);
    assert_eq!(tester.send(&unsubscribe(5, 2, &["$share/g/a"]))[5], 0x11);
    assert_eq!(tester.event(Event::ConsumerCancelled { consumer: ConsumerId(0) })[2], 0x98);
}

#[test]
fn subscriptions_at_their_limit() {
    let limits = Limits { consumers_max: 2, ..Limits::default() };
    let options = ConnectionOptions { limits: limits.into(), ..options() };
    let mut tester = Tester::connected_with(options.clone(), Core::default(), &connect(5, "c"));
    assert_eq!(tester.send(&subscribe(5, 1, &[("a", 0), ("b", 0)])), [0x90, 5, 0, 1, 0, 0, 0]);
    assert_eq!(tester.send(&subscribe(5, 1, &[("b", 1), ("c", 0)])), [0x90, 5, 0, 1, 0, 1, 0x97]);
    assert_eq!(tester.send(&subscribe(5, 1, &[("$share/g/c", 0)]))[5], 0x97);
    let answer = tester.send(&subscribe(5, 1, &[("a", 0), ("a", 0), ("a", 0)]));
    assert_eq!(answer[2], 0x97, "10k filters in one packet (MQ-12)");
}

#[test]
fn what_a_client_publishes_after_it_subscribed_is_not_the_last_value_from_before() {
    let mut tester = Tester::connected(4);
    let mut bytes = subscribe(4, 1, &[("a", 0)]);
    bytes.extend(publish(0b0001, "a", 0, None, b"m"));
    tester.send(&bytes);
    let kinds = tester.core.log.iter().filter_map(|command| match command {
        Command::FetchRetained { .. } => Some("fetch"),
        Command::Publish(_) => Some("publish"),
        _ => None,
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["fetch", "publish"]);
}
