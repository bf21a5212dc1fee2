//! Walks through the batches of one file, and tells a torn tail from damage.
//!
//! The rule: a batch that is *proven* durable was once whole, so if it is not now, that is damage, which is reported and
//! stepped over. A batch that is not proven may just not have been finished when the power went: it and all
//! behind it is cut. Proof is the seal, the name of the next segment, a snapshot, or any later header's `durable` field.

use super::view::BatchView;
use crate::format::{ALIGNMENT_BYTES, ENTRY_BYTES, HEADER_BYTES, Header, HeaderError, Role, starts_like_header};
use crate::types::{BatchSequence, Epoch};

/// What comes next in the file.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A batch, intact or proven.
    Batch(BatchView<'a>),
    /// Proven batches of which nothing is left.
    Lost { first: BatchSequence, last: BatchSequence },
    /// The end; this many bytes behind it belonged to unfinished batches.
    End { torn_bytes: u64 },
}

/// Position in one file.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    head: Role,
    identity: u64,
    offset: usize,
    pub(super) expected: BatchSequence,
    /// First batch of the next file.
    limit: Option<BatchSequence>,
    proven: BatchSequence,
    /// All later headers have been asked for proof.
    searched: bool,
    finished: bool,
    /// Chain checksum of the previous batch; 0 if unknown.
    pub(super) previous_crc: u32,
    pub(super) epoch: Epoch,
}

/// What is known when a file is entered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entrance {
    pub(super) identity: u64,
    pub(super) expected: BatchSequence,
    pub(super) limit: Option<BatchSequence>,
    pub(super) proven: BatchSequence,
    pub(super) previous_crc: u32,
    pub(super) epoch: Epoch,
}

/// The result of a search behind an unreadable place.
enum Landmark {
    /// The copy of the expected batch's header.
    Copy(Header),
    /// The header of a later batch.
    Later(Header),
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], head: Role, entrance: Entrance) -> Walk<'a> {
        let Entrance { identity, expected, limit, proven, previous_crc, epoch } = entrance;
        // All of a file that has a successor is proven, and what is proven behind it does not concern this file.
        let proven = limit.map_or(proven, BatchSequence::previous);
        let finished = limit == Some(expected);
        Walk {
            bytes,
            head,
            identity,
            offset: 0,
            expected,
            limit,
            proven,
            searched: false,
            finished,
            previous_crc,
            epoch,
        }
    }

    /// Bytes from the start of the file that are accounted for.
    pub(super) fn offset_bytes(&self) -> u64 {
        self.offset as u64
    }

    /// The next find. The error is the version of a newer format.
    pub(super) fn next(&mut self) -> Result<Found<'a>, u16> {
        if self.finished || self.limit == Some(self.expected) {
            return Ok(Found::End { torn_bytes: 0 });
        }
        if let Some(header) = self.head_here()? {
            let view = BatchView::new(self.bytes, header);
            if view.intact || self.is_proven() {
                return Ok(self.accept(view));
            }
            return Ok(self.end(u64::from(header.length_bytes)));
        }
        let landmark = self.search();
        Ok(if self.is_proven() { self.step_over(landmark) } else { self.end(self.torn_bytes(landmark)) })
    }

    fn is_proven(&mut self) -> bool {
        if self.expected > self.proven && !self.searched {
            self.search();
        }
        self.expected <= self.proven
    }

    fn accept(&mut self, view: BatchView<'a>) -> Found<'a> {
        let header = view.header;
        self.offset = self.offset.saturating_add(header.length_bytes as usize).min(self.bytes.len());
        self.expected = header.sequence.next();
        self.previous_crc = header.chain_crc(self.head);
        self.epoch = header.epoch;
        self.proven = self.proven.max(header.durable);
        Found::Batch(view)
    }

    fn step_over(&mut self, landmark: Option<Landmark>) -> Found<'a> {
        let first = self.expected;
        self.previous_crc = 0;
        match landmark {
            Some(Landmark::Copy(header)) => return self.accept(BatchView::new(self.bytes, header)),
            Some(Landmark::Later(header)) if header.sequence <= self.proven.next() => {
                self.offset = header.offset as usize;
                self.expected = header.sequence;
            }
            _ => {
                self.expected = self.proven.next();
                self.finished = true;
            }
        }
        Found::Lost { first, last: self.expected.previous() }
    }

    fn end(&mut self, torn_bytes: u64) -> Found<'a> {
        self.finished = true;
        Found::End { torn_bytes: torn_bytes.min((self.bytes.len() - self.offset) as u64) }
    }

    fn torn_bytes(&self, landmark: Option<Landmark>) -> u64 {
        match landmark {
            Some(Landmark::Copy(header)) => u64::from(header.length_bytes),
            Some(Landmark::Later(header)) => header.offset + u64::from(header.length_bytes) - self.offset as u64,
            None => 0,
        }
    }

    fn head_here(&self) -> Result<Option<Header>, u16> {
        match Header::decode(self.bytes.get(self.offset..).unwrap_or_default()) {
            Ok(header) if self.is_expected(&header) => Ok(Some(header)),
            Err(HeaderError::NewerVersion(version)) => Err(version),
            _ => Ok(None),
        }
    }

    fn is_expected(&self, header: &Header) -> bool {
        self.belongs(header) && header.role == self.head && self.is_next(header)
    }

    /// The very batch that has to come here: right place in the order, in the file, and in the chain.
    fn is_next(&self, header: &Header) -> bool {
        let chained = self.previous_crc == 0 || header.previous_crc == 0 || header.previous_crc == self.previous_crc;
        header.sequence == self.expected && header.offset == self.offset as u64 && chained
    }

    /// Not left over from an earlier use of the file, not from another journal, not impossible.
    fn belongs(&self, header: &Header) -> bool {
        let least = 2 * HEADER_BYTES as u64 + u64::from(header.records) * ENTRY_BYTES as u64;
        header.identity == self.identity
            && header.epoch >= self.epoch
            && header.sequence >= self.expected
            && self.limit.is_none_or(|limit| header.sequence < limit)
            && u64::from(header.length_bytes) >= least
    }

    /// Looks for the first landmark behind the current place; the first search goes on to the end of the file for proof.
    fn search(&mut self) -> Option<Landmark> {
        let mut landmark = None;
        let mut place = self.offset;
        while let Some(rest) = self.bytes.get(place..).filter(|rest| rest.len() >= HEADER_BYTES) {
            if starts_like_header(rest)
                && let Ok(header) = Header::decode(rest)
                && self.belongs(&header)
            {
                self.proven = self.proven.max(header.durable.min(self.limit_last()));
                landmark = landmark.or_else(|| self.landmark(header, place));
            }
            if landmark.is_some() && self.searched {
                break;
            }
            place += ALIGNMENT_BYTES as usize;
        }
        self.searched = true;
        landmark
    }

    fn limit_last(&self) -> BatchSequence {
        self.limit.map_or(BatchSequence(u64::MAX), BatchSequence::previous)
    }

    fn landmark(&self, header: Header, place: usize) -> Option<Landmark> {
        let copy_place = self.offset + header.length_bytes as usize - HEADER_BYTES;
        if header.role == self.head.copy() && self.is_next(&header) && place == copy_place {
            return Some(Landmark::Copy(Header { role: self.head, ..header }));
        }
        let later = header.role == self.head && header.sequence > self.expected && header.offset == place as u64;
        later.then_some(Landmark::Later(header))
    }
}
