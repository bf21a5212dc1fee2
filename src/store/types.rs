//! The small words of the journal: sequence, epoch, durability, options.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// Position of a batch in the journal. The first batch is 1; 0 means "nothing yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchSequence(pub u64);

impl BatchSequence {
    /// Before the first batch.
    pub const NONE: BatchSequence = BatchSequence(0);
    /// The first batch of a journal.
    pub const FIRST: BatchSequence = BatchSequence(1);

    /// The sequence after this one.
    pub fn next(self) -> BatchSequence {
        BatchSequence(self.0.saturating_add(1))
    }

    /// The sequence before this one; [`BatchSequence::NONE`] has none and stays.
    pub fn previous(self) -> BatchSequence {
        BatchSequence(self.0.saturating_sub(1))
    }
}

impl fmt::Display for BatchSequence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Reign of one writer over a journal: every open gets a higher one, and an append with another is refused (fencing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What "durable" means for this journal, strongest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Survives power loss: reported after fdatasync.
    #[default]
    Fsync,
    /// Survives `kill -9`, not power loss: reported once the operating system has the bytes.
    Os,
    /// Survives nothing: batches and snapshots are not written at all.
    Memory,
}

/// Smallest segment: one sector-aligned group must fit with room to spare.
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;
/// Largest segment: positions inside a batch are 32 bits wide.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How a journal is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// See [`Durability`].
    pub durability: Durability,
    /// Size of one segment file, preallocated; rounded to whole sectors and into
    /// [`SEGMENT_BYTES_MIN`]..=[`SEGMENT_BYTES_MAX`]. A batch must fit into one segment.
    pub segment_bytes: u64,
    /// Most bytes that share one write and one sync (a larger single batch still goes alone).
    pub group_bytes_max: u64,
    /// Emptied segments kept for reuse; more are removed.
    pub spare_segments_max: usize,
    /// Space kept back for a snapshot on a full disk: without it, a disk that the journal itself filled could never be
    /// freed. 0 keeps none.
    pub reserve_bytes: u64,
    /// Secret of a new journal (an existing one keeps its own): bytes a client chose can't pass for a batch header
    /// without it. The default is random.
    pub identity: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            durability: Durability::Fsync,
            segment_bytes: 64 * 1024 * 1024,
            group_bytes_max: 4 * 1024 * 1024,
            spare_segments_max: 2,
            reserve_bytes: 16 * 1024 * 1024,
            identity: RandomState::new().hash_one("crossdock journal"),
        }
    }
}

impl Options {
    /// The same options with every limit brought into its range.
    pub(crate) fn normalized(mut self) -> Options {
        let bytes = self.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        self.segment_bytes = bytes.next_multiple_of(crate::format::SECTOR_BYTES);
        self
    }
}
