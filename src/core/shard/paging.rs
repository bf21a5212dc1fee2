//! Which messages stay in memory, and how the others get to disk.

use bytes::BytesMut;
use crossdock_common::names::QueueId;

use super::Shard;
use super::awaiting::Awaiting;
use super::level::Sealing;
use super::queue::Queue;
use super::stored::put_refs;
use crate::log::{Location, Log, RecordKind, Urgency};

/// How much of the messages stays in memory. More than that is on disk only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Memory for the messages of a shard, in bytes.
    pub memory_bytes_max: u64,
    /// What is read ahead for the consumers of one queue, in bytes.
    pub read_ahead_bytes: u64,
    /// References that make a page.
    pub page_references: usize,
    /// Bodies of more than two such pieces are written piece by piece. A larger piece makes others wait longer for the disk, a
    /// smaller one costs more syncs.
    pub part_bytes: usize,
}

impl Default for Paging {
    fn default() -> Self {
        Self { memory_bytes_max: 32 << 20, read_ahead_bytes: 2 << 20, page_references: 4_096, part_bytes: 512 << 10 }
    }
}

/// The memory of a shard's messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub paging: Paging,
    used_bytes: u64,
}

/// A queue that is consumed keeps this much in memory however little there is.
const FLOOR_BYTES: u64 = 128 << 10;

impl Memory {
    pub(crate) fn change(&mut self, from: u64, to: u64) {
        self.used_bytes = self.used_bytes + to - from;
    }

    /// Counts the queue's memory as it is now.
    pub(crate) fn recount(&mut self, queue: &mut Queue) {
        let counted = queue.memory_bytes();
        self.change(std::mem::replace(&mut queue.memory_counted, counted), counted);
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Little is left.
    pub(crate) fn is_short(&self) -> bool {
        self.used_bytes > self.paging.memory_bytes_max / 2
    }

    /// The queue's new messages should go to disk. One queue alone may take half of the memory.
    pub(crate) fn crowds(&self, queue: &Queue) -> bool {
        let own = queue.memory_bytes();
        let floor = if queue.is_wanted() { FLOOR_BYTES.min(self.paging.read_ahead_bytes) } else { 0 };
        let all = self.used_bytes + own - queue.memory_counted;
        let max = self.paging.memory_bytes_max;
        own > floor && (own > max / 2 || all > max)
    }

    /// How much to read ahead for each of so many consumers of a stream, and how much of its newest messages to keep for all.
    pub(crate) fn cursor_bytes(&self, consumers: usize) -> u64 {
        let all = self.paging.read_ahead_bytes;
        let floor = FLOOR_BYTES.min(all);
        if self.is_short() { floor } else { (all / (consumers as u64).max(1)).max(floor) }
    }

    /// How much to read ahead.
    pub(crate) fn window_bytes(&self, queue: &Queue) -> u64 {
        if self.used_bytes < self.paging.memory_bytes_max {
            self.paging.read_ahead_bytes
        } else if queue.consumers.has_room() || !queue.special.fetches.is_empty() || queue.moving.is_some() {
            FLOOR_BYTES.min(self.paging.read_ahead_bytes)
        } else {
            0
        }
    }
}

impl Shard {
    /// Writes what has become a page, and counts the queue's memory anew.
    pub(super) fn seal_pages(&mut self, id: QueueId) {
        let Self { queues, log, waiting, memory, scratch, urgency, .. } = self;
        let Some(queue) = queues.get_mut(&id) else { return };
        if let Some((sealing, placed)) = seal(queue, memory.paging.page_references, log.as_mut(), scratch) {
            // Messages of such a queue are ready before they are synced, and a start reads what was not synced again: it must
            // not find them in a page of the snapshot as well.
            let until = if queue.urgency == Some(Urgency::Write) { Urgency::Sync } else { Urgency::Write };
            if until == Urgency::Sync {
                *urgency = until;
            }
            waiting.push(until, log.next_sequence(), Awaiting::Page(id, sealing, placed));
        }
        memory.recount(queue);
    }

    pub(super) fn page_written(&mut self, id: QueueId, sealing: Sealing, location: Location) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if queue.ready.sealed(sealing, location) {
            self.segments.add(&location);
        }
        // There may be another page's worth by now.
        self.mark(id);
    }

    /// Tells the log which segments nothing lives in any more. The log frees them when what was handed over until now, and with it
    /// the reason, is durable.
    pub(super) fn release_segments(&mut self) {
        debug_assert!(self.log.is_empty() && self.settled.is_empty(), "the reasons have been handed over");
        for segment in self.segments.take_free(self.waiting.unsynced_segment()) {
            self.log.release(segment);
        }
    }
}

fn seal(
    queue: &mut Queue,
    count: usize,
    log: &mut dyn Log,
    scratch: &mut BytesMut,
) -> Option<(Sealing, crate::log::Placed)> {
    let (sealing, refs) = queue.ready.seal(count)?;
    scratch.clear();
    put_refs(scratch, refs);
    Some((sealing, log.push(RecordKind::Page, queue.id.0, &[scratch])))
}
