//! AMQP 0-9-1 in bytes, as clients say it.

use bytes::BufMut;
use crossdock_amqp091::{Connection, ConnectionOptions};

use crate::conversation::Conversation;
use crate::peer::Peer;
use crate::probe::{MESSAGES, Probe};
use crate::world::{NOW, World};

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;
/// Type, channel and size.
const FRAME_HEAD_BYTES: usize = 7;
const TUNE: &[u8] = b"\0\x0a\0\x1e";
const OPEN_OK: &[u8] = b"\0\x0a\0\x29";
const CHANNEL_OPEN_OK: &[u8] = b"\0\x14\0\x0b";
const QUEUE_DECLARE_OK: &[u8] = b"\0\x32\0\x0b";
const QUEUE_BIND_OK: &[u8] = b"\0\x32\0\x15";
const CONSUME_OK: &[u8] = b"\0\x3c\0\x15";
const SELECT_OK: &[u8] = b"\0\x55\0\x0b";
const DELIVERY_MODE_TRANSIENT: u8 = 1;
const DELIVERY_MODE_PERSISTENT: u8 = 2;

/// No acknowledgements, nothing durable.
pub fn auto_ack(probe: &mut Probe, body_bytes: usize) {
    let world = World::new();
    let publisher = connect(&world);
    let consumer = consumer(&world, true);
    let publishes = publishes("", "orders", DELIVERY_MODE_TRANSIENT, body_bytes);
    Conversation { world, publisher, consumer, publishes, body_bytes }.run(probe);
}

/// The same, and no two messages that follow each other have the same properties: there are no runs.
pub fn alternating(probe: &mut Probe, body_bytes: usize) {
    let world = World::new();
    let publisher = connect(&world);
    let consumer = consumer(&world, true);
    let one = |priority| publish("", "orders", DELIVERY_MODE_TRANSIENT, priority, body_bytes);
    let publishes = [one(1), one(2)].concat().repeat(MESSAGES / 2);
    Conversation { world, publisher, consumer, publishes, body_bytes }.run(probe);
}

/// Transient messages, confirms, an acknowledgement for each message.
pub fn acks(probe: &mut Probe, body_bytes: usize) {
    confirmed_and_acked(probe, DELIVERY_MODE_TRANSIENT, body_bytes);
}

/// The same with durable messages.
pub fn durable(probe: &mut Probe, body_bytes: usize) {
    confirmed_and_acked(probe, DELIVERY_MODE_PERSISTENT, body_bytes);
}

fn confirmed_and_acked(probe: &mut Probe, delivery_mode: u8, body_bytes: usize) {
    let world = World::new();
    let mut publisher = connect(&world);
    ask(&mut publisher, &world, 1, b"\0\x55\0\x0a\0", SELECT_OK);
    let consumer = consumer(&world, false);
    let publishes = publishes("", "orders", delivery_mode, body_bytes);
    let mut acked = 0;
    Conversation { world, publisher, consumer, publishes, body_bytes }.run_with_acks(probe, |_| {
        let acks = (acked + 1..=acked + MESSAGES as u64).flat_map(ack).collect();
        acked += MESSAGES as u64;
        acks
    });
}

/// A client with a channel.
pub fn connect(world: &World) -> Peer {
    let mut peer = Peer::new(world, Box::new(Connection::new(NOW, ConnectionOptions::default())));
    peer.talk(world, b"AMQP\0\0\x09\x01");
    ask(&mut peer, world, 0, b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x09\0guest\0pw\x05en_US", TUNE);
    peer.talk(world, &frame(METHOD, 0, b"\0\x0a\0\x1f\0\0\0\0\0\0\0\0"));
    ask(&mut peer, world, 0, b"\0\x0a\0\x28\x01/\0\0", OPEN_OK);
    ask(&mut peer, world, 1, b"\0\x14\0\x0a\0", CHANNEL_OPEN_OK);
    peer
}

/// A client that consumes the durable queue `orders`, which is bound to every topic as well.
pub fn consumer(world: &World, no_ack: bool) -> Peer {
    let mut peer = connect(world);
    ask(&mut peer, world, 1, b"\0\x32\0\x0a\0\0\x06orders\x02\0\0\0\0", QUEUE_DECLARE_OK);
    ask(&mut peer, world, 1, b"\0\x32\0\x14\0\0\x06orders\x09amq.topic\x01#\0\0\0\0\0", QUEUE_BIND_OK);
    let mut consume = b"\0\x3c\0\x14\0\0\x06orders\x01c".to_vec();
    consume.push(if no_ack { 2 } else { 0 });
    consume.put_u32(0);
    ask(&mut peer, world, 1, &consume, CONSUME_OK);
    peer
}

/// Calls a method, whose answer has to be that one.
fn ask(peer: &mut Peer, world: &World, channel: u16, method: &[u8], answer: &[u8]) {
    let answered = peer.talk(world, &frame(METHOD, channel, method));
    assert!(answered[FRAME_HEAD_BYTES..].starts_with(answer), "{answered:?}");
}

/// A round of messages of one content type.
pub fn publishes(exchange: &str, key: &str, delivery_mode: u8, body_bytes: usize) -> Vec<u8> {
    publish(exchange, key, delivery_mode, 0, body_bytes).repeat(MESSAGES)
}

fn publish(exchange: &str, key: &str, delivery_mode: u8, priority: u8, body_bytes: usize) -> Vec<u8> {
    let mut method = b"\0\x3c\0\x28\0\0".to_vec();
    for name in [exchange, key] {
        method.put_u8(name.len() as u8);
        method.put_slice(name.as_bytes());
    }
    method.put_u8(0);
    let mut header = b"\0\x3c\0\0".to_vec();
    header.put_u64(body_bytes as u64);
    // Content type and delivery mode, and perhaps a priority.
    header.put_slice(if priority == 0 { b"\x90\0\x0atext/plain" } else { b"\x98\0\x0atext/plain" });
    header.put_u8(delivery_mode);
    header.extend((priority > 0).then_some(priority));
    let frames = [frame(METHOD, 1, &method), frame(HEADER, 1, &header), frame(BODY, 1, &vec![b'x'; body_bytes])];
    frames.concat()
}

/// Messages for the topic exchange.
pub fn topic_publishes(body_bytes: usize) -> Vec<u8> {
    publishes("amq.topic", "plant.7.temperature", DELIVERY_MODE_TRANSIENT, body_bytes)
}

fn ack(tag: u64) -> Vec<u8> {
    let mut method = b"\0\x3c\0\x50".to_vec();
    method.put_u64(tag);
    method.put_u8(0);
    frame(METHOD, 1, &method)
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.put_u16(channel);
    bytes.put_u32(payload.len() as u32);
    bytes.put_slice(payload);
    bytes.put_u8(FRAME_END);
    bytes
}
