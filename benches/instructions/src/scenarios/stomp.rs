//! STOMP 1.2 in bytes.

use crossdock_stomp::{Connection, ConnectionOptions};

use crate::conversation::Conversation;
use crate::peer::Peer;
use crate::probe::{MESSAGES, Probe};
use crate::world::{NOW, World};

const QUEUE: &str = "/queue/orders";

/// No acknowledgements, no receipts, nothing durable.
pub fn auto_ack(probe: &mut Probe, body_bytes: usize) {
    let world = World::new();
    let publisher = connect(&world);
    let consumer = consumer(&world, QUEUE, "auto");
    let publishes = publishes("", body_bytes);
    Conversation { world, publisher, consumer, publishes, body_bytes }.run(probe);
}

/// Durable messages, a receipt and an acknowledgement for each.
pub fn durable(probe: &mut Probe, body_bytes: usize) {
    let world = World::new();
    let publisher = connect(&world);
    let consumer = consumer(&world, QUEUE, "client-individual");
    let publishes = publishes("persistent:true\nreceipt:77\n", body_bytes);
    Conversation { world, publisher, consumer, publishes, body_bytes }.run_with_acks(probe, acks);
}

fn connect(world: &World) -> Peer {
    let mut peer = Peer::new(world, Box::new(Connection::new(NOW, ConnectionOptions::default())));
    let connected = peer.talk(world, b"CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0");
    assert!(connected.starts_with(b"CONNECTED\n"), "{connected:?}");
    peer
}

/// A client that consumes a destination.
pub fn consumer(world: &World, destination: &str, ack: &str) -> Peer {
    let mut peer = connect(world);
    let subscribe = format!("SUBSCRIBE\nid:0\ndestination:{destination}\nack:{ack}\nreceipt:1\n\n\0");
    assert_eq!(peer.talk(world, subscribe.as_bytes()), "RECEIPT\nreceipt-id:1\n\n\0", "the client may subscribe");
    peer
}

fn publishes(headers: &str, body_bytes: usize) -> Vec<u8> {
    let mut send =
        format!("SEND\ndestination:{QUEUE}\ncontent-type:text/plain\n{headers}content-length:{body_bytes}\n\n");
    send.extend(std::iter::repeat_n('x', body_bytes));
    send.push('\0');
    send.repeat(MESSAGES).into_bytes()
}

/// An ACK for each MESSAGE.
fn acks(read: &[u8]) -> Vec<u8> {
    let ids = read.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"ack:"));
    ids.flat_map(|id| [b"ACK\nid:", id, b"\n\n\0"].concat()).collect()
}
