//! What exists in a vhost, as it is declared, changed and shown.

use std::sync::Arc;

use bytes::Bytes;

use crate::moves::MoveSpec;
use crate::{Instant, Message, Name, Shared, Table, UnixMillis};

/// An exchange as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeSpec {
    /// Its name; the empty name is the default exchange.
    pub name: Name,
    /// `direct`, `fanout`, `topic`, `headers`, `x-consistent-hash`, `x-modulus-hash`, `x-random`, `x-local-random`,
    /// `x-delayed-message`; another word is refused.
    pub kind: Name,
    /// Survives a restart.
    pub durable: bool,
    /// Deleted when its last binding goes.
    pub auto_delete: bool,
    /// Only other exchanges publish to it.
    pub internal: bool,
    /// AMQP's declaration arguments (`alternate-exchange` …): compared when declared again.
    pub arguments: Table,
    /// What a protocol keeps with it and may change later (SNS topic attributes); the core does not look inside.
    pub attributes: Table,
}

/// A queue as declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueSpec {
    /// Its name; empty asks the broker for one.
    pub name: Name,
    /// Survives a restart.
    pub durable: bool,
    /// Only this connection uses it, and it goes with the connection.
    pub exclusive: bool,
    /// Deleted when its last consumer goes.
    pub auto_delete: bool,
    /// AMQP's declaration arguments (`x-message-ttl` …): compared when declared again.
    pub arguments: Table,
    /// Settings a protocol gives directly instead of through arguments (SQS); they override the arguments' meaning.
    pub settings: Shared<QueueSettings>,
    /// What a protocol keeps with it and may change later (SQS attributes and tags); the core does not look inside.
    pub attributes: Table,
}

/// What a queue does with its messages. `None` means no such rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueSettings {
    /// Messages older than this expire, in milliseconds (`x-message-ttl`, SQS MessageRetentionPeriod).
    pub message_ttl_ms: Option<u64>,
    /// The queue goes after being unused for this long, in milliseconds (`x-expires`).
    pub expires_ms: Option<u64>,
    /// Most ready messages (`x-max-length`).
    pub length_max: Option<u64>,
    /// Most ready body bytes (`x-max-length-bytes`).
    pub bytes_max: Option<u64>,
    /// What happens at those limits (`x-overflow`).
    pub overflow: Option<Overflow>,
    /// Where dead letters go (`x-dead-letter-exchange`, SQS RedrivePolicy).
    pub dead_letter: Option<DeadLetter>,
    /// What becomes of those that nobody takes (`x-dead-letter-strategy`).
    pub dead_letter_strategy: Option<DeadLetterStrategy>,
    /// Handed out more often than this, a message is dead-lettered (`x-delivery-limit`, SQS maxReceiveCount).
    pub delivery_limit: Option<u32>,
    /// Number of priorities above 0 that are told apart (`x-max-priority`).
    pub priority_max: Option<u8>,
    /// One consumer at a time gets messages (`x-single-active-consumer`).
    pub single_active_consumer: bool,
    /// How long a fetch without its own lease time hides a message, in milliseconds (SQS VisibilityTimeout).
    pub lease_ms: Option<u64>,
    /// How long a consumer may take to settle a delivery, in milliseconds; 0 means for ever (`x-consumer-timeout`).
    pub consumer_timeout_ms: Option<u64>,
    /// Every message becomes visible only after this many milliseconds (SQS DelaySeconds).
    pub delay_ms: Option<u64>,
    /// When a durable message is confirmed (`x-durability`); fixed when the queue is made.
    pub durability: Option<Durability>,
    /// A FIFO queue: message groups in order, and no duplicates (SQS FifoQueue). Whether it is one is fixed when it is made.
    pub fifo: Option<Fifo>,
    /// Of messages that say the same in a header, only the first is kept (`x-message-deduplication`). FIFO queues have their own way.
    pub deduplication: Option<HeaderDeduplication>,
    /// A stream: reading takes nothing away (`x-queue-type: stream`). Whether it is one is fixed when it is made.
    pub stream: Option<Stream>,
    /// A queue that the broker has for a purpose of its own: it is not listed, and nobody else's command reaches it.
    pub inner: Option<Inner>,
}

/// What a queue of the broker's own is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inner {
    /// Messages that wait at a delayed-message exchange: each goes on through the exchange's bindings when its delay is over.
    Delays { exchange: Name },
    /// Replies to one connection, which consumes them; whoever knows the name may publish to it through the default exchange.
    /// Its name begins with [`REPLY_ADDRESS`] and must be unguessable.
    Replies,
}

