//! Replays the segments behind the snapshot.

use super::report::OpenError;
use super::view::RecordView;
use super::walk::{self, Entrance, Walk};
use super::{Context, Delivery, Kept, disk_error, newer};
use crate::clean::Found;
use crate::compact::CompactEntry;
use crate::disk::{DiskFile, read_whole};
use crate::format::Role;
use crate::names;
use crate::table::ClosedSegment;
use crate::types::{BatchSequence, Epoch};

/// How a walk ended.
struct End {
    /// Bytes of unfinished batches.
    torn_bytes: u64,
    /// Batches that the snapshot covers were not found: freed with their segments, or damaged. Others may still be read here.
    is_doubtful: bool,
}

/// How far the replay has come.
#[derive(Debug)]
pub(super) struct Progress {
    /// The next batch.
    pub(super) next: BatchSequence,
    pub(super) previous_crc: u32,
    pub(super) epoch: Epoch,
    pub(super) closed: Vec<ClosedSegment>,
    /// Bytes of the batches delivered.
    pub(super) replayed_bytes: u64,
    /// The sequence `previous_crc` leads to; elsewhere it means nothing.
    chained: BatchSequence,
    /// Everything up to here was durable, says the seal.
    sealed: BatchSequence,
    /// Takes one segment after the other.
    buffer: Vec<u8>,
}

impl Progress {
    pub(super) fn new(snapshot_at: BatchSequence, sealed: BatchSequence) -> Progress {
        Progress {
            next: snapshot_at.next(),
            previous_crc: 0,
            epoch: Epoch(0),
            closed: Vec::new(),
            replayed_bytes: 0,
            chained: BatchSequence::NONE,
            sealed,
            buffer: Vec::new(),
        }
    }

    /// Replays all segments and settles what is missing.
    pub(super) fn replay(&mut self, context: &Context<'_>, delivery: &mut Delivery<'_>) -> Result<(), OpenError> {
        let files = context.listing.files();
        for (index, (first, is_compact)) in files.iter().copied().enumerate() {
            let limit = files.get(index + 1).map(|(first, _)| *first);
            match limit {
                Some(limit) if limit <= self.next => self.skip(context, (first, is_compact), limit)?,
                _ if is_compact => self.compact(context, delivery, first)?,
                _ => self.segment(context, delivery, first, limit)?,
            }
        }
        self.miss_the_end(delivery);
        if self.chained != self.next {
            self.previous_crc = 0;
        }
        Ok(())
    }

    /// A segment that the snapshot covers: not read, only given back later.
    fn skip(
        &mut self,
        context: &Context<'_>,
        (first, compact): (BatchSequence, bool),
        limit: BatchSequence,
    ) -> Result<(), OpenError> {
        // What lay between the two may have been freed.
        let segment = ClosedSegment { compact, last_is_bound: true, ..ClosedSegment::new(first, limit.previous(), 0) };
        let file = context.disk.open_to_read(&context.folder.join(segment.file_name()));
        let file = file.map_err(disk_error("open a segment", context.folder))?;
        let len_bytes = file.len_bytes().map_err(disk_error("measure a segment", context.folder))?;
        self.closed.push(ClosedSegment { len_bytes, ..segment });
        Ok(())
    }

    pub(super) fn miss_the_end(&mut self, delivery: &mut Delivery<'_>) {
        self.miss(self.sealed.next(), "is missing at the end of the journal", delivery);
    }

    /// Reports batches up to before `until` as lost if the replay has not reached it.
    pub(super) fn miss(&mut self, until: BatchSequence, what: &str, delivery: &mut Delivery<'_>) {
        if until > self.next {
            let (first, last) = (self.next, until.previous());
            delivery.damage(None, (first, last), format!("{} {what}", batches(first, last)));
            self.next = until;
        }
    }

    fn segment(
        &mut self,
        context: &Context<'_>,
        delivery: &mut Delivery<'_>,
        first: BatchSequence,
        limit: Option<BatchSequence>,
    ) -> Result<(), OpenError> {
        let name = names::segment(first);
        self.miss(first, &format!("is missing before {name}: a file is gone"), delivery);
        let file =
            context.disk.open(&context.folder.join(&name)).map_err(disk_error("open a segment", context.folder))?;
        let mut bytes = std::mem::take(&mut self.buffer);
        read_whole(file.as_ref(), &mut bytes).map_err(disk_error("read a segment", context.folder))?;
        let damages_before = delivery.report.damages;
        let mut walk = Walk::new(&bytes, Role::Batch, self.entrance(context, first, limit));
        let end = self.walk(&mut walk, delivery, (first, &name))?;
        delivery.report.torn_bytes += end.torn_bytes;
        let damaged = delivery.report.damages > damages_before;
        let (used_bytes, len_bytes) = (walk.offset_bytes(), bytes.len() as u64);
        self.buffer = bytes;
        if limit.is_some() {
            self.close(first, len_bytes, damaged);
        } else if damaged || end.is_doubtful {
            // Nothing is cut from a file that experts may want to see. The name of the next segment will say where it ends.
            file.sync_data().map_err(disk_error("sync a segment", context.folder))?;
            self.close(first, len_bytes, damaged);
            self.closed.last_mut().into_iter().for_each(|closed| closed.last_is_bound = end.is_doubtful);
        } else {
            self.cut(context, file.as_ref(), first, used_bytes)?;
        }
        Ok(())
    }

