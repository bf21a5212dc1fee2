//! What a machine asks of the core.

use std::sync::Arc;

use bytes::Bytes;

use crate::definition::{Definition, QueueSettings};
use crate::names::DeliveryId;
use crate::{ConsumerId, Lane, Message, Name, RequestId, Run, Shared, Table};

/// One command. Commands of one connection are carried out in order; those that touch messages reach the shards as one
/// batch per read.
#[derive(Debug)]
pub enum Command {
    /// Check who the peer is. Answered by [`crate::Event::Authenticated`]. Must come before every other command.
    Authenticate { request: RequestId, credentials: Credentials },
    /// Enter a vhost. Answered by a reply. Must come before every command below.
    Open { request: RequestId, vhost: Name },
    /// Ask about or change definitions. Answered by a reply, after the change is durable.
    Define { request: RequestId, definition: Box<Definition> },
    /// Publish a message.
    Publish(Publish),
    /// Publish messages that differ in their bodies only: the same as a [`Publish`](Self::Publish) for each of them.
    PublishRun(Box<PublishRun>),
    /// Start a consumer. Answered by a reply, then deliveries follow.
    Subscribe { request: RequestId, subscribe: Box<Subscribe> },
    /// End a consumer. Answered by a reply; its unsettled deliveries stay leased to the connection.
    Unsubscribe { request: RequestId, consumer: ConsumerId },
    /// Change how many unsettled deliveries a consumer may hold; 0 means any number.
    Window { consumer: ConsumerId, window: u32 },
    /// Change how many unsettled deliveries all consumers of the lane together may hold; 0 means any number.
    LaneWindow { lane: Lane, window: u32 },
    /// Tell of queues that clients share, that the user may read, and whose names the topic pattern matches: the reply names those that
    /// are there, and each one that is made later comes as [`crate::Event::QueueMade`].
    FollowQueues { request: RequestId, follower: ConsumerId, pattern: Bytes },
    /// Tell that follower of no more queues. There is no answer.
    UnfollowQueues { follower: ConsumerId },
    /// Take up to some messages at once. Answered by [`crate::Event::Fetched`] or a refusing reply.
    Fetch { request: RequestId, fetch: Box<Fetch> },
    /// Settle deliveries. With a `request`, answered by a reply after the settlement is durable; then a delivery whose
    /// lease is over is refused, else it is passed over.
    Settle { deliveries: Vec<DeliveryId>, outcome: Outcome, request: Option<RequestId> },
    /// Remove a queue's ready messages, with `everything` also those that are delayed or that somebody has. Of a FIFO queue the
    /// identities go, too. Answered by a reply with the number of messages, after that is as durable as they were; later commands wait
    /// for it.
    Purge { request: RequestId, queue: Name, everything: bool },
    /// Take a message away that waits at a delayed-message exchange, known by its position
    /// ([`crate::definition::DelayedInfo`]). Answered by a reply after that is durable; refused if it is gone.
    CancelDelayed { request: RequestId, exchange: Name, position: u64 },
    /// Let a delivery's lease end that many milliseconds from now. Answered by a reply.
    ExtendLease { request: RequestId, delivery: DeliveryId, lease_ms: u64 },
    /// Settle a delivery whose lease is over. If nobody has the message now and `removes` says so, it is taken away, and the reply is
    /// `Done` after that is durable; else the reply is [`crate::event::Reply::Late`].
    SettleLate { request: RequestId, delivery: DeliveryId, removes: bool },
    /// Look at messages of a queue that could be handed out, and take none. Answered by a reply, once the peer has most of what it got
    /// before: it says where the next ones are.
    Browse { request: RequestId, browse: Box<Browse> },
    /// Some of the retained messages whose routing key the topic pattern matches. Answered by a reply, once the peer has most of what it
    /// got before: it says where the next ones are.
    FetchRetained { request: RequestId, fetch: Box<FetchRetained> },
    /// Resume or make a session, taking it over from another connection of the same user. Answered by a reply.
    OpenSession { request: RequestId, session: Box<OpenSession> },
    /// Change when the session ends after its connection (MQTT 5 DISCONNECT may); `None` is never.
    SessionExpiry { expiry_ms: Option<u64> },
    /// The will is not to be sent: the peer said goodbye.
    DiscardWill,
    /// Keep (or, with `None`, forget) a small piece of the machine's own state with the session. With a `request`,
    /// answered by a reply after it is durable. Keys that begin with `i` or `r` are the core's.
    SessionState { request: Option<RequestId>, key: Bytes, value: Option<Bytes> },
    /// The peer will not send this message of its session again: its id may be used anew. Answered by a reply after that is
    /// durable.
    ReleasePublication { request: RequestId, id: u16 },
}

/// How a peer proves who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password, from whatever exchange the protocol has.
    Password { user: Name, password: Bytes },
    /// The peer shows nothing; allowed where the configuration says so.
    Anonymous,
    /// The name in the client certificate that the listener has verified.
    Certificate,
    /// The next message of a SCRAM-SHA-256 exchange: answered by a challenge, or by a proof and who it is.
    Exchange { data: Bytes },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user:?}, ***)"),
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Certificate => f.write_str("Certificate"),
            Self::Exchange { .. } => f.write_str("Exchange(***)"),
        }
    }
}

/// One message on its way in.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Where outcome events go.
    pub lane: Lane,
    /// Set when the publisher wants to know: the number comes back in the outcome, which is sent once the message is as
    /// durable as it asked to be in every queue that took it. Numbers grow within a lane.
    pub confirm: Option<u64>,
    /// Where it goes: `message.exchange` with `message.routing_key` and the rare extra keys.
    pub message: Arc<Message>,
    /// Give it back ([`crate::Event::Unroutable`]) when no queue takes it.
    pub mandatory: bool,
    /// Keep it as the last value of its exchange and key; an empty body forgets the value (MQTT retained).
    pub retain: bool,
    /// It is taken once, however often the peer sends it. Needs a `confirm` and a session that outlives its connection.
    pub exactly_once: Option<ExactlyOnce>,
}

