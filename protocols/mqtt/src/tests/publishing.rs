use crossdock_common::command::{ExactlyOnce, Outcome};
use crossdock_common::event::Reply;
use crossdock_common::{Command, Event, Lane};

use super::support::{Core, NOTHING, Tester, connect, connect_with, options, publish, subscribe, text};
use crate::ConnectionOptions;

const PERSISTENT: [u8; 5] = [0x11, 0, 0, 0, 60];

fn persistent() -> Tester {
    Tester::connected_with(options(), Core::default(), &connect_with(5, 2, &PERSISTENT, &text("c")))
}

#[test]
fn a_message_keeps_what_arrived() {
    let mut tester = Tester::connected(5);
    let properties = b"\x01\x01\x02\0\0\0\x09\x23\0\x05\x26\0\x01k\0\x01v\x26\0\x01k\0\x01w";
    tester.send(&publish(0b0011, "a/b.c", 1, Some(properties), b"body"));
    let published = tester.published()[0];
    let message = &published.message;
    assert_eq!((&message.routing_key[..], &message.body[..]), (&b"a.b/c"[..], &b"body"[..]));
    assert_eq!(
        &message.properties[..],
        b"\x05\x01\x01\x26\0\x01k\0\x01v\x26\0\x01k\0\x01w",
        "QoS 1 + RETAIN, then verbatim"
    );
    assert_eq!((message.ttl_ms, message.durable, &*message.user), (Some(9_000), true, "anonymous"));
    assert_eq!((published.retain, message.received_at), (true, tester.now.unix));
    let session = message.rare.as_ref().and_then(|rare| rare.session.clone());
    assert_eq!(session.as_deref(), Some("c"));
    tester.send(&publish(0, "", 0, Some(&[0x23, 0, 5]), b"again"));
    assert_eq!(&tester.published()[1].message.routing_key[..], b"a.b/c", "by alias");
    assert!(tester.published()[1].message.rare.is_none(), "nobody asks for the session");
    tester.send(&subscribe(5, 1, &[("x", 4)]));
    tester.send(&publish(0, "x", 0, Some(&[]), b""));
    assert!(tester.published()[2].message.rare.is_some(), "there is a no-local subscription");
}

#[test]
fn acknowledgements_come_in_the_order_of_arrival() {
    let mut tester = persistent();
    tester.core.confirms = false;
    assert_eq!(tester.send(&publish(0b0010, "a", 11, Some(&[]), b"")), NOTHING);
    assert_eq!(tester.send(&publish(0b0100, "a", 12, Some(&[]), b"")), NOTHING);
    assert_eq!(tester.send(&publish(0b0010, "a", 13, Some(&[]), b"")), NOTHING);
    let confirmed = |confirms: &[u64]| Event::Confirmed { lane: Lane(0), confirms: confirms.to_vec() };
    assert_eq!(tester.event(confirmed(&[2, 1])), NOTHING, "the first is missing");
    assert_eq!(tester.event(confirmed(&[0])), [0x40, 2, 0, 11, 0x50, 2, 0, 12, 0x40, 2, 0, 13]);
    assert_eq!(tester.event(confirmed(&[0, 1, 99])), NOTHING, "unknown numbers do no harm");
}

#[test]
fn version_5_hears_why() {
    let mut tester = Tester::connected(5);
    assert_eq!(tester.send(&publish(0b0010, "nobody", 1, Some(&[]), b"")), [0x40, 3, 0, 1, 0x10]);
    assert_eq!(tester.send(&publish(0b0010, "secret", 2, Some(&[]), b"")), [0x40, 3, 0, 2, 0x87]);
    assert_eq!(tester.send(&publish(0b0100, "full", 3, Some(&[]), b"")), [0x50, 3, 0, 3, 0x97]);
    assert_eq!(tester.send(&publish(0b0100, "a", 3, Some(&[]), b"")), [0x50, 2, 0, 3], "the id is free again");
    assert_eq!(tester.send(&publish(0, "secret", 0, Some(&[]), b""))[2], 0x87, "QoS 0: there is only DISCONNECT");
    let mut tester = Tester::connected(4);
    assert_eq!(tester.send(&publish(0b0010, "nobody", 1, None, b"")), [0x40, 2, 0, 1]);
    assert_eq!(tester.send(&publish(0b0010, "secret", 1, None, b"")), NOTHING, "3.1.1 has no words");
    assert!(tester.close.is_some());
}

#[test]
fn exactly_once_is_kept_before_it_is_promised() {
    let mut tester = persistent();
    (tester.core.confirms, tester.core.keeps) = (false, false);
    assert_eq!(tester.send(&publish(0b0100, "a", 5, Some(&[]), b"x")), NOTHING, "not durable yet");
    let Command::Publish(first) = &tester.core.log[0] else { panic!("{:?}", tester.core.log) };
    assert_eq!(first.exactly_once, Some(ExactlyOnce { id: 5, again: false }));
    assert_eq!(tester.send(&publish(0b1100, "a", 5, Some(&[]), b"x")), NOTHING, "a duplicate meanwhile");
    assert_eq!(tester.event(Event::Confirmed { lane: Lane(0), confirms: vec![0] }), [0x50, 2, 0, 5]);
    assert_eq!(tester.send(&publish(0b1100, "a", 5, Some(&[]), b"x")), [0x50, 2, 0, 5], "a duplicate later");
    assert_eq!(tester.published().len(), 1);
    assert_eq!(tester.send(&[0x62, 2, 0, 5]), NOTHING, "not durable yet");
    let Some(Command::ReleasePublication { request, id: 5 }) = tester.core.log.last() else {
        panic!("{:?}", tester.core.log)
    };
    let done = Event::Reply { request: *request, result: Ok(Reply::Done) };
    assert_eq!(tester.send(&[0x62, 2, 0, 5]), NOTHING, "a duplicate");
    assert_eq!(tester.event(done), [0x70, 2, 0, 5]);
    (tester.core.confirms, tester.core.keeps) = (true, true);
    assert_eq!(tester.send(&[0x62, 2, 0, 5]), [0x70, 3, 0, 5, 0x92], "unknown (MQ-4)");
    assert_eq!(tester.send(&publish(0b0100, "a", 5, Some(&[]), b"x")), [0x50, 2, 0, 5], "a new message");
    assert_eq!(tester.published().len(), 2);
}

