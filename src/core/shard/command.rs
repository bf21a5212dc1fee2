//! What connections ask of a shard, and what a shard asks of the broker.

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use crossdock_common::command::{Lease, Outcome};
use crossdock_common::definition::{Durability, QueueSettings};
use crossdock_common::names::{ConnectionId, DeliveryId, QueueId};
use crossdock_common::{ConsumerId, Lane, Message, Name, RequestId};

use super::browse::ShardBrowse;
use super::letters::Posted;
use super::move_task::Ended;
use super::runs::EnqueueRun;
use super::stream::cursor::Reading;
use crate::definitions::route::{AnnouncedBinding, RouteTarget};
use crate::log::Sequence;
use crate::outbox::Outbox;
use crate::selector::Selector;
use crate::shard::reading::ReadRequest;
use crate::window::LaneWindow;

/// One command to one shard.
pub(crate) enum ShardCommand {
    /// A message for queues of this shard.
    Enqueue { message: Arc<Message>, targets: Targets, confirm: Option<Confirmee> },
    /// Messages that differ in their bodies only.
    EnqueueRun(Box<EnqueueRun>),
    /// A new consumer; the queue exists and the caller may consume from it.
    Subscribe { queue: QueueId, consumer: Box<NewConsumer>, request: Option<RequestId> },
    /// A consumer ends.
    Unsubscribe {
        queue: QueueId,
        connection: ConnectionId,
        consumer: ConsumerId,
        request: Option<(RequestId, Arc<Outbox>)>,
    },
    /// A consumer's window changes.
    Window { queue: QueueId, connection: ConnectionId, consumer: ConsumerId, window: u32 },
    /// Consumers of the queue may have room again.
    Resume { queue: QueueId },
    /// Messages are wanted now.
    Fetch { queue: QueueId, fetch: Box<ShardFetch> },
    /// Messages are looked at, and stay.
    Browse { queue: QueueId, browse: Box<ShardBrowse> },
    /// Deliveries of this shard are settled.
    Settle { deliveries: Vec<DeliveryId>, outcome: Outcome, request: Option<(RequestId, Arc<Outbox>)> },
    /// The queue's ready messages go.
    Purge { queue: QueueId, purge: Arc<Purge>, shares: Shares },
    /// A lease shall end at another time.
    ExtendLease { delivery: DeliveryId, lease_ms: u64, request: RequestId, outbox: Arc<Outbox> },
    /// A delivery is settled whose lease is over.
    SettleLate { delivery: DeliveryId, removes: bool, request: RequestId, outbox: Arc<Outbox> },
    /// A message that waits at a delayed-message exchange goes.
    CancelDelayed { queue: QueueId, position: u64, request: RequestId, outbox: Arc<Outbox> },
    /// The connection is gone (or loses this queue to another): its consumers end, its leases are released, if it may hold any: to
    /// find them, everything that anybody holds is looked at.
    Detach { queue: QueueId, connection: ConnectionId, holds: bool },
    /// The retained message of an exchange and key; an empty body forgets it.
    Retain { vhost: Name, message: Arc<Message>, confirm: Option<Confirmee> },
    /// A piece of session state.
    SessionState { queue: QueueId, key: Bytes, value: Option<Bytes>, request: Option<(RequestId, Arc<Outbox>)> },
    /// A publication is in all its queues, or was refused.
    Publication { session: QueueId, id: u16, number: u64, accepted: bool },
    /// A publication will not be sent again.
    ReleasePublication { session: QueueId, id: u16, request: (RequestId, Arc<Outbox>) },
    /// A dead letter has arrived where it was sent: the original may go.
    Departed { queue: QueueId, position: u64 },
    /// A dead letter was not taken by all who should; those that have it.
    Undelivered { queue: QueueId, position: u64, taken: Vec<QueueId> },
}

/// Queues of one shard that take a message.
pub(crate) type Targets = smallvec::SmallVec<[RouteTarget; 1]>;

/// A consumer as it is made.
pub(crate) struct NewConsumer {
    pub outbox: Arc<Outbox>,
    pub id: ConsumerId,
    pub presettled: bool,
    pub exclusive: bool,
    pub priority: i32,
    pub window: u32,
    pub lane_window: Option<Arc<LaneWindow>>,
    /// It wants these messages only.
    pub selector: Option<Arc<Selector>>,
    /// Where and what it reads, if the queue is a stream.
    pub reading: Option<Box<Reading>>,
}

/// A fetch as a shard sees it.
pub(crate) struct ShardFetch {
    pub outbox: Arc<Outbox>,
    pub request: RequestId,
    pub count_max: u32,
    pub presettled: bool,
    pub lease: Lease,
    pub wait_ms: u64,
}

/// A purge as whoever asked for it will hear of it.
pub(crate) struct Purge {
    pub outbox: Arc<Outbox>,
    pub request: RequestId,
    /// Not only what is ready goes.
    pub everything: bool,
    /// Messages that went, once they have.
    pub count: AtomicU64,
}

