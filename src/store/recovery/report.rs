//! What recovery tells its caller.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::sealed::{KeyId, SealError};
use crate::types::{BatchSequence, Epoch, Location};

/// Most damages kept in a report; all are counted and shown to the visitor.
pub const DAMAGES_LISTED_MAX: usize = 1_000;

/// What recovery hands to the visitor, in order: the snapshot's records, then the batches behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered<'a> {
    /// A record of the snapshot.
    SnapshotRecord { kind: u8, stream: u64, payload: &'a [u8] },
    /// A record of a batch behind the snapshot.
    Record { sequence: BatchSequence, location: Location, kind: u8, stream: u64, payload: &'a [u8] },
    /// Something durable that can't be read any more; it takes its place in the order.
    Damaged(&'a Damage),
}

/// A loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Whom it concerns, if that is still readable. `None`: anybody.
    pub stream: Option<u64>,
    /// First batch hurt. For a snapshot, its position.
    pub first: BatchSequence,
    /// Last batch hurt.
    pub last: BatchSequence,
    /// It is in the snapshot, not in a batch.
    pub in_snapshot: bool,
    /// What happened, with the file's name.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The new epoch: appends must carry it.
    pub epoch: Epoch,
    /// The last batch; the next append is the one after it.
    pub last: BatchSequence,
    /// Position of the snapshot used; 0 if there was none.
    pub snapshot_at: BatchSequence,
    /// Records delivered from the snapshot.
    pub snapshot_records: u64,
    /// Batches delivered behind the snapshot.
    pub batches: u64,
    /// Records delivered from those batches.
    pub records: u64,
    /// Unconfirmed bytes at the end that were cut. Normal after a power failure.
    pub torn_bytes: u64,
    /// Number of damages.
    pub damages: u64,
    /// The first [`DAMAGES_LISTED_MAX`] of them.
    pub damaged: Vec<Damage>,
    /// How the files are sealed.
    pub sealing: Sealing,
    /// Damage without loss (a meta file rebuilt, for example), for the log.
    pub notes: Vec<String>,
}

/// With which keys the files were sealed that hold records, when the journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealing {
    /// Files that are not sealed.
    pub bare: u64,
    /// Files by master key.
    pub sealed: BTreeMap<KeyId, u64>,
}

/// Why a journal can't be opened. Damage is not among the reasons.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Two processes on one folder would destroy it.
    #[error("journal {folder} is in use by another process")]
    InUse { folder: String },
    /// A newer Crossdock has written here.
    #[error(
        "{file} has format version {found}, this Crossdock reads up to version {supported}: \
         start the newer version, or restore a backup made by this one"
    )]
    NewerVersion { file: String, found: u16, supported: u16 },
    /// A file is encrypted, and what its header names does not open it.
    #[error("{file} in journal {folder} cannot be read: {reason}")]
    Sealed { file: String, folder: String, reason: SealError },
    /// The disk refuses to work.
    #[error("{action} in journal {folder}: {source}")]
    Disk { action: &'static str, folder: String, source: std::io::Error },
    /// A thread could not be started.
    #[error("start the journal's threads: {0}")]
    Thread(std::io::Error),
}
