//! What is in one file: on the platter, and written since the last sync.

use std::collections::BTreeMap;
use std::ops::Range;

use crossdock_common::random::Random;

use super::Tally;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;

/// One file. Reading sees everything that was written; a power cut leaves what was synced and some of the rest.
#[derive(Default)]
pub struct Contents {
    platter: Platter,
    /// Changes that were synced.
    synced: usize,
    unsynced: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    Size(usize),
}

impl Contents {
    /// Current size.
    pub fn len_bytes(&self) -> usize {
        let size = |change: &Change| if let Change::Size(len_bytes) = change { Some(*len_bytes) } else { None };
        self.unsynced.iter().rev().find_map(size).unwrap_or(self.platter.len_bytes)
    }

    /// Growing is a change of its own: one may survive without the other.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.resize(self.len_bytes().max(offset + bytes.len()));
        self.unsynced.push(Change::Write(offset, bytes.to_vec()));
    }

    /// Cuts the file, or extends it with zeros.
    pub fn resize(&mut self, len_bytes: usize) {
        if len_bytes != self.len_bytes() {
            self.unsynced.push(Change::Size(len_bytes));
        }
    }

    /// What is at that place; less than asked for at the end of the file.
    pub fn read(&self, offset: usize, count: usize) -> Vec<u8> {
        let end = (offset + count).min(self.len_bytes());
        let mut bytes = vec![0; end.saturating_sub(offset)];
        self.platter.read(offset, &mut bytes);
        self.unsynced.iter().for_each(|change| change.show(offset, &mut bytes));
        bytes
    }

    /// Number of changes so far: what a sync that begins now is to make durable.
    pub fn changes(&self) -> usize {
        self.synced + self.unsynced.len()
    }

    /// So many changes survive from now on. Sizes too, also with fdatasync: they are needed to read the data.
    pub fn sync(&mut self, changes: usize) {
        let done = changes.saturating_sub(self.synced);
        self.synced += done;
        for change in self.unsynced.drain(..done) {
            match change {
                Change::Write(offset, bytes) => self.platter.write(offset, &bytes),
                Change::Size(len_bytes) => self.platter.resize(len_bytes),
            }
        }
    }

    /// Decides what of the unsynced changes has reached the platter: each for itself, so that a later one may have and an
    /// earlier one not. Of a write that is torn, each sector has or has not.
    pub fn cut(&mut self, random: &mut Random, tally: &mut Tally) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write(offset, bytes) => tally.count(self.platter.write_some(offset, &bytes, random)),
                Change::Size(len_bytes) if random.below(2) == 0 => self.platter.resize(len_bytes),
                Change::Size(_) => {}
            }
        }
    }
}

impl Change {
    /// Changes bytes that were read from `start` on the way it changes the file.
    fn show(&self, start: usize, seen: &mut [u8]) {
        match self {
            Change::Write(offset, bytes) => {
                let from = start.max(*offset);
                let to = (start + seen.len()).min(offset + bytes.len());
                if from < to {
                    seen[from - start..to - start].copy_from_slice(&bytes[from - offset..to - offset]);
                }
            }
            Change::Size(len_bytes) => {
                let kept = len_bytes.saturating_sub(start).min(seen.len());
                seen[kept..].fill(0);
            }
        }
    }
}

/// What became of a write that nobody synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    Dropped,
    Torn,
}

/// What survives. Pages that were never written take no memory and read as zeros.
#[derive(Default)]
struct Platter {
    pages: BTreeMap<usize, Box<[u8; PAGE_BYTES]>>,
    len_bytes: usize,
}

impl Platter {
    fn read(&self, start: usize, seen: &mut [u8]) {
        for piece in pieces(start..start + seen.len(), PAGE_BYTES) {
            if let Some(page) = self.pages.get(&(piece.start / PAGE_BYTES)) {
                let place = &mut seen[piece.start - start..piece.end - start];
                place.copy_from_slice(&page[piece.start % PAGE_BYTES..][..piece.len()]);
            }
        }
    }

    /// Nothing can be written behind the end: if growing did not survive, neither does what was written there.
    fn write(&mut self, start: usize, bytes: &[u8]) {
        let end = (start + bytes.len()).min(self.len_bytes);
        for piece in pieces(start..end, PAGE_BYTES) {
            let page = self.pages.entry(piece.start / PAGE_BYTES).or_insert_with(|| Box::new([0; PAGE_BYTES]));
            let place = &mut page[piece.start % PAGE_BYTES..][..piece.len()];
            place.copy_from_slice(&bytes[piece.start - start..piece.end - start]);
        }
    }

