//! Batches on their way to the disk: headers and copies around the callers' bytes. Large batches are linked, small ones
//! copied: a part of its own costs the system call more than the copy.

use std::io::IoSlice;

use crate::batch::Batch;
use crate::format::{FORMAT_VERSION, HEADER_BYTES, Header, Role, table_crc};
use crate::types::{BatchSequence, Epoch};

/// What the headers of a group have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Framing {
    pub(crate) role: Role,
    pub(crate) identity: u64,
    pub(crate) epoch: Epoch,
    pub(crate) durable: BatchSequence,
    pub(crate) previous_crc: u32,
    /// Groups are padded to multiples of this.
    pub(crate) block_bytes: u64,
}

/// Batches from this size on are not copied.
const LINKED_BYTES_MIN: u64 = 16 * 1024;

/// A framed group, ready for one vectored write.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Headers, small batches, copies and padding, in file order.
    frame: Vec<u8>,
    /// Ends of the headers of large batches in `frame`: there the table and payloads go in between.
    cuts: Vec<usize>,
    /// Where each batch starts in the file.
    pub(crate) starts: Vec<u64>,
    /// Bytes the group takes, whole blocks.
    pub(crate) length_bytes: u64,
    /// Checksum of the last header, for the chain.
    pub(crate) last_crc: u32,
}

impl Frames {
    /// Frames `batches` for a write at `offset`, a block boundary. The last batch is padded to whole blocks.
    pub(crate) fn rebuild<'a>(
        &mut self,
        batches: impl ExactSizeIterator<Item = &'a Batch>,
        framing: Framing,
        offset: u64,
    ) {
        self.frame.clear();
        self.cuts.clear();
        self.starts.clear();
        self.length_bytes = 0;
        self.last_crc = framing.previous_crc;
        let last = batches.len().saturating_sub(1);
        for (index, batch) in batches.enumerate() {
            self.add(batch, framing, offset + self.length_bytes, index == last);
        }
    }

    fn add(&mut self, batch: &Batch, framing: Framing, offset: u64, is_last: bool) {
        self.starts.push(offset);
        let end = offset + batch.len_bytes();
        let length_bytes = if is_last { end.next_multiple_of(framing.block_bytes) - offset } else { end - offset };
        let header = Header {
            version: FORMAT_VERSION,
            role: framing.role,
            identity: framing.identity,
            epoch: framing.epoch,
            sequence: batch.sequence,
            durable: framing.durable,
            offset,
            length_bytes: length_bytes as u32,
            records: batch.records,
            table_crc: table_crc(&batch.table),
            previous_crc: self.last_crc,
        };
        let (bytes, crc) = header.encode();
        self.frame.extend_from_slice(&bytes);
        if is_linked(batch) {
            self.cuts.push(self.frame.len());
        } else {
            self.frame.extend_from_slice(&batch.table);
            self.frame.extend_from_slice(&batch.payload);
        }
        let content = 2 * HEADER_BYTES + batch.table.len() + batch.payload.len();
        self.frame.resize(self.frame.len() + length_bytes as usize - content, 0);
        self.frame.extend_from_slice(&Header { role: framing.role.copy(), ..header }.encode().0);
        self.length_bytes += length_bytes;
        self.last_crc = crc;
    }

    /// The bytes to write. `batches` as given to `rebuild`.
    pub(crate) fn parts<'a>(&'a self, batches: impl Iterator<Item = &'a Batch>) -> Vec<IoSlice<'a>> {
        let mut parts = Vec::with_capacity(3 * self.cuts.len() + 1);
        let mut start = 0;
        for (cut, batch) in self.cuts.iter().zip(batches.filter(|batch| is_linked(batch))) {
            parts.push(IoSlice::new(&self.frame[start..*cut]));
            parts.push(IoSlice::new(&batch.table));
            parts.push(IoSlice::new(&batch.payload));
            start = *cut;
        }
        parts.push(IoSlice::new(&self.frame[start..]));
        parts
    }
}

fn is_linked(batch: &Batch) -> bool {
    batch.len_bytes() >= LINKED_BYTES_MIN
}
