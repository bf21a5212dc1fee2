//! One shape for what arrives, whatever the protocol.

use crate::amqp::{self, Frames, Heard};
use crate::inbox::Inbox;
use crate::mqtt::{self, Packets};
use crate::nats::{Line, Lines};
use crate::stomp;

/// What client and broker speak.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Wire {
    Amqp,
    Mqtt,
    Stomp,
    Nats,
}

/// What a publisher or consumer hears.
pub enum Event<'a> {
    /// With the tag or packet id to acknowledge it by; 0 needs none.
    Message { tag: u64, body: &'a [u8] },
    /// AMQP: this message or all up to it.
    Confirmed { tag: u64, multiple: bool },
    /// MQTT and STOMP: one message.
    Acknowledged,
    /// MQTT QoS 2: what has to be said now to whoever said this.
    Answer([u8; 4]),
    /// Part of a message, or nothing of interest.
    Other,
}

/// Cuts what arrives into events.
pub enum Ear {
    Amqp { frames: Frames, tag: u64 },
    Mqtt(Packets),
    Stomp(stomp::Frames),
    Nats(Lines),
}

impl Ear {
    pub fn of(wire: Wire) -> Self {
        match wire {
            Wire::Amqp => Self::Amqp { frames: Frames::default(), tag: 0 },
            Wire::Mqtt => Self::Mqtt(Packets::default()),
            Wire::Stomp => Self::Stomp(stomp::Frames::default()),
            Wire::Nats => Self::Nats(Lines::default()),
        }
    }

    pub fn inbox(&mut self) -> &mut Inbox {
        match self {
            Self::Amqp { frames, .. } => &mut frames.inbox,
            Self::Mqtt(packets) => &mut packets.inbox,
            Self::Stomp(frames) => &mut frames.inbox,
            Self::Nats(lines) => &mut lines.inbox,
        }
    }

    /// The next event that is there as a whole.
    #[inline]
    pub fn next(&mut self) -> Option<Event<'_>> {
        Some(match self {
            Self::Amqp { frames, tag } => match frames.hear()? {
                Heard::Deliver { tag: of_next } => {
                    *tag = of_next;
                    Event::Other
                }
                Heard::Body(body) => Event::Message { tag: *tag, body },
                Heard::Ack { tag, multiple } => Event::Confirmed { tag, multiple },
                _ => Event::Other,
            },
            Self::Mqtt(packets) => match packets.next()? {
                (first, body) if first & 0xf0 == 0x30 => {
                    let (packet_id, body) = Packets::parts(first, body);
                    Event::Message { tag: u64::from(packet_id), body }
                }
                (mqtt::PUBACK | mqtt::PUBCOMP, _) => Event::Acknowledged,
                (mqtt::PUBREC, &[high, low, ..]) => Event::Answer([mqtt::PUBREL, 2, high, low]),
                (mqtt::PUBREL, &[high, low, ..]) => Event::Answer([mqtt::PUBCOMP, 2, high, low]),
                _ => Event::Other,
            },
            Self::Stomp(frames) => match frames.hear()? {
                stomp::Heard::Message(body) => Event::Message { tag: 0, body },
                stomp::Heard::Receipt => Event::Acknowledged,
                stomp::Heard::Other => Event::Other,
            },
            Self::Nats(lines) => match lines.next()? {
                Line::Message(body) => Event::Message { tag: 0, body },
                Line::Other(_) => Event::Other,
            },
        })
    }
}

/// When a consumer acknowledges.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Acknowledge {
    /// It need not.
    Automatic,
    Each,
    /// MQTT QoS 2: each is received, and completed when the broker has heard that.
    Twice,
    /// All so far, after so many.
    Every(u64),
}

/// The acknowledgements that are not written yet.
pub struct Acks {
    wire: Wire,
    when: Acknowledge,
    /// Messages since the last one.
    since: u64,
    pub bytes: Vec<u8>,
}

impl Acks {
    pub fn of(wire: Wire, when: Acknowledge) -> Self {
        Self { wire, when, since: 0, bytes: Vec::new() }
    }

    /// A message has come.
    #[inline]
    pub fn add(&mut self, tag: u64) {
        if tag == 0 || self.when == Acknowledge::Automatic {
            return;
        }
        if self.wire == Wire::Mqtt {
            let first = if self.when == Acknowledge::Twice { mqtt::PUBREC } else { mqtt::PUBACK };
            self.bytes.extend_from_slice(&mqtt::ack(first, tag as u16));
            return;
        }
        self.since += 1;
        match self.when {
            Acknowledge::Every(count) if self.since < count => {}
            when => {
                self.bytes.extend_from_slice(&amqp::ack(tag, when != Acknowledge::Each));
                self.since = 0;
            }
        }
    }
}
