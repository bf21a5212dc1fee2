//! Publish, confirm, return, transactions.

use crossdock_common::event::RejectReason;
use crossdock_common::{Event, Lane, Limits};

use super::support::*;

const CONFIRM: fn() -> Vec<u8> = || method(1, 85, 10, Args::new().u8(0));

fn tx(number: u16) -> Vec<u8> {
    method(1, 90, number, Args::new())
}

#[test]
fn a_message_keeps_what_arrived() {
    let mut rig = Rig::open();
    // delivery-mode, priority, expiration, user-id.
    let properties = b"\x19\x10\x02\x07\x0260\x05guest";
    rig.send(&publish_with(1, "x", "key", 1, properties, b"body"));
    let log = rig.core.log.concat();
    for part in [
        "body: b\"body\"",
        "exchange: \"x\"",
        "routing_key: b\"key\"",
        "durable: true",
        "priority: 7",
        "ttl_ms: Some(60)",
        "user: \"guest\"",
        "received_at: UnixMillis(1700000000000)",
        "mandatory: true",
        "confirm: None",
        "rare: None",
    ] {
        assert!(log.contains(part), "{part} in {log}");
    }
}

#[test]
fn messages_arrive_the_same_however_their_frames_come() {
    let body: Vec<u8> = (0..30_000u32).map(|n| n as u8).collect();
    for size in [0, 1, 4088, 8191, 8192, 8193, 30_000] {
        for piece in [1000, 8192, 20_000, 30_000] {
            let body = &body[..size];
            let mut bytes = publish_method(1, "", "q", 0);
            bytes.extend(header(1, size as u64, &[0, 0]));
            body.chunks(piece).for_each(|piece| bytes.extend(frame(3, 1, piece)));
            for write in [bytes.len(), 700] {
                let mut rig = Rig::open();
                bytes.chunks(write).for_each(|part| rig.send(part));
                assert_eq!(rig.core.queues["q"][0].body, body, "{size} {piece} {write}");
            }
        }
    }
}

#[test]
fn small_messages_do_not_keep_the_read_buffer() {
    let mut rig = Rig::open();
    rig.input.reserve(1 << 20);
    rig.send(&publish(1, "", "q", b"small").repeat(2));
    let range = rig.input.as_ptr_range();
    let (first, second) = (&rig.core.queues["q"][0], &rig.core.queues["q"][1]);
    let is_inside =
        |pointer: *const u8| pointer >= range.start.wrapping_sub(1 << 20) && pointer < range.end.wrapping_add(1 << 20);
    assert!(!is_inside(first.body.as_ptr()) || rig.input.capacity() >= 1 << 19);
    assert_eq!(
        first.routing_key.as_ptr().wrapping_add(1),
        first.properties.as_ptr(),
        "one allocation for all sections"
    );
    assert_eq!(first.properties.as_ptr().wrapping_add(2), first.body.as_ptr());
    assert!(std::ptr::eq(first.exchange.as_str(), second.exchange.as_str()), "the name is made once");
}

#[test]
fn interleaved_channels_do_not_mix() {
    let mut rig = Rig::open();
    rig.send(&open_channel(2));
    let part = |channel, body: &[u8]| {
        (publish_method(channel, "", "q", 0), header(channel, body.len() as u64, &[0, 0]), frame(3, channel, body))
    };
    let ((p1, h1, b1), (p2, h2, b2)) = (part(1, b"one"), part(2, b"two"));
    rig.send(&[p1, p2, h1, h2, b2, b1].concat());
    assert_eq!(rig.core.queues["q"].iter().map(|message| &message.body[..]).collect::<Vec<_>>(), [b"two", b"one"]);
}

#[test]
fn confirms_count_from_one_and_come_after_returns() {
    let mut rig = Rig::open();
    rig.send(&publish(1, "x", "k", b"unconfirmed"));
    rig.send(&CONFIRM());
    rig.send(
        &[publish(1, "x", "k", b""), publish_with(1, "x", "nowhere", 1, &[0, 0], b"b"), publish(1, "x", "full", b"")]
            .concat(),
    );
    assert_eq!(
        rig.read(),
        [
            "1 confirm.select-ok",
            "1 basic.ack 1 0",
            "1 basic.return 312 NO_ROUTE x nowhere",
            "1 header 1",
            "1 body 1",
            "1 basic.ack 2 0",
            "1 basic.nack 3 2",
        ]
    );
}

