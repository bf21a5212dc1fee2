//! A file system that forgets what was not synced, below a real process: what a power cut does, and `kill -9` does not, since the
//! kernel's page cache survives the process.

mod contents;
mod files;
mod names;
mod served;

use std::ops::AddAssign;
use std::path::Path;

use crossdock_common::random::Random;
use fuser::{BackgroundSession, Config, MountOption};
use rustix::mount::UnmountFlags;
use tempfile::TempDir;

use contents::Fate;
use served::Served;

/// Set by those who want the tests without it.
const LEFT_OUT_BY: &str = "CROSSDOCK_WITHOUT_FUSE";

const ADVICE: &str = "a FUSE file system cannot be mounted. This test needs root and /dev/fuse: `modprobe fuse`, or in a \
    container `--device /dev/fuse --cap-add SYS_ADMIN`. CROSSDOCK_WITHOUT_FUSE=1 leaves it out";
/// As many journals may be syncing at once, and somebody may read.
const THREADS: usize = 4;

/// The disk, mounted through FUSE. Its contents are in memory.
pub struct ForgetfulDisk {
    served: Served,
    folder: TempDir,
    session: Option<BackgroundSession>,
}

/// What power cuts did to what was not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub writes_kept: u64,
    pub writes_dropped: u64,
    pub writes_torn: u64,
    pub names_kept: u64,
    pub names_dropped: u64,
}

impl ForgetfulDisk {
    /// An empty disk. `None` only where the environment says that the test is to be left out.
    pub fn mount() -> Option<Self> {
        if std::env::var_os(LEFT_OUT_BY).is_some() {
            eprintln!("SKIPPED power cuts: {LEFT_OUT_BY} is set");
            return None;
        }
        let mut disk =
            Self { served: Served::default(), folder: tempfile::tempdir().expect("a folder"), session: None };
        disk.attach();
        Some(disk)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The power goes: nothing is written any more, and nothing read.
    pub fn switch_off(&self) {
        self.served.switch(false);
    }

    /// The power comes back: decides what is left of what was not synced, and mounts that. Whoever used the disk must be dead.
    ///
    /// It is mounted anew for each life, so that nothing the kernel knows of the last one can be seen in the next, and nothing that
    /// was asked for in the last one is done in it.
    pub fn switch_on(&mut self, random: &mut Random) -> Tally {
        let session = self.detach().expect("it is mounted");
        // The kernel lets go of it when nothing in it is open any more and every request is answered. A thread that asks it for
        // the next request just then may hear that the connection is gone, which it is.
        match session.join() {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionAborted => panic!("the file system: {error}"),
            _ => {}
        }
        let tally = self.served.files().cut(random);
        self.served.switch(true);
        self.attach();
        tally
    }

    fn attach(&mut self) {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("crossdock-forgetful-disk".to_owned())];
        config.n_threads = Some(THREADS);
        let session = fuser::spawn_mount(self.served.clone(), self.folder.path(), &config);
        self.session = Some(session.unwrap_or_else(|error| panic!("{error}: {ADVICE}")));
    }

    /// Also while it is busy: then it goes when the last file in it is closed.
    fn detach(&mut self) -> Option<BackgroundSession> {
        let session = self.session.take()?;
        if let Err(error) = rustix::mount::unmount(self.folder.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.folder.path().display());
        }
        Some(session)
    }
}

impl Drop for ForgetfulDisk {
    fn drop(&mut self) {
        self.detach();
    }
}

impl Tally {
    fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Kept => self.writes_kept += 1,
            Fate::Dropped => self.writes_dropped += 1,
            Fate::Torn => self.writes_torn += 1,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.writes_kept += other.writes_kept;
        self.writes_dropped += other.writes_dropped;
        self.writes_torn += other.writes_torn;
        self.names_kept += other.names_kept;
        self.names_dropped += other.names_dropped;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    fn write(path: &Path, byte: u8) -> File {
        fs::write(path, [byte; 10_000]).expect("writes");
        File::open(path).expect("opens")
    }

    #[test]
    fn a_cut_takes_only_what_was_not_synced_and_not_always_all_of_it() {
        let Some(mut disk) = ForgetfulDisk::mount() else { return };
        let (folder, mut random) = (disk.folder().to_owned(), Random::from_seed(1));
        let (mut kept, mut tally) = (0, Tally::default());
        for life in 0..40 {
            write(&folder.join("synced"), life).sync_data().expect("syncs");
            File::open(&folder).and_then(|folder| folder.sync_all()).expect("syncs");
            write(&folder.join("written"), life);
            disk.switch_off();
            fs::write(folder.join("synced"), "too late").expect_err("there is no power");
            tally += disk.switch_on(&mut random);
            assert_eq!(fs::read(folder.join("synced")).expect("is there"), [life; 10_000]);
            kept += usize::from(fs::read(folder.join("written")).is_ok_and(|bytes| bytes == [life; 10_000]));
        }
        assert!((1..39).contains(&kept), "{kept} of 40 unsynced files survived");
        assert!(tally.writes_dropped > 0 && tally.writes_torn > 0 && tally.names_dropped > 0, "{tally:?}");
    }

    #[test]
    fn nothing_stays_mounted_behind_a_disk_that_is_dropped_while_in_use() {
        let Some(disk) = ForgetfulDisk::mount() else { return };
        let folder = disk.folder().display().to_string();
        let mounted = || fs::read_to_string("/proc/mounts").expect("Linux").contains(&folder);
        let open = write(&disk.folder().join("file"), 1);
        assert!(mounted());
        drop(disk);
        assert!(!mounted() && !Path::new(&folder).exists());
        drop(open);
    }
}
