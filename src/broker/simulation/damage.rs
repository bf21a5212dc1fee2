//! Bits that flip and files that get shorter while nobody looks.

use std::path::PathBuf;

use crossdock_common::random::Random;
use crossdock_store::simulated::SimulatedDisk;

/// What was done.
#[derive(Debug)]
#[expect(dead_code, reason = "path and place are shown when a check fails")]
pub(super) struct Damaged {
    pub path: PathBuf,
    pub at: usize,
    pub is_truncated: bool,
}

/// Flips a bit of some file, or cuts the file there.
pub(super) fn damage(disk: &SimulatedDisk, random: &mut Random) -> Damaged {
    let files: Vec<_> = disk.contents().into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    let (path, bytes) = &files[random.below(files.len() as u64) as usize];
    // Most of a preallocated file is empty.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    let at = random.below(used as u64) as usize;
    let is_truncated = random.below(5) == 0;
    let bit = 1 << random.below(8);
    let changed = disk.corrupt(path, |bytes| {
        if is_truncated {
            bytes.truncate(at);
        } else {
            bytes[at] ^= bit;
        }
    });
    changed.expect("the file exists");
    Damaged { path: path.clone(), at, is_truncated }
}
