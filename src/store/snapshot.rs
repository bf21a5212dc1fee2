//! Writes a snapshot beside the journal: temporary file, sync, rename, sync of the folder. Only then may the batches it
//! covers go. A crash at any point leaves either the old snapshot with its batches or the new one.

use std::io;
use std::sync::Arc;

use crate::batch::Snapshot;
use crate::disk::{DiskFile, write_all_at};
use crate::format::Role;
use crate::frames::{Frames, Framing};
use crate::types::{BatchSequence, Epoch};

/// Chunks per write: bounds how long one step holds the disk.
const CHUNKS_PER_STEP: usize = 4;

/// A snapshot being written, a few MiB per step.
pub(crate) struct SnapshotJob {
    pub(crate) at: BatchSequence,
    snapshot: Snapshot,
    file: Arc<dyn DiskFile>,
    chunks_done: usize,
    /// Bytes written.
    pub(crate) offset: u64,
    previous_crc: u32,
}

impl SnapshotJob {
    pub(crate) fn new(at: BatchSequence, snapshot: Snapshot, file: Arc<dyn DiskFile>) -> SnapshotJob {
        SnapshotJob { at, snapshot, file, chunks_done: 0, offset: 0, previous_crc: 0 }
    }

    /// True when all is written.
    pub(crate) fn is_written(&self) -> bool {
        self.chunks_done == self.snapshot.chunks.len()
    }

    /// Writes the next part. After an error the same part can be tried again.
    pub(crate) fn write(&mut self, (identity, epoch): (u64, Epoch), block_bytes: u64) -> io::Result<()> {
        let rest = &self.snapshot.chunks[self.chunks_done..];
        let chunks = &rest[..rest.len().min(CHUNKS_PER_STEP)];
        let previous_crc = self.previous_crc;
        let framing = Framing { role: Role::Chunk, identity, epoch, durable: self.at, previous_crc, block_bytes };
        let mut frames = Frames::default();
        frames.rebuild(chunks.iter(), framing, self.offset);
        write_all_at(self.file.as_ref(), self.offset, &mut frames.parts(chunks.iter()))?;
        self.offset += frames.length_bytes;
        self.previous_crc = frames.last_crc;
        self.chunks_done += chunks.len();
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
