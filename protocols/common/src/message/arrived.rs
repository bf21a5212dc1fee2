//! Messages as machines read them, and how their memory is used again.
//!
//! A broker that keeps up with its publishers holds a few thousand messages at a time, each for a moment. Each thread remembers
//! the messages that it made last; the oldest of them, once nobody else holds it, becomes the next message: nothing is
//! allocated, and what stays the same (exchange, user, key, properties) is not even written. While messages pile up none is free, and
//! new ones are allocated as before.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};

use super::{Format, Message};
use crate::{Name, UnixMillis};

/// Larger messages, in bytes of key, properties and body, are neither packed nor remembered.
const SMALL_BYTES_MAX: usize = 2 << 10;
/// What a thread remembers at most, in bytes by the count of [`memory_bytes`].
const REMEMBERED_BYTES_MAX: usize = 1 << 20;
/// What a message takes beside its sections, roughly.
const OVERHEAD_BYTES: usize = 320;
/// A section's buffer is made so many bytes larger than it has to be at most, so that the next one fits, too.
const SLACK_BYTES: usize = 64;

thread_local! {
    static REMEMBERED: RefCell<Remembered> = RefCell::default();
}

/// A message in a machine's read buffer. Its sections are copied, so that a small message never keeps a large buffer alive.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Arrived<'a> {
    pub format: &'static dyn Format,
    pub exchange: &'a Name,
    pub routing_key: &'a [u8],
    pub properties: &'a [u8],
    pub body: &'a [u8],
    pub durable: bool,
    pub priority: u8,
    pub ttl_ms: Option<u64>,
    pub user: &'a Name,
    pub received_at: UnixMillis,
}

impl Arrived<'_> {
    /// The message, without rare facts.
    pub fn to_message(&self) -> Arc<Message> {
        if self.sections_bytes() > SMALL_BYTES_MAX {
            return Arc::new(self.new_message());
        }
        let remembered = REMEMBERED.try_with(|remembered| remembered.borrow_mut().next(self));
        remembered.unwrap_or_else(|_| Arc::new(self.new_message()))
    }

    fn sections_bytes(&self) -> usize {
        self.routing_key.len() + self.properties.len() + self.body.len()
    }

    pub(super) fn new_message(&self) -> Message {
        let (routing_key, properties, body) = pack(self.routing_key, self.properties, self.body);
        Message {
            durable: self.durable,
            priority: self.priority,
            ttl_ms: self.ttl_ms,
            user: self.user.clone(),
            received_at: self.received_at,
            ..Message::new(self.format, self.exchange.clone(), routing_key, properties, body)
        }
    }

    /// Turns a message that nobody else holds into this one.
    fn refill(&self, message: &mut Message) {
        message.format = self.format;
        refill(&mut message.properties, self.properties);
        refill(&mut message.body, self.body);
        rename(&mut message.exchange, self.exchange);
        refill(&mut message.routing_key, self.routing_key);
        message.durable = self.durable;
        message.priority = self.priority;
        message.ttl_ms = self.ttl_ms;
        rename(&mut message.user, self.user);
        message.received_at = self.received_at;
        message.rare = None;
        if message.hub.get().is_some() {
            message.hub = OnceLock::new();
        }
    }
}

/// The messages that a thread made last, oldest first.
#[derive(Default)]
struct Remembered {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
}

impl Remembered {
    fn next(&mut self, arrived: &Arrived<'_>) -> Arc<Message> {
        let message = self.reuse(arrived).unwrap_or_else(|| Arc::new(arrived.new_message()));
        self.bytes += memory_bytes(&message);
        self.messages.push_back(message.clone());
        message
    }

    /// The oldest, if it is free. One that is not is kept in mind only while there is room.
    fn reuse(&mut self, arrived: &Arrived<'_>) -> Option<Arc<Message>> {
        let oldest = self.messages.front_mut()?;
        let before = memory_bytes(oldest);
        let free = Arc::get_mut(oldest).map(|message| arrived.refill(message)).is_some();
        if !free && self.bytes < REMEMBERED_BYTES_MAX {
            return None;
        }
        self.bytes -= before;
        self.messages.pop_front().filter(|_| free)
    }
}

fn memory_bytes(message: &Message) -> usize {
    OVERHEAD_BYTES + message.routing_key.len() + message.properties.len() + message.body.len()
}

fn rename(kept: &mut Name, name: &Name) {
    if !kept.is_same(name) {
        kept.clone_from(name);
    }
}

/// Makes a section say `bytes`, in the memory it has if that is its own.
fn refill(kept: &mut Bytes, bytes: &[u8]) {
    if kept[..] == *bytes {
        return;
    }
    let reusable = |buffer: &BytesMut| (bytes.len()..=SMALL_BYTES_MAX + SLACK_BYTES).contains(&buffer.capacity());
    let mut buffer =
        std::mem::take(kept).try_into_mut().ok().filter(reusable).unwrap_or_else(|| shareable(bytes.len()));
    buffer.clear();
    buffer.put_slice(bytes);
    *kept = buffer.freeze();
}

