//! What the broker has to do with the shards' logs beyond writing them: reading back, snapshots, what may be thrown away.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossdock_common::names::QueueId;
use crossdock_common::{Name, Now};

use super::{Broker, Partition};
use crate::log::Sequence;
use crate::shard::Counts;
use crate::shard::ledger::Ledger;
use crate::shard::reading::ReadResult;
use crate::shard::segments::SegmentUse;
use crate::shard::snapshot::Survey;

/// What a shard needs of its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Oldest first; the newest one is still written.
    pub segments: Vec<SegmentUse>,
    /// Bytes of all that is needed.
    pub live_bytes: u64,
}

impl Broker {
    /// The shard's log is written, though not durable, up to `sequence`.
    pub fn written(self: &Arc<Self>, index: usize, sequence: Sequence, now: Now) {
        self.run(now, index, |shard, effects| shard.written(now, sequence, effects));
    }

    /// Something that a shard wanted was read. Gives how many of the messages it still wanted cannot be read.
    pub fn take_read(self: &Arc<Self>, index: usize, mut result: ReadResult, now: Now) -> u64 {
        result.find_bindings(|queue, serials| self.definitions().announced_among(queue, serials));
        let mut damaged = 0;
        self.run(now, index, |shard, effects| damaged = shard.take_read(now, result, effects));
        damaged
    }

    /// A snapshot of the shard is what a start would begin with; or, if not `done`, it was given up.
    pub fn snapshot_ended(&self, index: usize, done: bool) {
        if let Some(shard) = self.shards.get(index) {
            shard.lock().snapshot_ended(done);
        }
    }

    /// What a queue is called, for telling what trouble hurts.
    pub fn queue_name(&self, queue: QueueId) -> Option<String> {
        let definitions = self.definitions();
        let (vhost, name) = definitions.queue_name(queue)?;
        Some(format!("{name} in vhost {vhost}"))
    }

    /// What the shard needs of its log.
    pub fn needs(&self, index: usize) -> Needs {
        self.shards.get(index).map_or_else(Needs::default, |shard| shard.lock().needs())
    }

    /// What the shard needs of one segment of its log.
    pub fn survey(&self, index: usize, segment: NonZeroU64) -> Survey {
        self.shards.get(index).map_or_else(Survey::default, |shard| shard.lock().survey(segment))
    }

    /// Writes a record that means nothing, so that a snapshot of a log that has not grown may be taken: for repairs. Gives its
    /// batch.
    pub fn write_mark(&self, partition: Partition) -> Sequence {
        match partition {
            Partition::Definitions => {
                self.set_document("repair", &Name::from("mark"), None);
                self.definitions().last_sequence()
            }
            Partition::Shard(index) => self.shards.get(index).map_or(Sequence(0), |shard| shard.lock().write_mark()),
        }
    }

    /// The ledgers of all queues together, and how many of them do not add up (none, or the broker has a defect).
    pub fn ledger(&self) -> (Ledger, u64) {
        let mut total = Ledger::default();
        let unbalanced = self.shards.iter().map(|shard| shard.lock().add_ledgers(&mut total)).sum();
        (total, unbalanced)
    }

    /// Copies of dead letters that were not made since the start, for [`BrokerOptions::dead_letter_copies_max`](super::BrokerOptions).
    pub fn letters_withheld(&self) -> u64 {
        self.letters_withheld.load(Ordering::Relaxed)
    }

    /// What all queues hold together.
    pub fn counts(&self) -> Counts {
        let mut total = Counts::default();
        self.shards.iter().for_each(|shard| shard.lock().add_counts(&mut total));
        total
    }

    /// Memory that messages take, in bytes.
    pub fn messages_memory_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().memory_bytes()).sum()
    }
}
