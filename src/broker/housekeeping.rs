//! Snapshots and cleaning of one shard's or the definitions' journal: so that starts are quick and space comes back.

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crossdock_common::{Instant, Now};
use crossdock_core::{Broker, Needs, Partition, RecordKind, SnapshotPoint, Survey, UnfinishedSnapshot};
use crossdock_store::{BatchSequence, Journal, SegmentInfo, Snapshot, StoredRecord, Survivors};

use super::journal_log::SnapshotLog;

/// When it is worth the work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    /// A snapshot is taken when this much was written since the last one. A start replays no more than about that.
    pub snapshot_bytes: u64,
    /// Space that is worth a snapshot when there is nothing else to do.
    pub waste_bytes: u64,
    /// Space that is worth cleaning one segment.
    pub clean_bytes: u64,
    /// Last values of keys (retained messages) that a snapshot writes before others have their turn: about 0.5 ms.
    pub snapshot_keys: usize,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { snapshot_bytes: 128 << 20, waste_bytes: 8 << 20, clean_bytes: 512 << 10, snapshot_keys: 512 }
    }
}

/// No snapshot is taken before this many times the last one's size was written.
const SNAPSHOT_COST: u64 = 8;
/// Least time between two looks for space.
const TIDY_EVERY_MS: u64 = 1_000;
/// The same.
pub(super) const TIDY_EVERY: Duration = Duration::from_millis(TIDY_EVERY_MS);
/// A segment is cleaned when less than this part of it, in percent, is needed: two thirds are copied for one third that is freed,
/// at worst.
const CLEAN_PERCENT: u64 = 66;

/// What is under way.
enum Job {
    None,
    /// A snapshot that is being written, into memory.
    Writing(UnfinishedSnapshot, SnapshotLog),
    /// A snapshot that may be used once the journal is durable up to its point.
    Waiting(SnapshotPoint, Snapshot),
    Snapshot,
    Cleaning,
}

/// The housekeeping of one partition.
pub(super) struct Housekeeping {
    partition: Partition,
    broker: Arc<Broker>,
    journal: Arc<dyn Journal>,
    thresholds: Thresholds,
    job: Job,
    last_snapshot_bytes: u64,
    tidied: Instant,
    /// The broker ends, and its last snapshot is under way or done.
    last: bool,
    /// Segments that could not be cleaned. They are tried again after the next snapshot: the disk may have room by then.
    stubborn: HashSet<BatchSequence>,
}

impl Housekeeping {
    pub(super) fn new(
        partition: Partition,
        broker: Arc<Broker>,
        journal: Arc<dyn Journal>,
        thresholds: Thresholds,
    ) -> Self {
        let (job, tidied) = (Job::None, Instant(0));
        let stubborn = HashSet::new();
        Self { partition, broker, journal, thresholds, job, last_snapshot_bytes: 0, tidied, last: false, stubborn }
    }

    /// The journal is durable up to `durable`: a snapshot may be due, or usable.
    pub(super) fn durable(&mut self, now: Now, durable: u64) {
        if let Job::Waiting(point, _) = &self.job
            && point.usable_after.0 <= durable
        {
            self.hand_over();
        }
        let due = self.thresholds.snapshot_bytes.max(SNAPSHOT_COST * self.last_snapshot_bytes);
        if matches!(self.job, Job::None) && self.journal.bytes_since_snapshot() >= due {
            self.begin_snapshot(now);
        }
    }

    /// Takes a last snapshot; true once it is durable, or given up.
    pub(super) fn has_ended(&mut self, now: Now) -> bool {
        if !matches!(self.job, Job::None) {
            return false;
        }
        if !std::mem::replace(&mut self.last, true) && self.journal.bytes_since_snapshot() > 0 {
            self.begin_snapshot(now);
        }
        matches!(self.job, Job::None)
    }

    fn begin_snapshot(&mut self, now: Now) {
        let mut log = SnapshotLog::default();
        let Some(unfinished) = self.broker.begin_snapshot(self.partition, now, &mut log) else { return };
        self.job = Job::Writing(unfinished, log);
        self.go_on();
    }

