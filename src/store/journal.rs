//! The seam: what the broker knows of a journal. Nothing here is about files, so that the same trait can run on a
//! replicated log (NATS JetStream) later.

use thiserror::Error;

use crate::batch::{Batch, Snapshot};
use crate::clean::Survivors;
use crate::reader::Reader;
use crate::types::{BatchPlace, BatchSequence, Epoch, FilePlace, SegmentInfo};

/// An append-only sequence of batches with a watermark: everything up to [`Journal::durable`] survives. Its records can be
/// read back for as long as their segments are kept.
pub trait Journal: Send + Sync {
    /// Enqueues a batch; never waits for the disk. [`JournalEvent::Durable`] says when it survives, and for
    /// [`SyncMode::Lazy`](crate::SyncMode::Lazy) batches [`JournalEvent::Written`] that it is on its way.
    ///
    /// `expected` must be the next sequence and the one the batch was finished with; `epoch` the one of this opening.
    /// While the disk is full, batches are still accepted and kept in memory: the caller limits them by
    /// [`Journal::pending_bytes`].
    fn append(&self, batch: Batch, expected: BatchSequence, epoch: Epoch) -> Result<(), AppendError>;

    /// The same, for a caller who has more to append at once: a journal that sleeps may sleep on until [`Journal::wake`], which the
    /// caller must not forget.
    fn append_on(&self, batch: Batch, expected: BatchSequence, epoch: Epoch) -> Result<(), AppendError> {
        self.append(batch, expected, epoch)
    }

    /// Ends what [`Journal::append_on`] began. Nothing happens if nothing was appended.
    fn wake(&self) {}

    /// Somebody waits for a [`SyncMode::Lazy`](crate::SyncMode::Lazy) batch after all: what has been appended is synced soon.
    fn sync(&self);

    /// Everything up to this batch is durable.
    fn durable(&self) -> BatchSequence;

    /// Everything up to this batch is with the operating system: it survives the end of the process, and its places are known.
    fn written(&self) -> BatchSequence;

    /// Bytes accepted and not yet written, or not yet durable if they need to be: for back-pressure.
    fn pending_bytes(&self) -> u64;

    /// Whether it can write.
    fn status(&self) -> JournalStatus;

    /// Stores `state`, which must be the state after batch `at`, then gives the space of the batches up to `at` back.
    /// Starts once `at` is durable; ends with [`JournalEvent::SnapshotDone`] or [`JournalEvent::SnapshotFailed`].
    fn snapshot(&self, at: BatchSequence, state: Snapshot) -> Result<(), SnapshotError>;

    /// Moves the places of the batches up to `up_to` that have been written into `out`, oldest first. Each is handed out once,
    /// and is known before the batch is announced. Only with [`Options::keep_segments`](crate::Options::keep_segments).
    fn take_places(&self, up_to: BatchSequence, out: &mut Vec<BatchPlace>);

    /// A reader of stored records, for use on any thread.
    fn reader(&self) -> Box<dyn Reader>;

    /// Gives up a segment: none of its records will be read again. It is freed once a durable snapshot covers it and
    /// everything appended up to now is durable. Needed with
    /// [`Options::keep_segments`](crate::Options::keep_segments) only.
    ///
    /// A segment that is unknown, released already or being written is left alone. Before a segment is released, the places
    /// of all batches up to its last must have been taken: the caller can't otherwise know what lies in it.
    fn release(&self, segment: BatchSequence);

    /// The segment is known to be damaged, in a record or wherever a cleaning met it: it is never cleaned, and when it is freed, its
    /// file goes into quarantine. What is not damaged in it can be read as before. An open looks at segments that no
    /// snapshot covers itself; what was said of others is forgotten by then.
    fn condemn(&self, segment: BatchSequence) {
        let _ = segment;
    }

    /// Rewrites a closed segment that a snapshot covers, with only the records that `survivors` keeps; their locations
    /// stay true. Ends with [`JournalEvent::Cleaned`] or [`JournalEvent::CleanFailed`]. One snapshot or cleaning at a time.
    fn clean(&self, segment: BatchSequence, survivors: Box<dyn Survivors>) -> Result<(), CleanError>;

    /// All segments, oldest first.
    fn segments(&self) -> Vec<SegmentInfo>;

    /// Bytes of batches behind the last durable snapshot, about: what a recovery would replay.
    fn bytes_since_snapshot(&self) -> u64;

    /// Bytes the journal occupies.
    fn disk_bytes(&self) -> u64;

