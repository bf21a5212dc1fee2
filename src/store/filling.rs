//! The next segment, written full of zeros before it is used.
//!
//! A sync into space that is only reserved has to note in the file system what was written there: 0.17 ms for 2 KiB where a sync into
//! space that was written before takes 0.11 ms and two thirds of the CPU (`docs/ARCHITECTURE.md`). Emptied segments are such space; where
//! there is none and many small syncs go into each segment, the housekeeper writes the next one beforehand.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crate::disk::{DiskFile, write_all_at};
use crate::jobs::Job;
use crate::names;
use crate::sealed::Vault;

/// Written and synced in one step: a sync of the journal waits behind this at most.
const BLOCKS_PER_STEP: u64 = 512;
/// Where more goes into one sync, zeros cost the disk more than they save.
const BYTES_PER_SYNC_MAX: u64 = 32 << 10;

/// Whether the segment behind one that has `offset` of its `segment_bytes` full, after so many syncs, is worth filling beforehand.
pub(crate) fn pays((offset, segment_bytes): (u64, u64), syncs: u64) -> bool {
    offset >= segment_bytes / 2 && offset / BYTES_PER_SYNC_MAX < syncs
}

/// Where the filling of a spare segment is.
#[derive(Default)]
pub(crate) enum Filling {
    #[default]
    None,
    /// For the housekeeper: the spare's number.
    Wanted(u64),
    Working(u64),
    /// Whether that spare can be used; if not, it is gone.
    Ended(u64, bool),
}

impl Filling {
    /// Fetches the job if it is wanted.
    pub(crate) fn take_job(&mut self) -> Option<Job> {
        let Filling::Wanted(spare) = *self else { return None };
        *self = Filling::Working(spare);
        Some(Job::Fill(spare))
    }

    pub(crate) fn end(&mut self, is_filled: bool) {
        if let Filling::Working(spare) = *self {
            *self = Filling::Ended(spare, is_filled);
        }
    }

    /// Fetches how it ended, if it has.
    pub(crate) fn take_end(&mut self) -> Option<(u64, bool)> {
        let Filling::Ended(spare, is_filled) = *self else { return None };
        *self = Filling::None;
        Some((spare, is_filled))
    }
}

/// A spare segment that is being filled, a part per step. After a crash it is a spare like any other, or of the wrong size.
pub(crate) struct FillJob {
    pub(crate) spare: u64,
    file: Arc<dyn DiskFile>,
    offset: u64,
    len_bytes: u64,
    zeros: Vec<u8>,
}

impl FillJob {
    pub(crate) fn new(disk: &Vault, folder: &Path, spare: u64, len_bytes: u64) -> io::Result<FillJob> {
        let file = disk.create(&folder.join(names::spare(spare)))?;
        file.allocate(len_bytes)?;
        let zeros = vec![0; (disk.block_bytes() * BLOCKS_PER_STEP) as usize];
        Ok(FillJob { spare, file, offset: 0, len_bytes, zeros })
    }

    /// Writes the next part; true when that was the last.
    pub(crate) fn step(&mut self) -> io::Result<bool> {
        let part_bytes = (self.len_bytes - self.offset).min(self.zeros.len() as u64);
        let part = &self.zeros[..part_bytes as usize];
        write_all_at(self.file.as_ref(), self.offset, &mut [IoSlice::new(part)])?;
        self.file.sync_data()?;
        self.offset += part_bytes;
        Ok(self.offset == self.len_bytes)
    }
}