#[test]
fn outcomes_out_of_order_are_acked_with_few_frames() {
    let mut rig = Rig::open();
    rig.send(&CONFIRM());
    rig.core.hold = true;
    rig.send(&publish(1, "x", "k", b"").repeat(6));
    rig.read();
    let confirmed = |confirms: &[u64]| Event::Confirmed { lane: Lane(1), confirms: confirms.to_vec() };
    rig.event(confirmed(&[3, 2]));
    assert_eq!(rig.read(), ["1 basic.ack 3 0", "1 basic.ack 2 0"]);
    rig.event(confirmed(&[1, 4, 5]));
    assert_eq!(rig.read(), ["1 basic.ack 5 1"]);
    rig.event(Event::Rejected { lane: Lane(1), confirm: 6, reason: RejectReason::Journal });
    assert_eq!(rig.read(), ["1 basic.nack 6 2"]);
}

#[test]
fn unconfirmed_publishes_at_the_limit_and_beyond() {
    let mut rig = Rig::open_with(Limits { unsettled_max: 3, ..Limits::default() }, 0);
    rig.send(&CONFIRM());
    rig.core.hold = true;
    rig.core.log.clear();
    rig.send(&publish(1, "x", "k", b"").repeat(4));
    assert_eq!(rig.core.log.len(), 3, "the fourth waits");
    rig.unhold();
    rig.receive();
    assert_eq!(rig.core.log.len(), 4);
    assert!(rig.input.is_empty());
}

#[test]
fn a_missing_exchange_closes_the_channel() {
    let mut rig = Rig::open();
    rig.send(&publish(1, "missing", "k", b""));
    assert_eq!(rig.read(), ["1 channel.close 404 NOT_FOUND - no exchange 'missing' in vhost '/' 60/40"]);
}

#[test]
fn sizes_at_the_limit_and_beyond() {
    let limits = || Limits { message_bytes_max: 10_000, header_bytes_max: 100, ..Limits::default() };
    for (size, fits) in [(9_999, true), (10_000, true), (10_001, false)] {
        let mut rig = Rig::open_with(limits(), 0);
        rig.send(&publish(1, "", "q", &vec![1; size]));
        assert_eq!(rig.core.queues.contains_key("q"), fits, "{size}");
        let expected = "1 channel.close 406 PRECONDITION_FAILED - message size 10001 is larger than configured max size \
                        10000 60/40";
        assert_eq!(rig.read().first().map(String::as_str), (!fits).then_some(expected));
    }
    for (length, fits) in [(99, true), (100, true), (101, false)] {
        let mut rig = Rig::open_with(limits(), 0);
        let properties = [&[0x80, 0, (length - 3) as u8][..], &vec![b'a'; length - 3]].concat();
        rig.send(&publish_with(1, "", "q", 0, &properties, b"x"));
        assert_eq!(rig.core.queues.contains_key("q"), fits, "{length}");
        let expected =
            "1 channel.close 311 CONTENT_TOO_LARGE - header size 101 is larger than configured max size 100 60/40";
        assert_eq!(rig.read().first().map(String::as_str), (!fits).then_some(expected));
    }
}

#[test]
fn blind_copies_are_routed_and_forgotten() {
    let headers =
        Args::new().short("BCC").u8(b'A').long(b"S\0\0\0\x06secret").short("CC").u8(b'A').long(b"S\0\0\0\x04open");
    let properties = Args::new().u16(0x2000).long(&headers.0);
    let mut rig = Rig::open();
    rig.send(&publish_with(1, "", "q", 0, &properties.0, b"x"));
    let message = &rig.core.queues["q"][0];
    let rare = message.rare.as_ref().unwrap();
    assert_eq!(rare.extra_keys, ["open", "secret"]);
    assert_eq!(rare.blind_keys, 1);
    assert!(!message.properties.windows(6).any(|part| part == b"secret"));
    assert!(message.properties.windows(4).any(|part| part == b"open"));
}

