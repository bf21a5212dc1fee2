//! The rows of the hostile-input catalogue that concern the decoder.

use crossdock_common::Limits;
use crossdock_common::testkit::allocation::peak_bytes;

use super::support::*;

/// COM-3: every length field of the envelope.
#[test]
fn lengths_in_the_envelope() {
    for size in [131_065u32, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
        for kind in [1, 2, 3, 8] {
            let mut rig = Rig::open();
            rig.send(&[&[kind, 0, 1][..], &size.to_be_bytes()].concat());
            let text = format!(
                "0 connection.close 501 FRAME_ERROR - type {kind}, all octets = <<>>: {{frame_too_large,{size},131064}} 0/0"
            );
            assert_eq!(rig.read(), [text]);
            assert!(rig.close().is_some(), "nothing more can be read");
        }
    }
    let mut rig = Rig::open();
    rig.send(&[&[1, 0, 1][..], &131_064u32.to_be_bytes()].concat());
    assert_eq!(rig.close(), None);
}

/// A09-2: frame types that do not exist.
#[test]
fn unknown_frame_types() {
    for kind in [0, 4, 5, 6, 7, 9, 255] {
        let mut rig = Rig::open();
        rig.send(&frame(kind, 1, b""));
        let text = format!("0 connection.close 501 FRAME_ERROR - type {kind}, all octets = <<>>: unknown_frame 0/0");
        assert_eq!(rig.read(), [text]);
    }
}

#[test]
fn a_wrong_end_octet() {
    let mut rig = Rig::open();
    let mut bytes = frame(3, 1, &[7; 20]);
    *bytes.last_mut().unwrap() = 0;
    rig.send(&bytes);
    let octets = ["7"; 16].join(",");
    let text = format!(
        "0 connection.close 501 FRAME_ERROR - type 3, first 16 octets = <<{octets}>>: {{invalid_frame_end_marker,0}} 0/0"
    );
    assert_eq!(rig.read(), [text]);
}

/// A09-1: a promise of bytes costs nothing, and 2^63 of them are refused.
#[test]
fn promised_bodies_reserve_nothing() {
    let mut rig = Rig::open();
    let bytes = [publish_method(1, "x", "k", 0), header(1, 16 << 20, &[0, 0]), frame(3, 1, b"x")].concat();
    let peak = peak_bytes(|| rig.send(&bytes));
    assert!(peak < 2048, "{peak} bytes");
    let mut rig = Rig::open();
    rig.send(&[publish_method(1, "x", "k", 0), header(1, 1 << 63, &[0, 0])].concat());
    assert_eq!(
        rig.read(),
        [
            "1 channel.close 406 PRECONDITION_FAILED - message size 9223372036854775808 is larger than configured max size \
         16777216 60/40"
        ]
    );
    // The body that follows is discarded.
    rig.send(&[frame(3, 1, &[0; 100_000]), frame(3, 1, b"x")].concat());
    assert!(rig.read().is_empty());
    assert_eq!(rig.close(), None);
}

/// A09-1: a gathered body costs little more than what arrived.
#[test]
fn gathered_bodies_cost_what_arrived() {
    let mut rig = Rig::open();
    let mut sent = 0;
    rig.send(&[publish_method(1, "x", "k", 0), header(1, 10 << 20, &[0, 0])].concat());
    let piece = frame(3, 1, &[0; 1000]);
    let peak = peak_bytes(|| {
        for _ in 0..500 {
            rig.send(&piece);
            sent += 1000;
        }
    });
    assert!(peak < sent * 4, "{peak} bytes for {sent}");
    // Empty body frames are legal and add nothing.
    let peak = peak_bytes(|| (0..1000).for_each(|_| rig.send(&frame(3, 1, b""))));
    assert!(peak < 1024, "{peak} bytes");
}

