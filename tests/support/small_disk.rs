//! A small file system of its own, for tests of what happens when it is full.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Three journals with their reserves and segments fit; not much more.
const DISK_MIB: u32 = 64;

/// The file system, and where it is mounted.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not allowed: loud locally, a failure in CI.
    pub fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let size = format!("size={DISK_MIB}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        assert!(std::env::var_os("CI").is_none(), "a file system cannot be mounted: this test needs root");
        eprintln!("SKIPPED a full disk: a file system cannot be mounted without root");
        None
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Gives back what [`fill`](Self::fill) took.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("removes");
    }

    /// Takes what is left, but for so many MiB.
    pub fn fill(&self, left_mib: usize) {
        let _ = std::fs::write(self.ballast(), vec![1; DISK_MIB as usize * 1024 * 1024]);
        let taken = std::fs::metadata(self.ballast()).map_or(0, |file| file.len());
        let kept = taken.saturating_sub(left_mib as u64 * 1024 * 1024);
        let file = std::fs::OpenOptions::new().write(true).open(self.ballast()).expect("opens");
        file.set_len(kept).expect("shrinks");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
