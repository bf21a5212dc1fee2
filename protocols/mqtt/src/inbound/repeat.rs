//! Clients publish to the same topic again and again: where only payload and packet id differ from the last PUBLISH, nothing else is
//! read again, and what one read brought is one run.

use std::ops::Range;

use bytes::Bytes;
use crossdock_common::command::PublishRun;
use crossdock_common::message::RUN_BODY_BYTES_MAX;
use crossdock_common::{Arrived, Command, Lane, Message, Run};
use smallvec::SmallVec;

use super::{Inbound, Pending};
use crate::convert::FORMAT;
use crate::options::ConnectionOptions;
use crate::packet::primitives::{put_binary, put_variable, variable_len};
use crate::packet::properties::Property;
use crate::packet::publish::Publish;
use crate::packet::{Kind, Qos, Version};
use crate::reason::Reason;
use crate::requests::Context;

/// Longest topic and property section together that are remembered.
const BYTES_MAX: usize = 512;
/// What a packet has beside topic, property section and payload: the fixed header, two lengths, and the packet id.
const OVERHEAD_BYTES_MAX: usize = 3 + 2 + 2 + 2;
/// So many that differ in their payloads only are a run; fewer are passed on one by one.
const RUN_MIN: usize = 4;

/// What the last PUBLISH said, as it was on the wire and as it was understood.
#[derive(Debug)]
pub(super) struct Repeat {
    qos: Qos,
    /// The topic and the property section, each with its length.
    bytes: Vec<u8>,
    topic_bytes: usize,
    routing_key: Bytes,
    properties: Bytes,
    ttl_ms: Option<u64>,
}

/// A PUBLISH of a run: its packet id, 0 with QoS 0, and where its payload is.
type Found = (u16, Range<usize>);

/// Whether all packets that may be in a run are within the limits.
fn allows_runs(options: &ConnectionOptions) -> bool {
    let packet_bytes_max = BYTES_MAX + RUN_BODY_BYTES_MAX + OVERHEAD_BYTES_MAX;
    options.limits.message_bytes_max >= RUN_BODY_BYTES_MAX && options.packet_bytes_max() >= packet_bytes_max
}

impl Repeat {
    fn new(version: Version, publish: &Publish<'_>, message: &Message) -> Self {
        let mut bytes = Vec::new();
        put_binary(&mut bytes, publish.topic.as_bytes());
        let topic_bytes = bytes.len();
        if version.is_v5() {
            put_variable(&mut bytes, publish.properties.as_bytes().len());
            bytes.extend_from_slice(publish.properties.as_bytes());
        }
        let kept = Bytes::copy_from_slice;
        Self {
            qos: publish.qos,
            bytes,
            topic_bytes,
            routing_key: kept(&message.routing_key),
            properties: kept(&message.properties),
            ttl_ms: message.ttl_ms,
        }
    }

    /// The packet at `at` if it is whole and says the same as the last one, and where it ends.
    #[inline]
    fn next(&self, input: &[u8], at: usize) -> Option<(Found, usize)> {
        let [first, length, more, ..] = *input.get(at..)? else { return None };
        if first != Kind::Publish.first_byte() | (self.qos as u8) << 1 {
            return None;
        }
        let (start, remaining) = match (length, more) {
            (0..=0x7F, _) => (at + 2, usize::from(length)),
            (_, 1..=0x7F) => (at + 3, usize::from(length & 0x7F) | usize::from(more) << 7),
            _ => return None,
        };
        let body = input.get(start..start + remaining)?;
        let (topic, properties) = self.bytes.split_at_checked(self.topic_bytes)?;
        let rest = body.strip_prefix(topic)?;
        let (packet_id, rest) = match self.qos {
            Qos::AtMostOnce => (0, rest),
            _ => {
                let (id, rest) = rest.split_first_chunk::<2>()?;
                (u16::from_be_bytes(*id), rest)
            }
        };
        let payload = rest.strip_prefix(properties)?;
        let is_sound = payload.len() <= RUN_BODY_BYTES_MAX && (packet_id != 0 || self.qos == Qos::AtMostOnce);
        let end = start + remaining;
        is_sound.then(|| ((packet_id, end - payload.len()..end), end))
    }

