//! A control group of its own, for tests of what happens when memory is short.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::wait_for;

/// A group that may use so much memory, page cache included, and no swap.
pub struct ControlGroup {
    folder: PathBuf,
    /// Where it says how often the kernel killed somebody in it.
    events: &'static str,
}

impl ControlGroup {
    /// `None` where groups cannot be made: loud locally, a failure in CI.
    pub fn with_memory(bytes: u64) -> Option<Self> {
        let made = Self::version_1(bytes).or_else(|| Self::version_2(bytes));
        assert!(
            made.is_some() || std::env::var_os("CI").is_none(),
            "no control group can be made: this test needs root"
        );
        if made.is_none() {
            eprintln!("SKIPPED a memory ceiling: no control group can be made without root");
        }
        made
    }

    fn version_1(bytes: u64) -> Option<Self> {
        let group = Self::make(Path::new("/sys/fs/cgroup/memory"), "memory.oom_control")?;
        fs::write(group.folder.join("memory.limit_in_bytes"), bytes.to_string()).ok()?;
        Some(group)
    }

    fn version_2(bytes: u64) -> Option<Self> {
        let group = Self::make(Path::new("/sys/fs/cgroup"), "memory.events")?;
        fs::write(group.folder.join("memory.max"), bytes.to_string()).ok()?;
        Some(group)
    }

    fn make(parent: &Path, events: &'static str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("crossdock-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = parent.join(name);
        // A file system that is not one of control groups would make an empty folder.
        fs::create_dir(&folder).ok()?;
        let group = Self { folder, events };
        group.folder.join(events).exists().then_some(group)
    }

    /// What starts a program inside it: to be followed by the program and its arguments.
    pub fn launcher(&self) -> Vec<String> {
        let enter = format!("echo $$ > '{}' && exec \"$0\" \"$@\"", self.folder.join("cgroup.procs").display());
        vec!["sh".to_owned(), "-c".to_owned(), enter]
    }

    /// How often the kernel killed somebody for lack of memory.
    pub fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.folder.join(self.events)).expect("the group is there");
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).expect("a kernel that counts")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // A group is busy until the kernel has forgotten its last process.
        if !std::thread::panicking() {
            wait_for("the group to be empty", || fs::remove_dir(&self.folder).ok());
        }
    }
}