/// An empty buffer that needs no allocation to be frozen and thawed again: it counts its references already.
fn shareable(bytes: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(bytes.next_multiple_of(SLACK_BYTES));
    drop(buffer.split_off(buffer.capacity()));
    buffer
}

/// Bytes that live inside the allocation of their own reference count: a vector would cost a second one.
struct Inline<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> AsRef<[u8]> for Inline<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The sections one behind the other, which must be `length <= N` bytes together.
fn join<const N: usize>(sections: [&[u8]; 3], length: usize) -> Bytes {
    let mut bytes = [0; N];
    let mut free = &mut bytes[..];
    for section in sections {
        free.put_slice(section);
    }
    Bytes::from_owner(Inline { bytes, length })
}

/// Three sections in one allocation.
fn pack(routing_key: &[u8], properties: &[u8], body: &[u8]) -> (Bytes, Bytes, Bytes) {
    let sections = [routing_key, properties, body];
    let mut rest = match routing_key.len() + properties.len() + body.len() {
        length @ ..=64 => join::<64>(sections, length),
        length @ ..=128 => join::<128>(sections, length),
        length @ ..=256 => join::<256>(sections, length),
        length @ ..=384 => join::<384>(sections, length),
        length @ ..=512 => join::<512>(sections, length),
        length @ ..=1024 => join::<1024>(sections, length),
        length @ ..=1280 => join::<1280>(sections, length),
        length @ ..=SMALL_BYTES_MAX => join::<SMALL_BYTES_MAX>(sections, length),
        _ => Bytes::from(sections.concat()),
    };
    let routing_key = rest.split_to(routing_key.len());
    let properties = rest.split_to(properties.len());
    (routing_key, properties, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::plain_format;

    fn make(key: &str, body: &[u8]) -> Arc<Message> {
        let (exchange, user) = (Name::from("x"), Name::from("u"));
        let arrived = Arrived {
            format: plain_format(),
            exchange: &exchange,
            routing_key: key.as_bytes(),
            properties: b"p",
            body,
            durable: true,
            priority: 3,
            ttl_ms: Some(5),
            user: &user,
            received_at: UnixMillis(7),
        };
        arrived.to_message()
    }

    fn sections(message: &Message) -> (&[u8], &[u8], &[u8]) {
        (&message.routing_key, &message.properties, &message.body)
    }

    #[test]
    fn a_message_that_nobody_holds_becomes_the_next_one_and_nothing_of_it_is_left() {
        let first = make("k", b"first body");
        first.hub();
        let place = Arc::as_ptr(&first);
        drop(first);
        for (key, body) in [("k", &b"second"[..]), ("another key", b""), ("", b"a body that is longer than the first")]
        {
            let next = make(key, body);
            assert_eq!(Arc::as_ptr(&next), place);
            assert_eq!(sections(&next), (key.as_bytes(), &b"p"[..], body));
            assert!(next.hub.get().is_none() && next.rare.is_none());
        }
    }

    #[test]
    fn a_message_that_somebody_holds_is_left_alone_also_when_only_its_body_is_held() {
        let held = make("k", b"held");
        let next = make("k", b"next");
        assert_eq!((sections(&held).2, sections(&next).2), (&b"held"[..], &b"next"[..]));
        let bodies: Vec<Bytes> = (0..2).map(|_| make("k", b"body").body.clone()).collect();
        drop((held, next));
        for _ in 0..8 {
            make("k", b"other body");
        }
        assert_eq!(bodies, [&b"body"[..], b"body"]);
    }

    #[test]
    fn what_a_thread_remembers_is_bounded_and_large_messages_are_not_remembered() {
        let held: Vec<_> = (0..10_000).map(|_| make("k", &[b'x'; 1000])).collect();
        let remembered = |of: fn(&Remembered) -> usize| REMEMBERED.with(|remembered| of(&remembered.borrow()));
        let count = remembered(|remembered| remembered.messages.len());
        assert!(remembered(|remembered| remembered.bytes) <= REMEMBERED_BYTES_MAX + 2000 && count > 500);
        make("k", &[b'x'; SMALL_BYTES_MAX]);
        assert_eq!(remembered(|remembered| remembered.messages.len()), count);
        drop(held);
        let before = remembered(|remembered| remembered.bytes);
        (0..2 * count).for_each(|_| drop(make("k", b"small")));
        assert!(remembered(|remembered| remembered.bytes) < before);
    }

    #[test]
    fn every_size_survives_the_packing() {
        for length in [0, 1, 63, 64, 128, 129, 2047, 2048, 2049, 8191] {
            let body = vec![b'b'; length];
            assert_eq!(sections(&make("key", &body)), (&b"key"[..], &b"p"[..], &body[..]));
        }
    }
}