    /// The epoch appends must carry.
    fn epoch(&self) -> Epoch;

    /// What was accepted is written, and then the journal has failed, for this reason: its owner cannot go on. Nothing is accepted
    /// from now on.
    fn give_up(&self, reason: &str);

    /// Makes everything accepted durable and stops. Blocks. Further appends are refused; a second call does nothing.
    fn close(&self) -> Result<(), CloseError>;
}

/// Called on the journal's thread: must be cheap and must not call back into [`Journal::close`].
pub type Listener = Box<dyn Fn(JournalEvent) + Send>;

/// What the journal tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEvent {
    /// Everything up to this batch is written. Only said of a group with a [`SyncMode::Lazy`](crate::SyncMode::Lazy) batch in
    /// it, and before `Durable`.
    Written(BatchSequence),
    /// Everything up to this batch is durable: confirm it.
    Durable(BatchSequence),
    /// No space left. Nothing is lost or confirmed; block publishers.
    Full,
    /// Space is back, pending batches have been written.
    Writable,
    /// The journal is dead for good: stop confirming.
    Failed(String),
    /// The snapshot at this batch is durable; what it covers is being freed.
    SnapshotDone(BatchSequence),
    /// The snapshot was given up (no space, usually); the journal itself goes on.
    SnapshotFailed(String),
    /// The segment is cleaned and takes so much space now; 0 if nothing survived and it is gone.
    Cleaned { segment: BatchSequence, len_bytes: u64 },
    /// The segment was not cleaned and is as it was. A damaged one never will be: don't ask again, and
    /// [condemn](Journal::condemn) it. `damage` is the first place that is not as it was written.
    CleanFailed { segment: BatchSequence, reason: String, damage: Option<FilePlace> },
}

/// See [`Journal::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalStatus {
    /// Writes.
    Healthy,
    /// Waits for space.
    Full,
    /// Dead, with the reason.
    Failed(String),
}

/// Why a batch was not accepted. Nothing of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// Somebody else appended, or a batch was skipped or repeated.
    #[error("batch {offered} offered at position {expected}, but the journal continues with {next}")]
    WrongSequence { offered: BatchSequence, expected: BatchSequence, next: BatchSequence },
    /// The caller belongs to an older (or foreign) opening of the journal.
    #[error("epoch {offered} is fenced off: the journal is in epoch {current}")]
    WrongEpoch { offered: Epoch, current: Epoch },
    /// Larger than a segment.
    #[error("batch of {batch_bytes} bytes exceeds the segment of {limit_bytes} bytes")]
    TooLarge { batch_bytes: u64, limit_bytes: u64 },
    /// `close` was called.
    #[error("the journal is closed")]
    Closed,
    /// A fatal error happened before.
    #[error("the journal failed: {0}")]
    Failed(String),
}

/// Why a snapshot was not started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// A snapshot or a cleaning is under way; try again after its event.
    #[error("a snapshot or a cleaning is under way")]
    Busy,
    /// The position lies before the last snapshot or behind the last batch.
    #[error("snapshot at {at} is outside of {oldest}..={newest}")]
    OutOfRange { at: BatchSequence, oldest: BatchSequence, newest: BatchSequence },
    /// `close` was called.
    #[error("the journal is closed")]
    Closed,
    /// A fatal error happened before.
    #[error("the journal failed: {0}")]
    Failed(String),
}

/// Why a cleaning was not started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CleanError {
    /// A snapshot or a cleaning is under way; try again after its event.
    #[error("a snapshot or a cleaning is under way")]
    Busy,
    /// It is not one of [`Journal::segments`].
    #[error("there is no segment {segment}")]
    Unknown { segment: BatchSequence },
    /// It stays as it is until it is freed.
    #[error("segment {segment} is damaged")]
    Damaged { segment: BatchSequence },
    /// It is being written, or no durable snapshot covers it.
    #[error("no snapshot covers segment {segment}")]
    NotCovered { segment: BatchSequence },
    /// `close` was called.
    #[error("the journal is closed")]
    Closed,
    /// A fatal error happened before.
    #[error("the journal failed: {0}")]
    Failed(String),
}

/// Why `close` could not make everything durable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CloseError {
    /// The disk stayed full; these bytes were never confirmed.
    #[error("the disk is full: {pending_bytes} unconfirmed bytes were dropped")]
    Full { pending_bytes: u64 },
    /// A fatal error happened.
    #[error("the journal failed: {0}")]
    Failed(String),
}
