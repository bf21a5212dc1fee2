//! The segment files: which exist, where the next batch goes, what is recycled.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{DiskFile, is_full};
use crate::filling;
use crate::names;
use crate::sealed::Vault;
use crate::table::ClosedSegment;
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

/// The segment being written.
pub(crate) struct ActiveSegment {
    pub(crate) first: BatchSequence,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next group goes, a block boundary.
    pub(crate) offset: u64,
    /// How often it was synced.
    pub(crate) syncs: u64,
    /// The segment behind it has been asked for.
    is_followed: bool,
}

/// The files of an open journal's segments; which there are is in the [table](crate::table::SegmentTable).
pub(crate) struct Segments {
    disk: Arc<Vault>,
    folder: PathBuf,
    segment_bytes: u64,
    spares_max: usize,
    spares: Vec<u64>,
    next_spare: u64,
    /// A spare is being filled.
    is_filling: bool,
    pub(crate) active: Option<ActiveSegment>,
}

impl Segments {
    /// Continues after recovery, which left no active segment.
    pub(crate) fn new(
        disk: Arc<Vault>,
        folder: PathBuf,
        (segment_bytes, spares_max): (u64, usize),
        spares: Vec<u64>,
    ) -> Segments {
        let next_spare = spares.last().map_or(0, |spare| spare + 1);
        Segments { disk, folder, segment_bytes, spares_max, spares, next_spare, is_filling: false, active: None }
    }

    /// Room left in the active segment.
    pub(crate) fn room_bytes(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| self.segment_bytes - active.offset)
    }

    /// See [`Vault::block_bytes`].
    pub(crate) fn block_bytes(&self) -> u64 {
        self.disk.block_bytes()
    }

    /// Space of the spares.
    pub(crate) fn spare_bytes(&self) -> u64 {
        self.spares.len() as u64 * self.segment_bytes
    }

    /// Leaves the active segment, which ends before `first`, and starts the next with it. Everything before `first`
    /// must be synced: the new file's name is the proof of it.
    pub(crate) fn rotate(&mut self, first: BatchSequence) -> Result<(), Trouble> {
        let (spare, file) = self.take_spare()?;
        let (from, to) = (self.folder.join(names::spare(spare)), self.folder.join(names::segment(first)));
        if let Err(error) = self.disk.rename(&from, &to) {
            self.spares.push(spare);
            return Err(Trouble::new("name a segment", &error));
        }
        self.sync_folder()?;
        self.active = Some(ActiveSegment { first, file, offset: 0, syncs: 0, is_followed: false });
        Ok(())
    }

    fn take_spare(&mut self) -> Result<(u64, Arc<dyn DiskFile>), Trouble> {
        if let Some(spare) = self.spares.pop() {
            let file = self.disk.renew(&self.folder.join(names::spare(spare)), self.segment_bytes);
            let file = file.inspect_err(|_| self.spares.push(spare));
            return file.map(|file| (spare, file)).map_err(|error| Trouble::new("open a spare segment", &error));
        }
        let spare = self.next_spare;
        let path = self.folder.join(names::spare(spare));
        let file = self.preallocate(&path).map_err(|error| {
            // Best effort: recovery removes a spare of the wrong size.
            let _ = self.disk.remove(&path);
            Trouble::new("preallocate a segment", &error)
        })?;
        self.next_spare += 1;
        Ok((spare, file))
    }

    fn preallocate(&self, path: &std::path::Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.create(path)?;
        file.allocate(self.segment_bytes)?;
        file.sync_data()?;
        Ok(file)
    }

    /// Makes changes of names durable.
    pub(crate) fn sync_folder(&self) -> Result<(), Trouble> {
        self.disk.sync_folder(&self.folder).map_err(|error| Trouble::fatal("sync the journal's folder", &error))
    }

    /// Gives a segment back, or returns its file: whoever waits for the journal should not wait while it is removed. A file that
    /// can't be renamed or removed stays; the next recovery finds it again.
    pub(crate) fn free(&mut self, segment: &ClosedSegment) -> Option<PathBuf> {
        let name = segment.file_name();
        let path = self.folder.join(&name);
        if segment.damaged {
            let _ = self.disk.rename(&path, &names::quarantined(&self.folder, &name));
            return None;
        }
        let has_other_size = segment.compact || segment.len_bytes != self.segment_bytes;
        (has_other_size || !self.recycle(&path)).then_some(path)
    }

    /// The number of the spare that should be filled now, if one should.
    pub(crate) fn spare_to_fill(&mut self) -> Option<u64> {
        let active = self.active.as_mut().filter(|active| !active.is_followed)?;
        let wanted = self.spares.is_empty() && self.spares_max > 0 && !self.is_filling;
        if !wanted || !filling::pays((active.offset, self.segment_bytes), active.syncs) {
            return None;
        }
        (active.is_followed, self.is_filling) = (true, true);
        self.next_spare += 1;
        Some(self.next_spare - 1)
    }

    /// A spare is being filled, and it was not said yet how that ended.
    pub(crate) fn is_filling(&self) -> bool {
        self.is_filling
    }

    /// Takes the spare if it is there, or returns its file if there are enough.
    pub(crate) fn end_filling(&mut self, (spare, is_filled): (u64, bool)) -> Option<PathBuf> {
        self.is_filling = false;
        if is_filled && self.spares.len() < self.spares_max {
            self.spares.push(spare);
            return None;
        }
        is_filled.then(|| self.folder.join(names::spare(spare)))
    }

    /// Removes all spares: an idle journal gives space back. One that stays is found by the next recovery.
    pub(crate) fn shrink(&mut self) {
        for spare in self.spares.drain(..) {
            let _ = self.disk.remove(&self.folder.join(names::spare(spare)));
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
