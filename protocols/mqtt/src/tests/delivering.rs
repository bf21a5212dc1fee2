use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::Outcome;
use crossdock_common::testkit::plain_format;
use crossdock_common::{Command, Event, Message, UnixMillis};

use crate::ConnectionOptions;

use super::support::{Core, NOTHING, Tester, connect, connect_with, message, options, subscribe, text};

fn subscribed(level: u8, filters: &[(&str, u8)]) -> Tester {
    let mut tester = Tester::connected(level);
    tester.send(&subscribe(level, 1, filters));
    tester.core.log.clear();
    tester
}

#[test]
fn the_lower_qos_wins_and_qos_0_is_settled_at_once() {
    for (published, subscribed_qos, first) in [(0, 2, 0x30), (1, 0, 0x30), (1, 2, 0x32), (2, 1, 0x32), (2, 2, 0x34)] {
        let mut tester = subscribed(4, &[("a/b", subscribed_qos)]);
        let bytes = tester.deliver(message("a.b", published, &[], "x"));
        let id: &[u8] = if first == 0x30 { &[] } else { &[0, 1] };
        assert_eq!(bytes, [&[first, 6 + id.len() as u8, 0, 3][..], b"a/b", id, b"x"].concat());
        assert_eq!(tester.settled(Outcome::Accepted).len(), usize::from(first == 0x30));
    }
}

#[test]
fn the_granted_qos_is_used_if_the_operator_wants_that() {
    let upgrading = ConnectionOptions { upgrade_outgoing_qos: true, ..options() };
    let mut tester = Tester::connected_with(upgrading, Core::default(), &connect(4, "c"));
    tester.send(&subscribe(4, 1, &[("a/b", 1)]));
    assert_eq!(tester.deliver(message("a.b", 0, &[], "x")), b"\x32\x08\0\x03a/b\0\x01x");
}

#[test]
fn a_batch_is_settled_with_one_command() {
    let mut tester = subscribed(4, &[("a", 0)]);
    let deliveries = (0..10).map(|_| tester.core.delivery(Arc::new(message("a", 1, &[], "x")))).collect();
    tester.event(Event::Deliver(deliveries));
    assert_eq!((tester.core.log.len(), tester.settled(Outcome::Accepted).len()), (1, 10));
}

#[test]
fn an_acknowledgement_and_a_ping_in_one_read_are_both_heard() {
    let mut tester = subscribed(4, &[("a", 1)]);
    tester.deliver(message("a", 1, &[], "x"));
    assert_eq!(tester.send(b"\x40\x02\0\x01\xC0\0"), b"\xD0\0");
    assert_eq!(tester.settled(Outcome::Accepted), [0]);
}

#[test]
fn overlapping_subscriptions_get_one_copy_with_all_identifiers() {
    let mut tester = Tester::connected(5);
    for (id, filter, qos) in [(7, "a/+", 0), (8, "a/#", 1)] {
        let body = [&[0, 1, 2, 0x0B, id][..], &text(filter), &[qos]].concat();
        tester.send(&super::support::packet(0x82, &body));
    }
    let bytes = tester.deliver(message("a.b", 2, b"\x26\0\x01k\0\x01v", "x"));
    let expected = [&b"\x32\x14\0\x03a/b\0\x01\x0B\x0B\x08\x0B\x07\x26\0\x01k\0\x01v"[..], b"x"].concat();
    assert_eq!(bytes, expected);
}

#[test]
fn what_nobody_wants_any_more_is_settled_and_skipped() {
    let mut tester = subscribed(4, &[("#", 1), ("a/*", 1)]);
    assert_eq!(tester.deliver(message("$SYS.x", 1, &[], "x")), NOTHING, "wildcards do not reach $ (MQ-11)");
    assert_eq!(tester.settled(Outcome::Accepted), [0]);
    for key in ["", "a.#", "a.+", "\0"] {
        assert_eq!(tester.deliver(message(key, 1, &[], "x")), NOTHING, "no topic");
    }
    assert_eq!(tester.settled(Outcome::Rejected), [1, 2, 3, 4]);
}