    /// Up to so many packets that follow each other, and where the last ends.
    fn find(&self, input: &[u8], count_max: usize) -> (SmallVec<[Found; RUN_MIN]>, usize) {
        let (mut found, mut end) = (SmallVec::new(), 0);
        while found.len() < count_max
            && let Some((next, next_end)) = self.next(input, end)
        {
            found.push(next);
            end = next_end;
        }
        (found, end)
    }

    /// Whether it says what this packet says.
    fn says(&self, publish: &Publish<'_>) -> bool {
        let (topic, section) = self.bytes.split_at_checked(self.topic_bytes).unwrap_or_default();
        let properties = publish.properties.as_bytes();
        let length_bytes = if section.is_empty() { 0 } else { variable_len(properties.len()) };
        self.qos == publish.qos
            && topic.get(2..) == Some(publish.topic.as_bytes())
            && section.get(length_bytes..) == Some(properties)
    }
}

impl Inbound {
    /// Remembers a PUBLISH that was taken as `message`, if others like it may be taken together.
    pub(super) fn learn(&mut self, version: Version, publish: &Publish<'_>, message: &Message) {
        // Whether a payload is what its format says is looked at for each; an alias may soon stand for another topic.
        let is_own = |property: Property<'_>| matches!(property, Property::PayloadFormat(_) | Property::TopicAlias(_));
        let is_plain = publish.qos != Qos::ExactlyOnce && !publish.retain && !publish.dup && message.rare.is_none();
        let is_short = publish.topic.len() + publish.properties.as_bytes().len() <= BYTES_MAX;
        if !is_plain || !is_short || publish.properties.iter().any(is_own) {
            self.repeat = None;
        } else if !self.repeat.as_ref().is_some_and(|repeat| repeat.says(publish)) {
            self.repeat = Some(Box::new(Repeat::new(version, publish, message)));
        }
    }

    /// Takes PUBLISH packets at the beginning of `input` that say what the last one said, if they are enough for a run; says how many
    /// bytes they had, or 0.
    pub fn publish_again(&mut self, cx: &mut Context<'_>, input: &[u8]) -> usize {
        // Taken and put back: a run is sent with what it remembers.
        let Some(repeat) = self.repeat.take() else { return 0 };
        let (found, end) = repeat.find(input, self.room(cx, repeat.qos));
        let is_run = found.len() >= RUN_MIN;
        if is_run {
            self.send_run(cx, &repeat, &found, input);
        }
        self.repeat = Some(repeat);
        if is_run { end } else { 0 }
    }

    /// How many packets of this kind may be taken now.
    fn room(&self, cx: &Context<'_>, qos: Qos) -> usize {
        match qos {
            // Where less is allowed than a run may have, each packet is looked at.
            _ if !allows_runs(&cx.peer.options) => 0,
            Qos::AtMostOnce => usize::MAX,
            _ => {
                let in_flight = self.pending.len().max(self.at_least_once_count + self.exactly_once_count);
                usize::from(cx.peer.options.receive_maximum.max(1)).saturating_sub(in_flight)
            }
        }
    }

    fn send_run(&mut self, cx: &mut Context<'_>, repeat: &Repeat, found: &[Found], input: &[u8]) {
        let arrived = Arrived {
            format: &FORMAT,
            exchange: &cx.peer.options.exchange,
            routing_key: &repeat.routing_key,
            properties: &repeat.properties,
            body: &[],
            durable: repeat.qos != Qos::AtMostOnce,
            priority: 0,
            ttl_ms: repeat.ttl_ms,
            user: &cx.peer.user,
            received_at: cx.now.unix,
        };
        let payloads = found.iter().map(|(_, payload)| input.get(payload.clone()).unwrap_or_default());
        let run = Run::new(&arrived, payloads);
        let confirm = (repeat.qos != Qos::AtMostOnce).then(|| self.admit_run(found));
        cx.command(Command::PublishRun(Box::new(PublishRun { lane: Lane(0), confirm, run, mandatory: false })));
    }

    /// The confirm number of the first; the others follow.
    fn admit_run(&mut self, found: &[Found]) -> u64 {
        let first = self.next_confirm;
        let pending = |(packet_id, _): &Found| Pending {
            packet_id: *packet_id,
            qos: Qos::AtLeastOnce,
            reason: Reason::SUCCESS,
            is_done: false,
        };
        self.pending.extend(found.iter().map(pending));
        self.at_least_once_count += found.len();
        self.next_confirm += found.len() as u64;
        first
    }
}