/// Who wants to know that something is safe.
pub(crate) enum Confirmee {
    /// A publisher.
    Publisher { outbox: Arc<Outbox>, lane: Lane, confirm: u64, shares: Shares },
    /// The queue that the message died in.
    DeadLetter { queue: QueueId, position: u64, shares: Shares },
    /// The queue that the message died in, if it keeps what nobody takes.
    Letter(Box<Posted>),
    /// Who purged a queue.
    Purge { purge: Arc<Purge>, shares: Shares },
    /// Nobody who waits, but a task that is over, and all that it has moved is gone.
    Move { number: u64, ended: Ended },
    /// The session that a publication belongs to.
    Publication(Arc<Publishing>),
}

/// A publication on its way into its queues.
pub(crate) struct Publishing {
    pub session: QueueId,
    pub id: u16,
    pub number: u64,
    /// How many logs still have to say yes.
    pub shares: AtomicUsize,
}

impl Publishing {
    /// `None` if there is nothing to wait for.
    pub(crate) fn new((session, id, number): (QueueId, u16, u64), shares: usize) -> Option<Arc<Self>> {
        (shares > 0).then(|| Arc::new(Self { session, id, number, shares: AtomicUsize::new(shares) }))
    }
}

/// How many logs still have to say yes; `None` when there is only one.
pub(crate) type Shares = Option<Share>;

/// Such a count of one message; messages that are published together have theirs together.
#[derive(Clone)]
pub(crate) struct Share {
    counts: Arc<[AtomicUsize]>,
    index: usize,
}

impl Share {
    pub(crate) fn new(count: usize) -> Self {
        Self { counts: Arc::new([AtomicUsize::new(count)]), index: 0 }
    }

    /// Counts for so many messages; `of` gives each its own.
    pub(crate) fn many(messages: usize, count: usize) -> Self {
        Self { counts: (0..messages).map(|_| AtomicUsize::new(count)).collect(), index: 0 }
    }

    pub(crate) fn of(&self, index: usize) -> Self {
        Self { counts: self.counts.clone(), index }
    }

    /// One log says yes to all of them: those that wait for no other, as ranges.
    pub(crate) fn take_all(&self) -> Vec<Range<u64>> {
        let mut done: Vec<Range<u64>> = Vec::new();
        for (index, _) in (0..).zip(&*self.counts).filter(|(_, count)| count.fetch_sub(1, Ordering::AcqRel) == 1) {
            match done.last_mut() {
                Some(last) if last.end == index => last.end += 1,
                _ => done.push(index..index + 1),
            }
        }
        done
    }
}

impl Deref for Share {
    type Target = AtomicUsize;

    fn deref(&self) -> &AtomicUsize {
        &self.counts[self.index]
    }
}

/// The settings that a shard needs to make a queue.
pub(crate) struct NewQueue {
    pub id: QueueId,
    pub vhost: Name,
    pub name: Name,
    pub durable: bool,
    pub auto_delete: bool,
    /// When durable messages are confirmed.
    pub durability: Durability,
    pub settings: QueueSettings,
}

/// What a shard could not do alone; done by the broker once the shard's lock is free.
pub(crate) enum Followup {
    /// Publish a dead letter, then tell the queue if it waits for that.
    DeadLetter(Box<DeadLetterOut>),
    /// An auto-delete queue lost its last consumer, or a queue was unused for too long.
    DeleteQueue { queue: QueueId },
    /// A dead letter is safe: its queue may forget it.
    Departed { queue: QueueId, position: u64 },
    /// A dead letter is not where it should be: its queue keeps it.
    Undelivered { queue: QueueId, position: u64, taken: Vec<QueueId> },
    /// A task that moves messages is over.
    MoveEnded { number: u64, ended: Ended },
    /// A publication is safe in all its queues, or was refused: its session shall know.
    Publication { session: QueueId, id: u16, number: u64, accepted: bool },
}

/// A letter on its way out of its queue: a dead one, or one that has waited at a delayed-message exchange.
pub(crate) struct DeadLetterOut {
    pub vhost: Name,
    /// Where it goes.
    pub exchange: Name,
    pub is_dead: bool,
    pub message: Arc<Message>,
    pub keys: Vec<Bytes>,
    pub source: QueueId,
    /// The announced binding that the original came through. A standing one tells readers of the copy what they see, too.
    pub binding: Option<AnnouncedBinding>,
    /// Set when the original is kept until the copy is safe.
    pub position: Option<u64>,
    /// The queue keeps it until somebody takes it; these have it already.
    pub kept: Option<Vec<QueueId>>,
}

/// Everything that comes out of a shard's work.
#[derive(Default)]
pub(crate) struct Effects {
    /// Connections with new events.
    pub wakes: Vec<Arc<Outbox>>,
    /// In the order in which they are to be done.
    pub followups: VecDeque<Followup>,
    /// What is to be read from the log.
    pub reads: Vec<ReadRequest>,
    /// The last batch that was handed to the log to be synced at once.
    pub hurried: Option<Sequence>,
}

impl Effects {
    /// Remembers to wake the connection once the lock is free.
    pub(crate) fn wake(&mut self, outbox: &Arc<Outbox>) {
        if !self.wakes.last().is_some_and(|last| Arc::ptr_eq(last, outbox)) {
            self.wakes.push(outbox.clone());
        }
    }
}