    /// A snapshot is being written: [`go_on`](Self::go_on) is to be called as soon as others had their turn.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self.job, Job::Writing(..))
    }

    /// Writes the next piece of a snapshot.
    pub(super) fn go_on(&mut self) {
        let Job::Writing(unfinished, log) = &mut self.job else { return };
        if !self.broker.go_on_with_snapshot(unfinished, self.thresholds.snapshot_keys, log) {
            return;
        }
        let point = unfinished.point();
        let snapshot = std::mem::take(log).builder.finish();
        self.last_snapshot_bytes = snapshot.len_bytes();
        self.job = Job::Waiting(point, snapshot);
        if point.usable_after.0 <= self.journal.durable().0 {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let Job::Waiting(point, snapshot) = std::mem::replace(&mut self.job, Job::Snapshot) else { return };
        if let Err(error) = self.journal.snapshot(BatchSequence(point.replay_after.0), snapshot) {
            tracing::debug!(%error, "snapshot not begun");
            self.snapshot_ended(false);
        }
    }

    /// The snapshot is durable, or given up.
    pub(super) fn snapshot_ended(&mut self, done: bool) {
        self.job = Job::None;
        if done {
            self.stubborn.clear();
        }
        if let Partition::Shard(index) = self.partition {
            self.broker.snapshot_ended(index, done);
        }
    }

    /// The segment is cleaned, or cannot be.
    pub(super) fn cleaned(&mut self, now: Now, segment: BatchSequence, done: bool) {
        self.job = Job::None;
        if !done {
            self.stubborn.insert(segment);
        }
        // There may be more of the kind.
        if !self.last {
            self.tidy(now);
        }
    }

    /// The segment cannot be cleaned because it is damaged: once nothing needs it, it is put aside for the experts and not written
    /// over.
    pub(super) fn found_damaged(&mut self, now: Now, segment: BatchSequence) {
        self.journal.condemn(segment);
        self.cleaned(now, segment, false);
    }

    /// Looks for space to give back, from time to time.
    pub(super) fn tidy_sometimes(&mut self, now: Now) {
        if now.instant >= self.tidied.after_ms(TIDY_EVERY_MS) {
            self.tidied = now.instant;
            self.tidy(now);
        }
    }

    fn tidy(&mut self, now: Now) {
        let (Job::None, Partition::Shard(index)) = (&self.job, self.partition) else { return };
        let needs = self.broker.needs(index);
        let segments = self.journal.segments();
        if let Some(wasteful) = self.most_wasteful(&segments, &needs) {
            self.clean(index, wasteful);
        } else if self.waste_of_uncovered(&segments, &needs)
            >= self.thresholds.waste_bytes.max(self.last_snapshot_bytes)
        {
            self.begin_snapshot(now);
        }
    }

    /// The covered segment with the least need, if that is little enough.
    fn most_wasteful(&self, segments: &[SegmentInfo], needs: &Needs) -> Option<BatchSequence> {
        let closed = segments.iter().filter(|info| info.covered && info.last.is_some());
        let tried = closed.filter(|info| !self.stubborn.contains(&info.first));
        let shares = tried.filter_map(|info| {
            let live_bytes = live_bytes(info, needs);
            let wasted = info.len_bytes.saturating_sub(live_bytes);
            let little = live_bytes * 100 < info.len_bytes * CLEAN_PERCENT;
            (live_bytes > 0 && little && wasted >= self.thresholds.clean_bytes)
                .then(|| (live_bytes * 100 / info.len_bytes, info.first))
        });
        shares.min().map(|(_, segment)| segment)
    }

    /// Bytes that are not needed in segments that only a snapshot can free.
    fn waste_of_uncovered(&self, segments: &[SegmentInfo], needs: &Needs) -> u64 {
        let uncovered = segments.iter().filter(|info| !info.covered && info.last.is_some());
        uncovered.map(|info| info.len_bytes.saturating_sub(2 * live_bytes(info, needs))).sum()
    }

    fn clean(&mut self, index: usize, segment: BatchSequence) {
        let Some(number) = NonZeroU64::new(segment.0) else { return };
        let survey = Keeper(self.broker.survey(index, number));
        match self.journal.clean(segment, Box::new(survey)) {
            Ok(()) => self.job = Job::Cleaning,
            Err(error) => {
                tracing::debug!(%error, %segment, "cleaning not begun");
                self.stubborn.insert(segment);
            }
        }
    }
}

fn live_bytes(info: &SegmentInfo, needs: &Needs) -> u64 {
    let found = needs.segments.binary_search_by_key(&info.first.0, |one| one.segment.get());
    found.map_or(0, |index| needs.segments[index].live.bytes)
}

/// Keeps what the shard needs.
struct Keeper(Survey);

impl Survivors for Keeper {
    fn keep(&mut self, records: &[StoredRecord<'_>], keep: &mut Vec<bool>) {
        keep.extend(records.iter().map(|record| {
            let kind = RecordKind::from_number(record.kind);
            // What is not understood is kept.
            kind.is_none_or(|kind| self.0.keeps(kind, record.location.offset, record.payload))
        }));
    }
}