#[test]
fn a_transaction_happens_at_its_commit() {
    let mut rig = Rig::open();
    rig.send(&[publish(1, "", "q", b"0"), tx(10)].concat());
    rig.send(&[get(1, "q", false), publish(1, "", "q", b"1")].concat());
    rig.send(&ack(1, 1, false));
    rig.read();
    rig.core.log.clear();
    rig.send(&tx(30));
    assert_eq!(rig.read(), ["1 tx 31"]);
    assert!(rig.core.log.is_empty() && rig.core.queues["q"].is_empty(), "rolled back");
    rig.send(&[ack(1, 1, false), publish(1, "", "q", b"2"), publish(1, "", "q", b"3")].concat());
    assert!(rig.core.log.is_empty());
    rig.send(&tx(20));
    assert_eq!(rig.read(), ["1 tx 21"]);
    assert_eq!(rig.core.queues["q"].len(), 2);
    assert_eq!(rig.settled().len(), 1);
}

#[test]
fn a_commit_waits_for_the_disk_and_everything_behind_it_waits_for_the_commit() {
    let mut rig = Rig::open();
    rig.send(&tx(10));
    rig.core.hold = true;
    rig.send(&[publish(1, "", "q", b"1"), publish(1, "", "q", b"2"), tx(20), publish(1, "", "q", b"3")].concat());
    rig.read();
    let held: Vec<Event> = rig.core.held.drain(..).collect();
    assert_eq!(held.len(), 2);
    for event in held {
        assert!(rig.read().is_empty());
        rig.event(event);
    }
    assert_eq!(rig.read(), ["1 tx 21"]);
    assert!(!rig.input.is_empty());
    rig.receive();
    assert!(rig.input.is_empty());
}

#[test]
fn a_commit_that_a_queue_refuses_closes_the_channel() {
    let mut rig = Rig::open();
    rig.send(&[tx(10), publish(1, "x", "full", b""), publish(1, "x", "k", b"")].concat());
    rig.core.hold = true;
    rig.send(&tx(20));
    rig.read();
    rig.core.held.clear();
    rig.event(Event::Rejected { lane: Lane(1), confirm: 1, reason: RejectReason::QueueFull });
    rig.event(Event::Confirmed { lane: Lane(1), confirms: vec![2] });
    assert_eq!(rig.read(), ["1 channel.close 406 PRECONDITION_FAILED - partial tx completion 90/20"]);
}

#[test]
fn modes_do_not_mix() {
    let last = |bytes: Vec<u8>| {
        let mut rig = Rig::open();
        rig.send(&bytes);
        rig.read().pop().unwrap()
    };
    let text = "1 channel.close 406 PRECONDITION_FAILED - cannot switch from tx to confirm mode 85/10";
    assert_eq!(last([tx(10), CONFIRM()].concat()), text);
    let text = "1 channel.close 406 PRECONDITION_FAILED - cannot switch from confirm to tx mode 90/10";
    assert_eq!(last([CONFIRM(), tx(10)].concat()), text);
    let text = "1 channel.close 406 PRECONDITION_FAILED - channel is not transactional 90/20";
    assert_eq!(last(tx(20)), text);
    assert_eq!(last([CONFIRM(), CONFIRM()].concat()), "1 confirm.select-ok");
}

/// What the core was asked for, and what the client was told.
fn outcome(bytes: &[u8], write: usize) -> (Vec<String>, Vec<String>) {
    let mut rig = Rig::open();
    rig.send(&CONFIRM());
    rig.send(&open_channel(2));
    bytes.chunks(write).for_each(|part| rig.send(part));
    (rig.core.log.clone(), rig.read())
}

#[test]
fn a_publish_like_the_last_one_is_understood_as_if_it_were_the_first() {
    let expiring = b"\x01\x00\x0260";
    let carbon_copy = b"\x20\x00\x00\x00\x00\x0e\x02CCA\x00\x00\x00\x06S\x00\x00\x00\x01z";
    let same = publish_with(1, "", "q", 0, &[0, 0], b"same");
    let others = [
        publish_with(1, "", "q", 0, &[0, 0], b"other body, longer"),
        publish_with(1, "", "r", 0, &[0, 0], b"same"),
        publish_with(1, "", "q", 1, &[0, 0], b"same"),
        publish_with(1, "x", "q", 0, &[0, 0], b"same"),
        publish_with(2, "", "q", 0, &[0, 0], b"same"),
        publish_with(1, "", "q", 0, expiring, b"same"),
        publish_with(1, "", "q", 0, carbon_copy, b"same"),
        publish_with(1, "", "q", 0, &[0, 0], b""),
        publish_with(1, "", "q", 0, &[0, 0], &[7; 8192]),
        declare_queue(1, "made", 0),
    ];
    for other in &others {
        let bytes = [&same[..], &same, other, other, &same, other].concat();
        assert_eq!(outcome(&bytes, bytes.len()), outcome(&bytes, 1), "{}", other.escape_ascii());
    }
}

