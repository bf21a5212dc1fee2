//! All files of a closed journal under the key that is configured, or under none: each is written anew with the same contents at the same
//! places, and takes the old one's name when it is durable. So there is never less than a whole file under a name, and what was
//! interrupted goes on where it was.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskLock, read_full, write_all_at};
use crate::names::{self, Listing};
use crate::recovery::{OpenError, RecoveryReport, recover};
use crate::sealed::{PLAIN_BYTES, Vault};
use crate::types::Options;

/// What is copied at once: whole blocks of a sealed file, and about 1 MiB. The files of tests are small.
const COPIED_BYTES: u64 = if cfg!(test) { 4 } else { 2_048 } * PLAIN_BYTES;

/// A closed journal that nobody else can open meanwhile.
pub struct Resealing {
    disk: Arc<Vault>,
    folder: PathBuf,
    _lock: Box<dyn DiskLock>,
}

/// What was done with the files of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Files that were written anew.
    pub rewritten: u64,
    /// Bytes of their contents.
    pub rewritten_bytes: u64,
    /// Files that were as they should be.
    pub kept: u64,
    /// Empty segments that were removed: what is not encrypted, or was with another key, may be in what they were made of.
    pub spares: u64,
    /// Damaged files that were set aside. They are left as they are.
    pub quarantined: u64,
}

impl Resealing {
    /// Takes a journal as an open does: what was not finished at its end is cut, left-overs are removed, and the next epoch begins.
    /// Nothing more is to be done with it if the report names damage.
    ///
    /// # Errors
    /// Those of an open.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        folder: &Path,
    ) -> Result<(Resealing, RecoveryReport), OpenError> {
        let disk = Arc::new(Vault::new(disk, options.keys.clone()));
        let options = options.normalized(disk.block_bytes());
        let recovery = recover(&disk, folder, &options, &mut |_| ())?;
        Ok((Resealing { disk, folder: folder.to_owned(), _lock: recovery.lock }, recovery.report))
    }

    /// Writes every file anew that has not the key that it should have.
    ///
    /// # Errors
    /// A file cannot be read or written, the disk is full. Everything is as it was, or as it should be; it may be tried again.
    pub fn run(&self) -> Result<Resealed, OpenError> {
        let failed = |source: io::Error| {
            let folder = self.folder.display().to_string();
            OpenError::Disk { action: "write a file anew", folder, source }
        };
        let listing = Listing::new(self.disk.list(&self.folder).map_err(failed)?);
        let mut done = Resealed { quarantined: self.quarantined().map_err(failed)?, ..Resealed::default() };
        for name in listing.names() {
            let path = self.folder.join(name);
            if self.disk.is_as_it_should_be(&path).map_err(failed)? {
                done.kept += 1;
            } else {
                done.rewritten_bytes += self.rewrite(&path).map_err(failed)?;
                done.rewritten += 1;
            }
        }
        for spare in listing.spares {
            self.disk.remove(&self.folder.join(names::spare(spare))).map_err(failed)?;
            done.spares += 1;
        }
        self.disk.sync_folder(&self.folder).map_err(failed)?;
        Ok(done)
    }

    fn quarantined(&self) -> io::Result<u64> {
        self.disk.list(&self.folder.join(names::QUARANTINE)).map(|names| names.len() as u64)
    }

    fn rewrite(&self, path: &Path) -> io::Result<u64> {
        let temporary = self.folder.join(names::RESEALED_TEMPORARY);
        let written = self.copy(path, &temporary);
        // The next open would remove it, too.
        let written = written.inspect_err(|_| drop(self.disk.remove(&temporary)))?;
        self.disk.rename(&temporary, path)?;
        self.disk.sync_folder(&self.folder)?;
        Ok(written)
    }

    /// A durable copy. Its size is the same, too, as far as whoever reads it can tell.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<u64> {
        let from = self.disk.open_to_read(from)?;
        let to = self.disk.create(to)?;
        let len_bytes = from.len_bytes()?;
        to.allocate(len_bytes)?;
        let mut buffer = Vec::new();
        let mut end = len_bytes;
        // A segment is preallocated: what nothing was written to is reserved again, and not written. Contents end with a header.
        while end > 0
            && read_chunk(&*from, (end - 1) / COPIED_BYTES, len_bytes, &mut buffer)?.iter().all(|byte| *byte == 0)
        {
            end = (end - 1) / COPIED_BYTES * COPIED_BYTES;
        }
        for number in 0..end.div_ceil(COPIED_BYTES) {
            let chunk = read_chunk(&*from, number, len_bytes, &mut buffer)?;
            write_all_at(&*to, number * COPIED_BYTES, &mut [IoSlice::new(chunk)])?;
        }
        to.sync_data()?;
        Ok(end)
    }
}

fn read_chunk<'a>(
    file: &dyn crate::disk::DiskFile,
    number: u64,
    len_bytes: u64,
    buffer: &'a mut Vec<u8>,
) -> io::Result<&'a [u8]> {
    let start = number * COPIED_BYTES;
    buffer.resize((len_bytes - start).min(COPIED_BYTES) as usize, 0);
    read_full(file, start, buffer)?;
    Ok(buffer)
}
