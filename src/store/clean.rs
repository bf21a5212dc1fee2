//! Cleaning: a segment of which little lives is replaced by a compact file with what does.
//!
//! Order, so that a crash at any point leaves the segment or the complete compact file: ask which records live; write and sync a
//! temporary file; wait until everything is durable on the grounds of which records were dropped; rename; sync the
//! folder; remove the segment. Recovery settles the case that both are there.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crate::compact::{self, CompactEntry};
use crate::disk::{DiskFile, read_whole, write_all_at};
use crate::housekeeper::GiveUp;
use crate::names;
use crate::recovery;
use crate::sealed::Vault;
use crate::table::ClosedSegment;
use crate::types::{BatchSequence, Epoch, FilePlace, Location};

/// Decides what a cleaned segment keeps. Called on the journal's housekeeping thread.
pub trait Survivors: Send {
    /// Pushes one answer per record onto `keep`, which is empty: true if the record is still needed. What is not answered
    /// is kept.
    ///
    /// A record may only be given up because of what has been [appended](crate::Journal::append): the segment is not
    /// replaced before that is durable.
    fn keep(&mut self, records: &[StoredRecord<'_>], keep: &mut Vec<bool>);
}

/// A record in a segment that is being cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRecord<'a> {
    /// Where it lies, before and after.
    pub location: Location,
    /// As pushed.
    pub kind: u8,
    /// As pushed.
    pub stream: u64,
    /// As pushed.
    pub payload: &'a [u8],
}

/// Most records asked for at once.
const RECORDS_PER_STEP: usize = 512;
/// Most bytes asked for or written at once, unless one record has more.
const BYTES_PER_STEP: u64 = 1024 * 1024;

/// A record found in the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) entry: CompactEntry,
    /// Where its payload is in the source file.
    pub(crate) source: u32,
}

/// What cleaning needs to know of the journal.
pub(crate) struct Place<'a> {
    pub(crate) disk: &'a Vault,
    pub(crate) folder: &'a Path,
    pub(crate) identity: u64,
    pub(crate) epoch: Epoch,
}

/// The cleaning of one segment, step by step.
pub(crate) struct CleanJob {
    pub(crate) segment: ClosedSegment,
    /// The last batch that was appended when survivors were last asked for.
    pub(crate) asked_at: BatchSequence,
    survivors: Box<dyn Survivors>,
    /// The whole source file.
    bytes: Vec<u8>,
    /// All records; those kept move to the front as they are asked for.
    records: Vec<Found>,
    asked: usize,
    kept: usize,
    output: Option<Output>,
}

/// The compact file being written.
struct Output {
    file: Arc<dyn DiskFile>,
    length_bytes: u64,
    copied: usize,
    header_copy: [u8; crate::format::HEADER_BYTES],
    /// What follows what is written.
    waiting: Vec<u8>,
    written_bytes: u64,
    block_bytes: u64,
}

/// What [`CleanJob::step`] came to.
pub(crate) enum Progress {
    /// Survivors were asked for.
    Asked,
    Copied,
    /// The temporary file is complete and durable; its length, or 0 if nothing survives and there is none.
    Ready(u64),
}

impl CleanJob {
    /// Reads the segment.
    ///
    /// # Errors
    /// Why it can't be cleaned: it cannot be read, or it is damaged, and where first.
    pub(crate) fn new(
        place: &Place<'_>,
        segment: ClosedSegment,
        survivors: Box<dyn Survivors>,
    ) -> Result<CleanJob, GiveUp> {
        let name = segment.file_name();
        let file = place.disk.open_to_read(&place.folder.join(&name));
        let file = file.map_err(|error| GiveUp::Harmless(format!("open {name}: {error}")))?;
        let mut bytes = Vec::new();
        read_whole(file.as_ref(), &mut bytes).map_err(|error| GiveUp::Harmless(format!("read {name}: {error}")))?;
        let records = if segment.compact {
            records_of_compact(file.as_ref(), &bytes, place.identity, segment.first)
        } else {
            recovery::records_of_segment(&bytes, place.identity, &segment)
        };
        let records = records.map_err(|offset_bytes| GiveUp::Damaged(FilePlace { file: name, offset_bytes }))?;
        Ok(CleanJob {
            segment,
            asked_at: BatchSequence::NONE,
            survivors,
            bytes,
            records,
            asked: 0,
            kept: 0,
            output: None,
        })
    }

