//! Which name in which folder leads where: as seen, and on the platter.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crossdock_common::random::Random;

use super::Tally;

/// A folder's inode, and a name in it.
pub type Place = (u64, OsString);

/// All names of all folders. A change is durable when its folder is synced. Syncing a file does not make its name durable, and
/// syncing a folder does not make the folder's own name durable: POSIX promises neither, whatever ext4 does.
#[derive(Default)]
pub struct Names {
    seen: BTreeMap<Place, u64>,
    platter: BTreeMap<Place, u64>,
    /// Number of changes so far.
    changes: usize,
    /// Each with its number.
    unsynced: Vec<(usize, Change)>,
}

enum Change {
    Put(Place, u64),
    /// Atomic, as POSIX has it: after a power cut the file has one of its two names.
    Move(Place, Place, u64),
    Remove(Place),
}

impl Names {
    /// Where a name leads.
    pub fn find(&self, folder: u64, name: &OsStr) -> Option<u64> {
        self.seen.get(&(folder, name.to_owned())).copied()
    }

    /// What is in a folder.
    pub fn list(&self, folder: u64) -> impl Iterator<Item = (&OsStr, u64)> {
        let entries = self.seen.range((folder, OsString::new())..(folder + 1, OsString::new()));
        entries.map(|((_, name), inode)| (name.as_os_str(), *inode))
    }

    /// A new name.
    pub fn put(&mut self, place: Place, inode: u64) {
        self.change(Change::Put(place, inode));
    }

    /// Another name instead of the one it has; replaces what had that name. `None` if there is nothing.
    pub fn rename(&mut self, from: Place, to: Place) -> Option<()> {
        let inode = self.seen.get(&from).copied()?;
        self.change(Change::Move(from, to, inode));
        Some(())
    }

    /// `None` if there is nothing.
    pub fn remove(&mut self, place: Place) -> Option<()> {
        self.seen.get(&place)?;
        self.change(Change::Remove(place));
        Some(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.changes += 1;
        self.unsynced.push((self.changes, change));
    }

    /// Number of changes so far: what a sync that begins now is to make durable.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// Of so many changes, those that happened in a folder survive from now on.
    pub fn sync(&mut self, folder: u64, changes: usize) {
        let is_covered = |(number, change): &mut (usize, Change)| *number <= changes && change.is_in(folder);
        self.unsynced.extract_if(.., is_covered).for_each(|(_, change)| change.apply(&mut self.platter));
    }

    /// Decides which unsynced changes have reached the platter. In half of all cuts a suffix of them is lost, over all folders, as
    /// file systems with a journal do it; in the others each may be, whatever became of the one before.
    pub fn cut(&mut self, random: &mut Random, tally: &mut Tally) {
        let in_order = random.below(2) == 0;
        let prefix = random.below(self.unsynced.len() as u64 + 1) as usize;
        for (index, (_, change)) in self.unsynced.drain(..).enumerate() {
            if if in_order { index < prefix } else { random.below(2) == 0 } {
                change.apply(&mut self.platter);
                tally.names_kept += 1;
            } else {
                tally.names_dropped += 1;
            }
        }
        self.seen = self.platter.clone();
    }

    /// Whether anything leads there.
    pub fn lead_to(&self, inode: u64) -> bool {
        self.seen.values().any(|&found| found == inode)
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<Place, u64>) {
        match self {
            Change::Put(place, inode) => {
                names.insert(place.clone(), *inode);
            }
            Change::Move(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Change::Remove(place) => {
                names.remove(place);
            }
        }
    }

    fn is_in(&self, folder: u64) -> bool {
        match self {
            Change::Put(place, _) | Change::Remove(place) => place.0 == folder,
            Change::Move(from, to, _) => from.0 == folder || to.0 == folder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: u64, name: &str) -> Place {
        (folder, name.into())
    }

    fn cut(names: &mut Names, seed: u64) -> Vec<(Place, u64)> {
        names.cut(&mut Random::from_seed(seed), &mut Tally::default());
        names.seen.clone().into_iter().collect()
    }

    #[test]
    fn a_synced_folder_keeps_its_names_and_only_its_own() {
        let mut parents_kept = 0;
        for seed in 0..100 {
            let mut names = Names::default();
            names.put(place(1, "folder"), 2);
            names.put(place(2, "old"), 3);
            names.rename(place(2, "old"), place(2, "new")).unwrap();
            names.sync(2, names.changes());
            cut(&mut names, seed);
            assert_eq!(names.list(2).collect::<Vec<_>>(), [(OsStr::new("new"), 3)], "seed {seed}");
            parents_kept += usize::from(names.find(1, OsStr::new("folder")).is_some());
        }
        assert!((20..80).contains(&parents_kept), "{parents_kept}");
    }

    #[test]
    fn an_unsynced_rename_leaves_one_of_the_two_names() {
        let mut news = 0;
        for seed in 0..100 {
            let mut names = Names::default();
            names.put(place(1, "old"), 2);
            names.sync(1, names.changes());
            names.rename(place(1, "old"), place(1, "new")).unwrap();
            let left = cut(&mut names, seed);
            assert!(left == [(place(1, "old"), 2)] || left == [(place(1, "new"), 2)], "seed {seed}: {left:?}");
            news += usize::from(left[0].0.1 == "new");
        }
        assert!((20..80).contains(&news), "{news}");
    }

    #[test]
    fn an_unsynced_removal_may_not_have_happened() {
        let left: Vec<_> = (0..100)
            .map(|seed| {
                let mut names = Names::default();
                names.put(place(1, "file"), 2);
                names.sync(1, names.changes());
                names.remove(place(1, "file")).unwrap();
                assert!(names.find(1, OsStr::new("file")).is_none());
                cut(&mut names, seed).len()
            })
            .collect();
        assert!(left.contains(&0) && left.contains(&1), "{left:?}");
    }
}