/// What the names of queues for replies begin with, as RabbitMQ has it.
pub const REPLY_ADDRESS: &str = "amq.rabbitmq.reply-to.";

/// What makes a queue a FIFO queue. Of each message group, one holder at a time has messages, in order; the other groups go on
/// meanwhile. Messages without a group are one group. A message with a deduplication id that was used in the last five minutes is
/// confirmed and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fifo {
    /// Within what a deduplication id stands for one message.
    pub deduplication_scope: DeduplicationScope,
}

/// What makes a queue a stream. It keeps its messages, whoever has read them, until it is too long or they are too old; each consumer
/// has a place of its own in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Messages older than this go, in milliseconds, sooner or later (`x-max-age`).
    pub max_age_ms: Option<u64>,
}

/// Within what a deduplication id stands for one message (SQS DeduplicationScope).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeduplicationScope {
    /// The queue.
    #[default]
    Queue,
    /// The message's group.
    MessageGroup,
}

impl DeduplicationScope {
    const ALL: [Self; 2] = [Self::Queue, Self::MessageGroup];

    /// SQS's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::MessageGroup => "messageGroup",
        }
    }

    /// What the word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// How a queue knows a message that it had already, as LavinMQ has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderDeduplication {
    /// The header that tells messages apart; those without it are all kept (`x-deduplication-header`).
    pub header: Name,
    /// Most values that are remembered; of more, the oldest are forgotten (`x-cache-size`).
    pub size_max: u32,
    /// How long a value is remembered, in milliseconds, where the message's header `x-cache-ttl` says nothing; as long as there is
    /// room if `None` (`x-cache-ttl`).
    pub ttl_ms: Option<u64>,
}

/// When a durable message of a durable queue is confirmed and delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// After fdatasync: it survives power loss.
    #[default]
    Fsync,
    /// After the write: it survives a crash of the broker, not of the machine.
    Os,
    /// At once: it survives nothing.
    Memory,
}

impl Durability {
    const ALL: [Self; 3] = [Self::Fsync, Self::Os, Self::Memory];

    /// The word that stands for it in arguments and in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
            Self::Memory => "memory",
        }
    }

    /// What the word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|durability| durability.word() == word)
    }
}

/// What a full queue does (`x-overflow`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest message goes (to the dead-letter exchange, if there is one).
    #[default]
    DropHead,
    /// The new message is refused.
    RejectPublish,
    /// The new message is refused and dead-lettered.
    RejectPublishDeadLetter,
}

/// What becomes of a dead letter that nobody takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterStrategy {
    /// It is dropped.
    AtMostOnce,
    /// It is kept and sent again, if the queue refuses messages that are too many (`x-overflow: reject-publish`).
    AtLeastOnce,
}

impl DeadLetterStrategy {
    /// RabbitMQ's word for it.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "at-most-once" => Some(Self::AtMostOnce),
            "at-least-once" => Some(Self::AtLeastOnce),
            _ => None,
        }
    }
}

/// Where dead letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The exchange; empty means the default exchange, so that `routing_key` names a queue.
    pub exchange: Name,
    /// The key; the message's own keys if `None`.
    pub routing_key: Option<Bytes>,
}

/// One end of a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A queue.
    Queue(Name),
    /// An exchange.
    Exchange(Name),
}

/// A binding as declared. Source, destination, key and arguments together identify it.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingSpec {
    /// The exchange that messages come from.
    pub source: Name,
    /// Where they go.
    pub destination: Destination,
    /// The key or pattern; any bytes.
    pub key: Bytes,
    /// Headers to match, and what protocols keep with it.
    pub arguments: Table,
    /// Deliveries tell that they came through this binding ([`crate::event::Delivery::binding`]).
    pub announced: bool,
    /// What a protocol keeps with it and may change (SNS subscription attributes, MQTT subscription options); not part of
    /// the identity. Binding again with other attributes replaces them.
    pub attributes: Table,
}

/// What a protocol has read before it changes it: somebody else may have changed it meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// The attributes of an exchange that exists.
    Exchange { name: Name, attributes: Table },
    /// The attributes of a binding, whatever those of `binding` are; `None` if there is no such binding.
    Binding { binding: BindingSpec, attributes: Option<Table> },
    /// The settings and attributes of a queue that exists.
    Queue { name: Name, settings: Shared<QueueSettings>, attributes: Table },
    /// A protocol's document, if there is one.
    Document { name: Name, document: Option<Bytes> },
}