    /// Does the next part.
    pub(crate) fn step(&mut self, place: &Place<'_>) -> Result<Progress, String> {
        if self.asked < self.records.len() {
            self.ask();
            return Ok(Progress::Asked);
        }
        if self.kept == 0 {
            return Ok(Progress::Ready(0));
        }
        let Some(output) = &mut self.output else {
            self.output = Some(self.begin(place)?);
            return Ok(Progress::Copied);
        };
        let length_bytes = output.length_bytes;
        if output.copied < self.kept {
            let done = output.copy(&self.records[..self.kept], &self.bytes);
            return done.map(|()| Progress::Copied).map_err(|error| format!("write the compact file: {error}"));
        }
        output.finish().map_err(|error| format!("finish the compact file: {error}"))?;
        Ok(Progress::Ready(length_bytes))
    }

    fn ask(&mut self) {
        let chunk = &self.records[self.asked..];
        let count = portion(chunk).min(RECORDS_PER_STEP);
        let segment = self.segment.first;
        let bytes = &self.bytes;
        let stored: Vec<_> = chunk[..count].iter().map(|found| found.stored(segment, bytes)).collect();
        let mut keep = Vec::with_capacity(count);
        self.survivors.keep(&stored, &mut keep);
        for index in 0..count {
            if keep.get(index).copied().unwrap_or(true) {
                self.records[self.kept] = self.records[self.asked + index];
                self.kept += 1;
            }
        }
        self.asked += count;
    }

    fn begin(&mut self, place: &Place<'_>) -> Result<Output, String> {
        let kept = &mut self.records[..self.kept];
        let length_bytes = compact::lay_out(kept.iter_mut().map(|found| &mut found.entry));
        if length_bytes >= self.segment.len_bytes {
            return Err("the segment would not get smaller".to_owned());
        }
        let entries = kept.iter().map(|found| found.entry);
        let range = (self.segment.first, self.segment.last);
        let (head, header_copy) = compact::encode(entries, (place.identity, place.epoch), range, length_bytes);
        let create = || {
            let file = place.disk.create(&place.folder.join(names::COMPACT_TEMPORARY))?;
            file.allocate(length_bytes)?;
            Ok(file)
        };
        let file = create().map_err(|error: io::Error| format!("begin the compact file: {error}"))?;
        let block_bytes = place.disk.block_bytes();
        Ok(Output { file, length_bytes, copied: 0, header_copy, waiting: head, written_bytes: 0, block_bytes })
    }
}

impl Output {
    fn copy(&mut self, kept: &[Found], bytes: &[u8]) -> io::Result<()> {
        let rest = &kept[self.copied..];
        let count = portion(rest);
        rest[..count].iter().for_each(|found| self.waiting.extend_from_slice(found.payload(bytes)));
        self.copied += count;
        self.write(self.waiting.len() as u64 / self.block_bytes * self.block_bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        let rest_bytes = (self.length_bytes - self.written_bytes) as usize;
        self.waiting.resize(rest_bytes - self.header_copy.len(), 0);
        self.waiting.extend_from_slice(&self.header_copy);
        self.write(rest_bytes as u64)?;
        self.file.sync_data()
    }

    /// Writes so much of what waits: whole blocks, or all there is.
    fn write(&mut self, count: u64) -> io::Result<()> {
        let bytes = &self.waiting[..count as usize];
        write_all_at(self.file.as_ref(), self.written_bytes, &mut [IoSlice::new(bytes)])?;
        self.written_bytes += count;
        self.waiting.drain(..count as usize);
        Ok(())
    }
}

impl Found {
    fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.source as usize;
        bytes.get(start..start + self.entry.length_bytes as usize).unwrap_or_default()
    }

    fn stored<'a>(&self, segment: BatchSequence, bytes: &'a [u8]) -> StoredRecord<'a> {
        let CompactEntry { old, length_bytes, payload_crc, stream, kind, .. } = self.entry;
        let location = Location { segment, offset: old, length_bytes, crc: payload_crc };
        StoredRecord { location, kind, stream, payload: self.payload(bytes) }
    }
}

/// How many records make up one step; at least one.
fn portion(records: &[Found]) -> usize {
    let mut bytes = 0;
    let fits = |found: &&Found| {
        bytes += u64::from(found.entry.length_bytes);
        bytes <= BYTES_PER_STEP
    };
    records.iter().take_while(fits).count().max(1)
}

/// All records of a compact file. The error is the first place that is damaged; 0 for the map, which stands at the start.
fn records_of_compact(
    file: &dyn DiskFile,
    bytes: &[u8],
    identity: u64,
    first: BatchSequence,
) -> Result<Vec<Found>, u64> {
    let map = compact::read_map(file, identity, first).ok().filter(|map| map.damaged == 0).ok_or(0u64)?;
    let found = |entry: CompactEntry| {
        entry.payload(bytes).map(|_| Found { entry, source: entry.new }).ok_or(u64::from(entry.new))
    };
    map.entries.into_iter().map(found).collect()
}
