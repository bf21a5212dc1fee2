//! The disk of the operating system, as it is: whatever is written to it is forgotten. Recovery on it finds exactly what a start
//! would find, and nothing is changed.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crossdock_store::{Disk, DiskFile, DiskLock, RealDisk};

/// Reads files and changes none.
pub(super) struct ReadOnlyDisk;

/// A file that exists, or (`None`) one that somebody believes to have created.
struct ReadOnlyFile(Option<Arc<dyn DiskFile>>);

/// For a folder that has no lock: nobody ever opened it.
struct NoLock;

impl DiskLock for NoLock {}

impl Disk for ReadOnlyDisk {
    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        if path.exists() { RealDisk.lock(path) } else { Ok(Box::new(NoLock)) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(folder)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open_to_read(path)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ReadOnlyFile(Some(RealDisk.open_to_read(path)?))))
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ReadOnlyFile(None)))
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for ReadOnlyFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.0.as_ref().map_or(Ok(0), |file| file.len_bytes())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.as_ref().map_or(Ok(0), |file| file.read_at(offset, buffer))
    }

    fn write_vectored_at(&self, _: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(parts.iter().map(|part| part.len()).sum())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
