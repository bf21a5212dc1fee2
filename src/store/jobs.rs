//! The one job that may be under way beside the journal, from the request to its end.

use std::path::PathBuf;

use crate::batch::Snapshot;
use crate::clean::Survivors;
use crate::table::ClosedSegment;
use crate::types::{BatchSequence, FilePlace};

/// Something for the housekeeper.
pub(crate) enum Job {
    /// A file that nobody needs: removing one takes milliseconds. If it stays, the next recovery removes it.
    Remove(PathBuf),
    Snapshot(BatchSequence, Snapshot),
    Clean(ClosedSegment, Box<dyn Survivors>),
    /// The end of a cleaning.
    Replace(Replacement),
    /// A spare segment that is to be written beforehand.
    Fill(u64),
    /// A cleaning that is not to end well.
    Discard(BatchSequence, String),
}

/// A segment, and the size of what replaces it; 0 if nothing does.
pub(crate) struct Replacement {
    pub(crate) segment: ClosedSegment,
    pub(crate) len_bytes: u64,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Durable; its size.
    SnapshotDone {
        at: BatchSequence,
        len_bytes: u64,
    },
    /// Given up without harm.
    SnapshotFailed(String),
    Cleaned {
        segment: BatchSequence,
        len_bytes: u64,
    },
    /// Given up without harm.
    CleanFailed {
        segment: BatchSequence,
        reason: String,
        damage: Option<FilePlace>,
    },
    /// The folder is in doubt.
    Fatal(String),
}

/// Where the one job under way is.
#[derive(Default)]
pub(crate) enum Stage {
    #[default]
    None,
    /// Until this batch is durable.
    Waiting(BatchSequence, Job),
    /// For the housekeeper.
    Ready(Job),
    Working,
    Ended(Outcome),
}

impl Stage {
    /// Another job may be requested.
    pub(crate) fn is_free(&self) -> bool {
        matches!(self, Stage::None)
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Stage::Ended(_))
    }

    /// The journal thread has something to do.
    pub(crate) fn has_work(&self, durable: BatchSequence) -> bool {
        match self {
            Stage::Waiting(at, _) => *at <= durable,
            other => other.has_ended(),
        }
    }

    /// Makes a waiting job ready if its batch is durable; true if so.
    pub(crate) fn advance(&mut self, durable: BatchSequence) -> bool {
        match std::mem::take(self) {
            Stage::Waiting(at, job) if at <= durable => {
                *self = Stage::Ready(job);
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }

    /// Fetches the end of a finished job.
    pub(crate) fn take_outcome(&mut self) -> Option<Outcome> {
        match std::mem::take(self) {
            Stage::Ended(outcome) => Some(outcome),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Fetches a job that is ready.
    pub(crate) fn take_job(&mut self) -> Option<Job> {
        match std::mem::replace(self, Stage::Working) {
            Stage::Ready(job) => Some(job),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Gives up a cleaning that waits; true if there was one.
    pub(crate) fn cancel_replacement(&mut self, reason: &str) -> bool {
        let Stage::Waiting(_, Job::Replace(replacement)) = self else { return false };
        *self = Stage::Ready(Job::Discard(replacement.segment.first, reason.to_owned()));
        true
    }
}
