//! MQTT 3.1.1 in bytes.

use bytes::{Buf, BufMut};
use crossdock_mqtt::{Connection, ConnectionOptions, Origin};

use crate::conversation::Conversation;
use crate::peer::Peer;
use crate::probe::{MESSAGES, Probe};
use crate::world::{NOW, World};

const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const TOPIC: &str = "plant/7/temperature";

/// At most once.
pub fn qos0(probe: &mut Probe, body_bytes: usize) {
    conversation(0, body_bytes).run(probe);
}

/// At least once. The consumer's session ends with its connection, so nothing is durable.
pub fn qos1(probe: &mut Probe, body_bytes: usize) {
    conversation(1, body_bytes).run_with_acks(probe, acks);
}

fn conversation(qos: u8, body_bytes: usize) -> Conversation {
    let world = World::new();
    let publisher = connect(&world, "publisher");
    let consumer = consumer(&world, qos);
    Conversation { world, publisher, consumer, publishes: publishes(qos, body_bytes), body_bytes }
}

/// A client with a clean session.
pub fn connect(world: &World, client_id: &str) -> Peer {
    let options = ConnectionOptions { allow_anonymous: true, ..ConnectionOptions::default() };
    let mut peer = Peer::new(world, Box::new(Connection::new(NOW, options, Origin::default())));
    let connack = peer.talk(world, &packet(CONNECT, &[b"\0\x04MQTT\x04\x02\0\x3c", &*text(client_id)].concat()));
    assert_eq!(&connack[..], b"\x20\x02\0\0", "the client may come in");
    peer
}

/// A client that consumes [`TOPIC`].
pub fn consumer(world: &World, qos: u8) -> Peer {
    let mut peer = connect(world, "consumer");
    let suback = peer.talk(world, &packet(SUBSCRIBE, &[&[0, 1], &*text("plant/+/temperature"), &[qos]].concat()));
    assert_eq!(&suback[..], [0x90, 3, 0, 1, qos], "the client may subscribe");
    peer
}

/// A round of messages; those of QoS 1 have packet identifiers from 1.
pub fn publishes(qos: u8, body_bytes: usize) -> Vec<u8> {
    let publish = |packet_id: u16| {
        let mut body = text(TOPIC);
        if qos > 0 {
            body.put_u16(packet_id);
        }
        body.resize(body.len() + body_bytes, b'x');
        packet(PUBLISH | qos << 1, &body)
    };
    (1..=MESSAGES as u16).flat_map(publish).collect()
}

/// A PUBACK for each PUBLISH.
fn acks(mut read: &[u8]) -> Vec<u8> {
    let mut acks = Vec::new();
    while read.has_remaining() {
        assert_eq!(read.get_u8() & 0xF0, PUBLISH);
        let length = remaining_length(&mut read);
        let (mut body, rest) = read.split_at(length);
        let topic_bytes = body.get_u16();
        body.advance(topic_bytes.into());
        acks.extend(packet(PUBACK, &body.get_u16().to_be_bytes()));
        read = rest;
    }
    acks
}

fn remaining_length(read: &mut &[u8]) -> usize {
    let mut length = 0;
    for shift in (0..).step_by(7) {
        let byte = read.get_u8();
        length |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    length
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let more = if rest > 0x7F { 0x80 } else { 0 };
        bytes.push((rest & 0x7F) as u8 | more);
        rest >>= 7;
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}
