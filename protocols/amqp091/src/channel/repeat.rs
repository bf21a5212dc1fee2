//! Publishers say the same again and again: where only the body differs from the last publish, nothing else is read again.

use std::ops::Range;

use crossdock_common::message::RUN_BODY_BYTES_MAX;
use crossdock_common::{Arrived, Name, Run};

use super::publish::{Content, arrived};
use super::{Channel, Mode, SLICE_BYTES_MIN};
use crate::connection::shared::Context;
use crate::convert::facts::Facts;
use crate::error::Fault;
use crate::frame::{FRAME_END, FRAME_OVERHEAD, HEAD_BYTES, Kind, Rest, put_head};

/// Longest method payload and header frame that are remembered.
const BYTES_MAX: usize = 512;
/// So many publishes that differ in their bodies only are a run; fewer are passed on one by one.
const RUN_MIN: usize = 4;
/// Bodies of so many bytes together are not copied: they are most of the read buffer, which they keep.
const CUT_BYTES_MIN: usize = 64 << 10;
/// Where in a header frame the size of the body is.
const SIZE: Range<usize> = HEAD_BYTES + 4..HEAD_BYTES + 12;

/// What the last publish of a channel said, as it was on the wire and as it was understood.
#[derive(Default)]
pub(super) struct Repeat {
    /// The method frame; empty if there is nothing to compare with.
    method: Vec<u8>,
    /// The header frame.
    header: Vec<u8>,
    exchange: Name,
    routing_key_bytes: usize,
    mandatory: bool,
    facts: Facts,
    /// Where the bodies of the last publishes that were the same are in the read buffer.
    bodies: Vec<Range<usize>>,
}

impl Repeat {
    /// Remembers a publish whose content was whole: `header` is the header frame.
    pub(super) fn learn(
        &mut self,
        (channel, method): (u16, &[u8]),
        header: &[u8],
        (exchange, routing_key_bytes, mandatory): (&Name, usize, bool),
        facts: &Facts,
    ) {
        self.method.clear();
        if method.len().max(header.len()) > BYTES_MAX || !facts.are_plain() {
            return;
        }
        put_head(&mut self.method, Kind::Method, channel, method.len());
        self.method.extend_from_slice(method);
        self.method.push(FRAME_END);
        self.header.clear();
        self.header.extend_from_slice(header);
        self.exchange.clone_from(exchange);
        (self.routing_key_bytes, self.mandatory) = (routing_key_bytes, mandatory);
        self.facts =
            Facts { durable: facts.durable, priority: facts.priority, ttl_ms: facts.ttl_ms, ..Facts::default() };
    }

    /// What the method frame carries.
    fn method_payload(&self) -> &[u8] {
        self.method.get(HEAD_BYTES..self.method.len().saturating_sub(1)).unwrap_or_default()
    }

    fn content<'a>(&'a self, body: &'a [u8]) -> Content<'a> {
        let method = self.method_payload();
        // One octet of flags follows the key.
        let key_end = method.len().saturating_sub(1);
        Content {
            routing_key: method.get(key_end.saturating_sub(self.routing_key_bytes)..key_end).unwrap_or_default(),
            properties: self.header.get(SIZE.end..self.header.len().saturating_sub(1)).unwrap_or_default(),
            body,
        }
    }

    /// Where in `rest` the body is whose content begins at `at`; `None` if anything is different, or not there yet, or not as it
    /// should be.
    #[inline]
    fn body(&self, rest: &[u8], at: usize, body_bytes_max: usize) -> Option<Range<usize>> {
        let content = rest.get(at..)?;
        let header = content.get(..self.header.len())?;
        let same = |range: Range<usize>| header.get(range.clone()) == self.header.get(range);
        if !same(0..SIZE.start) || !same(SIZE.end..header.len()) {
            return None;
        }
        let size = header.get(SIZE)?.try_into().map(u64::from_be_bytes).ok()?;
        let size = usize::try_from(size).ok().filter(|size| (1..=body_bytes_max).contains(size))?;
        let frame = content.get(header.len()..header.len() + size + FRAME_OVERHEAD)?;
        let channel = header.get(1..3)?;
        let [kind, high, low, a, b, c, d] = *frame.first_chunk::<HEAD_BYTES>()?;
        let is_body = kind == Kind::Body.octet() && [high, low] == channel && frame.last() == Some(&FRAME_END);
        if !is_body || u32::from_be_bytes([a, b, c, d]) as usize != size {
            return None;
        }
        let start = at + header.len() + HEAD_BYTES;
        Some(start..start + size)
    }

