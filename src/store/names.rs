//! Names of the files in a journal's folder.

use std::path::{Path, PathBuf};

use crate::types::BatchSequence;

/// Identity, epoch and seal.
pub(crate) const META: &str = "journal.meta";
/// A meta file on its way to becoming [`META`].
pub(crate) const META_TEMPORARY: &str = "journal.meta.temporary";
/// A snapshot on its way to becoming one.
pub(crate) const SNAPSHOT_TEMPORARY: &str = "snapshot.temporary";
/// A compact file on its way to becoming one.
pub(crate) const COMPACT_TEMPORARY: &str = "compact.temporary";
/// A file on its way to being encrypted in another way.
pub(crate) const RESEALED_TEMPORARY: &str = "resealed.temporary";
const TEMPORARY: [&str; 4] = [META_TEMPORARY, SNAPSHOT_TEMPORARY, COMPACT_TEMPORARY, RESEALED_TEMPORARY];
/// Locked while the journal is open.
pub(crate) const LOCK: &str = "lock";
/// Space for a snapshot on a full disk.
pub(crate) const RESERVE: &str = "reserve";
/// Folder of damaged files whose place in the journal was taken by a snapshot.
pub(crate) const QUARANTINE: &str = "quarantine";

const SEGMENT: &str = "segment-";
const COMPACT: &str = "compact-";
const SNAPSHOT: &str = "snapshot-";
const SPARE: &str = "spare-";

/// The segment that starts with batch `first`. That the file exists proves everything before `first` durable.
pub(crate) fn segment(first: BatchSequence) -> String {
    format!("{SEGMENT}{:020}", first.0)
}

/// What is left of the segment that started with batch `first`.
pub(crate) fn compact(first: BatchSequence) -> String {
    format!("{COMPACT}{:020}", first.0)
}

/// The snapshot of the state after batch `at`.
pub(crate) fn snapshot(at: BatchSequence) -> String {
    format!("{SNAPSHOT}{:020}", at.0)
}

/// A preallocated segment without a place in the journal.
pub(crate) fn spare(number: u64) -> String {
    format!("{SPARE}{number:020}")
}

/// What the files of a folder are.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// First batches of the segments, ascending.
    pub(crate) segments: Vec<BatchSequence>,
    /// First batches of the segments that were cleaned, ascending.
    pub(crate) compacts: Vec<BatchSequence>,
    /// Positions of the snapshots, ascending.
    pub(crate) snapshots: Vec<BatchSequence>,
    /// Numbers of the spares, ascending.
    pub(crate) spares: Vec<u64>,
    /// Left-overs of an interrupted run.
    pub(crate) temporary: Vec<String>,
}

impl Listing {
    /// Sorts names; files that are not the journal's are ignored.
    pub(crate) fn new(names: Vec<String>) -> Listing {
        let mut listing = Listing::default();
        for name in names {
            if let Some(first) = number(&name, SEGMENT) {
                listing.segments.push(BatchSequence(first));
            } else if let Some(first) = number(&name, COMPACT) {
                listing.compacts.push(BatchSequence(first));
            } else if let Some(at) = number(&name, SNAPSHOT) {
                listing.snapshots.push(BatchSequence(at));
            } else if let Some(spare) = number(&name, SPARE) {
                listing.spares.push(spare);
            } else if TEMPORARY.contains(&&*name) {
                listing.temporary.push(name);
            }
        }
        listing.segments.sort_unstable();
        listing.compacts.sort_unstable();
        listing.snapshots.sort_unstable();
        listing.spares.sort_unstable();
        listing
    }
}

impl Listing {
    /// The names of all files that hold records.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let segments = self.segments.iter().map(|first| segment(*first));
        let snapshots = self.snapshots.iter().map(|at| snapshot(*at));
        segments.chain(snapshots).chain(self.compacts.iter().map(|first| compact(*first)))
    }

    /// First batches of all segments, ascending, and whether the segment was cleaned.
    pub(crate) fn files(&self) -> Vec<(BatchSequence, bool)> {
        let whole = self.segments.iter().map(|first| (*first, false));
        let mut files: Vec<_> = whole.chain(self.compacts.iter().map(|first| (*first, true))).collect();
        files.sort_unstable();
        files
    }
}

fn number(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Where a damaged file goes.
pub(crate) fn quarantined(folder: &Path, name: &str) -> PathBuf {
    folder.join(QUARANTINE).join(name)
}