/// What makes a binding a standing one. It stays when its queue goes, and leads to the next queue of that name. While there is none, or
/// the queue does not admit its messages ([`crate::Format::admits`]), they go to another queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// That queue, which need not exist; without one they go nowhere.
    pub otherwise: Option<Name>,
}

/// What can be asked about or changed in a vhost's definitions.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// Make it, or check that it is the same; `passive` only asks whether it exists.
    DeclareExchange { spec: ExchangeSpec, passive: bool },
    /// Remove it.
    DeleteExchange { name: Name, if_unused: bool },
    /// Replace an exchange's attributes.
    UpdateExchange { name: Name, attributes: Table },
    /// Make it, or check that it is the same; `passive` only asks whether it exists.
    DeclareQueue { spec: QueueSpec, passive: bool },
    /// Remove it with its messages.
    DeleteQueue { name: Name, if_unused: bool, if_empty: bool },
    /// Replace a queue's direct settings and attributes.
    UpdateQueue { name: Name, settings: Shared<QueueSettings>, attributes: Table },
    /// Make a binding, or replace its attributes.
    Bind(BindingSpec),
    /// Remove a binding; removing what is not there is no error.
    Unbind(BindingSpec),
    /// Everything about one queue.
    InspectQueue { name: Name },
    /// Everything about one exchange.
    InspectExchange { name: Name },
    /// Queues whose names begin so, in name order, after `after`, `count_max` at most.
    ListQueues { prefix: Name, after: Option<Name>, count_max: usize },
    /// Exchanges whose names begin so, in name order, after `after`, `count_max` at most.
    ListExchanges { prefix: Name, after: Option<Name>, count_max: usize },
    /// The messages that wait at a delayed-message exchange, by when they are due, after `after`, `count_max` at most.
    ListDelayed { exchange: Name, after: Option<(Instant, u64)>, count_max: usize },
    /// The bindings of an exchange (as source), in the order in which they were made; of all exchanges if `None`.
    ListBindings { source: Option<Name> },
    /// Keep a document that is a protocol's own, of at most 256 KiB, in place of an earlier one; `None` forgets it. To permissions it is
    /// an exchange of that name.
    SetDocument { name: Name, document: Option<Bytes> },
    /// Carry `change` out if something is kept as it is said here, else refuse with [`Refusal::Changed`](crate::Refusal::Changed). Without
    /// a change it is only asked about, and the answer waits until what is kept is durable.
    IfKept { kept: Kept, change: Option<Box<Definition>> },
    /// Documents whose names begin so, in name order, after `after`, `count_max` at most.
    ListDocuments { prefix: Name, after: Option<Name>, count_max: usize },
    /// Move messages from queue to queue; one such task of a queue at a time. Answered with the task when it has begun.
    StartMove(MoveSpec),
    /// The tasks that move, and lately have moved, messages of a queue, newest first.
    ListMoves { source: Name },
    /// End a task before its time. Answered with the number of messages that it has moved.
    CancelMove { source: Name, number: u64 },
}

/// A queue as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueInfo {
    /// As declared, with what was changed since.
    pub spec: QueueSpec,
    /// Messages that a consumer could have now.
    pub ready: u64,
    /// Messages that are leased.
    pub unsettled: u64,
    /// Messages that are not visible yet.
    pub delayed: u64,
    /// Consumers.
    pub consumers: u32,
    /// When its durable messages are confirmed, after the queue, policies, vhost and broker had their say.
    pub durability: Durability,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When its settings or attributes were changed last.
    pub changed_at: UnixMillis,
}

/// A message that waits at a delayed-message exchange.
#[derive(Clone, Debug)]
pub struct DelayedInfo {
    /// Its place in the list, together with the position.
    pub due: Instant,
    /// What tells it from others of the exchange.
    pub position: u64,
    /// When it goes on, by the clock on the wall.
    pub due_at: UnixMillis,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// The message, if it is in memory: one of a large backlog is on disk only.
    pub message: Option<Arc<Message>>,
}

/// An exchange as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeInfo {
    /// As declared, with what was changed since.
    pub spec: ExchangeSpec,
    /// When it was made.
    pub created_at: UnixMillis,
}
