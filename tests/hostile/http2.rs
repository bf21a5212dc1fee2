//! Row HT-9: no listener speaks HTTP/2. Its preface is refused in its own words, so that nothing of it is kept or counted.

use std::io::Write;

use super::{Bystander, ends, resident_kib, start};
use crate::wire::connect;
use crate::wire::http::exchange;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// SETTINGS, then GOAWAY with HTTP_1_1_REQUIRED.
const REFUSAL: &str = "\0\0\0\x04\0\0\0\0\0\0\0\x15\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0dHTTP/1.1 only";
const DOORS: [&str; 4] = ["aws", "management", "any", "ws"];
/// What sockets hold of what nobody reads.
const UNHEARD_BYTES_MAX: usize = 32 << 20;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const DATA: u8 = 0;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[test]
fn ht_9_the_preface_of_http_2_is_refused_at_once() {
    let broker = start(&[]);
    for door in DOORS {
        let answer = exchange(broker.port(door), &[PREFACE, SETTINGS].concat()).expect("answers");
        assert_eq!(answer, REFUSAL, "{door}");
        // Half of it is a request of another version.
        let answer = exchange(broker.port(door), &PREFACE[..16]).expect("answers");
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{door}: {answer}");
    }
}

#[test]
fn ht_9_a_request_that_would_rather_speak_http_2_is_answered_as_it_is() {
    let broker = start(&[]);
    let upgrade = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    for (door, path) in [("aws", "/?Action=ListQueues"), ("management", "/livez"), ("any", "/livez")] {
        let mut stream = connect(broker.port(door)).expect("connects");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n{upgrade}\r\n").as_bytes()).expect("sends");
        assert!(super::read_until(&mut stream, b"HTTP/1.1 200 OK\r\n"), "{door}");
    }
}

#[test]
fn ht_9_floods_of_http_2_end_with_their_preface() {
    let broker = start(&[]);
    let mut bystander = Bystander::new(&broker);
    let before = resident_kib(&broker);
    let resets: Vec<u8> = (0..1_000u32)
        .flat_map(|n| [frame(HEADERS, 4, 2 * n + 1, &[0x82]), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat())
        .collect();
    let empty = frame(DATA, 0, 1, &[]).repeat(1_000);
    let continued = [frame(HEADERS, 0, 1, &[0x82]), frame(CONTINUATION, 0, 1, &[0; 16_384]).repeat(4)].concat();
    for door in DOORS {
        for flood in [&resets, &empty, &continued] {
            let mut stream = connect(broker.port(door)).expect("connects");
            stream.write_all(&[PREFACE, SETTINGS].concat()).expect("sends");
            let sent = (0..).take_while(|_| stream.write_all(flood).is_ok()).count() * flood.len();
            assert!(sent < UNHEARD_BYTES_MAX, "{door} took {sent} bytes");
            ends(stream);
        }
        bystander.works();
    }
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB");
}
