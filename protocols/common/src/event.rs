//! What the core tells a machine.

use std::sync::Arc;

use bytes::Bytes;

use crate::command::{BrowsePlace, RetainedPlace};
use crate::definition::{BindingSpec, DelayedInfo, ExchangeInfo, QueueInfo};
use crate::lane_quota::LaneQuota;
use crate::moves::MoveInfo;
use crate::names::{DeliveryId, QueueId};
use crate::{ConsumerId, Instant, Lane, Message, Name, Refusal, RequestId, Run, UnixMillis};

/// One event.
#[derive(Clone, Debug)]
pub enum Event {
    /// An exchange of credentials goes on: what the peer is asked next.
    Challenge { request: RequestId, data: Bytes },
    /// What proves to the peer that we know its password, too. Comes just before the good answer.
    Proof { request: RequestId, data: Bytes },
    /// The answer to [`crate::Command::Authenticate`].
    Authenticated { request: RequestId, result: Result<Principal, Refusal> },
    /// The answer to a request.
    Reply { request: RequestId, result: Result<Reply, Refusal> },
    /// Messages for consumers, in order.
    Deliver(Vec<Delivery>),
    /// Messages of a run for one consumer: the same as [`Deliver`](Self::Deliver) with each of them.
    DeliverRun(Box<RunDelivery>),
    /// The answer to a fetch: no deliveries when there were none in time.
    Fetched { request: RequestId, deliveries: Vec<Delivery>, ready: u64 },
    /// Messages are where they shall be, as durable as they asked to be. In no particular order.
    Confirmed { lane: Lane, confirms: Vec<u64> },
    /// The place of a message in a FIFO queue; comes before its confirm. `original` is set where the queue had the message already:
    /// what its first publisher called it.
    Placed { lane: Lane, confirm: u64, position: u64, original: Option<u128> },
    /// A queue did not take the message (`x-overflow: reject-publish`, memory or disk alarm): AMQP `basic.nack`.
    Rejected { lane: Lane, confirm: u64, reason: RejectReason },
    /// The message was not published at all: no such exchange, no permission. `confirm` as in the publish.
    PublishRefused { lane: Lane, confirm: Option<u64>, refusal: Refusal },
    /// A mandatory message that no queue took, or a message that no queue took and whose publisher should know
    /// (`mandatory` false: only told when a confirm was asked; MQTT 5 reason 0x10). Comes before its confirm.
    Unroutable { lane: Lane, confirm: Option<u64>, mandatory: bool, message: Arc<Message> },
    /// The core ended a consumer: its queue is gone.
    ConsumerCancelled { consumer: ConsumerId },
    /// A queue was made whose name a follower's pattern matches ([`crate::Command::FollowQueues`]).
    QueueMade { follower: ConsumerId, queue: Name },
    /// Publishers must stop: memory or disk is short.
    Blocked { reason: &'static str },
    /// Publishers may go on.
    Unblocked,
    /// Another connection took the session.
    TakenOver,
    /// An operator ends the connection: it says goodbye, with this reason where its protocol has room for one.
    Forced { reason: Name },
    /// How many lanes the user's connections may have open together. Comes before the answer to [`crate::Command::Open`].
    LaneQuota(Arc<LaneQuota>),
}

/// Who the peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user's name.
    pub name: Name,
    /// Management rights and the like.
    pub tags: Vec<Name>,
}

/// The good answer to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Done; there is nothing more to say.
    Done,
    /// A declared queue.
    Queue { name: Name, ready: u64, consumers: u32 },
    /// A consumer of a queue that says how long it may take to settle a delivery, in milliseconds; 0 means for ever.
    Consumer { queue: QueueId, consumer_timeout_ms: u64 },
    /// How many messages were purged or deleted.
    Count(u64),
    /// One queue.
    QueueInfo(Box<QueueInfo>),
    /// One exchange.
    ExchangeInfo(Box<ExchangeInfo>),
    /// Several queues.
    Queues(Vec<QueueInfo>),
    /// What several queues are called.
    Names(Vec<Name>),
    /// Several exchanges.
    Exchanges(Vec<ExchangeInfo>),
    /// Several bindings.
    Bindings(Vec<BindingSpec>),
    /// Messages that wait at a delayed-message exchange.
    Delayed(Vec<DelayedInfo>),
    /// Messages of a queue, which are still there.
    Browsed(Box<BrowsedMessages>),
    /// What a protocol keeps, by name.
    Documents(Vec<(Name, Bytes)>),
    /// Tasks that move messages.
    Moves(Vec<MoveInfo>),
    /// Retained messages.
    Retained(Box<RetainedMessages>),
    /// A session.
    Session(Box<SessionInfo>),
    /// What has become of a message since it was delivered.
    Late(Late),
}

