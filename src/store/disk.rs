//! The one door to files: two small traits, a real disk behind them and a simulated one.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

/// Holds an exclusive lock until dropped.
pub trait DiskLock: Send + Sync {}

/// A file system, as far as the journal needs one.
pub trait Disk: Send + Sync {
    /// Creates the folder and those of its parents that are missing; no error if it exists. When this returns its name is durable,
    /// also if it was made before and by somebody who did not get to that.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Takes an exclusive lock between processes; `WouldBlock` if somebody holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// Names of the files directly inside `folder`.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading only.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates an empty file, or empties an existing one.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames within the file system, replacing `to`. Durable after [`Disk::sync_folder`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_folder`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `folder` durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Current size.
    fn len_bytes(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes the parts one after another, possibly fewer bytes than given.
    fn write_vectored_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Reserves space up to `len_bytes` and extends the file to it; `StorageFull` if there is none.
    fn allocate(&self, len_bytes: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn truncate(&self, len_bytes: u64) -> io::Result<()>;
    /// Makes contents and size durable (fdatasync).
    fn sync_data(&self) -> io::Result<()>;
}

/// Puts a whole file in a folder, which is made if it is not there, in place of one of that name. It is durable when this returns, and nobody
/// ever sees half of it.
pub fn put_file(disk: &dyn Disk, folder: &Path, name: &str, contents: &[u8]) -> io::Result<()> {
    disk.create_folder(folder)?;
    let unfinished = folder.join(format!(".{name}"));
    let file = disk.create(&unfinished)?;
    write_all_at(&*file, 0, &mut [IoSlice::new(contents)])?;
    file.sync_data()?;
    disk.rename(&unfinished, &folder.join(name))?;
    disk.sync_folder(folder)
}

/// Writes all parts, however many calls it takes.
pub(crate) fn write_all_at(file: &dyn DiskFile, mut offset: u64, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let written = file.write_vectored_at(offset, parts)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        offset += written as u64;
        IoSlice::advance_slices(&mut parts, written);
    }
    Ok(())
}

/// True if the error means "no space now, maybe later".
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

const READ_BYTES: usize = 1024 * 1024;
const PAGE_BYTES: usize = 4096;

/// Reads a whole file into `bytes`, whose memory is reused. Unreadable pages become zeros, so one bad sector costs what
/// is in it and not the file.
pub(crate) fn read_whole(file: &dyn DiskFile, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.resize(usize::try_from(file.len_bytes()?).map_err(io::Error::other)?, 0);
    for (index, chunk) in bytes.chunks_mut(READ_BYTES).enumerate() {
        let offset = (index * READ_BYTES) as u64;
        if read_full(file, offset, chunk).is_err() {
            read_pages(file, offset, chunk);
        }
    }
    Ok(())
}

fn read_pages(file: &dyn DiskFile, offset: u64, chunk: &mut [u8]) {
    for (index, page) in chunk.chunks_mut(PAGE_BYTES).enumerate() {
        if read_full(file, offset + (index * PAGE_BYTES) as u64, page).is_err() {
            page.fill(0);
        }
    }
}

/// Fills the buffer; bytes behind the end of the file are zero.
pub(crate) fn read_full(file: &dyn DiskFile, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = file.read_at(offset, buffer)?;
        if read == 0 {
            buffer.fill(0);
            return Ok(());
        }
        offset += read as u64;
        buffer = &mut buffer[read..];
    }
    Ok(())
}