#[test]
fn no_local_and_retain_as_published() {
    let mut tester = subscribed(5, &[("a", 0b0100), ("b", 0b1000)]);
    let mut own = message("a", 0, &[], "x");
    own.rare_mut().session = Some("c".into());
    assert_eq!(tester.deliver(own), NOTHING);
    let mut other = message("a", 0b100, &[], "x");
    other.rare_mut().session = Some("d".into());
    assert_eq!(tester.deliver(other)[0], 0x30, "RETAIN is cleared for those who were there");
    assert_eq!(tester.deliver(message("b", 0b100, &[], "x"))[0], 0x31, "unless they want to know");
}

#[test]
fn at_least_once() {
    let mut tester = subscribed(5, &[("a", 1)]);
    tester.core.position = 65_535 + 41;
    assert_eq!(tester.deliver(message("a", 1, &[], "x"))[5..7], [0, 42], "1 + position % 65535");
    assert!(tester.core.log.is_empty());
    tester.send(&[0x40, 2, 0, 42]);
    assert_eq!(tester.settled(Outcome::Accepted), [65_535 + 41]);
    tester.send(&[0x40, 2, 0, 42]);
    assert_eq!(tester.core.log.len(), 1, "once is enough");
    tester.deliver(message("a", 1, &[], "x"));
    tester.send(&[0x40, 3, 0, 43, 0x83]);
    assert_eq!(tester.settled(Outcome::Rejected), [65_535 + 42]);
    let mut again = tester.core.delivery(Arc::new(message("a", 1, &[], "x")));
    again.delivery_count = 1;
    assert_eq!(tester.event(Event::Deliver(vec![again]))[0], 0x3A, "DUP");
}

#[test]
fn exactly_once() {
    let persistent = connect_with(4, 0, &[], &text("c"));
    let mut tester = Tester::connected_with(options(), Core::default(), &persistent);
    tester.send(&subscribe(4, 1, &[("a", 2)]));
    tester.core.log.clear();
    tester.core.keeps = false;
    tester.deliver(message("a", 2, &[], "x"));
    assert_eq!(tester.send(&[0x50, 2, 0, 1]), NOTHING, "kept first");
    let [Command::SessionState { request: Some(request), key, value: Some(value) }, Command::Settle { .. }] =
        &tester.core.log[..]
    else {
        panic!("{:?}", tester.core.log)
    };
    assert_eq!(&key[..], b"o\0\x01");
    let state = vec![(key.clone(), value.clone())];
    let done = Event::Reply { request: *request, result: Ok(crossdock_common::event::Reply::Done) };
    assert_eq!(tester.event(done), [0x62, 2, 0, 1]);
    assert_eq!(tester.send(&[0x50, 2, 0, 1]), [0x62, 2, 0, 1], "PUBREC again, PUBREL again");
    tester.send(&[0x70, 2, 0, 1]);
    assert!(matches!(tester.core.log.last(), Some(Command::SessionState { request: None, value: None, .. })));

    // Had the connection been lost before PUBCOMP, the next one would have gone on from there.
    let mut core = Core::default();
    core.session.state = state;
    let mut tester = Tester::new(options());
    tester.core = core;
    tester.core.keeps = false;
    assert_eq!(tester.send(&persistent), [0x20, 2, 0, 0], "what was kept may not be durable yet");
    assert_eq!(tester.send(&[0x50, 2, 0, 1]), NOTHING, "PUBREC again");
    let Some(Command::SessionState { request: Some(request), value: Some(_), .. }) = tester.core.log.last() else {
        panic!("{:?}", tester.core.log)
    };
    let done = Event::Reply { request: *request, result: Ok(crossdock_common::event::Reply::Done) };
    assert_eq!(tester.event(done), [0x62, 2, 0, 1]);
    tester.core.keeps = true;
    tester.send(&subscribe(4, 1, &[("a", 2)]));
    assert_eq!(tester.deliver(message("a", 2, &[], "x")), NOTHING, "that very message was received already");
    assert_eq!(tester.settled(Outcome::Accepted), [0]);
    assert_eq!(tester.send(&[0x70, 2, 0, 1]), NOTHING);
}

