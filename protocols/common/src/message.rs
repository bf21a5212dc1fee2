//! The message: what arrived as it arrived, with the broker's own facts beside it.

mod arrived;
mod run;

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::definition::{BindingSpec, QueueSpec, Standing};
use crate::names::QueueId;
use crate::{Filter, Hub, Name, Table, Text, UnixMillis};

pub use arrived::Arrived;
pub use run::{RUN_BODY_BYTES_MAX, Run};

/// Which protocol's property sections a message carries. Written to disk: a number is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormatTag(pub u8);

impl FormatTag {
    /// AMQP 0-9-1: the property flags and property list of the content header frame.
    pub const AMQP_0_9_1: Self = Self(1);
    /// MQTT: the PUBLISH properties of version 5 (empty for older versions).
    pub const MQTT: Self = Self(2);
    /// STOMP: the header lines of the SEND frame.
    pub const STOMP: Self = Self(3);
    /// SQS and SNS: the attributes of SendMessage or Publish.
    pub const AWS: Self = Self(4);
}

/// A protocol's way to explain its property sections to everyone else. Each protocol crate has one static instance, so
/// a message can be converted wherever it is, without the reader knowing the writer's protocol.
pub trait Format: Sync + fmt::Debug {
    /// The number under which messages of this format are stored.
    fn tag(&self) -> FormatTag;

    /// Converts to the hub form. Sections that cannot be read (which a machine never lets in) give what could be read.
    fn to_hub(&self, message: &Message) -> Hub;

    /// What a binding with these attributes lets through, if this protocol keeps a rule there.
    fn filter(&self, _attributes: &Table) -> Option<Box<dyn Filter>> {
        None
    }

    /// How a binding to a queue outlives that queue, if this protocol keeps such a rule with it.
    fn standing(&self, _binding: &BindingSpec) -> Option<Standing> {
        None
    }

    /// Whether a standing binding's messages may go to that queue, as its attributes are now.
    fn admits(&self, _binding: &BindingSpec, _queue: &QueueSpec) -> bool {
        true
    }
}

/// One message. Immutable once it is shared; a reader of the same protocol copies `properties` and `body` verbatim, a
/// reader of another protocol asks for [`hub`](Message::hub).
#[derive(Debug)]
pub struct Message {
    /// The protocol in whose form `properties` is.
    pub format: &'static dyn Format,
    /// The original property sections, in the writer's own encoding.
    pub properties: Bytes,
    /// The body as it arrived.
    pub body: Bytes,
    /// Where it was published.
    pub exchange: Name,
    /// With which routing key; any bytes.
    pub routing_key: Bytes,
    /// It survives `kill -9` and power loss in a durable queue.
    pub durable: bool,
    /// 0 (lowest, default) to 255.
    pub priority: u8,
    /// Time to live from the moment it was received, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// The authenticated user who published it.
    pub user: Name,
    /// When the broker received it.
    pub received_at: UnixMillis,
    /// What few messages have.
    pub rare: Option<Box<Rare>>,
    hub: OnceLock<Box<Hub>>,
}

/// Facts that few messages have, kept out of the others' memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rare {
    /// Further routing keys (AMQP `CC` and `BCC`).
    pub extra_keys: Vec<Bytes>,
    /// So many of the last of them are shown to nobody (AMQP `BCC`).
    pub blind_keys: usize,
    /// Becomes visible only after this many milliseconds.
    pub delay_ms: Option<u64>,
    /// Its delay at a delayed-message exchange in milliseconds (AMQP 0-9-1 `x-delay`): above 0 it has still to wait there, below 0
    /// it has waited.
    pub exchange_delay_ms: Option<i64>,
    /// Messages of one group are handed out in order (SQS `MessageGroupId`, JMSXGroupID).
    pub group: Option<Text>,
    /// What makes another message the same one for a FIFO queue.
    pub deduplication: Option<Deduplication>,
    /// The session that published it, for subscribers that do not want their own messages (MQTT no-local).
    pub session: Option<Name>,
    /// What it is to its session, if it must be taken exactly once. Written with the message and shown to nobody.
    pub publication: Option<Publication>,
    /// Where it was before somebody had it moved here. Written with the message and shown to nobody.
    pub moved: Option<Moved>,
    /// Why and where it was dead-lettered, newest first.
    pub deaths: Vec<Death>,
    /// Dead letters that may come of what was published, this one among them; 0 stands for 1. Shown to nobody.
    pub letters: u32,
}