/// Where a message is that was delivered once, and whose lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Nobody has it: it is handed out again.
    Ready,
    /// Somebody has it by this delivery.
    Leased(DeliveryId),
    /// It is not in the queue any more.
    Gone,
}

/// Some messages that a queue has.
#[derive(Clone, Debug, Default)]
pub struct BrowsedMessages {
    /// In the queue's order. They are nobody's: there is nothing to settle, and none for a consumer.
    pub deliveries: Vec<Delivery>,
    /// Where others may be; `None` if these were the last.
    pub next: Option<BrowsePlace>,
}

/// Some retained messages.
#[derive(Clone, Debug, Default)]
pub struct RetainedMessages {
    /// In no order that means anything.
    pub messages: Vec<Arc<Message>>,
    /// Where others may be; `None` if these were the last.
    pub next: Option<RetainedPlace>,
}

/// A resumed or new session.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// It was there before.
    pub present: bool,
    /// Its queue, to which the machine binds subscriptions.
    pub queue: Name,
    /// Its subscriptions.
    pub bindings: Vec<BindingSpec>,
    /// The machine's own state, by key.
    pub state: Vec<(Bytes, Bytes)>,
    /// Messages that were taken exactly once and are not released yet ([`crate::command::ExactlyOnce`]).
    pub received: Vec<u16>,
}

/// Why a queue did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// The queue is full and refuses.
    QueueFull,
    /// The journal cannot take it.
    Journal,
}

/// One handing-out of one message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Who gets it; meaningless in [`Event::Fetched`].
    pub consumer: ConsumerId,
    /// What settles it.
    pub id: DeliveryId,
    /// The message.
    pub message: Arc<Message>,
    /// How often it was handed out before: above 0 means redelivered.
    pub delivery_count: u32,
    /// The queue counts, and consumers see it (AMQP `x-delivery-count`).
    pub is_counted: bool,
    /// When it was handed out first.
    pub first_delivered_at: UnixMillis,
    /// When it will expire, if it will.
    pub expires_at: Option<Instant>,
    /// The announced binding through which it came.
    pub binding: Option<Arc<BindingSpec>>,
    /// Its number in the stream that it was read from, counted from 0 (AMQP `x-stream-offset`).
    pub stream_offset: Option<u64>,
}

/// The first handing-out of each message of a run.
#[derive(Clone, Debug)]
pub struct RunDelivery {
    /// Who gets them.
    pub consumer: ConsumerId,
    /// Where they were.
    pub queue: QueueId,
    /// The place of the first; the others follow.
    pub position: u64,
    /// The messages.
    pub run: Run,
    /// When they were handed out.
    pub delivered_at: UnixMillis,
    /// As in [`Delivery`].
    pub expires_at: Option<Instant>,
    /// As in [`Delivery`].
    pub binding: Option<Arc<BindingSpec>>,
}

impl RunDelivery {
    /// What settles each message.
    pub fn ids(&self) -> impl Iterator<Item = DeliveryId> {
        let (queue, first) = (self.queue, self.position);
        (0..self.run.len() as u64).map(move |index| DeliveryId { queue, position: first + index, lease: 1 })
    }

    /// One delivery for each message.
    pub fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        self.ids().zip(self.run.messages()).map(|(id, message)| Delivery {
            consumer: self.consumer,
            id,
            message,
            delivery_count: 0,
            is_counted: false,
            first_delivered_at: self.delivered_at,
            expires_at: self.expires_at,
            binding: self.binding.clone(),
            stream_offset: None,
        })
    }
}
