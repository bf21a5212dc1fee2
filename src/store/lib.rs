//! The journal: what makes "confirmed" mean "still there after the power came back".
//!
//! Batches of opaque records go in, watermarks come out ([`Journal`]), and records are read back by [`Location`].
//! [`FileJournal`] keeps them in segment files and syncs once for everything that waits. What a record means is the caller's business: there are no queues, no messages and
//! no protocols here, and this is the only crate that calls fsync. `README.md` has format, guarantees and failures.
//!
//! All files are reached through [`Disk`]: [`RealDisk`], or [`simulated::SimulatedDisk`], which loses, tears and reorders
//! what was not synced.

mod batch;
mod clean;
mod compact;
mod disk;
mod file_journal;
mod filling;
mod format;
mod frames;
mod growth;
mod housekeeper;
mod jobs;
mod journal;
mod meta;
mod names;
mod reader;
mod real_disk;
mod recovery;
mod reseal;
mod sealed;
mod segments;
mod shared;
pub mod simulated;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod writer;

pub use batch::{Batch, BatchBuilder, Snapshot, SnapshotBuilder};
pub use clean::{StoredRecord, Survivors};
pub use disk::{Disk, DiskFile, DiskLock, put_file};
pub use file_journal::{FileJournal, SteppedJournal};
pub use housekeeper::Housekeeper;
pub use journal::{AppendError, CleanError, CloseError, Journal, JournalEvent, JournalStatus, Listener, SnapshotError};
pub use reader::{ReadError, Reader};
pub use real_disk::RealDisk;
pub use recovery::{
    DAMAGES_LISTED_MAX, Damage, Inspected, OpenError, Recovered, RecoveryReport, Sealing, Visitor, inspect,
};
pub use reseal::{Resealed, Resealing};
pub use sealed::{KEY_BYTES, KeyId, Keyring, MasterKey, SealError};
pub use types::{
    BatchPlace, BatchSequence, Epoch, FilePlace, Location, Options, Placed, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
    SegmentInfo, SyncMode,
};
pub use writer::{Step, Writer};
