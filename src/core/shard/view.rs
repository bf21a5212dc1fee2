//! A shard's queues as an operator sees them. Nothing here changes anything.

use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::{ConsumerId, Now, UnixMillis};

use super::ledger::Ledger;
use super::queue::Queue;
use super::traffic::Traffic;
use super::{Counts, Shard};

/// Unsettled messages of a queue that are looked at one by one: a queue with more tells the size of so many, scaled.
const LOOKED_AT_MAX: usize = 1_024;

/// What a queue holds and has done.
#[derive(Clone, Debug, Default)]
pub struct QueueFigures {
    pub counts: Counts,
    /// Since the start of the broker; what was there then counts as accepted.
    pub ledger: Ledger,
    pub traffic: Traffic,
    /// Bodies of ready messages.
    pub ready_bytes: u64,
    /// Bodies of unsettled messages.
    pub unsettled_bytes: u64,
    /// Dead letters that nobody takes, and their bodies, if the queue keeps them.
    pub kept_letters: (u64, u64),
    /// Messages in memory and what is known of the others.
    pub memory_bytes: u64,
    /// When it had a consumer or a fetch last; `None` while it has.
    pub unused_since: Option<UnixMillis>,
    pub consumers: Vec<ConsumerFigures>,
}

/// A consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerFigures {
    pub connection: ConnectionId,
    pub id: ConsumerId,
    /// Deliveries need no settlement.
    pub presettled: bool,
    pub exclusive: bool,
    pub priority: i32,
    /// Most unsettled deliveries; 0 for any number.
    pub window: u32,
    /// It is served: not one that waits behind a single active consumer.
    pub active: bool,
}

/// What grows in a queue: rates are made of two of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSample {
    pub ledger: Ledger,
    pub traffic: Traffic,
    /// Messages that wait; may shrink.
    pub ready: u64,
    /// Messages that consumers have; may shrink.
    pub unsettled: u64,
}

impl QueueSample {
    /// Adds another queue's.
    pub fn add(&mut self, other: &QueueSample) {
        self.ledger.add(&other.ledger);
        self.traffic.add(&other.traffic);
        self.ready += other.ready;
        self.unsettled += other.unsettled;
    }
}

impl Shard {
    pub(crate) fn figures(&self, now: Now, id: QueueId) -> Option<QueueFigures> {
        let queue = self.queues.get(&id)?;
        Some(QueueFigures {
            counts: self.counts(id),
            ledger: queue.ledger,
            traffic: *queue.traffic,
            ready_bytes: queue.ready.body_bytes(),
            unsettled_bytes: unsettled_bytes(queue),
            kept_letters: (queue.special.kept.len() as u64, queue.special.kept.body_bytes()),
            memory_bytes: queue.memory_counted,
            unused_since: queue.is_unused().then(|| now.unix_at(queue.unused_since)),
            consumers: consumers(queue),
        })
    }

    /// Of the queues that anything has happened in.
    pub(crate) fn samples(&self, into: &mut Vec<(QueueId, QueueSample)>) {
        let all = self.queues.values().map(|queue| (queue.id, sample(queue)));
        into.extend(all.filter(|(_, sample)| *sample != QueueSample::default()));
    }

    /// The sum of all queues, also of those that are gone.
    pub(crate) fn add_samples(&self, total: &mut QueueSample) {
        total.ledger.add(&self.closed);
        total.traffic.add(&self.closed_traffic);
        self.queues.values().for_each(|queue| total.add(&sample(queue)));
    }

    /// Of one queue, if it is there.
    pub(crate) fn add_sample(&self, id: QueueId, total: &mut QueueSample) {
        self.queues.get(&id).iter().for_each(|queue| total.add(&sample(queue)));
    }
}

fn sample(queue: &Queue) -> QueueSample {
    let ready = queue.ready.len() + queue.awaiting.count() as u64;
    QueueSample { ledger: queue.ledger, traffic: *queue.traffic, ready, unsettled: queue.unsettled_count() }
}

fn unsettled_bytes(queue: &Queue) -> u64 {
    let count = queue.unsettled.entries().len();
    let looked_at: u64 = queue.unsettled.entries().take(LOOKED_AT_MAX).map(|entry| u64::from(entry.body_bytes)).sum();
    let in_entries = if count <= LOOKED_AT_MAX { looked_at } else { looked_at * count as u64 / LOOKED_AT_MAX as u64 };
    in_entries + queue.unsettled.part_body_bytes()
}

fn consumers(queue: &Queue) -> Vec<ConsumerFigures> {
    let single = queue.settings.single_active_consumer;
    let figures = queue.consumers.iter().enumerate().map(|(place, consumer)| ConsumerFigures {
        connection: consumer.outbox.connection,
        id: consumer.id,
        presettled: consumer.presettled,
        exclusive: consumer.exclusive,
        priority: consumer.priority(),
        window: consumer.window(),
        active: !single || place == 0,
    });
    figures.collect()
}
