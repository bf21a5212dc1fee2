//! What the disk has done, and what a folder takes of it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::server::pause;

/// Bytes that are allocated for a folder's files, as `du` counts them.
pub fn allocated_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => allocated_bytes(&entry.path()),
        // A block is 512 bytes here, whatever the file system's own block is.
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// How often the device below a folder was flushed since the system started, if it tells.
pub fn flushes(folder: &Path) -> Option<u64> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    let all = fs::read_to_string("/proc/diskstats").ok()?;
    all.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let here = fields.first()?.parse() == Ok(major) && fields.get(1)?.parse() == Ok(minor);
        // The 16th number after the name: flush requests completed.
        if here { fields.get(18)?.parse().ok() } else { None }
    })
}

/// Watches what a folder takes until it is asked for the most it saw.
pub struct Watch {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    pub fn over(folder: &Path) -> Self {
        let (most, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (seen, stopped, folder) = (most.clone(), stop.clone(), folder.to_owned());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                seen.fetch_max(allocated_bytes(&folder), Ordering::Relaxed);
                pause(Duration::from_millis(100));
            }
        });
        Self { most, stop, thread }
    }

    /// The most it saw, in bytes.
    pub fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.most.load(Ordering::Relaxed)
    }
}
