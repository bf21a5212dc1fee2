use bytes::BytesMut;
use crossdock_common::output::Close;
use crossdock_common::testkit::allocation::peak_bytes;
use crossdock_common::testkit::{Peer as _, assert_cut_anywhere, assert_survives_random_bytes};
use crossdock_common::{Command, Event, Instant, Machine, Now, Output};

use super::support::{
    Core, NOTHING, Tester, connect, connect_with, options, packet, publish, subscribe, text, unsubscribe,
};
use crate::packet::fixed_header;
use crate::{Connection, Origin};

/// A connection whose core answers at once, so that a capture runs through all phases.
struct Answered {
    machine: Connection,
    core: Core,
}

impl Answered {
    fn new() -> Self {
        let core = Core { echoes: true, ..Core::default() };
        Self { machine: Connection::new(Now::default(), options(), Origin::default()), core }
    }

    fn answer(&mut self, now: Now, output: &mut Output, from: usize) {
        let mut at = from;
        while at < output.commands.len() {
            let command = std::mem::replace(&mut output.commands[at], Command::DiscardWill);
            let events = self.core.command(now, command);
            output.commands[at] = self.core.log.pop().unwrap_or(Command::DiscardWill);
            for event in events {
                if output.close.is_none() {
                    self.machine.handle(now, event, output);
                }
            }
            at += 1;
        }
    }
}

impl Machine for Answered {
    /// One packet after the other, so that answers come between the same packets however the bytes are cut.
    fn receive(&mut self, now: Now, input: &mut BytesMut, output: &mut Output) {
        while let Ok(Some(header)) = fixed_header(input)
            && header.packet_bytes() <= input.len()
            && output.close.is_none()
        {
            let (from, mut packet) = (output.commands.len(), input.split_to(header.packet_bytes()));
            self.machine.receive(now, &mut packet, output);
            self.answer(now, output, from);
        }
        if output.close.is_none() {
            self.machine.receive(now, input, output);
        }
    }
    fn handle(&mut self, now: Now, event: Event, output: &mut Output) {
        self.machine.handle(now, event, output);
    }
    fn timeout(&mut self, now: Now, output: &mut Output) {
        self.machine.timeout(now, output);
    }
    fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }
    fn shutdown(&mut self, now: Now, output: &mut Output) {
        self.machine.shutdown(now, output);
    }
    fn end(&mut self, now: Now, output: &mut Output) {
        self.machine.end(now, output);
    }
    fn input_bytes_max(&self) -> usize {
        self.machine.input_bytes_max()
    }
    fn is_authenticated(&self) -> bool {
        self.machine.is_authenticated()
    }
}

fn capture_3() -> Vec<u8> {
    [
        connect_with(4, 0, &[], &text("c")),
        subscribe(4, 1, &[("a/+", 0), ("b", 0)]),
        publish(0, "a/b", 0, None, b"one"),
        publish(0b0010, "nobody", 2, None, b"two"),
        publish(0b0100, "a/c", 3, None, b"three"),
        vec![0x62, 2, 0, 3, 0xC0, 0],
        unsubscribe(4, 4, &["b"]),
        vec![0xE0, 0],
    ]
    .concat()
}

fn capture_5() -> Vec<u8> {
    [
        connect_with(5, 0, &[0x11, 0, 0, 0, 9, 0x21, 0, 9], &text("c")),
        subscribe(5, 1, &[("a/+", 0), ("$share/g/x", 0)]),
        publish(0, "a/b", 0, Some(b"\x23\0\x01\x26\0\x01k\0\x01v"), b"one"),
        publish(0b0010, "", 2, Some(&[0x23, 0, 1]), b"two"),
        publish(0b0100, "nobody", 3, Some(&[1, 1]), b"three"),
        vec![0x62, 3, 0, 3, 0, 0xC0, 0],
        unsubscribe(5, 4, &["b"]),
        vec![0xE0, 1, 4],
    ]
    .concat()
}

#[test]
fn captures_may_be_cut_anywhere() {
    assert_cut_anywhere(Answered::new, &capture_3());
    assert_cut_anywhere(Answered::new, &capture_5());
    assert_cut_anywhere(|| Connection::new(Now::default(), options(), Origin::default()), &capture_5());
    assert_cut_anywhere(Answered::new, &[connect(5, "c"), vec![0xD0, 0, 0xC0, 0]].concat());
}

#[test]
fn random_bytes_do_no_harm() {
    let captures = [capture_3(), capture_5()];
    let captures: Vec<&[u8]> = captures.iter().map(|capture| &capture[..]).collect();
    assert_survives_random_bytes(Answered::new, &captures, 20_000, 96 << 10);
    // Before authentication a peer costs less than 16 KiB (DESIGN section 6).
    let unknown = || Connection::new(Now::default(), options(), Origin::default());
    assert_survives_random_bytes(unknown, &captures, 5_000, 12 << 10);
}

