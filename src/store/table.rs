//! Which segments exist, and which of them may be freed: the one truth that users and threads share.

use std::collections::BTreeMap;

use crate::journal::CleanError;
use crate::names;
use crate::types::{BatchSequence, SegmentInfo};

/// A segment that gets no more batches.
#[derive(Clone, Debug)]
pub(crate) struct ClosedSegment {
    pub(crate) first: BatchSequence,
    pub(crate) last: BatchSequence,
    pub(crate) len_bytes: u64,
    /// Kept for the experts when its place is freed, not recycled.
    pub(crate) damaged: bool,
    /// It was cleaned: the file is a compact one.
    pub(crate) compact: bool,
    /// `last` may be too high: segments behind it were freed in an earlier life.
    pub(crate) last_is_bound: bool,
    /// Nobody reads its records any more once this batch is durable.
    pub(crate) released: Option<BatchSequence>,
}

impl ClosedSegment {
    /// A segment as it is found or left, in use.
    pub(crate) fn new(first: BatchSequence, last: BatchSequence, len_bytes: u64) -> ClosedSegment {
        ClosedSegment { first, last, len_bytes, damaged: false, compact: false, last_is_bound: false, released: None }
    }

    /// Name of its file.
    pub(crate) fn file_name(&self) -> String {
        if self.compact { names::compact(self.first) } else { names::segment(self.first) }
    }
}

/// All segments.
#[derive(Debug, Default)]
pub(crate) struct SegmentTable {
    /// See `Options::keep_segments`.
    keep: bool,
    /// Position of the last durable snapshot.
    covered_to: BatchSequence,
    closed: BTreeMap<BatchSequence, ClosedSegment>,
    /// The segment being written, and its size.
    active: Option<(BatchSequence, u64)>,
    /// That one is damaged.
    active_damaged: bool,
    /// Being cleaned, so not to be freed.
    cleaning: Option<BatchSequence>,
    /// Once this batch is durable, there may be something to free.
    freeable_at: Option<BatchSequence>,
}

impl SegmentTable {
    /// As recovery found them: there is no active one.
    pub(crate) fn new(keep: bool, covered_to: BatchSequence, closed: Vec<ClosedSegment>) -> SegmentTable {
        let closed = closed.into_iter().map(|segment| (segment.first, segment)).collect();
        // A crash between a snapshot and the end of its trim left segments it covers.
        let freeable_at = Some(BatchSequence::NONE);
        SegmentTable { keep, covered_to, closed, freeable_at, ..SegmentTable::default() }
    }

    /// A new segment is written from `first` on; the former active one ends before it.
    pub(crate) fn rotate(&mut self, first: BatchSequence, len_bytes: u64) {
        if let Some((first_before, len_bytes)) = self.active.replace((first, len_bytes)) {
            let damaged = std::mem::take(&mut self.active_damaged);
            let segment = ClosedSegment { damaged, ..ClosedSegment::new(first_before, first.previous(), len_bytes) };
            self.closed.insert(first_before, segment);
        }
    }

    /// A snapshot at `at` is durable.
    pub(crate) fn cover(&mut self, at: BatchSequence) {
        self.covered_to = self.covered_to.max(at);
        self.freeable_at = Some(BatchSequence::NONE);
    }

    /// Nobody reads `segment` any more, because of what was appended up to `newest`. Unknown and active segments are left
    /// alone.
    pub(crate) fn release(&mut self, segment: BatchSequence, newest: BatchSequence) {
        let Some(closed) = self.closed.get_mut(&segment) else { return };
        let released = *closed.released.get_or_insert(newest);
        if closed.last <= self.covered_to {
            self.freeable_at = Some(self.freeable_at.map_or(released, |at| at.min(released)));
        }
    }

    /// The segment is damaged.
    pub(crate) fn condemn(&mut self, segment: BatchSequence) {
        if let Some(closed) = self.closed.get_mut(&segment) {
            closed.damaged = true;
        } else if self.active.is_some_and(|(first, _)| first == segment) {
            self.active_damaged = true;
        }
    }

    /// True if [`SegmentTable::take_freeable`] may find something.
    pub(crate) fn has_freeable(&self, durable: BatchSequence) -> bool {
        self.freeable_at.is_some_and(|at| at <= durable)
    }

    /// Takes out what may be freed. Until what made a segment superfluous is durable, a power failure would bring back the
    /// need for it.
    pub(crate) fn take_freeable(&mut self, durable: BatchSequence) -> Vec<ClosedSegment> {
        if !self.has_freeable(durable) {
            return Vec::new();
        }
        let (keep, covered_to, cleaning) = (self.keep, self.covered_to, self.cleaning);
        let released = move |segment: &ClosedSegment| {
            let released = if keep { segment.released } else { Some(BatchSequence::NONE) };
            released.filter(|_| segment.last <= covered_to && cleaning != Some(segment.first))
        };
        let is_freeable = |segment: &ClosedSegment| released(segment).is_some_and(|at| at <= durable);
        let freeable =
            self.closed.extract_if(.., |_, segment| is_freeable(segment)).map(|(_, segment)| segment).collect();
        self.freeable_at = self.closed.values().filter_map(released).min();
        freeable
    }

    /// Takes a segment for cleaning: until [`SegmentTable::end_cleaning`] it is not freed.
    pub(crate) fn start_cleaning(&mut self, segment: BatchSequence) -> Result<ClosedSegment, CleanError> {
        let is_active = self.active.is_some_and(|(first, _)| first == segment);
        match self.closed.get(&segment) {
            Some(closed) if closed.damaged => Err(CleanError::Damaged { segment }),
            Some(closed) if closed.last <= self.covered_to => {
                self.cleaning = Some(segment);
                Ok(closed.clone())
            }
            Some(_) => Err(CleanError::NotCovered { segment }),
            None if is_active => Err(CleanError::NotCovered { segment }),
            None => Err(CleanError::Unknown { segment }),
        }
    }

    /// The cleaning is over; `len_bytes` is what is left of the segment, `None` if it is as it was.
    pub(crate) fn end_cleaning(&mut self, segment: BatchSequence, len_bytes: Option<u64>) {
        self.cleaning = None;
        self.freeable_at = Some(BatchSequence::NONE);
        match (len_bytes, self.closed.get_mut(&segment)) {
            (Some(0), _) => drop(self.closed.remove(&segment)),
            (Some(len_bytes), Some(closed)) => (closed.len_bytes, closed.compact) = (len_bytes, true),
            _ => {}
        }
    }

    /// Space of all segments.
    pub(crate) fn len_bytes(&self) -> u64 {
        let closed: u64 = self.closed.values().map(|segment| segment.len_bytes).sum();
        closed + self.active.map_or(0, |(_, len_bytes)| len_bytes)
    }

    /// All segments, oldest first.
    pub(crate) fn list(&self) -> Vec<SegmentInfo> {
        let closed = self.closed.values().map(|segment| SegmentInfo {
            first: segment.first,
            last: Some(segment.last),
            len_bytes: segment.len_bytes,
            covered: segment.last <= self.covered_to,
            damaged: segment.damaged,
        });
        let damaged = self.active_damaged;
        let active =
            self.active.map(|(first, len_bytes)| SegmentInfo { first, last: None, len_bytes, covered: false, damaged });
        closed.chain(active).collect()
    }
}
