//! Runs on their way to the client: what all their deliveries have in common is written once and copied.

use bytes::{BufMut, BytesMut};
use crossdock_common::event::RunDelivery;
use crossdock_common::{FormatTag, Output, Run};

use super::Channel;
use crate::convert::SHORT_MAX;
use crate::frame::basic::outgoing::Deliver;
use crate::frame::properties::put_header;
use crate::frame::{FRAME_END, HEAD_BYTES, Kind, put_head, put_method};

/// Class, method and consumer tag's length come before the tag in `basic.deliver`.
const BEFORE_TAG: usize = HEAD_BYTES + 4 + 1;

/// Whether the run's messages are passed on as they came.
pub(crate) fn is_ours(run: &Run) -> bool {
    run.head().format.tag() == FormatTag::AMQP_0_9_1 && run.head().routing_key.len() <= SHORT_MAX
}

/// The frames of a delivery up to its body, with room for what differs.
struct Frames {
    bytes: BytesMut,
    /// Where the delivery tag is.
    tag_at: usize,
    /// Where the size of the body is.
    size_at: usize,
}

impl Frames {
    fn new(channel: u16, consumer_tag: &str, run: &Run) -> Self {
        let head = run.head();
        let properties: &[u8] = if head.properties.is_empty() { &[0, 0] } else { &head.properties };
        let mut bytes = BytesMut::new();
        let method = Deliver {
            consumer_tag,
            delivery_tag: 0,
            redelivered: false,
            exchange: &head.exchange,
            routing_key: &head.routing_key,
        };
        put_method(&mut bytes, channel, &method);
        let size_at = bytes.len() + HEAD_BYTES + 4;
        put_head(&mut bytes, Kind::Header, channel, crate::frame::properties::HEADER_BYTES_MIN + properties.len());
        put_header(&mut bytes, 0, properties);
        bytes.put_u8(FRAME_END);
        put_head(&mut bytes, Kind::Body, channel, 0);
        Self { bytes, tag_at: BEFORE_TAG + consumer_tag.len(), size_at }
    }

    fn of(&mut self, delivery_tag: u64, body_bytes: usize) -> &[u8] {
        let (tag_at, size_at, end) = (self.tag_at, self.size_at, self.bytes.len());
        self.bytes[tag_at..tag_at + 8].copy_from_slice(&delivery_tag.to_be_bytes());
        self.bytes[size_at..size_at + 8].copy_from_slice(&(body_bytes as u64).to_be_bytes());
        self.bytes[end - 4..].copy_from_slice(&(body_bytes as u32).to_be_bytes());
        &self.bytes
    }
}

impl Channel {
    /// Messages for one of the channel's consumers; gives the first one's tag. Each body is in one frame: no frame is smaller than the largest body of a run.
    pub(crate) fn deliver_run(
        &mut self,
        output: &mut Output,
        consumer_tag: &str,
        no_ack: bool,
        delivery: &RunDelivery,
    ) -> u64 {
        let run = &delivery.run;
        let mut frames = Frames::new(self.number, consumer_tag, run);
        let buffer = output.bytes.buffer();
        buffer.reserve(run.bodies_bytes() + run.len() * (frames.bytes.len() + 1));
        let first_tag = self.last_delivery_tag + 1;
        for (tag, body) in (first_tag..).zip(run.bodies()) {
            buffer.put_slice(frames.of(tag, body.len()));
            buffer.put_slice(body);
            buffer.put_u8(FRAME_END);
        }
        self.last_delivery_tag += run.len() as u64;
        if !no_ack {
            (first_tag..).zip(delivery.ids()).for_each(|(tag, id)| self.unsettled.push(tag, id));
        }
        first_tag
    }
}