/// The code with which version 5 is told to go.
fn code(tester: &mut Tester, bytes: &[u8]) -> u8 {
    let answer = tester.send(bytes);
    assert!(tester.close.is_some(), "{answer:x?}");
    assert_eq!(answer[0], 0xE0);
    answer[2]
}

fn code_of(bytes: &[u8]) -> u8 {
    code(&mut Tester::connected(5), bytes)
}

#[test]
fn mq_1_lengths() {
    for bytes in [&b"\x10\xFF\xFF\xFF\x7F"[..], b"\x10\xFF\xFF\xFF\xFF\x01", b"\x10\x80\x80\x80\x80"] {
        let mut tester = Tester::new(options());
        let peak = peak_bytes(|| drop(tester.send(bytes)));
        assert!(matches!(tester.close, Some(Close::Violation { .. })));
        assert!(peak < 4_096, "{peak} bytes for a header");
    }
    assert_eq!(code_of(b"\x30\xFF\xFF\xFF\x7F"), 0x95);
    assert_eq!(code_of(b"\x30\xFF\xFF\xFF\xFF\x01"), 0x81);
    assert_eq!(code_of(b"\xC0\x80\0"), 0x81, "not minimal");
    assert_eq!(Tester::connected(4).send(b"\xC0\x80\0"), [0xD0, 0], "3.1.1 does not ask for it");
}

#[test]
fn the_first_packet_at_its_limit() {
    for (bytes, is_good) in [(8_191, true), (8_192, true), (8_193, false)] {
        let user = "u".repeat(bytes - 3 - 10 - 3 - 2);
        let connect = connect_with(4, 0b1000_0010, &[], &[text("c"), text(&user)].concat());
        assert_eq!(connect.len(), bytes);
        let mut tester = Tester::new(options());
        assert_eq!(tester.send(&connect).is_empty(), !is_good);
    }
}

#[test]
fn com_2_the_first_packet_is_connect() {
    for bytes in
        [&b"\x40"[..], b"\x40\x02\0\x01", b"\x16\x03\x01\x02\0", b"GET / HTTP/1.1\r\n", b"AMQP\0\0\x09\x01", b"\0"]
    {
        let mut tester = Tester::new(options());
        assert_eq!(tester.send(bytes), NOTHING);
        assert!(matches!(tester.close, Some(Close::Violation { .. })), "{bytes:?}");
        assert!(tester.core.log.is_empty());
    }
}

#[test]
fn mq_2_topics() {
    assert_eq!(code_of(&publish(0, "", 0, Some(&[]), b"")), 0x82, "neither topic nor alias");
    for topic in ["a/#", "+", "$SYS/broker", "\u{FFFF}", "a\u{1}b"] {
        assert_eq!(code_of(&publish(0, topic, 0, Some(&[]), b"")), 0x90, "{topic:?}");
        let mut tester = Tester::connected(4);
        assert_eq!(tester.send(&publish(0, topic, 0, None, b"")), NOTHING);
        assert!(tester.close.is_some() && tester.published().is_empty());
    }
    assert_eq!(code_of(&publish(0, "a\0", 0, Some(&[]), b"")), 0x81);
    assert_eq!(code_of(b"\x30\x04\0\x01\xFF\0"), 0x81, "not UTF-8");
}

#[test]
fn mq_3_packets_that_only_servers_send() {
    for bytes in [&[0x20, 3, 0, 0, 0][..], &[0x90, 3, 0, 1, 0], &[0xB0, 2, 0, 1], &[0xD0, 0], &[0xF0, 0]] {
        assert_eq!(code_of(bytes), 0x82);
    }
    assert_eq!(code_of(&connect(5, "c")), 0x82, "second CONNECT");
}

