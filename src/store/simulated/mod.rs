//! A disk in memory that behaves as badly as real ones may, and exactly the same way for the same seed. No clock, no
//! randomness of the operating system. Usable from other crates' tests.
//!
//! What it does at a power failure ([`SimulatedDisk::crash`]): every sector of 512 bytes that was written since the last
//! sync independently keeps its old contents or any of the versions written since; sizes likewise; creations, renames and
//! removals not covered by a folder sync may be lost, one by one or from some point on. Reserved but unwritten ranges
//! read as zeros, a recycled file keeps its old bytes. A failed sync loses what it was asked to keep, and the next one
//! succeeds without it, as real kernels do.

mod files;
mod random;

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile, DiskLock};
use files::Files;
pub use random::Random;

/// How a call fails on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// I/O error (EIO).
    Broken,
    /// No space (ENOSPC).
    Full,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Broken => io::Error::other("simulated I/O error"),
            Fault::Full => io::ErrorKind::StorageFull.into(),
        }
    }
}

/// Faults to come. Counts start at 1 and are taken from the moment of planning.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    write_fault: Option<(u64, Fault)>,
    sync_fault: Option<u64>,
    power_cut: Option<u64>,
    read_fault: Option<u64>,
    name_fault: Option<u64>,
}

struct State {
    files: Files,
    random: Random,
    plan: Plan,
    locked: BTreeSet<PathBuf>,
    /// Grows at every crash; handles of an older generation are dead.
    generation: u64,
    powered: bool,
    writes: u64,
    syncs: u64,
    reads: u64,
}

/// The simulated disk. Clones share the same contents.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

impl SimulatedDisk {
    /// An empty disk without a capacity limit.
    pub fn new(seed: u64) -> SimulatedDisk {
        let state = State {
            files: Files::default(),
            random: Random::new(seed),
            plan: Plan::default(),
            locked: BTreeSet::new(),
            generation: 0,
            powered: true,
            writes: 0,
            syncs: 0,
            reads: 0,
        };
        SimulatedDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Limits the space all files share. A write that exceeds it is done in part first.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.state().files.capacity_bytes = capacity_bytes;
    }

    /// Space taken by all files.
    pub fn used_bytes(&self) -> u64 {
        self.state().files.used_bytes()
    }

    /// Lets the `nth` write, allocation or truncation from now fail.
    pub fn fail_write(&self, nth: u64, fault: Fault) {
        self.state().plan.write_fault = Some((nth, fault));
    }

    /// Lets the `nth` file or folder sync from now fail, losing an arbitrary part of what was to be synced.
    pub fn fail_sync(&self, nth: u64) {
        self.state().plan.sync_fault = Some(nth);
    }

    /// Lets the `nth` read from now fail.
    pub fn fail_read(&self, nth: u64) {
        self.state().plan.read_fault = Some(nth);
    }

    /// Lets the `nth` creation, rename or removal from now fail.
    pub fn fail_name(&self, nth: u64) {
        self.state().plan.name_fault = Some(nth);
    }

    /// Cuts the power at the `nth` changing call from now, which may still be done in part. From then on every call fails until
    /// [`SimulatedDisk::crash`].
    pub fn cut_power(&self, nth: u64) {
        self.state().plan.power_cut = Some(nth);
    }

    /// True until a planned power cut has happened.
    pub fn is_powered(&self) -> bool {
        self.state().powered
    }

    /// The machine goes down and comes up again: decides what survived, drops locks, kills open handles, forgets planned faults.
    pub fn crash(&self) {
        let mut state = self.state();
        let State { files, random, .. } = &mut *state;
        files.crash(random);
        state.restart();
    }

    /// The process dies and the machine stays up (`kill -9`): nothing written is lost.
    pub fn kill(&self) {
        self.state().restart();
    }

    /// Number of writes (with allocations and truncations) and of syncs so far.
    pub fn calls(&self) -> (u64, u64) {
        let state = self.state();
        (state.writes, state.syncs)
    }

    /// Number of reads so far.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// All files with their contents as a reader sees them.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.state().files.contents()
    }

    /// Damages a file behind the journal's back; what `change` does is durable.
    pub fn corrupt(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.state().files.corrupt(path, change)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks for a call through the handle of `generation`.
    fn reading(&self, generation: u64) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if !state.powered || state.generation != generation {
            return Err(io::Error::other("simulated power cut"));
        }
        Ok(state)
    }

    fn now(&self) -> u64 {
        self.state().generation
    }
}

