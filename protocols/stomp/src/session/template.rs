//! MESSAGE frames of one subscription: what they have in common is written once and copied.

use bytes::{BufMut, Bytes, BytesMut};
use crossdock_common::{Name, Text};

use super::settle::SEPARATOR;
use super::subscriptions::{AckMode, Tag};
use crate::convert::{OF_THE_DELIVERY, OF_THE_FRAME, stored_lines};
use crate::destination::{format_route, has_prefix};
use crate::frame::{Line, Version, canonical, escape, unescape};

/// Most digits of a number.
const DIGITS_MAX: usize = 20;

/// The beginning of the frames for messages of one exchange and key.
#[derive(Clone, Debug)]
pub(super) struct Template {
    exchange: Name,
    routing_key: Bytes,
    /// Up to the number in `message-id`.
    before_number: Bytes,
    /// What comes before the number in `ack`, if there is such a header.
    before_ack: Option<Bytes>,
}

impl Template {
    pub(super) fn new(
        version: Version,
        session: &Text,
        (tag, mode): (&Tag, AckMode),
        (exchange, routing_key): (&Name, &Bytes),
    ) -> Self {
        let id = format!("{}{SEPARATOR}{session}{SEPARATOR}", tag.0);
        let mut before_number = BytesMut::new();
        before_number.put_slice(b"MESSAGE\n");
        if let Some(subscription) = tag.id() {
            Line::plain(version, "subscription", subscription).encode(&mut before_number);
        }
        Line::plain(version, "destination", &format_route(exchange, routing_key)).encode(&mut before_number);
        before_number.put_slice(b"message-id:");
        let id = escape(version, &id, false);
        before_number.put_slice(id.as_bytes());
        let has_ack = version == Version::V1_2 && mode != AckMode::Auto;
        let before_ack = has_ack.then(|| Bytes::from([b"\nack:", id.as_bytes()].concat()));
        let (exchange, routing_key) = (exchange.clone(), routing_key.clone());
        Self { exchange, routing_key, before_number: before_number.freeze(), before_ack }
    }

    /// It is made for messages of that exchange and key.
    pub(super) fn is_of(&self, exchange: &Name, routing_key: &Bytes) -> bool {
        self.routing_key == routing_key && self.exchange == *exchange
    }

    /// Writes the headers that the broker adds, up to the end of the line of `content-length`.
    pub(super) fn put(&self, buffer: &mut BytesMut, number: u64, redelivered: bool, body_bytes: usize) {
        let mut space = [0; DIGITS_MAX];
        let number = digits(number, &mut space);
        buffer.put_slice(&self.before_number);
        buffer.put_slice(number);
        if let Some(before_ack) = &self.before_ack {
            buffer.put_slice(before_ack);
            buffer.put_slice(number);
        }
        let redelivered: &[u8] = if redelivered { b"true" } else { b"false" };
        buffer.put_slice(b"\nredelivered:");
        buffer.put_slice(redelivered);
        buffer.put_slice(b"\ncontent-length:");
        buffer.put_slice(digits(body_bytes as u64, &mut space));
        buffer.put_u8(b'\n');
    }
}

/// Writes a message's own headers, without those that the broker says better.
pub(super) fn put_properties(buffer: &mut BytesMut, version: Version, properties: &[u8]) {
    for (name, value) in stored_lines(properties) {
        if OF_THE_FRAME.contains(&name) || OF_THE_DELIVERY.contains(&name) {
            continue;
        }
        match name {
            "reply-to" => match reply_destination(value) {
                Some(destination) => Line::stored(version, name, &destination).encode(buffer),
                None => Line::stored(version, name, value).encode(buffer),
            },
            _ => Line::stored(version, name, value).encode(buffer),
        }
    }
}

/// A bare queue name in `reply-to` becomes a destination that the reader can send to.
fn reply_destination(stored: &str) -> Option<String> {
    let name = unescape(stored);
    (!has_prefix(&name)).then(|| canonical(&format!("/reply-queue/{}", name.replace('%', "%25"))).into_owned())
}

fn digits(mut number: u64, space: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut start = DIGITS_MAX;
    for place in space.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    space.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_anybody_would() {
        for number in [0, 7, 10, 99, 1_000, u64::MAX] {
            assert_eq!(digits(number, &mut [0; DIGITS_MAX]), number.to_string().as_bytes());
        }
    }
}