    /// What was found, which is at `range` of `rest`.
    fn run(&self, arrived: &Arrived<'_>, rest: Rest<'_>, range: Range<usize>) -> Run {
        let bytes = rest.bytes();
        // The same frames are between all of them.
        let gap = self.method.len() + self.header.len() + FRAME_OVERHEAD;
        if range.len() - gap * (self.bodies.len() - 1) >= CUT_BYTES_MIN {
            let bodies = rest.buffer.slice_ref(bytes.get(range).unwrap_or_default());
            return Run::cut(arrived, bodies, gap, self.bodies.iter().map(Range::len));
        }
        Run::new(arrived, self.bodies.iter().map(|body| bytes.get(body.clone()).unwrap_or_default()))
    }

    /// Notes where in `rest` the bodies of up to `count_max` publishes are that follow each other; the first has no method frame there.
    fn find(&mut self, method: &[u8], rest: &[u8], body_bytes_max: usize, count_max: usize) {
        self.bodies.clear();
        if method.is_empty() || count_max == 0 || self.method_payload() != method {
            return;
        }
        let mut next = self.body(rest, 0, body_bytes_max);
        while let Some(body) = next {
            let method_at = body.end + 1;
            let at = method_at + self.method.len();
            let is_last = body.len() > RUN_BODY_BYTES_MAX;
            self.bodies.push(body);
            if is_last || self.bodies.len() >= count_max || rest.get(method_at..at) != Some(&self.method) {
                return;
            }
            next = self.body(rest, at, body_bytes_max.min(RUN_BODY_BYTES_MAX));
        }
    }
}

impl Channel {
    /// A method frame that may be the last `basic.publish` again, with the same content header: then the message is published,
    /// and many that follow it and are the same as well; how many bytes of `rest` they took is returned.
    pub(crate) fn publish_again(
        &mut self,
        cx: &mut Context<'_>,
        method: &[u8],
        rest: Rest<'_>,
    ) -> Result<Option<usize>, Fault> {
        // Taken and put back: a name that is counted up and down for every message costs more than that.
        let Some(mut repeat) = self.repeat.take() else { return Ok(None) };
        let limits = &cx.shared.limits;
        let frame_payload_max = cx.shared.frame_max.saturating_sub(FRAME_OVERHEAD);
        let body_bytes_max = limits.message_bytes_max.min(frame_payload_max).min(SLICE_BYTES_MIN - 1);
        repeat.find(method, rest.bytes(), body_bytes_max, self.room_for_repeats(cx, &repeat.facts));
        let sent = self.send_repeated(cx, &repeat, rest);
        self.repeat = Some(repeat);
        sent
    }

    /// How many publishes may be taken at once.
    fn room_for_repeats(&self, cx: &Context<'_>, facts: &Facts) -> usize {
        if !self.is_idle() || self.is_full(cx) {
            return 0;
        }
        match &self.mode {
            // What is written one by one is better passed on one by one.
            _ if facts.durable => 1,
            Mode::Transaction(_) => 1,
            Mode::Confirm(confirms) => cx.shared.limits.unsettled_max.saturating_sub(confirms.waiting()),
            Mode::Plain => usize::MAX,
        }
    }

    /// Publishes what was found, if anything was: all if they are enough for a run, else the first. Gives where that ends.
    fn send_repeated(&mut self, cx: &mut Context<'_>, repeat: &Repeat, rest: Rest<'_>) -> Result<Option<usize>, Fault> {
        let (Some(first), Some(last)) = (repeat.bodies.first(), repeat.bodies.last()) else { return Ok(None) };
        let content = repeat.content(rest.bytes().get(first.clone()).unwrap_or_default());
        if repeat.bodies.len() < RUN_MIN {
            let message = arrived(cx, &repeat.exchange, content, &repeat.facts).to_message();
            self.send_publish(cx, message, repeat.mandatory)?;
            return Ok(Some(first.end + 1));
        }
        let run = repeat.run(&arrived(cx, &repeat.exchange, content, &repeat.facts), rest, first.start..last.end);
        self.send_run(cx, run, repeat.mandatory);
        Ok(Some(last.end + 1))
    }
}
