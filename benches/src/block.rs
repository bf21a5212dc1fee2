//! Messages encoded once and written again and again.

use std::ops::Range;

use crate::wire::Wire;
use crate::{amqp, mqtt, nats, stomp, web};

/// Most bytes that are laid out for one write.
const WRITE_BYTES: usize = 64 << 10;
/// Most messages of one write.
const WRITE_MESSAGES: usize = 512;
/// Messages of a block whose messages have packet ids: more than may be in flight.
const PACKET_IDS: usize = 2_048;

/// Where messages go, and what they are.
pub struct Letter<'a> {
    pub wire: Wire,
    pub exchange: &'a str,
    /// Routing key, topic or subject.
    pub key: &'a str,
    pub persistent: bool,
    pub qos: u8,
    /// Each message is in a frame of a WebSocket.
    pub in_web: bool,
    /// STOMP: each message asks for a receipt.
    pub with_receipts: bool,
    pub body_bytes: usize,
}

/// Some messages, one after the other, of the same length.
pub struct Block {
    pub bytes: Vec<u8>,
    /// Bytes of one message.
    pub one: usize,
    /// Where a message's body begins.
    body_at: usize,
}

impl Block {
    pub fn of(letter: &Letter<'_>) -> Self {
        let body = vec![b'x'; letter.body_bytes];
        let in_wire = |packet_id: usize| match letter.wire {
            Wire::Amqp => amqp::publish(letter.exchange, letter.key, letter.persistent, &body),
            Wire::Mqtt => mqtt::publish(letter.key, letter.qos, packet_id as u16, &body),
            Wire::Stomp => {
                let receipt = letter.with_receipts.then_some(packet_id as u16);
                stomp::send(letter.key, letter.persistent, receipt, &body)
            }
            Wire::Nats => nats::publish(letter.key, &body),
        };
        let encode = |packet_id| if letter.in_web { web::frame(&in_wire(packet_id)) } else { in_wire(packet_id) };
        let one = encode(1).len();
        let after_body = match letter.wire {
            Wire::Amqp | Wire::Stomp => 1,
            Wire::Mqtt => 0,
            Wire::Nats => 2,
        };
        let with_ids = letter.wire == Wire::Mqtt && letter.qos > 0;
        let count = if with_ids { PACKET_IDS } else { (WRITE_BYTES / one).clamp(1, WRITE_MESSAGES) };
        let bytes = (1..=count).flat_map(encode).collect();
        Self { bytes, one, body_at: one - after_body - letter.body_bytes }
    }

    /// The bytes of the messages from a place on: at most so many, at most to the block's end, at most one write.
    pub fn some(&self, at: usize, messages: u64) -> Range<usize> {
        let left = (self.bytes.len() - at) / self.one;
        let most = (WRITE_BYTES / self.one).clamp(1, WRITE_MESSAGES).min(left);
        at..at + self.one * most.min(messages as usize)
    }

    /// Writes something into the body of the message that begins there.
    pub fn stamp(&mut self, at: usize, stamp: [u8; 8]) {
        let body = at + self.body_at;
        self.bytes[body..body + 8].copy_from_slice(&stamp);
    }
}