#[test]
fn a_resumed_session_remembers_packet_ids() {
    let mut core = Core::default();
    core.session.received = vec![5];
    let mut tester = Tester::connected_with(options(), core, &connect_with(4, 0, &[], &text("c")));
    assert_eq!(tester.send(&publish(0b1100, "a", 5, None, b"x")), [0x50, 2, 0, 5]);
    assert!(tester.published().is_empty(), "it was published by the earlier connection");
    tester.send(&publish(0b1100, "a", 6, None, b"y"));
    assert_eq!(tester.published()[0].exactly_once, Some(ExactlyOnce { id: 6, again: true }), "the core knows");
}

#[test]
fn a_packet_id_is_not_free_before_pubcomp() {
    let mut tester = persistent();
    tester.send(&publish(0b0100, "a", 5, Some(&[]), b"x"));
    tester.core.keeps = false;
    assert_eq!(tester.send(&[0x62, 2, 0, 5]), NOTHING);
    assert_eq!(tester.send(&publish(0b0100, "a", 5, Some(&[]), b"y"))[2], 0x82);
    assert_eq!(tester.published().len(), 1);
}

#[test]
fn receive_maximum_at_its_limit() {
    let options = ConnectionOptions { receive_maximum: 2, ..options() };
    let core = || Core { confirms: false, ..Core::default() };
    let mut tester = Tester::connected_with(options.clone(), core(), &connect(5, "c"));
    tester.send(&publish(0b0010, "a", 1, Some(&[]), b""));
    assert_eq!(tester.send(&publish(0b0100, "a", 2, Some(&[]), b"")), NOTHING);
    assert_eq!(tester.send(&publish(0b0010, "a", 3, Some(&[]), b""))[2], 0x93);

    // Older versions know no such limit: they are read no further until there is room.
    let mut tester = Tester::connected_with(options, core(), &connect(4, "c"));
    for id in 1..=4 {
        tester.send(&publish(0b0010, "a", id, None, b""));
    }
    assert_eq!(tester.published().len(), 2);
    tester.core.confirms = true;
    tester.event(Event::Confirmed { lane: Lane(0), confirms: vec![0, 1] });
    assert_eq!(tester.send(&[0xC0, 0]).len(), 2 * 4 + 2);
    assert_eq!(tester.published().len(), 4);
}

#[test]
fn mq_4_a_qos_2_client_that_never_releases_stays_bounded() {
    let mut tester = Tester::connected(4);
    for id in (1..=u16::MAX).chain(1..=u16::MAX) {
        assert_eq!(tester.send(&publish(0b0100, "a", id, None, b"")).len(), 4);
    }
    assert_eq!(tester.published().len(), 65_535, "one for each packet id (MQ-4)");
}

#[test]
fn large_payloads_are_shared_and_limits_hold() {
    let limits = crossdock_common::Limits { message_bytes_max: 40_000, ..Default::default() };
    let options = ConnectionOptions { limits: limits.into(), ..options() };
    for (bytes, is_good) in [(39_999, true), (40_000, true), (40_001, false)] {
        let mut tester = Tester::connected_with(options.clone(), Core::default(), &connect(5, "c"));
        let answer = tester.send(&publish(0, "a", 0, Some(&[]), &vec![b'x'; bytes]));
        assert_eq!(tester.published().first().map(|publish| publish.message.body.len()), is_good.then_some(bytes));
        assert_eq!(answer.get(2).copied(), (!is_good).then_some(0x95));
    }
    // The packet as a whole: known from its header alone.
    let max = options.packet_bytes_max();
    for (packet_bytes, is_good) in [(max - 1, true), (max, true), (max + 1, false)] {
        let mut tester = Tester::connected_with(options.clone(), Core::default(), &connect(5, "c"));
        let mut header = vec![0x30];
        crate::packet::primitives::put_variable(&mut header, packet_bytes - 4);
        let answer = tester.send(&header);
        assert_eq!(answer.get(2).copied(), (!is_good).then_some(0x95));
        if is_good {
            use crossdock_common::Machine as _;
            assert_eq!(tester.machine.input_bytes_max(), packet_bytes);
        }
    }
}

#[test]
fn settlements_do_not_leak_into_publishing() {
    let mut tester = Tester::connected(4);
    tester.send(&publish(0, "a", 0, None, b"x"));
    assert!(tester.settled(Outcome::Accepted).is_empty());
    assert_eq!(tester.published()[0].confirm, None);
}

/// Answers to questions that other protocols have asked.
#[test]
fn a_topic_may_be_a_queue() {
    let mut tester = Tester::connected(5);
    tester.send(&publish(0b0001, "$queue/amq.gen-a/b", 0, Some(&[]), b"answer"));
    let published = tester.published()[0];
    assert_eq!((&*published.message.exchange, &published.message.routing_key[..]), ("", &b"amq.gen-a/b"[..]));
    assert!(!published.retain, "a queue has no last value");
    tester.send(&publish(0, "$queue", 0, Some(&[]), b""));
    assert!(tester.close.is_some(), "others that begin with $ are still not for clients");
}
