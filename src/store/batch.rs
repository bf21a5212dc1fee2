//! Batches and snapshots as the caller builds them.

use bytes::{Bytes, BytesMut};

use crate::format::{ALIGNMENT_BYTES, ENTRY_BYTES, Entry, HEADER_BYTES, seal_table};
use crate::types::{BatchSequence, Placed, SyncMode};

/// Collects the records of one batch. Reused from batch to batch, it settles into no allocation per record.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    table: BytesMut,
    payload: BytesMut,
    records: u32,
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> BatchBuilder {
        BatchBuilder::default()
    }

    /// Adds a record: `kind` and `payload` (the concatenation of `parts`) mean something to the caller only, `stream` names
    /// whom it concerns, so that damage can be attributed.
    ///
    /// Returns where the payload lies within the batch. Limit: a batch has less than 4 GiB;
    /// [`Journal::append`](crate::Journal::append) refuses what exceeds a segment.
    pub fn push(&mut self, kind: u8, stream: u64, parts: &[&[u8]]) -> Placed {
        let start = self.payload.len();
        for part in parts {
            self.payload.extend_from_slice(part);
        }
        let payload_crc = crc32c::crc32c(&self.payload[start..]);
        let (start, length_bytes) = (start as u32, (self.payload.len() - start) as u32);
        let entry = Entry { start, length_bytes, stream, kind, payload_crc };
        self.table.extend_from_slice(&entry.encode());
        self.records += 1;
        Placed { start, length_bytes, crc: payload_crc }
    }

    /// True before the first `push` and after `finish`.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Size the batch would have on disk, without padding to a sector.
    pub fn len_bytes(&self) -> u64 {
        encoded_bytes(self.table.len(), self.payload.len())
    }

    /// Takes the records as batch `sequence` and leaves the builder empty for the next.
    pub fn finish(&mut self, sequence: BatchSequence, sync: SyncMode) -> Batch {
        seal_table(&mut self.table, sequence);
        Batch {
            sequence,
            sync,
            records: std::mem::take(&mut self.records),
            table: self.table.split().freeze(),
            payload: self.payload.split().freeze(),
        }
    }
}

/// Records that become durable together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub(crate) sequence: BatchSequence,
    pub(crate) sync: SyncMode,
    pub(crate) records: u32,
    pub(crate) table: Bytes,
    pub(crate) payload: Bytes,
}

impl Batch {
    /// The sequence it was finished with.
    pub fn sequence(&self) -> BatchSequence {
        self.sequence
    }

    /// Number of records.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Size on disk, without padding to a sector.
    pub fn len_bytes(&self) -> u64 {
        encoded_bytes(self.table.len(), self.payload.len())
    }
}

fn encoded_bytes(table_bytes: usize, payload_bytes: usize) -> u64 {
    debug_assert!(table_bytes.is_multiple_of(ENTRY_BYTES));
    ((2 * HEADER_BYTES + table_bytes + payload_bytes) as u64).next_multiple_of(ALIGNMENT_BYTES)
}

/// Chunks are cut here, so damage that takes out a chunk's table stays local.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// The whole state after some batch, as encoded records. Cheap to clone: the chunks are shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) chunks: Vec<Batch>,
}

impl Snapshot {
    /// Approximate size on disk.
    pub fn len_bytes(&self) -> u64 {
        self.chunks.iter().map(Batch::len_bytes).sum()
    }
}

/// Collects the records of a snapshot.
#[derive(Debug, Default)]
pub struct SnapshotBuilder {
    builder: BatchBuilder,
    chunks: Vec<Batch>,
}

impl SnapshotBuilder {
    /// An empty builder.
    pub fn new() -> SnapshotBuilder {
        SnapshotBuilder::default()
    }

    /// Adds a record, as [`BatchBuilder::push`]. Limit per record: 4 GiB.
    pub fn push(&mut self, kind: u8, stream: u64, parts: &[&[u8]]) {
        self.builder.push(kind, stream, parts);
        if self.builder.len_bytes() >= CHUNK_BYTES {
            self.cut();
        }
    }

    /// Takes the records.
    pub fn finish(mut self) -> Snapshot {
        if !self.builder.is_empty() {
            self.cut();
        }
        // An empty chunk says "complete": a snapshot file that lost its end is noticed.
        self.cut();
        Snapshot { chunks: self.chunks }
    }

    fn cut(&mut self) {
        let number = BatchSequence(self.chunks.len() as u64 + 1);
        self.chunks.push(self.builder.finish(number, SyncMode::Needed));
    }
}
