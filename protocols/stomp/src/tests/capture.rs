//! Whole conversations, however the network cuts and damages them.

use crossdock_common::testkit::{assert_cut_anywhere, assert_survives_random_bytes};
use crossdock_common::{Event, Machine, Now, Output, RequestId};

use super::support::options;
use crate::Connection;

const LOGIN: &[u8] = b"STOMP\naccept-version:1.0,1.1,1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0";
/// As stomp.py 8 sends it, with a body that has a NUL.
const STOMP_PY: &[u8] = b"SUBSCRIBE\nack:client-individual\ndestination:/queue/test\nid:1\n\n\0\
    SEND\ncontent-length:5\ndestination:/queue/test\nfoo:b\\car\nreceipt:r1\n\na\0b\n\n\0\n\n\r\n\
    BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/a\ntransaction:t\n\nhello\0COMMIT\ntransaction:t\nreceipt:2\n\n\0\
    UNSUBSCRIBE\nid:1\n\n\0DISCONNECT\nreceipt:3\n\n\0";
const TELNET: &[u8] = b"SEND\r\ndestination:/queue/a\r\n\r\nhello\r\n\0\r\nSEND\r\nfoo\r\n\r\n\0";
const BAD: [&[u8]; 5] = [
    b"SEND\ncontent-length:2\n\nabc\0",
    b"SEND\na:\\x\n\n\0",
    b"FOO\n\n\0",
    b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"\n\nSEND\nno-colon\n\n\0",
];

fn stranger() -> Connection {
    Connection::new(Now::default(), options())
}

/// A connection whose login the core has answered.
fn client() -> Connection {
    let (mut machine, mut output) = (stranger(), Output::default());
    machine.receive(Now::default(), &mut LOGIN.into(), &mut output);
    let principal = crossdock_common::event::Principal { name: "guest".into(), tags: vec![] };
    machine.handle(Now::default(), Event::Authenticated { request: RequestId(1), result: Ok(principal) }, &mut output);
    let result = Ok(crossdock_common::event::Reply::Done);
    machine.handle(Now::default(), Event::Reply { request: RequestId(2), result }, &mut output);
    assert!(machine.is_authenticated() && output.close.is_none());
    machine
}

/// COM-4.
#[test]
fn however_it_is_cut_it_is_the_same() {
    assert_cut_anywhere(stranger, LOGIN);
    assert_cut_anywhere(client, STOMP_PY);
    assert_cut_anywhere(client, TELNET);
    for bytes in BAD {
        assert_cut_anywhere(client, bytes);
        assert_cut_anywhere(stranger, bytes);
    }
}

#[test]
fn damaged_bytes_neither_panic_nor_cost_memory() {
    let captures = [LOGIN, STOMP_PY, TELNET, BAD[0], BAD[1]];
    assert_survives_random_bytes(stranger, &captures, 2_000, 16 << 10);
    assert_survives_random_bytes(client, &captures, 2_000, 32 << 10);
}

/// COM-3, ST-1: a promised length costs nothing.
#[test]
fn a_promise_of_bytes_reserves_none() {
    let promise = b"SEND\ndestination:/queue/a\ncontent-length:16777216\n\nx";
    let peak = crossdock_common::testkit::allocation::peak_bytes(|| {
        drop(crossdock_common::testkit::outcome_of(client(), &[promise]));
    });
    assert!(peak < 16 << 10, "{peak}");
    let (mut machine, mut output) = (client(), Output::default());
    machine.receive(Now::default(), &mut promise[..].into(), &mut output);
    assert_eq!(machine.input_bytes_max(), (16 << 20) + 1);
}

/// ST-1, ST-3: endless headers end at the limit; endless line ends are heart-beats and cost nothing.
#[test]
fn endless_input_ends() {
    for endless in ["a:1\n", "a"] {
        let bytes = format!("SEND\n{}", endless.repeat(70_000));
        let outcome = crossdock_common::testkit::outcome_of(client(), &[bytes.as_bytes()]);
        assert!(outcome.close.is_some_and(|close| close.contains("Frame too large")));
    }
    let outcome = crossdock_common::testkit::outcome_of(client(), &["\r\n".repeat(1 << 20).as_bytes()]);
    assert_eq!((outcome.close, outcome.bytes.len()), (None, 0));
}