#[test]
fn mq_5_bad_properties_in_connect() {
    let answer = |properties: &[u8], payload: &[u8], flags| {
        let mut tester = Tester::new(options());
        tester.send(&connect_with(5, flags, properties, payload)).get(3).copied()
    };
    let id = text("c");
    assert_eq!(answer(&[0x21, 0, 0], &id, 2), Some(0x82), "receive maximum 0 (MQ-6)");
    assert_eq!(answer(&[0x27, 0, 0, 0, 0], &id, 2), Some(0x82), "maximum packet size 0 (MQ-6)");
    assert_eq!(answer(&[0x21, 0, 1, 0x21, 0, 1], &id, 2), Some(0x82), "twice");
    assert_eq!(answer(&[0x23, 0, 1], &id, 2), Some(0x81), "not for CONNECT");
    assert_eq!(answer(&[0x7F, 0, 1], &id, 2), Some(0x81), "unknown");
    assert_eq!(answer(&[0x16, 0, 1, 0], &id, 2), Some(0x82), "authentication data without a method");
    let will = |properties: &[u8]| [&id[..], &[properties.len() as u8], properties, &text("t"), &text("x")].concat();
    assert_eq!(answer(&[], &will(&[0x23, 0, 1]), 6), Some(0x81), "alias in a will");
    assert_eq!(answer(&[], &will(&[0x18, 0, 0]), 6), Some(0x81), "cut in a will");
    assert_eq!(answer(&[], &will(&[0x08, 0, 1, b'#']), 6), Some(0x82), "response topic with a wildcard");
    assert_eq!(answer(&[], &id, 3), Some(0x81), "reserved flag");
    assert_eq!(answer(&[], &will(&[]), 0b0001_1110), Some(0x81), "will QoS 3");
}

#[test]
fn mq_5_many_user_properties() {
    let many = |count: usize| {
        let section = [0x26, 0, 0, 0, 0].repeat(count);
        let mut body = text("t");
        crate::packet::primitives::put_variable(&mut body, section.len());
        body.extend(section);
        packet(0x30, &body)
    };
    for (count, answer) in [(1_023, None), (1_024, None), (1_025, Some(0x97)), (10_000, Some(0x97))] {
        let bytes = Tester::connected(5).send(&many(count));
        assert_eq!(bytes.get(2).copied(), answer);
    }
}

#[test]
fn mq_6_aliases_and_identifiers() {
    assert_eq!(code_of(&publish(0, "a", 0, Some(&[0x23, 0, 0]), b"")), 0x94);
    assert_eq!(code_of(&publish(0, "a", 0, Some(&[0x23, 0, 65]), b"")), 0x94, "maximum + 1");
    assert_eq!(Tester::connected(5).send(&publish(0, "a", 0, Some(&[0x23, 0, 64]), b"")), NOTHING, "maximum");
    assert_eq!(code_of(&publish(0, "", 0, Some(&[0x23, 0, 1]), b"")), 0x82, "never set");
    assert_eq!(code_of(&packet(0x82, &[&[0, 1, 2, 0x0B, 0][..], &text("a"), &[0]].concat())), 0x82);
}

#[test]
fn mq_7_properties_that_readers_would_choke_on() {
    assert_eq!(code_of(&publish(0, "a", 0, Some(&[0x0B, 1]), b"")), 0x82, "subscription identifier from a client");
    assert_eq!(code_of(&publish(0, "a", 0, Some(&[0x1F, 0, 0]), b"")), 0x81, "reason string in PUBLISH");
    assert_eq!(code_of(&publish(0, "a", 0, Some(&[0x08, 0, 1, b'+']), b"")), 0x82, "response topic");
    assert_eq!(code_of(&publish(0, "a", 0, Some(&[1, 1]), b"\xFF")), 0x99, "payload format");
}

#[test]
fn mq_8_publish_cut_before_the_packet_id() {
    for body in [&b"\0\x01a"[..], b"\0\x01a\0"] {
        assert_eq!(code_of(&packet(0x32, body)), 0x81);
        assert_eq!(code_of(&packet(0x34, body)), 0x81);
    }
    assert_eq!(code_of(&publish(0b0010, "a", 0, Some(&[]), b"")), 0x82, "packet id 0");
    assert_eq!(code_of(&publish(0b0110, "a", 1, Some(&[]), b"")), 0x81, "QoS 3");
    assert_eq!(code_of(&packet(0xC0, &[0])), 0x81, "PINGREQ with content");
}

#[test]
fn mq_12_subscriptions() {
    assert_eq!(code_of(&packet(0x82, &[0, 1, 0])), 0x82, "no filter");
    let deep = "+/".repeat(30_000);
    let answer = Tester::connected(5).send(&subscribe(5, 1, &[(&deep, 0)]));
    assert_eq!(answer, [0x90, 4, 0, 1, 0, 0x8F]);
    for (levels, reason) in [(127, 0), (128, 0), (129, 0x8F)] {
        let filter = vec!["+"; levels].join("/");
        assert_eq!(Tester::connected(5).send(&subscribe(5, 1, &[(&filter, 0)]))[5], reason);
    }
}

#[test]
fn com_4_a_thousand_packets_in_one_write() {
    let mut tester = Tester::connected(4);
    let bytes = publish(0b0010, "a", 1, None, b"x").repeat(900);
    assert_eq!(tester.send(&bytes).len(), 900 * 4);
    assert_eq!(tester.published().len(), 900);
}
