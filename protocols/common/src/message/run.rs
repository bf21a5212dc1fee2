//! Messages that differ in their bodies only, and came one after the other.
//!
//! Whoever publishes fast says the same again and again. What is decided for one message of a run is decided for all of them, and
//! they take four allocations together. A run is a way to pass messages on: where they have to be told apart (because a consumer gives
//! one back, or on disk), each becomes a [`Message`] of its own.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{Arrived, Message};

/// Longest body in a run, in bytes: longer ones are better passed on one by one.
pub const RUN_BODY_BYTES_MAX: usize = 2 << 10;

/// Messages that differ in their bodies only.
#[derive(Debug)]
struct All {
    head: Message,
    /// One behind the other, with so many bytes of something else between two of them.
    bodies: Bytes,
    gap: usize,
    /// Where each begins, and where the last ends, if nothing were between them.
    bounds: Vec<u32>,
    /// Made when somebody wants all of them, once for all who do.
    messages: OnceLock<Vec<Arc<Message>>>,
}

/// A run, or some messages of one that follow each other. Cheap to clone and to cut.
#[derive(Clone, Debug)]
pub struct Run {
    all: Arc<All>,
    range: Range<usize>,
}

impl Run {
    /// Messages that are all like `arrived`, with these bodies of up to [`RUN_BODY_BYTES_MAX`] instead of its own.
    pub fn new<'a>(arrived: &Arrived<'_>, bodies: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> Self {
        let mut all = Vec::with_capacity(bodies.clone().map(<[u8]>::len).sum());
        let mut bounds = Vec::with_capacity(bodies.len() + 1);
        bounds.push(0);
        for body in bodies {
            debug_assert!(body.len() <= RUN_BODY_BYTES_MAX);
            all.extend_from_slice(body);
            bounds.push(u32::try_from(all.len()).unwrap_or(u32::MAX));
        }
        Self::of(arrived, all.into(), 0, bounds)
    }

    /// The same with bodies of these lengths that are in `bodies` already, one behind the other with `gap` bytes between them. As long as
    /// one of them is somewhere, all of that memory is.
    pub fn cut(arrived: &Arrived<'_>, bodies: Bytes, gap: usize, lengths: impl Iterator<Item = usize>) -> Self {
        let ends = lengths.scan(0, |end, length| {
            debug_assert!(length <= RUN_BODY_BYTES_MAX);
            *end += length;
            Some(u32::try_from(*end).unwrap_or(u32::MAX))
        });
        let bounds = std::iter::once(0).chain(ends).collect();
        Self::of(arrived, bodies, gap, bounds)
    }

    fn of(arrived: &Arrived<'_>, bodies: Bytes, gap: usize, bounds: Vec<u32>) -> Self {
        let head = Arrived { body: &[], ..*arrived }.new_message();
        let range = 0..bounds.len().saturating_sub(1);
        Self { all: Arc::new(All { head, bodies, gap, bounds, messages: OnceLock::new() }), range }
    }

    /// What all have in common: everything but the body.
    pub fn head(&self) -> &Message {
        &self.all.head
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The bodies in order.
    pub fn bodies(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        let All { bodies, gap, bounds, .. } = &*self.all;
        let bounds = bounds.get(self.range.start..=self.range.end).unwrap_or_default();
        bounds.windows(2).zip(self.range.clone()).map(move |(pair, index)| {
            let before = index * gap;
            bodies.get(before + pair[0] as usize..before + pair[1] as usize).unwrap_or_default()
        })
    }

    /// Bytes of all bodies.
    pub fn bodies_bytes(&self) -> usize {
        let bound = |index: usize| self.all.bounds.get(index).map_or(0, |at| *at as usize);
        bound(self.range.end) - bound(self.range.start)
    }

    /// Memory that they take, roughly: what the head has is not counted.
    pub fn memory_bytes(&self) -> usize {
        self.bodies_bytes() + self.len() * (size_of::<u32>() + self.all.gap)
    }

    /// Takes up to so many from the beginning.
    pub fn split_to(&mut self, count: usize) -> Self {
        let middle = self.range.start + count.min(self.len());
        let all = self.all.clone();
        Self { all, range: std::mem::replace(&mut self.range.start, middle)..middle }
    }

    /// Each message with memory of its own.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        let make = || self.bodies().map(|body| self.message(body)).collect();
        if self.len() + 1 == self.all.bounds.len() { self.all.messages.get_or_init(make).clone() } else { make() }
    }

