//! The small words of the journal: sequence, epoch, places, options.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use crate::sealed::Keyring;

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

/// Whether a batch waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// It is synced as soon as it is written: somebody waits for [`JournalEvent::Durable`](crate::JournalEvent::Durable).
    #[default]
    Needed,
    /// It survives `kill -9` once it is written ([`JournalEvent::Written`](crate::JournalEvent::Written)), and a power
    /// failure soon after: with the next batch that needs it, when the journal falls idle, or after a fifth of a second.
    Lazy,
}

/// Where [`BatchBuilder::push`](crate::BatchBuilder::push) put a payload within its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Start of the payload, counted from the first payload of the batch.
    pub start: u32,
    /// Its length.
    pub length_bytes: u32,
    /// Its CRC-32C.
    pub crc: u32,
}

/// Where a batch was written. With a [`Placed`] it gives a [`Location`], see [`BatchPlace::locate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPlace {
    /// The batch.
    pub sequence: BatchSequence,
    /// The segment it lies in, named by its first batch.
    pub segment: BatchSequence,
    /// Where in that segment the batch's payloads begin.
    pub payload_offset: u32,
}

impl BatchPlace {
    /// The location of a record of this batch.
    pub fn locate(&self, placed: Placed) -> Location {
        let Placed { start, length_bytes, crc } = placed;
        Location { segment: self.segment, offset: self.payload_offset.saturating_add(start), length_bytes, crc }
    }
}

/// Where the payload of a stored record lies. It stays true for as long as the segment is not released, whatever the journal
/// does with its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The segment, named by its first batch.
    pub segment: BatchSequence,
    /// Where the payload began in the segment when it was written.
    pub offset: u32,
    /// Length of the payload.
    pub length_bytes: u32,
    /// CRC-32C of the payload.
    pub crc: u32,
}

/// A place in one of the journal's files, for those who look after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// Name of the file in the journal's folder.
    pub file: String,
    /// Counted from the start of the file.
    pub offset_bytes: u64,
}

impl fmt::Display for FilePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "byte {} of {}", self.offset_bytes, self.file)
    }
}

/// A segment, as [`Journal::segments`](crate::Journal::segments) tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its first batch, which is its name.
    pub first: BatchSequence,
    /// Its last batch; `None` while it is being written. If segments behind it were freed before the journal was opened, this
    /// is the last batch before the next segment that exists.
    pub last: Option<BatchSequence>,
    /// Space it takes on disk.
    pub len_bytes: u64,
    /// A durable snapshot stands for all its batches: it is freed when it is released.
    pub covered: bool,
    /// It is known to be damaged: found at the open, or [condemned](crate::Journal::condemn).
    pub damaged: bool,
}

/// Smallest segment: one sector-aligned group must fit with room to spare.
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;
/// Largest segment: positions inside a batch are 32 bits wide.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How a journal is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of one segment file, preallocated; rounded to whole blocks (sectors, without a key) and into
    /// [`SEGMENT_BYTES_MIN`]..=[`SEGMENT_BYTES_MAX`]. A batch must fit into one segment.
    pub segment_bytes: u64,
    /// Most bytes that share one write and one sync (a larger single batch still goes alone).
    pub group_bytes_max: u64,
    /// Emptied segments kept for reuse; more are removed.
    pub spare_segments_max: usize,
    /// False: a snapshot frees every segment it covers. True: only those that were
    /// [released](crate::Journal::release) as well, because records in the others are still read.
    pub keep_segments: bool,
    /// Space kept back for a snapshot on a full disk: without it, a disk that the journal itself filled could never be
    /// freed. 0 keeps none.
    pub reserve_bytes: u64,
    /// Secret of a new journal (an existing one keeps its own): bytes a client chose can't pass for a batch header
    /// without it. The default is random.
    pub identity: u64,
    /// Master keys: with one to seal with, what is written from now on is encrypted. The default has none.
    pub keys: Keyring,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 32 * 1024 * 1024,
            group_bytes_max: 4 * 1024 * 1024,
            // As many as a snapshot frees, which is taken every 128 MiB: what is written at full speed makes and removes no files.
            spare_segments_max: 4,
            keep_segments: false,
            reserve_bytes: 4 * 1024 * 1024,
            identity: RandomState::new().hash_one("crossdock journal"),
            keys: Keyring::default(),
        }
    }
}

impl Options {
    /// The same options with every limit brought into its range.
    pub(crate) fn normalized(mut self, block_bytes: u64) -> Options {
        let bytes = self.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        self.segment_bytes = bytes.next_multiple_of(block_bytes);
        self
    }
}