/// The place of a message that was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The queue.
    pub queue: QueueId,
    /// Its place there.
    pub position: u64,
}

/// What a FIFO queue knows a message by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deduplication {
    /// A message with the same id, within the queue's window, is confirmed and not kept.
    pub id: Text,
    /// The publisher's own name for the message (SQS MessageId), told to whoever publishes it again.
    pub message_id: u128,
}

/// A message that its session's peer may send again ([`crate::command::ExactlyOnce`]), as the core knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The session's queue: another session of the same name has another one.
    pub session: QueueId,
    /// The id that the peer gave it, and will give to others later.
    pub id: u16,
    /// Grows within the session, over all its connections.
    pub number: u64,
    /// When it was published, all with lower numbers than this were kept durably, or over.
    pub settled_below: u64,
}

/// One entry of a message's dead-letter history (AMQP `x-death`; the first is SQS's `DeadLetterQueueSourceArn`).
#[derive(Clone, Debug, PartialEq)]
pub struct Death {
    /// The queue in which it died.
    pub queue: Name,
    /// Why.
    pub reason: DeathReason,
    /// How often it died there for this reason.
    pub count: u64,
    /// When it died there first.
    pub time: UnixMillis,
    /// The exchange it had come from.
    pub exchange: Name,
    /// The routing keys it had come with.
    pub routing_keys: Vec<Bytes>,
    /// The time to live that was removed from it, so that it does not expire again, in milliseconds.
    pub original_ttl_ms: Option<u64>,
}

/// Why a message was dead-lettered. The words are RabbitMQ's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeathReason {
    /// A consumer refused it for good.
    Rejected,
    /// Its time to live ran out.
    Expired,
    /// The queue was full.
    MaxLength,
    /// It was handed out too often.
    DeliveryLimit,
}

impl DeathReason {
    /// The word in `x-death` and `x-first-death-reason`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

impl Message {
    /// A transient message without priority, time to live or rare facts; the machine sets what its protocol says.
    pub fn new(
        format: &'static dyn Format,
        exchange: Name,
        routing_key: Bytes,
        properties: Bytes,
        body: Bytes,
    ) -> Self {
        Self {
            format,
            properties,
            body,
            exchange,
            routing_key,
            durable: false,
            priority: 0,
            ttl_ms: None,
            user: Name::default(),
            received_at: UnixMillis::default(),
            rare: None,
            hub: OnceLock::new(),
        }
    }

    /// The message in hub form, converted at the first call and kept.
    pub fn hub(&self) -> &Hub {
        self.hub.get_or_init(|| Box::new(self.format.to_hub(self)))
    }

    /// The rare facts, made on first use.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The dead-letter history, newest first.
    pub fn deaths(&self) -> &[Death] {
        self.rare.as_ref().map_or(&[], |rare| &rare.deaths)
    }

    /// Bytes it counts for in limits and metrics: the body, as RabbitMQ counts `x-max-length-bytes`.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// A copy that can be changed, without the kept hub form: for dead-lettering. It is a message of its own, so it is not the
    /// session's publication.
    pub fn to_mutable(&self) -> Self {
        let rare = self.rare.as_ref().map(|rare| Box::new(Rare { publication: None, moved: None, ..(**rare).clone() }));
        Self {
            format: self.format,
            properties: self.properties.clone(),
            body: self.body.clone(),
            exchange: self.exchange.clone(),
            routing_key: self.routing_key.clone(),
            durable: self.durable,
            priority: self.priority,
            ttl_ms: self.ttl_ms,
            user: self.user.clone(),
            received_at: self.received_at,
            rare,
            hub: OnceLock::new(),
        }
    }
}