#[test]
fn publishes_in_one_read_that_differ_in_their_bodies_only_are_a_run_and_mean_the_same() {
    let body = |index: usize| vec![b'a' + index as u8; 1 + index * 3];
    let alike = |count: usize| (0..count).flat_map(|index| publish(1, "x", "k", &body(index))).collect::<Vec<u8>>();
    let persistent = b"\x10\x00\x02";
    let kept = |index: usize| publish_with(1, "x", "k", 0, persistent, &body(index));
    let large = |index: usize| publish(1, "x", "k", &[b'a' + index as u8; 2049]);
    // So many bytes stay where they were read.
    let uncopied = (0..90).flat_map(|index| publish(1, "x", "k", &vec![b' ' + index as u8; 500 + 17 * index]));
    let cases = [
        (alike(12), 1),
        (alike(4), 0),
        ([alike(9), publish(1, "x", "other", b"o"), alike(9)].concat(), 2),
        ([alike(9), publish(2, "x", "k", b"o"), alike(9)].concat(), 2),
        ([alike(9), publish(1, "x", "k", b""), alike(9)].concat(), 2),
        ([alike(9), alike(1)[..7].to_vec()].concat(), 1),
        (uncopied.chain(alike(12)).chain(alike(1)[..40].to_vec()).collect(), 1),
        ((0..9).flat_map(kept).collect(), 0),
        ((0..9).flat_map(large).collect(), 0),
    ];
    for (case, (bytes, runs)) in cases.iter().enumerate() {
        assert_eq!(outcome(bytes, bytes.len()), outcome(bytes, 1), "case {case}");
        let mut rig = Rig::open();
        rig.send(&open_channel(2));
        rig.send(bytes);
        assert_eq!(rig.core.runs, *runs, "case {case}");
    }
}

#[test]
fn a_transaction_gathers_its_publishes_one_by_one() {
    let mut rig = Rig::open();
    rig.send(&tx(10));
    rig.core.log.clear();
    rig.send(&publish(1, "x", "k", b"b").repeat(9));
    assert_eq!((rig.core.runs, rig.core.log.len()), (0, 0));
    rig.send(&tx(20));
    assert_eq!((rig.core.runs, rig.core.log.len()), (0, 9));
}

#[test]
fn a_run_ends_where_no_more_may_be_unconfirmed() {
    for (max, taken) in [(8, 8), (9, 9), (10, 9)] {
        let mut rig = Rig::open_with(Limits { unsettled_max: max, ..Limits::default() }, 0);
        rig.send(&CONFIRM());
        rig.core.hold = true;
        rig.core.log.clear();
        rig.send(&publish(1, "x", "k", b"b").repeat(9));
        assert_eq!((rig.core.runs, rig.core.log.len()), (1, taken));
        rig.unhold();
        rig.receive();
        assert_eq!(rig.core.log.len(), 9);
    }
}

#[test]
fn a_publish_like_the_last_one_with_a_broken_body_is_refused_as_any_other() {
    let same = publish(1, "", "q", b"same");
    let body_at = same.len() - 12;
    let broken = |at: usize, octet: u8| {
        let mut bytes = same.clone();
        bytes[at] = octet;
        bytes
    };
    let beginning = same.len() - 1;
    for bytes in [
        broken(beginning, 0xCD),
        broken(body_at, 1),
        broken(body_at, 8),
        broken(body_at + 2, 2),
        broken(body_at + 6, 3),
        broken(body_at - 3, 3),
        broken(body_at - 1, 0),
    ] {
        let alone = outcome(&bytes, 1);
        let after = outcome(&[&same[..], &bytes].concat(), usize::MAX);
        assert_eq!(alone.1.last(), after.1.last(), "{}", bytes.escape_ascii());
    }
}