    /// Cuts what was not finished from the last segment, and makes sure of the rest: it may be in the page cache only.
    fn cut(
        &mut self,
        context: &Context<'_>,
        file: &dyn DiskFile,
        first: BatchSequence,
        used_bytes: u64,
    ) -> Result<(), OpenError> {
        if used_bytes == 0 {
            let path = context.folder.join(names::segment(first));
            return context.disk.remove(&path).map_err(disk_error("remove an empty segment", context.folder));
        }
        file.truncate(used_bytes).map_err(disk_error("cut a segment", context.folder))?;
        file.sync_data().map_err(disk_error("sync a segment", context.folder))?;
        self.close(first, used_bytes, false);
        Ok(())
    }

    pub(super) fn entrance(
        &self,
        context: &Context<'_>,
        first: BatchSequence,
        limit: Option<BatchSequence>,
    ) -> Entrance {
        Entrance {
            identity: context.identity,
            expected: first,
            limit,
            proven: self.sealed.max(self.next.previous()),
            previous_crc: if self.chained == first { self.previous_crc } else { 0 },
            epoch: self.epoch,
        }
    }

    /// Delivers what the snapshot does not cover.
    fn walk(
        &mut self,
        walk: &mut Walk<'_>,
        delivery: &mut Delivery<'_>,
        (segment, name): (BatchSequence, &str),
    ) -> Result<End, OpenError> {
        let mut is_doubtful = false;
        loop {
            match walk.next().map_err(|found| newer(name, found))? {
                walk::Found::Batch(view) => {
                    let sequence = view.header.sequence;
                    if sequence >= self.next {
                        self.replayed_bytes += u64::from(view.header.length_bytes);
                        delivery.batch(&view, Kept { batch: Some((sequence, segment)), at: sequence, file: name });
                    }
                }
                walk::Found::Lost { first, last } if last >= self.next => {
                    let first = first.max(self.next);
                    delivery.damage(None, (first, last), format!("{} in {name} is unreadable", batches(first, last)));
                }
                walk::Found::Lost { .. } => is_doubtful = true,
                walk::Found::End { torn_bytes } => return Ok(End { torn_bytes, is_doubtful }),
            }
            self.passed(walk);
        }
    }

    /// Takes over how far a walk has come.
    pub(super) fn passed(&mut self, walk: &Walk<'_>) {
        self.next = self.next.max(walk.expected);
        self.chained = walk.expected;
        self.previous_crc = walk.previous_crc;
        self.epoch = walk.epoch;
    }

    fn close(&mut self, first: BatchSequence, len_bytes: u64, damaged: bool) {
        self.closed.push(ClosedSegment { damaged, ..ClosedSegment::new(first, self.next.previous(), len_bytes) });
    }
}

pub(super) fn batches(first: BatchSequence, last: BatchSequence) -> String {
    if first == last { format!("batch {first}") } else { format!("batches {first} to {last}") }
}

/// All records of the segment in `bytes`, for cleaning. The error is the first place that is damaged.
pub(crate) fn records_of_segment(bytes: &[u8], identity: u64, segment: &ClosedSegment) -> Result<Vec<Found>, u64> {
    let entrance = Entrance {
        identity,
        expected: segment.first,
        limit: Some(segment.last.next()),
        proven: segment.last,
        previous_crc: 0,
        epoch: Epoch(0),
    };
    let mut walk = Walk::new(bytes, Role::Batch, entrance);
    let mut records = Vec::new();
    loop {
        let here = walk.offset_bytes();
        match walk.next().map_err(|_| here)? {
            walk::Found::Batch(view) => {
                for record in view.records() {
                    let record = record.map_err(|damaged| u64::from(damaged.offset))?;
                    records.push(found(view.header.sequence, &record));
                }
                if !view.intact {
                    return Err(here);
                }
            }
            // Nothing but its end shows where a segment ends whose neighbour is gone.
            walk::Found::Lost { last, .. } if segment.last_is_bound && last == segment.last => return Ok(records),
            walk::Found::Lost { .. } => return Err(here),
            walk::Found::End { .. } => return Ok(records),
        }
    }
}

fn found(sequence: BatchSequence, record: &RecordView<'_>) -> Found {
    let RecordView { kind, stream, payload, offset, crc } = *record;
    let length_bytes = payload.len() as u32;
    let entry = CompactEntry { old: offset, new: 0, length_bytes, payload_crc: crc, sequence, stream, kind };
    Found { entry, source: offset }
}