/// A09-3, before login: a field table of the greatest density costs nothing.
#[test]
fn client_properties_are_not_kept() {
    for properties in [
        [0, b'V'].repeat(1000),
        [&[0, b'A'][..], &900u32.to_be_bytes(), &[b'V'; 900]].concat(),
        [&[1, b'a', b'S'][..], &7000u32.to_be_bytes(), &[b'x'; 7000]].concat(),
    ] {
        let mut rig = Rig::new(crossdock_amqp091::ConnectionOptions::default());
        rig.send(HEADER);
        rig.read();
        let start_ok = Args::new().long(&properties).short("PLAIN").long(b"\0guest\0guest").short("");
        let bytes = method(0, 10, 11, start_ok);
        rig.core.hold = true;
        let peak = peak_bytes(|| rig.send(&bytes));
        assert!(peak < 16 << 10, "{peak} bytes");
        assert_eq!(rig.close(), None);
    }
}

/// A09-3: depth, before login and in every method with a table.
#[test]
fn deep_tables() {
    let mut content = Vec::new();
    for level in 0..1300u32 {
        content.extend_from_slice(&[0, b'F']);
        content.extend_from_slice(&((1300 - level - 1) * 6).to_be_bytes());
    }
    let mut rig = Rig::new(crossdock_amqp091::ConnectionOptions::default());
    rig.send(HEADER);
    rig.send(&method(0, 10, 11, Args::new().long(&content).short("PLAIN").long(b"").short("")));
    let text = "0 connection.close 502 SYNTAX_ERROR - field table is nested too deeply 10/11";
    assert_eq!(rig.read()[1], text);
    for (bytes, ids) in [
        (method(1, 50, 10, Args::new().u16(0).short("q").u8(0).long(&content)), "50/10"),
        (method(1, 40, 10, Args::new().u16(0).short("x").short("y").u8(0).long(&content)), "40/10"),
        (method(1, 60, 20, Args::new().u16(0).short("q").short("").u8(0).long(&content)), "60/20"),
        (publish_with(1, "x", "k", 0, &Args::new().u16(0x2000).long(&content).0, b""), "60/40"),
    ] {
        let mut rig = Rig::open();
        rig.send(&bytes);
        assert_eq!(
            rig.read(),
            [format!("0 connection.close 502 SYNTAX_ERROR - field table is nested too deeply {ids}")]
        );
    }
}

/// A09-3: entries at the limit and beyond, in headers and arguments.
#[test]
fn dense_tables() {
    for (count, fits) in [(1023, true), (1024, true), (1025, false)] {
        let content = [0, b'V'].repeat(count);
        let mut rig = Rig::open();
        rig.send(&publish_with(1, "", "q", 0, &Args::new().u16(0x2000).long(&content).0, b""));
        rig.send(&method(1, 50, 10, Args::new().u16(0).short("q").u8(0).long(&content)));
        let lines = rig.read();
        assert_eq!(lines.last().unwrap().contains("declare-ok"), fits, "{lines:?}");
    }
}

/// A09-10: channels cost little, and transactions are bounded.
#[test]
fn two_thousand_channels_in_confirm_mode() {
    let mut rig = Rig::open();
    let peak = peak_bytes(|| {
        for channel in 2..=2047 {
            rig.send(&open_channel(channel));
            rig.send(&method(channel, 85, 10, Args::new().u8(1)));
        }
        rig.output.bytes.take_all();
    });
    assert!(peak < 2 << 20, "{peak} bytes");
    rig.send(&(2..=2047).flat_map(|channel| publish(channel, "", "q", b"x")).collect::<Vec<u8>>());
    assert_eq!(rig.core.queues["q"].len(), 2046);
    assert_eq!(rig.read().len(), 2046);
}

