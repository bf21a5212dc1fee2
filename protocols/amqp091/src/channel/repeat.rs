//! Publishers say the same again and again: where only the body differs from the last publish, nothing else is read again.

use crossdock_common::Name;

use super::publish::Content;
use super::{Channel, SLICE_BYTES_MIN};
use crate::connection::shared::Context;
use crate::convert::facts::Facts;
use crate::error::Fault;
use crate::frame::{FRAME_END, FRAME_OVERHEAD, HEAD_BYTES, Kind};

/// Longest method payload and header frame that are remembered.
const BYTES_MAX: usize = 512;
/// Where in a header frame the size of the body is.
const SIZE: std::ops::Range<usize> = HEAD_BYTES + 4..HEAD_BYTES + 12;

/// What the last publish of a channel said, as it was on the wire and as it was understood.
#[derive(Default)]
pub(super) struct Repeat {
    /// The method frame's payload; empty if there is nothing to compare with.
    method: Vec<u8>,
    /// The header frame.
    header: Vec<u8>,
    exchange: Name,
    routing_key_bytes: usize,
    mandatory: bool,
    facts: Facts,
}

/// Content that is whole in the read buffer and differs from the last one in its body only.
struct Repeated<'a> {
    content: Content<'a>,
    used: usize,
}

impl Repeat {
    /// Remembers a publish whose content was whole: `header` is the header frame.
    pub(super) fn learn(
        &mut self,
        method: &[u8],
        header: &[u8],
        (exchange, routing_key_bytes, mandatory): (&Name, usize, bool),
        facts: &Facts,
    ) {
        self.method.clear();
        if method.len().max(header.len()) > BYTES_MAX || !facts.are_plain() {
            return;
        }
        self.method.extend_from_slice(method);
        self.header.clear();
        self.header.extend_from_slice(header);
        self.exchange.clone_from(exchange);
        (self.routing_key_bytes, self.mandatory) = (routing_key_bytes, mandatory);
        self.facts =
            Facts { durable: facts.durable, priority: facts.priority, ttl_ms: facts.ttl_ms, ..Facts::default() };
    }

    /// Compares; `None` if anything is different, or not there yet, or not as it should be.
    fn find<'a>(&self, method: &'a [u8], rest: &'a [u8], body_bytes_max: usize) -> Option<Repeated<'a>> {
        if self.method != method || method.is_empty() {
            return None;
        }
        let header = rest.get(..self.header.len())?;
        let same = |range: std::ops::Range<usize>| header.get(range.clone()) == self.header.get(range);
        if !same(0..SIZE.start) || !same(SIZE.end..header.len()) {
            return None;
        }
        let size = header.get(SIZE)?.try_into().map(u64::from_be_bytes).ok()?;
        let size = usize::try_from(size).ok().filter(|size| (1..=body_bytes_max).contains(size))?;
        let frame = rest.get(header.len()..header.len() + size + FRAME_OVERHEAD)?;
        let channel = header.get(1..3)?;
        let [kind, high, low, a, b, c, d] = *frame.first_chunk::<HEAD_BYTES>()?;
        let is_body = kind == Kind::Body.octet() && [high, low] == channel && frame.last() == Some(&FRAME_END);
        if !is_body || u32::from_be_bytes([a, b, c, d]) as usize != size {
            return None;
        }
        let content = Content {
            // One octet of flags follows the key.
            routing_key: method.get(method.len() - 1 - self.routing_key_bytes..method.len() - 1)?,
            properties: header.get(SIZE.end..header.len() - 1)?,
            body: frame.get(HEAD_BYTES..frame.len() - 1)?,
        };
        Some(Repeated { content, used: header.len() + frame.len() })
    }
}

impl Channel {
    /// A method frame that may be the last `basic.publish` again, with the same content header: then the message is published, and
    /// the content's bytes on the wire are returned.
    pub(crate) fn publish_again(
        &mut self,
        cx: &mut Context<'_>,
        method: &[u8],
        rest: &[u8],
    ) -> Result<Option<usize>, Fault> {
        let Some(repeat) = &self.repeat else { return Ok(None) };
        let limits = &cx.shared.limits;
        let frame_payload_max = cx.shared.frame_max.saturating_sub(FRAME_OVERHEAD);
        let body_bytes_max = limits.message_bytes_max.min(frame_payload_max).min(SLICE_BYTES_MIN - 1);
        let Some(found) = repeat.find(method, rest, body_bytes_max) else { return Ok(None) };
        if !self.is_idle() || self.is_full(cx) {
            return Ok(None);
        }
        // Taken and put back: a name that is counted up and down for every message costs more than that.
        let Some(repeat) = self.repeat.take() else { return Ok(None) };
        let facts = Facts { extra_keys: Vec::new(), ..repeat.facts };
        let sent = self.send_whole(cx, &repeat.exchange, repeat.mandatory, found.content, facts);
        self.repeat = Some(repeat);
        sent.map(|()| Some(found.used))
    }
}