impl State {
    fn restart(&mut self) {
        self.locked.clear();
        self.plan = Plan::default();
        self.generation += 1;
        self.powered = true;
    }

    /// Counts a changing call. `Ok(true)`: the power goes now, the call may be done before that.
    fn changing(&mut self) -> io::Result<bool> {
        self.powered = !countdown(&mut self.plan.power_cut);
        match self.powered {
            true => Ok(false),
            false if self.random.chance(2) => Ok(true),
            false => Err(io::Error::other("simulated power cut")),
        }
    }

    fn naming(&mut self) -> io::Result<bool> {
        if countdown(&mut self.plan.name_fault) {
            return Err(Fault::Broken.error());
        }
        self.changing()
    }

    fn writing(&mut self) -> io::Result<bool> {
        self.writes += 1;
        if let Some((left, fault)) = &mut self.plan.write_fault {
            *left -= 1;
            if *left == 0 {
                let fault = *fault;
                self.plan.write_fault = None;
                return Err(fault.error());
            }
        }
        self.changing()
    }

    fn syncing(&mut self) -> io::Result<(bool, bool)> {
        self.syncs += 1;
        let fails = countdown(&mut self.plan.sync_fault);
        Ok((fails, self.changing()?))
    }
}

/// Counts down; true when the planned call has come.
fn countdown(left: &mut Option<u64>) -> bool {
    let Some(calls) = left else { return false };
    *calls -= 1;
    let reached = *calls == 0;
    if reached {
        *left = None;
    }
    reached
}

/// The result of a call during which the power may have gone.
fn unless_cut<T>(cut: bool, result: io::Result<T>) -> io::Result<T> {
    if cut { Err(io::Error::other("simulated power cut")) } else { result }
}

struct SimulatedLock {
    disk: SimulatedDisk,
    generation: u64,
    path: PathBuf,
}

impl DiskLock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        if let Ok(mut state) = self.disk.reading(self.generation) {
            state.locked.remove(&self.path);
        }
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    generation: u64,
    inode: usize,
}

impl Disk for SimulatedDisk {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        self.reading(self.now()).map(|_| ())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let generation = self.now();
        let mut state = self.reading(generation)?;
        if !state.locked.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimulatedLock { disk: self.clone(), generation, path: path.to_path_buf() }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        Ok(self.reading(self.now())?.files.list(folder))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let generation = self.now();
        let inode = self.reading(generation)?.files.open(path)?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), generation, inode }))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let generation = self.now();
        let mut state = self.reading(generation)?;
        let cut = state.naming()?;
        let inode = state.files.create(path);
        unless_cut(cut, Ok(()))?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), generation, inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.reading(self.now())?;
        let cut = state.naming()?;
        let result = state.files.rename(from, to);
        unless_cut(cut, result)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.reading(self.now())?;
        let cut = state.naming()?;
        let result = state.files.remove(path);
        unless_cut(cut, result)
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.reading(self.now())?;
        let (fails, cut) = state.syncing()?;
        if fails {
            return Err(Fault::Broken.error());
        }
        state.files.sync_names();
        unless_cut(cut, Ok(()))
    }
}

impl DiskFile for SimulatedFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.reading(self.generation)?.files.len_bytes(self.inode))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.reading(self.generation)?;
        state.reads += 1;
        if countdown(&mut state.plan.read_fault) {
            return Err(Fault::Broken.error());
        }
        Ok(state.files.read_at(self.inode, offset, buffer))
    }

    fn write_vectored_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.disk.reading(self.generation)?;
        let cut = state.writing()?;
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        // A short write now and then, as the system call may do.
        let short = bytes.len() > 1 && state.random.chance(8);
        let count = if short { 1 + state.random.below(bytes.len() as u64 - 1) as usize } else { bytes.len() };
        let result = state.files.write_at(self.inode, offset, &bytes[..count]);
        unless_cut(cut, result)
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        let mut state = self.disk.reading(self.generation)?;
        let cut = state.writing()?;
        let result = state.files.allocate(self.inode, len_bytes);
        unless_cut(cut, result)
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        let mut state = self.disk.reading(self.generation)?;
        let cut = state.writing()?;
        state.files.truncate(self.inode, len_bytes);
        unless_cut(cut, Ok(()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.reading(self.generation)?;
        let (fails, cut) = state.syncing()?;
        let State { files, random, .. } = &mut *state;
        if fails {
            files.lose(self.inode, random);
            return Err(Fault::Broken.error());
        }
        files.sync_data(self.inode);
        unless_cut(cut, Ok(()))
    }
}