#[test]
fn transactions_are_bounded() {
    let mut rig = Rig::open();
    rig.send(&method(1, 90, 10, Args::new()));
    rig.send(&publish(1, "", "q", b"").repeat(1 << 16));
    assert_eq!(rig.read(), ["1 tx 11"]);
    rig.send(&publish(1, "", "q", b""));
    let text =
        "1 channel.close 311 CONTENT_TOO_LARGE - transaction has more than 65536 publishes and settlements 60/40";
    assert_eq!(rig.read(), [text]);
    assert!(rig.core.queues.is_empty());
}

/// A09-11: two contents on one channel, and content on closed channels.
#[test]
fn contents_in_the_wrong_place() {
    let mut rig = Rig::open();
    rig.send(&close_channel(1));
    rig.read();
    rig.send(&publish(1, "x", "k", b"x"));
    assert_eq!(rig.read(), ["0 connection.close 504 CHANNEL_ERROR - expected 'channel.open' 60/40"]);
}

#[test]
fn limits_of_zero_do_not_panic() {
    let limits = Limits {
        first_frame_bytes_max: 0,
        frame_bytes_max: 0,
        channels_max: 0,
        table_depth_max: 0,
        table_entries_max: 0,
        message_bytes_max: 0,
        header_bytes_max: 0,
        consumers_max: 0,
        unsettled_max: 0,
        consumer_timeout_ms: 0,
        heartbeat_ms: 0,
        handshake_timeout_ms: 0,
        topic_levels_max: 0,
    };
    let options = crossdock_amqp091::ConnectionOptions { limits: limits.into(), ..Default::default() };
    let mut rig = Rig::new(options);
    rig.send(&[HEADER, &start_ok("PLAIN", b"\0guest\0guest")].concat());
    assert!(rig.close().is_some());
}

/// Whatever the core says in whatever order: nothing panics, and what is handed out goes back or is tracked.
#[test]
fn random_events_in_random_order() {
    use crossdock_common::event::{RejectReason, Reply};
    use crossdock_common::random::Random;
    use crossdock_common::{ConsumerId, Event, Lane, Machine, Refusal, RequestId};
    use std::sync::Arc;
    for seed in 0..200 {
        let mut random = Random::from_seed(seed);
        let mut rig = Rig::open();
        rig.core.hold = true;
        for _ in 0..60 {
            let number = [random.below(12), random.below(12), u64::MAX][random.below(3) as usize];
            let (lane, request) = (Lane(random.below(3) as u16), RequestId(number));
            let channel = random.below(3) as u16;
            let delivery = rig.core.delivery(ConsumerId(number), Arc::new(message("x", "k", "b")), 0);
            match random.below(16) {
                0 => rig.event(Event::Reply { request, result: Ok(Reply::Done) }),
                1 => rig.event(Event::Reply { request, result: Err(Refusal::Forbidden("no".into())) }),
                2 => rig.event(Event::Fetched { request, deliveries: vec![delivery], ready: 0 }),
                3 => rig.event(Event::Deliver(vec![delivery])),
                4 => rig.event(Event::Confirmed { lane, confirms: vec![number, number / 2] }),
                5 => rig.event(Event::Rejected { lane, confirm: number, reason: RejectReason::QueueFull }),
                6 => rig.event(Event::ConsumerCancelled { consumer: ConsumerId(number) }),
                7 => rig.send(&open_channel(channel)),
                8 => rig.send(&consume(channel.max(1), "q", "", 0)),
                9 => rig.send(&method(channel.max(1), 85, 10, Args::new().u8(0))),
                10 => rig.send(&publish(channel.max(1), "x", "k", b"b")),
                11 => rig.send(&close_channel(channel.max(1))),
                12 => rig.send(&get(channel.max(1), "q", false)),
                13 => rig.send(&method(channel.max(1), 90, 10 + 10 * random.below(3) as u16, Args::new())),
                14 => rig.send(&ack(channel.max(1), random.below(4), true)),
                _ => rig.unhold(),
            }
            if rig.close().is_some() {
                break;
            }
            assert!(rig.machine.input_bytes_max() >= 4096);
        }
    }
}
