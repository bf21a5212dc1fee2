//! The segment files: which exist, where the next batch goes, what is recycled.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, is_full};
use crate::names;
use crate::types::BatchSequence;

/// Why a step of the journal did not work.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// No space; nothing is lost, try again later.
    Full,
    /// The end of this journal.
    Fatal(String),
}

impl Trouble {
    /// Classifies the failure of `action`.
    pub(crate) fn new(action: &str, error: &io::Error) -> Trouble {
        if is_full(error) { Trouble::Full } else { Trouble::fatal(action, error) }
    }

    /// A failure that no retry can mend: after a failed sync the system may have forgotten the data.
    pub(crate) fn fatal(action: &str, error: &io::Error) -> Trouble {
        Trouble::Fatal(format!("{action}: {error}"))
    }
}

/// A segment that gets no more batches.
#[derive(Clone, Debug)]
pub(crate) struct ClosedSegment {
    pub(crate) first: BatchSequence,
    pub(crate) last: BatchSequence,
    pub(crate) len_bytes: u64,
    /// Kept for the experts when its place is freed, not recycled.
    pub(crate) damaged: bool,
}

/// The segment being written.
pub(crate) struct ActiveSegment {
    first: BatchSequence,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next group goes, a sector boundary.
    pub(crate) offset: u64,
}

/// All segments of an open journal.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    segment_bytes: u64,
    spares_max: usize,
    closed: VecDeque<ClosedSegment>,
    spares: Vec<u64>,
    next_spare: u64,
    pub(crate) active: Option<ActiveSegment>,
}

impl Segments {
    /// Continues after recovery, which left no active segment.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        (segment_bytes, spares_max): (u64, usize),
        closed: VecDeque<ClosedSegment>,
        spares: Vec<u64>,
    ) -> Segments {
        let next_spare = spares.last().map_or(0, |spare| spare + 1);
        Segments { disk, folder, segment_bytes, spares_max, closed, spares, next_spare, active: None }
    }

    /// Room left in the active segment.
    pub(crate) fn room_bytes(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| self.segment_bytes - active.offset)
    }

    /// Space of all segments and spares.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|segment| segment.len_bytes).sum();
        let whole = self.spares.len() + usize::from(self.active.is_some());
        closed + whole as u64 * self.segment_bytes
    }

    /// Closes the active segment, which ends before `first`, and starts the next with it. Everything before `first`
    /// must be synced: the new file's name is the proof of it.
    pub(crate) fn rotate(&mut self, first: BatchSequence) -> Result<(), Trouble> {
        let spare = self.take_spare()?;
        let (from, to) = (self.folder.join(names::spare(spare)), self.folder.join(names::segment(first)));
        let file = self.disk.open(&from).map_err(|error| Trouble::fatal("open a spare segment", &error))?;
        if let Err(error) = self.disk.rename(&from, &to) {
            self.spares.push(spare);
            return Err(Trouble::new("name a segment", &error));
        }
        self.disk.sync_folder(&self.folder).map_err(|error| Trouble::fatal("sync the journal's folder", &error))?;
        self.close_active(first.previous());
        self.active = Some(ActiveSegment { first, file, offset: 0 });
        Ok(())
    }

    fn close_active(&mut self, last: BatchSequence) {
        if let Some(active) = self.active.take() {
            let len_bytes = self.segment_bytes;
            self.closed.push_back(ClosedSegment { first: active.first, last, len_bytes, damaged: false });
        }
    }

    fn take_spare(&mut self) -> Result<u64, Trouble> {
        if let Some(spare) = self.spares.pop() {
            return Ok(spare);
        }
        let spare = self.next_spare;
        let path = self.folder.join(names::spare(spare));
        if let Err(error) = self.preallocate(&path) {
            // Best effort: recovery removes a spare of the wrong size.
            let _ = self.disk.remove(&path);
            return Err(Trouble::new("preallocate a segment", &error));
        }
        self.next_spare += 1;
        Ok(spare)
    }

    fn preallocate(&self, path: &std::path::Path) -> io::Result<()> {
        let file = self.disk.create(path)?;
        file.allocate(self.segment_bytes)?;
        file.sync_data()
    }

    /// Gives back the segments whose batches are all covered by the durable snapshot at `at`.
    pub(crate) fn trim(&mut self, at: BatchSequence) -> Result<(), Trouble> {
        let mut changed = false;
        while let Some(segment) = self.closed.pop_front_if(|segment| segment.last <= at) {
            self.release(&segment);
            changed = true;
        }
        if changed {
            self.disk.sync_folder(&self.folder).map_err(|error| Trouble::fatal("sync the journal's folder", &error))?;
        }
        Ok(())
    }

    /// A file that can't be renamed or removed stays; the next recovery finds it covered by the snapshot and tries again.
    fn release(&mut self, segment: &ClosedSegment) {
        let name = names::segment(segment.first);
        let path = self.folder.join(&name);
        if segment.damaged {
            let _ = self.disk.rename(&path, &names::quarantined(&self.folder, &name));
        } else if segment.len_bytes != self.segment_bytes || !self.recycle(&path) {
            let _ = self.disk.remove(&path);
        }
    }

    fn recycle(&mut self, path: &std::path::Path) -> bool {
        let spare = self.next_spare;
        let wanted = self.spares.len() < self.spares_max;
        let recycled = wanted && self.disk.rename(path, &self.folder.join(names::spare(spare))).is_ok();
        if recycled {
            self.spares.push(spare);
            self.next_spare += 1;
        }
        recycled
    }
}