    fn message(&self, body: &[u8]) -> Arc<Message> {
        let head = self.head();
        let arrived = Arrived {
            format: head.format,
            exchange: &head.exchange,
            routing_key: &head.routing_key,
            properties: &head.properties,
            body,
            durable: head.durable,
            priority: head.priority,
            ttl_ms: head.ttl_ms,
            user: &head.user,
            received_at: head.received_at,
        };
        arrived.to_message()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::plain_format;
    use crate::{Name, UnixMillis};

    fn arrived<'a>(exchange: &'a Name, user: &'a Name) -> Arrived<'a> {
        Arrived {
            format: plain_format(),
            exchange,
            routing_key: b"k",
            properties: b"p",
            body: b"not this one",
            durable: false,
            priority: 3,
            ttl_ms: Some(5),
            user,
            received_at: UnixMillis(7),
        }
    }

    fn run(bodies: &[&str]) -> Run {
        Run::new(&arrived(&Name::from("x"), &Name::from("u")), bodies.iter().map(|body| body.as_bytes()))
    }

    fn bodies(run: &Run) -> Vec<&str> {
        run.bodies().map(|body| std::str::from_utf8(body).unwrap()).collect()
    }

    #[test]
    fn its_messages_are_what_was_published() {
        let run = run(&["a", "", "ccc"]);
        assert_eq!((run.len(), run.bodies_bytes(), run.is_empty()), (3, 4, false));
        for (message, body) in run.messages().iter().zip(["a", "", "ccc"]) {
            assert_eq!(
                (&message.body[..], &message.routing_key[..], &message.properties[..]),
                (body.as_bytes(), &b"k"[..], &b"p"[..])
            );
            assert_eq!((message.priority, message.ttl_ms, message.received_at), (3, Some(5), UnixMillis(7)));
            assert_eq!((&*message.exchange, &*message.user), ("x", "u"));
        }
    }

    #[test]
    fn bodies_may_have_something_between_them() {
        let source = Bytes::from_static(b"a--bb----ccc");
        let (exchange, user) = (Name::from("x"), Name::from("u"));
        let mut rest = Run::cut(&arrived(&exchange, &user), source, 2, [1, 2, 0, 3].into_iter());
        assert_eq!(bodies(&rest), ["a", "bb", "", "ccc"]);
        let first = rest.split_to(2);
        assert_eq!((bodies(&first), bodies(&rest)), (vec!["a", "bb"], vec!["", "ccc"]));
        assert_eq!((rest.bodies_bytes(), rest.memory_bytes()), (3, 15));
        assert_eq!(rest.messages()[1].body, "ccc");
    }

    #[test]
    fn all_who_want_all_messages_get_the_same() {
        let run = run(&["a", "b"]);
        let (first, second) = (run.messages(), run.clone().messages());
        assert!(first.iter().zip(&second).all(|(a, b)| Arc::ptr_eq(a, b)));
    }

    #[test]
    fn it_can_be_cut_anywhere() {
        let whole = ["a", "", "ccc", "dd"];
        for middle in 0..=5 {
            let mut rest = run(&whole);
            let first = rest.split_to(middle);
            let middle = middle.min(4);
            assert_eq!((bodies(&first), bodies(&rest)), (whole[..middle].to_vec(), whole[middle..].to_vec()));
            assert_eq!(first.bodies_bytes() + rest.bodies_bytes(), 6);
            assert_eq!(rest.is_empty(), middle == 4);
        }
    }
}