    fn write_some(&mut self, start: usize, bytes: &[u8], random: &mut Random) -> Fate {
        let chances = [&[true][..], &[false], &[true, false]][random.below(3) as usize];
        let (mut kept, mut dropped) = (0, 0);
        for sector in pieces(start..start + bytes.len(), SECTOR_BYTES) {
            if chances[random.below(chances.len() as u64) as usize] {
                self.write(sector.start, &bytes[sector.start - start..sector.end - start]);
                kept += 1;
            } else {
                dropped += 1;
            }
        }
        match (kept, dropped) {
            (_, 0) => Fate::Kept,
            (0, _) => Fate::Dropped,
            _ => Fate::Torn,
        }
    }

    fn resize(&mut self, len_bytes: usize) {
        self.len_bytes = len_bytes;
        self.pages.split_off(&len_bytes.div_ceil(PAGE_BYTES));
        if let Some(last) = self.pages.get_mut(&(len_bytes / PAGE_BYTES)) {
            last[len_bytes % PAGE_BYTES..].fill(0);
        }
    }
}

/// A range, cut at the multiples of `unit`.
fn pieces(range: Range<usize>, unit: usize) -> impl Iterator<Item = Range<usize>> {
    let units = range.start / unit..range.end.div_ceil(unit);
    let cut = units.map(move |index| (index * unit).max(range.start)..((index + 1) * unit).min(range.end));
    cut.filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(file: &mut Contents, seed: u64) -> Tally {
        let mut tally = Tally::default();
        file.cut(&mut Random::from_seed(seed), &mut tally);
        tally
    }

    #[test]
    fn what_is_read_is_what_was_written_synced_or_not() {
        let mut file = Contents::default();
        file.write(4090, &[1; 20]);
        file.sync(file.changes());
        file.write(4100, &[2; 20]);
        assert_eq!(file.read(4088, 100), [&[0; 2][..], &[1; 10], &[2; 20]].concat());
        file.resize(4101);
        file.resize(4103);
        assert_eq!(file.read(4099, 100), [1, 2, 0, 0]);
        file.sync(file.changes());
        assert_eq!((file.len_bytes(), file.read(4099, 100)), (4103, vec![1, 2, 0, 0]));
        assert!(file.read(5000, 1).is_empty());
    }

    #[test]
    fn what_was_synced_survives_every_cut() {
        for seed in 0..100 {
            let mut file = Contents::default();
            file.write(0, &[1; 2000]);
            file.sync(file.changes());
            file.write(2000, &[2; 2000]);
            cut(&mut file, seed);
            assert_eq!(file.read(0, 2000), [1; 2000], "seed {seed}");
        }
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_began() {
        let lost = |seed| {
            let mut file = Contents::default();
            file.write(0, &[1; 512]);
            let begun = file.changes();
            file.write(0, &[2; 512]);
            file.sync(begun);
            file.sync(begun);
            cut(&mut file, seed);
            file.read(0, 1) == [1]
        };
        assert!((0..100).any(lost) && !(0..100).all(lost));
    }

    #[test]
    fn a_write_that_was_not_synced_may_survive_vanish_or_be_torn_between_sectors() {
        let mut seen = Tally::default();
        for seed in 0..100 {
            let mut file = Contents::default();
            file.resize(2048);
            file.sync(file.changes());
            file.write(100, &[1; 1800]);
            let tally = cut(&mut file, seed);
            let bytes = file.read(0, 2048);
            let sectors = bytes.chunks(SECTOR_BYTES).enumerate().map(|(index, sector)| {
                let (start, end) = if index == 0 { (100, 512) } else { (0, sector.len().min(1900 - index * 512)) };
                assert!(sector[start..end].windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: within a sector");
                sector[start] == 1
            });
            let kept = sectors.filter(|&kept| kept).count() as u64;
            assert_eq!([tally.writes_kept, tally.writes_dropped], [u64::from(kept == 4), u64::from(kept == 0)]);
            seen += tally;
        }
        assert!(seen.writes_kept > 20 && seen.writes_dropped > 20 && seen.writes_torn > 20, "{seen:?}");
    }

    #[test]
    fn a_later_write_may_survive_an_earlier_one() {
        let survivors = (0..100).map(|seed| {
            let mut file = Contents::default();
            file.resize(1024);
            file.sync(file.changes());
            file.write(0, &[1; 512]);
            file.write(512, &[2; 512]);
            cut(&mut file, seed);
            (file.read(0, 1)[0], file.read(512, 1)[0])
        });
        let survivors: std::collections::BTreeSet<_> = survivors.collect();
        assert_eq!(survivors.into_iter().collect::<Vec<_>>(), [(0, 0), (0, 2), (1, 0), (1, 2)]);
    }

    #[test]
    fn a_size_that_was_not_synced_may_vanish_and_takes_what_was_written_behind_it() {
        let sizes = (0..100).map(|seed| {
            let mut file = Contents::default();
            file.write(0, &[1; 512]);
            cut(&mut file, seed);
            (file.len_bytes(), file.read(0, 512).iter().map(|&byte| usize::from(byte)).sum())
        });
        let sizes: std::collections::BTreeSet<_> = sizes.collect();
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [(0, 0), (512, 0), (512, 512)]);
    }
}
