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
        // The kernel lets go of it when nothing in it is open any more and every request is answered.
        session.join().expect("it ends in order");
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
