//! What a snapshot of a shard holds: for each message where it is, not the message.

use bytes::{BufMut, BytesMut};
use crossdock_common::names::QueueId;
use crossdock_common::{Now, UnixMillis};
use hashbrown::HashSet;
use std::num::NonZeroU64;

use super::Shard;
use super::entry::Entry;
use super::queue::Queue;
use super::retained::RetainedKey;
use super::stored::{PageRef, StoredRef, put_page, put_refs};
use crate::broker::{Needs, Partition};
use crate::log::{Location, Log, RecordKind, Sequence};
use crate::record::{decode_places, put_bytes, put_location};

/// Most references in one record.
const REFERENCES_MAX: usize = 4_096;

/// A snapshot that is being written, a piece at a time: others have the shard in between.
///
/// What is written last may hold effects of batches that came after the first piece. That does no harm: only the last values of keys
/// are written so, replay sets them again, and the snapshot is used only once those batches are durable.
#[derive(Debug)]
pub struct UnfinishedSnapshot {
    pub(crate) partition: Partition,
    pub(crate) point: SnapshotPoint,
    /// Whose last value was written last.
    pub(crate) after: Option<RetainedKey>,
}

impl UnfinishedSnapshot {
    /// Which part of the log it stands for, when it is whole.
    pub fn point(&self) -> SnapshotPoint {
        self.point
    }
}

/// Which part of the log a snapshot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPoint {
    /// After the snapshot, the log is replayed from the batch behind this one. Some of what follows is in the snapshot
    /// already, and does no harm when it is applied again.
    pub replay_after: Sequence,
    /// The snapshot holds effects of batches up to this one: it may be used once that is durable.
    pub usable_after: Sequence,
}

impl Shard {
    /// Everything that survives, as records, except the last values of keys, of which there may be very many.
    pub(crate) fn begin_snapshot(&mut self, now: Now, log: &mut dyn Log) -> SnapshotPoint {
        for queue in self.queues.values().filter(|queue| queue.durable) {
            write_queue(queue, now, log, &mut self.scratch);
        }
        self.write_parts(log);
        self.landings.write(now.instant, log, &mut self.scratch);
        self.arrivals.write(now.instant, log, &mut self.scratch);
        self.retiring.append(&mut self.retired);
        SnapshotPoint { replay_after: self.waiting.synced_to, usable_after: self.last_sequence() }
    }

    /// Writes some last values of keys, at most so many; true if those were the last.
    pub(crate) fn go_on_with_snapshot(
        &mut self,
        unfinished: &mut UnfinishedSnapshot,
        keys_max: usize,
        log: &mut dyn Log,
    ) -> bool {
        unfinished.after = self.retained.write(unfinished.after.as_ref(), keys_max, log, &mut self.scratch);
        unfinished.point.usable_after = self.last_sequence();
        unfinished.after.is_none()
    }

    fn last_sequence(&self) -> Sequence {
        Sequence(self.log.next_sequence().0.saturating_sub(1))
    }

    fn write_parts(&mut self, log: &mut dyn Log) {
        for ((queue, position), parts) in self.segments.parts() {
            self.scratch.clear();
            self.scratch.put_u64_le(*position);
            parts.iter().for_each(|part| put_location(&mut self.scratch, part));
            log.push(RecordKind::Parts, queue.0, &[&self.scratch]);
        }
    }

    /// The snapshot is what a start would begin with (or, if not `done`, it was given up).
    pub(crate) fn snapshot_ended(&mut self, done: bool) {
        let retiring = std::mem::take(&mut self.retiring);
        if done {
            retiring.iter().for_each(|location| self.segments.remove(location));
            self.segments.forget_dropped(self.log.as_ref());
            self.release_segments();
        } else {
            self.retired.extend(retiring);
        }
    }

    pub(crate) fn needs(&self) -> Needs {
        Needs { segments: self.segments.iter().copied().collect(), live_bytes: self.segments.live_bytes() }
    }

    /// What is needed of a segment.
    pub(crate) fn survey(&self, segment: NonZeroU64) -> Survey {
        let mut survey = Survey::default();
        let mut note = |location: &Location| {
            if location.segment == segment {
                survey.offsets.insert(location.offset);
            }
        };
        let parts = self.segments.parts().flat_map(|(_, parts)| parts.iter());
        for location in self.retired.iter().chain(&self.retiring).chain(self.large.parts()).chain(parts) {
            note(location);
        }
        for queue in self.queues.values() {
            let singles = queue.ready.levels().flat_map(|(_, level)| level.single()).map(|stored| stored.location);
            let entries = queue.away().filter_map(|entry| entry.stored);
            singles.chain(entries).chain(queue.pages().map(|page| page.location)).for_each(|location| note(&location));
        }
        for queue in self.queues.values() {
            let here = queue.pages().filter(|page| page.segments.iter().any(|(of, _)| *of == segment));
            survey.spans.extend(here.map(|page| (queue.id, page.positions)));
        }
        survey
    }
}

