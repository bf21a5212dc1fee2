//! Contents and names, each as readers see them and as they would survive.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::random::Random;

const SECTOR_BYTES: usize = 512;

/// One file's contents.
#[derive(Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// Versions each sector went through since the last sync.
    unsynced: BTreeMap<usize, Vec<[u8; SECTOR_BYTES]>>,
    /// Sizes the file went through since the last sync.
    unsynced_sizes: Vec<usize>,
}

type Names = BTreeMap<PathBuf, usize>;

enum NameChange {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
}

/// All files.
pub(super) struct Files {
    pub(super) capacity_bytes: u64,
    inodes: Vec<Inode>,
    names: Names,
    durable_names: Names,
    unsynced_names: Vec<NameChange>,
}

impl Default for Files {
    fn default() -> Files {
        Files {
            capacity_bytes: u64::MAX,
            inodes: Vec::new(),
            names: Names::new(),
            durable_names: Names::new(),
            unsynced_names: Vec::new(),
        }
    }
}

impl Files {
    pub(super) fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].current.len() as u64).sum()
    }

    pub(super) fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.names.iter().map(|(path, inode)| (path.clone(), self.inodes[*inode].current.clone())).collect()
    }

    pub(super) fn list(&self, folder: &Path) -> Vec<String> {
        let inside = self.names.keys().filter(|path| path.parent() == Some(folder));
        inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn create(&mut self, path: &Path) -> usize {
        if let Some(inode) = self.names.get(path).copied() {
            self.truncate(inode, 0);
            return inode;
        }
        self.inodes.push(Inode::default());
        self.change(NameChange::Link(path.to_path_buf(), self.inodes.len() - 1));
        self.inodes.len() - 1
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.open(from)?;
        self.change(NameChange::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.open(path)?;
        self.change(NameChange::Unlink(path.to_path_buf()));
        Ok(())
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    pub(super) fn sync_names(&mut self) {
        self.durable_names = self.names.clone();
        self.unsynced_names.clear();
    }

    pub(super) fn len_bytes(&self, inode: usize) -> u64 {
        self.inodes[inode].current.len() as u64
    }

    pub(super) fn read_at(&self, inode: usize, offset: u64, buffer: &mut [u8]) -> usize {
        let rest = self.inodes[inode].current.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        count
    }

    pub(super) fn write_at(&mut self, inode: usize, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let free = self.capacity_bytes.saturating_sub(self.used_bytes());
        let limit = self.len_bytes(inode).saturating_add(free);
        let count = (bytes.len() as u64).min(limit.saturating_sub(offset)) as usize;
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inodes[inode].write(offset as usize, &bytes[..count]);
        Ok(count)
    }

    pub(super) fn allocate(&mut self, inode: usize, len_bytes: u64) -> io::Result<()> {
        let missing = len_bytes.saturating_sub(self.len_bytes(inode));
        if self.used_bytes().saturating_add(missing) > self.capacity_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let longer = len_bytes.max(self.len_bytes(inode));
        self.inodes[inode].resize(longer as usize);
        Ok(())
    }

    pub(super) fn truncate(&mut self, inode: usize, len_bytes: u64) {
        self.inodes[inode].resize(len_bytes as usize);
    }

    pub(super) fn sync_data(&mut self, inode: usize) {
        self.inodes[inode].sync();
    }

    /// A sync that failed: part of the data got lost, and the system forgets that it was unwritten.
    pub(super) fn lose(&mut self, inode: usize, random: &mut Random) {
        self.inodes[inode].settle(random);
    }

    pub(super) fn crash(&mut self, random: &mut Random) {
        // Journaling file systems lose a suffix of the name changes, others any of them.
        let ordered = random.chance(2);
        let kept = random.below(self.unsynced_names.len() as u64 + 1) as usize;
        for (index, change) in self.unsynced_names.drain(..).enumerate() {
            if if ordered { index < kept } else { random.chance(2) } {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        for inode in &mut self.inodes {
            inode.settle(random);
            inode.current = inode.durable.clone();
        }
    }

    pub(super) fn corrupt(&mut self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let inode = self.open(path)?;
        let inode = &mut self.inodes[inode];
        change(&mut inode.current);
        inode.sync();
        inode.durable.clone_from(&inode.current);
        Ok(())
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            NameChange::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            NameChange::Unlink(path) => {
                names.remove(path);
            }
        }
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.current.len() {
            self.resize(end);
        }
        self.current[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let version = sector_of(&self.current, sector);
            self.unsynced.entry(sector).or_default().push(version);
        }
    }

    fn resize(&mut self, len_bytes: usize) {
        if len_bytes != self.current.len() {
            self.current.resize(len_bytes, 0);
            self.unsynced_sizes.push(len_bytes);
        }
    }

    fn sync(&mut self) {
        if self.unsynced_sizes.is_empty() && self.durable.len() == self.current.len() {
            for sector in self.unsynced.keys() {
                put_sector(&mut self.durable, *sector, &sector_of(&self.current, *sector));
            }
        } else {
            self.durable.clone_from(&self.current);
        }
        self.unsynced.clear();
        self.unsynced_sizes.clear();
        debug_assert_eq!(self.durable.len(), self.current.len());
    }

    /// Decides what of the unsynced changes reaches the disk.
    fn settle(&mut self, random: &mut Random) {
        if let Some(size) = pick(&std::mem::take(&mut self.unsynced_sizes), random) {
            self.durable.resize(size, 0);
        }
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            if let Some(version) = pick(&versions, random) {
                put_sector(&mut self.durable, sector, &version);
            }
        }
    }
}

/// One of the versions, or none of them.
fn pick<T: Copy>(versions: &[T], random: &mut Random) -> Option<T> {
    versions.get(random.below(versions.len() as u64 + 1) as usize).copied()
}

fn sector_of(bytes: &[u8], sector: usize) -> [u8; SECTOR_BYTES] {
    let mut copy = [0; SECTOR_BYTES];
    let start = sector * SECTOR_BYTES;
    let end = bytes.len().min(start + SECTOR_BYTES);
    copy[..end.saturating_sub(start)].copy_from_slice(bytes.get(start..end).unwrap_or_default());
    copy
}

fn put_sector(bytes: &mut [u8], sector: usize, version: &[u8; SECTOR_BYTES]) {
    let start = sector * SECTOR_BYTES;
    let end = bytes.len().min(start + SECTOR_BYTES);
    if let Some(place) = bytes.get_mut(start..end) {
        place.copy_from_slice(&version[..place.len()]);
    }
}