#[test]
fn wrong_acknowledgements_are_protocol_errors() {
    let mut tester = subscribed(5, &[("a", 2)]);
    tester.deliver(message("a", 2, &[], "x"));
    assert_eq!(tester.send(&[0x40, 2, 0, 1])[2], 0x82);
    let mut tester = subscribed(5, &[("a", 1)]);
    tester.deliver(message("a", 1, &[], "x"));
    assert_eq!(tester.send(&[0x50, 2, 0, 1])[2], 0x82);
    let mut tester = subscribed(5, &[("a", 1)]);
    assert_eq!(tester.send(&[0x50, 2, 0, 9]), [0x62, 3, 0, 9, 0x92]);
    assert_eq!(tester.send(&[0x70, 2, 0, 9]), NOTHING);
}

#[test]
fn the_client_s_receive_maximum_holds() {
    let connect = connect_with(5, 2, &[0x21, 0, 2], &text("c"));
    let mut tester = Tester::connected_with(options(), Core::default(), &connect);
    tester.send(&subscribe(5, 1, &[("a", 2)]));
    for expected in [8, 8, 0] {
        assert_eq!(tester.deliver(message("a", 2, &[], "")).len(), expected);
    }
    assert_eq!(tester.send(&[0x50, 2, 0, 1]), [0x62, 2, 0, 1], "PUBREC makes no room yet");
    assert_eq!(tester.send(&[0x70, 2, 0, 1]).len(), 8, "PUBCOMP does");
    assert_eq!(tester.settled(Outcome::Accepted), [0]);
}

#[test]
fn what_is_too_large_for_the_client_is_not_sent() {
    for (maximum, is_sent) in [(19, false), (20, true), (21, true)] {
        let connect = connect_with(5, 2, &[0x27, 0, 0, 0, maximum], &text("c"));
        let mut tester = Tester::connected_with(options(), Core::default(), &connect);
        tester.send(&subscribe(5, 1, &[("a", 1)]));
        let bytes = tester.deliver(message("a", 1, &[], "twelve bytes"));
        assert_eq!(bytes.len(), if is_sent { 20 } else { 0 });
        assert_eq!(tester.settled(Outcome::Rejected).len(), usize::from(!is_sent));
    }
}

#[test]
fn expiry_counts_down() {
    let mut tester = subscribed(5, &[("a", 0)]);
    let mut expiring = message("a", 0, &[], "");
    (expiring.ttl_ms, expiring.received_at) = (Some(4_000), UnixMillis(tester.now.unix.0 - 1_500));
    let mut delivery = tester.core.delivery(Arc::new(expiring));
    // The queue may keep messages for a shorter time: that is not the reader's business.
    delivery.expires_at = Some(tester.now.instant.after_ms(100));
    assert_eq!(tester.event(Event::Deliver(vec![delivery.clone()])), [0x30, 9, 0, 1, b'a', 5, 2, 0, 0, 0, 3]);
    delivery.expires_at = Some(tester.now.instant);
    assert_eq!(tester.event(Event::Deliver(vec![delivery])), NOTHING);
    assert_eq!(tester.settled(Outcome::Accepted).len(), 2);
}

#[test]
fn messages_of_other_protocols() {
    let foreign = |durable| {
        let (key, body) = (Bytes::from_static(b"a.b"), Bytes::from_static(b"x"));
        let mut message = Message::new(plain_format(), "amq.topic".into(), key, Bytes::from_static(b"??"), body);
        message.durable = durable;
        message
    };
    let mut tester = subscribed(4, &[("a/b", 2)]);
    assert_eq!(tester.deliver(foreign(true)), [&b"\x32\x08\0\x03a/b\0\x01x"[..]].concat(), "durable is QoS 1");
    assert_eq!(tester.deliver(foreign(false))[0], 0x30);
    let mut copied = foreign(false);
    copied.routing_key = Bytes::from_static(b"elsewhere");
    copied.rare_mut().extra_keys = vec![Bytes::from_static(b"a.b")];
    assert_eq!(&tester.deliver(copied)[2..7], b"\0\x03a/b", "by its second key");
}

#[test]
fn connect_has_a_window() {
    let mut tester = Tester::new(options());
    tester.send(&connect(4, "c"));
    let window = tester.core.log.iter().find_map(|command| match command {
        Command::OpenSession { session, .. } => Some(session.window),
        _ => None,
    });
    assert_eq!(window, Some(1_000));
}
