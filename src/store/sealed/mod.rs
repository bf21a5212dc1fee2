//! Encryption at rest: the one door through which the journal reaches its files.
//!
//! With a key, every file that holds records is a *sealed file*: a data key of its own, itself sealed with the master key, stands in its
//! header, and blocks of one sector follow, each sealed with AES-256-GCM. Whoever writes and reads through a [`Vault`] sees
//! the same bytes at the same places as without a key, so format, recovery and damage are one matter and encryption is another:
//! a block that does not open is to recovery what a sector is that the disk has lost.

mod file;
mod header;
mod keys;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use header::SealError;
pub use keys::{KEY_BYTES, KeyId, Keyring, MasterKey};

use crate::disk::{Disk, DiskFile, DiskLock};
use crate::format::SECTOR_BYTES;
pub(crate) use file::PLAIN_BYTES;
use file::SealedFile;
use header::DataKey;

/// The files of a journal, sealed where there is a key for it.
pub(crate) struct Vault {
    disk: Arc<dyn Disk>,
    keys: Keyring,
}

impl Vault {
    pub(crate) fn new(disk: Arc<dyn Disk>, keys: Keyring) -> Vault {
        Vault { disk, keys }
    }

    /// What is written starts at multiples of this in a file, and only its end may lie elsewhere.
    pub(crate) fn block_bytes(&self) -> u64 {
        if self.keys.seals() { PLAIN_BYTES } else { SECTOR_BYTES }
    }

    pub(crate) fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.create_folder(folder)
    }

    pub(crate) fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }

    pub(crate) fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    /// The key that a file is sealed with; `None` if it is not.
    pub(crate) fn key_of(&self, path: &Path) -> io::Result<Result<Option<KeyId>, SealError>> {
        let file = self.disk.open_to_read(path)?;
        Ok(header::read(file.as_ref(), &self.keys).map(|found| found.and_then(|(_, id)| id)))
    }

    /// Whether a file is sealed with the key that new ones are sealed with, or not sealed as they are not.
    pub(crate) fn is_as_it_should_be(&self, path: &Path) -> io::Result<bool> {
        let key = self.key_of(path)?.map_err(io::Error::other)?;
        Ok(key == self.keys.sealing().map(MasterKey::id))
    }

    /// Opens a file to look at it and to cut it; nothing is ever written into a sealed file that was opened.
    pub(crate) fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.unsealed(self.disk.open(path)?)
    }

    pub(crate) fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.unsealed(self.disk.open_to_read(path)?)
    }

    /// An empty file for records.
    pub(crate) fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.sealed(self.disk.create(path)?)
    }

    /// An empty file for what nobody needs to hide.
    pub(crate) fn create_bare(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(path)
    }

    /// Opens a file of `len_bytes` for new contents. What was in a sealed one cannot be read any more, not with the master key either.
    pub(crate) fn renew(&self, path: &Path, len_bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path)?;
        if !self.keys.seals() && (self.keys.is_empty() || !header::is_there(file.as_ref())) {
            return Ok(file);
        }
        let file = if header::is_there(file.as_ref()) == self.keys.seals() {
            self.sealed(file)?
        } else {
            let file = self.create(path)?;
            file.allocate(len_bytes)?;
            file
        };
        // Before it has a name by which recovery would look for its key.
        file.sync_data()?;
        Ok(file)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    pub(crate) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }

    fn unsealed(&self, file: Arc<dyn DiskFile>) -> io::Result<Arc<dyn DiskFile>> {
        // Recovery has asked each file for its key: without any, it found none that is sealed.
        if self.keys.is_empty() {
            return Ok(file);
        }
        match header::read(file.as_ref(), &self.keys).map_err(io::Error::other)? {
            Some((key, _)) => Ok(Arc::new(SealedFile::to_read(file, key))),
            None => Ok(file),
        }
    }

    fn sealed(&self, file: Arc<dyn DiskFile>) -> io::Result<Arc<dyn DiskFile>> {
        let Some(key) = DataKey::new(&self.keys).transpose()? else { return Ok(file) };
        header::write(file.as_ref(), &key.header)?;
        Ok(Arc::new(SealedFile::to_write(file, key.key)))
    }
}
