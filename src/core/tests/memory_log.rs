//! A log in memory that behaves like a journal: batches have places, segments go when nobody needs them.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{Location, Log, Place, Placed, RecordKind, Sequence, SnapshotPoint, Urgency};

/// Kind, stream, payload.
pub(crate) type Record = (RecordKind, u64, Vec<u8>);

/// Batches in a segment.
const SEGMENT_BATCHES: u64 = 4;
/// Offsets of a batch's records.
const BATCH_OFFSETS: u32 = 10_000;

/// The batches of one partition, as a journal would keep them.
#[derive(Default)]
pub(super) struct Batches {
    /// All there ever were.
    pub all: Vec<Vec<Record>>,
    pub snapshot: Option<(SnapshotPoint, Vec<Record>)>,
    /// Segments, and the batch that must be durable before they go.
    released: BTreeMap<u64, usize>,
}

fn segment_of(sequence: u64) -> u64 {
    (sequence - 1) / SEGMENT_BATCHES * SEGMENT_BATCHES + 1
}

impl Batches {
    /// The first batch that the snapshot does not stand for.
    fn covered(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |(point, _)| point.replay_after.0)
    }

    fn is_freed(&self, segment: u64) -> bool {
        self.released.contains_key(&segment) && segment + SEGMENT_BATCHES - 1 <= self.covered()
    }

    /// The process starts again with the first `kept` batches.
    pub(super) fn restart(&mut self, kept: usize) {
        self.all.truncate(kept);
        let released = std::mem::take(&mut self.released);
        let covered = |segment: u64| segment + SEGMENT_BATCHES - 1 <= self.covered();
        self.released =
            released.into_iter().filter(|(segment, after)| covered(*segment) && *after <= self.all.len()).collect();
    }

    /// What a start replays: the snapshot's records, then those behind it with their locations.
    pub(super) fn replay(&self, mut apply: impl FnMut(&Record, Option<Location>)) {
        if let Some((_, records)) = &self.snapshot {
            records.iter().for_each(|record| apply(record, None));
        }
        for (index, batch) in self.all.iter().enumerate().skip(self.covered() as usize) {
            for (place, record) in (0..).zip(batch) {
                let placed = Placed { start: place, length_bytes: record.2.len() as u32, crc: 0 };
                apply(record, Some(placed.at(&place_of(index as u64 + 1))));
            }
        }
    }

    /// Bytes of the longest batch.
    pub(super) fn longest_bytes(&self) -> usize {
        self.all.iter().map(|batch| batch.iter().map(|(_, _, payload)| payload.len()).sum()).max().unwrap_or(0)
    }

    /// Segments that are not freed.
    pub(super) fn segments_kept(&self) -> usize {
        let all = (1..=self.all.len() as u64).step_by(SEGMENT_BATCHES as usize);
        all.filter(|segment| !self.is_freed(*segment)).count()
    }

    pub(super) fn read(&self, location: &Location) -> Bytes {
        let segment = location.segment.get();
        assert!(!self.is_freed(segment), "segment {segment} is read after it was given up");
        let batch = segment + u64::from(location.offset / BATCH_OFFSETS);
        let record = &self.all[batch as usize - 1][(location.offset % BATCH_OFFSETS) as usize];
        Bytes::copy_from_slice(&record.2)
    }
}

fn place_of(sequence: u64) -> Place {
    let segment = segment_of(sequence);
    Place {
        sequence: Sequence(sequence),
        segment: NonZeroU64::new(segment).expect("counts from 1"),
        offset: (sequence - segment) as u32 * BATCH_OFFSETS,
    }
}

/// A log that keeps its batches in memory.
pub(super) struct MemoryLog {
    batches: Arc<Mutex<Batches>>,
    building: Vec<Record>,
    told: u64,
}

impl MemoryLog {
    pub(super) fn new(batches: Arc<Mutex<Batches>>) -> Self {
        let told = batches.lock().all.len() as u64;
        Self { batches, building: Vec::new(), told }
    }
}

impl Log for MemoryLog {
    fn push(&mut self, kind: RecordKind, stream: u64, parts: &[&[u8]]) -> Placed {
        let payload = parts.concat();
        let placed = Placed { start: self.building.len() as u32, length_bytes: payload.len() as u32, crc: 0 };
        self.building.push((kind, stream, payload));
        placed
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(self.batches.lock().all.len() as u64 + 1)
    }

    fn len_bytes(&self) -> u64 {
        self.building.iter().map(|(_, _, payload)| payload.len() as u64 + 1).sum()
    }

    fn commit(&mut self, _: Urgency) {
        if !self.building.is_empty() {
            self.batches.lock().all.push(std::mem::take(&mut self.building));
        }
    }

    fn take_places(&mut self, up_to: Sequence, places: &mut VecDeque<Place>) {
        places.extend((self.told + 1..=up_to.0).map(place_of));
        self.told = self.told.max(up_to.0);
    }

    fn release(&mut self, segment: NonZeroU64) {
        let mut batches = self.batches.lock();
        let after = batches.all.len();
        batches.released.entry(segment.get()).or_insert(after);
    }

    fn segments(&self) -> Vec<NonZeroU64> {
        let batches = self.batches.lock();
        let all = (1..=batches.all.len() as u64).step_by(SEGMENT_BATCHES as usize);
        all.filter(|segment| !batches.is_freed(*segment)).filter_map(NonZeroU64::new).collect()
    }
}

/// Collects a snapshot.
#[derive(Default)]
pub(crate) struct SnapshotLog(pub Vec<Record>);

impl Log for SnapshotLog {
    fn push(&mut self, kind: RecordKind, stream: u64, parts: &[&[u8]]) -> Placed {
        self.0.push((kind, stream, parts.concat()));
        Placed { start: 0, length_bytes: 0, crc: 0 }
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(0)
    }

    fn len_bytes(&self) -> u64 {
        0
    }

    fn commit(&mut self, _: Urgency) {}
}