/// Messages on their way in that differ in their bodies only.
#[derive(Clone, Debug)]
pub struct PublishRun {
    /// As in [`Publish`].
    pub lane: Lane,
    /// As in [`Publish`]: of the first message; each next one's is one more.
    pub confirm: Option<u64>,
    /// The messages.
    pub run: Run,
    /// As in [`Publish`].
    pub mandatory: bool,
}

impl PublishRun {
    /// One command for each message.
    pub fn publishes(&self) -> impl Iterator<Item = Publish> {
        let Self { lane, confirm, mandatory, .. } = *self;
        (0..).zip(self.run.messages()).map(move |(index, message)| {
            let confirm = confirm.map(|first| first + index);
            Publish { lane, confirm, message, mandatory, retain: false, exactly_once: None }
        })
    }
}

/// A message that its session's peer sends again until it knows that it was taken (MQTT QoS 2). The core keeps its id from the
/// moment it confirms the message until [`Command::ReleasePublication`]; the two go out in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactlyOnce {
    /// Its id among the messages that the peer has not been released from.
    pub id: u16,
    /// The peer may have sent it before (MQTT's DUP). Else whatever had the id, and was not confirmed, is over.
    pub again: bool,
}

/// A new consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Its id in deliveries.
    pub consumer: ConsumerId,
    /// Its part of the connection, whose window it shares.
    pub lane: Lane,
    /// The queue.
    pub queue: Name,
    /// Deliveries count as accepted when they are sent.
    pub presettled: bool,
    /// Nobody else may consume.
    pub exclusive: bool,
    /// Higher ones are served first.
    pub priority: i32,
    /// Most unsettled deliveries; 0 means any number.
    pub window: u32,
    /// Where that number comes from.
    pub bounded_by: BoundedBy,
    /// Further arguments of the protocol.
    pub arguments: Table,
}

/// Where a consumer's window comes from. Streams want one that the peer has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoundedBy {
    /// The protocol's rules, which are as good.
    #[default]
    Protocol,
    /// The peer, for this consumer.
    Peer,
    /// The peer, and it bounds all consumers of the lane together as well.
    PeerAndLane,
    /// Nobody who was asked: it is what a connection may hold at most.
    Nobody,
}

/// Which messages of a queue are to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Browse {
    /// The queue.
    pub queue: Name,
    /// Behind the last ones; `None` begins: what comes to the queue later than that is not shown.
    pub after: Option<BrowsePlace>,
    /// At most so many; the core has a limit of its own for one answer.
    pub count_max: u32,
    /// As a consumer's: `x-selector` is understood.
    pub arguments: Table,
}

/// Where one is that looks through a queue. Only the core knows what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct BrowsePlace {
    pub level: u8,
    pub position: u64,
    pub until: u64,
}

/// What retained messages are wanted.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct FetchRetained {
    pub exchange: Name,
    pub pattern: Bytes,
    /// Behind the last ones; `None` begins.
    pub after: Option<RetainedPlace>,
}

/// Where one is that looks through retained messages. Only the core knows what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct RetainedPlace {
    pub part: usize,
    pub after: Option<Bytes>,
}

/// A request for messages now, or soon.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// Where refusals go.
    pub lane: Lane,
    /// The queue.
    pub queue: Name,
    /// At most so many messages.
    pub count_max: u32,
    /// They count as accepted when they are sent.
    pub presettled: bool,
    /// How long they stay leased.
    pub lease: Lease,
    /// If there is none, wait this long for the first, in milliseconds.
    pub wait_ms: u64,
}

/// How long a delivery may stay unsettled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Until it is settled or the connection ends.
    Connection,
    /// So many milliseconds, whatever becomes of the connection (SQS VisibilityTimeout).
    Timed { lease_ms: u64 },
    /// As the queue's settings say; 30,000 ms if they do not.
    QueueDefault,
}

/// The outcome of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: the message goes.
    Accepted,
    /// Back to its place. The attempt counts and the message is marked redelivered.
    Released,
    /// Back after `delay_ms`; the attempt counts.
    Modified { delay_ms: u64 },
    /// To the dead letters, or away if the queue has none.
    Rejected,
}

/// A session to resume or make (MQTT).
#[derive(Debug)]
pub struct OpenSession {
    /// Its name: the MQTT client identifier.
    pub name: Name,
    /// Forget what there was.
    pub clean: bool,
    /// It lives for so long after its connection, in milliseconds; `None` is for ever, 0 ends with the connection.
    pub expiry_ms: Option<u64>,
    /// Published when the connection ends without a goodbye.
    pub will: Option<Box<Will>>,
    /// Most unsettled deliveries of the session's own queue; 0 means any number.
    pub window: u32,
    /// The consumer id of deliveries from the session's own queue.
    pub consumer: ConsumerId,
    /// The exchange that its subscriptions read: each delivery to the connection is asked of the permissions for it.
    pub exchange: Name,
    /// What bounds the messages that wait for it.
    pub queue: Shared<QueueSettings>,
}

/// A message to be published by the broker when a connection ends without a goodbye.
#[derive(Debug)]
pub struct Will {
    /// The message and how to publish it; no confirm.
    pub publish: Publish,
    /// Wait so long, and not at all if the session is resumed before, in milliseconds.
    pub delay_ms: u64,
}