/// What is needed of a segment, at some moment; later it can only be less.
#[derive(Default)]
pub struct Survey {
    offsets: HashSet<u32, foldhash::fast::RandomState>,
    /// Places of messages that pages refer to.
    spans: Vec<(QueueId, (u64, u64))>,
}

impl Survey {
    /// Whether the record at this offset is needed.
    pub fn keeps(&self, kind: RecordKind, offset: u32, payload: &[u8]) -> bool {
        self.offsets.contains(&offset)
            || matches!(kind, RecordKind::Message | RecordKind::Transient) && self.spans(payload)
    }

    fn spans(&self, mut payload: &[u8]) -> bool {
        // What cannot be understood is kept.
        let Ok(places) = decode_places(&mut payload) else { return true };
        places.iter().any(|place| {
            let within = |(first, last): (u64, u64)| (first..=last).contains(&place.position);
            self.spans.iter().any(|(queue, span)| *queue == place.queue && within(*span))
        })
    }
}

impl Queue {
    /// All pages, readable or not.
    fn pages(&self) -> impl Iterator<Item = &PageRef> {
        self.ready.levels().flat_map(|(_, level)| level.pages()).chain(&self.special.damaged_pages)
    }
}

fn write_queue(queue: &Queue, now: Now, log: &mut dyn Log, scratch: &mut BytesMut) {
    log.push(RecordKind::NextPosition, queue.id.0, &[&queue.next_position.to_le_bytes()]);
    for (key, value) in &queue.special.state {
        write_state(queue, (key, value), log, scratch);
    }
    for (key, value) in queue.publications.iter().flat_map(|publications| publications.states()) {
        write_state(queue, (&key, &value), log, scratch);
    }
    for (key, value) in queue.stream.iter().flat_map(|stream| stream.states()) {
        write_state(queue, (&key, &value), log, scratch);
    }
    if let Some(known) = &queue.deduplication {
        known.write(queue.id, now, log, scratch);
    }
    for (number, level) in queue.ready.levels() {
        let damaged = queue.special.damaged_pages.iter().filter(|_| number == 0);
        write_pages(queue.id, number, level.pages().chain(damaged), log, scratch);
        let of_level = |entry: &&Entry| entry.level == number;
        let out = queue.out().filter(of_level).filter_map(Entry::to_stored);
        write_stored(queue.id, (number, true), level.before_pages().chain(out), log, scratch);
        let behind = queue.special.behind.entries().filter(of_level).filter_map(Entry::to_stored);
        write_stored(queue.id, (number, false), level.behind_pages().chain(behind), log, scratch);
    }
    write_delayed(queue, now, log, scratch);
}

fn write_state(queue: &Queue, (key, value): (&[u8], &[u8]), log: &mut dyn Log, scratch: &mut BytesMut) {
    put_state(scratch, key);
    log.push(RecordKind::SessionState, queue.id.0, &[scratch, value]);
}

/// The beginning of a record of something that is kept under a key; the value follows.
pub(super) fn put_state(scratch: &mut BytesMut, key: &[u8]) {
    scratch.clear();
    put_bytes(scratch, key);
    scratch.put_u8(1);
}

/// Messages of a level that are not in a page: those that stand before its pages, or those behind them.
fn write_stored(
    queue: QueueId,
    (level, before_pages): (u8, bool),
    refs: impl Iterator<Item = StoredRef>,
    log: &mut dyn Log,
    scratch: &mut BytesMut,
) {
    let refs: Vec<StoredRef> = refs.filter(|stored| stored.logged).collect();
    for refs in refs.chunks(REFERENCES_MAX) {
        scratch.clear();
        scratch.put_slice(&[level, u8::from(before_pages)]);
        put_refs(scratch, refs.iter());
        log.push(RecordKind::Stored, queue.0, &[scratch]);
    }
}

fn write_pages<'a>(
    queue: QueueId,
    level: u8,
    pages: impl Iterator<Item = &'a PageRef>,
    log: &mut dyn Log,
    scratch: &mut BytesMut,
) {
    scratch.clear();
    scratch.put_u8(level);
    let empty = scratch.len();
    pages.filter(|page| page.logged.count > 0).for_each(|page| put_page(scratch, page));
    if scratch.len() > empty {
        log.push(RecordKind::Pages, queue.0, &[scratch]);
    }
}

/// Delays are kept as times of day.
fn write_delayed(queue: &Queue, now: Now, log: &mut dyn Log, scratch: &mut BytesMut) {
    scratch.clear();
    for ((until, _), entry) in &queue.special.delayed {
        let Some(stored) = entry.to_stored().filter(|stored| stored.logged) else { continue };
        scratch.put_u64_le(due_at(now, until.0).0);
        scratch.put_u8(entry.level);
        put_refs(scratch, std::iter::once(&stored));
    }
    if !scratch.is_empty() {
        log.push(RecordKind::Delayed, queue.id.0, &[scratch]);
    }
}

pub(super) fn due_at(now: Now, until_us: u64) -> UnixMillis {
    let left_ms = until_us.saturating_sub(now.instant.0).div_ceil(1_000);
    UnixMillis(now.unix.0.saturating_add(left_ms))
}
