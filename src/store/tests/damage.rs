//! Bits that flip, files that get shorter, pages that turn to zero (R-4, ST0-1): the journal always opens, loses only what
//! was hit and says so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::inspection::Seen;
use super::support::*;
use crate::simulated::{Random, SimulatedDisk};
use crate::*;

/// A closed journal: snapshot at 30, batches 31 to 80, several segments.
struct Subject {
    disk: SimulatedDisk,
    batches: BTreeMap<BatchSequence, Vec<Record>>,
    state: Vec<Record>,
    last: BatchSequence,
    /// Up to here the loss of a batch has to be noticed.
    sealed: BatchSequence,
}

const SNAPSHOT_AT: BatchSequence = BatchSequence(30);

impl Subject {
    fn new(seed: u64, orderly: bool) -> Subject {
        let mut random = Random::new(seed);
        let disk = SimulatedDisk::new(seed);
        let mut opened = open(&disk);
        let mut batches = BTreeMap::new();
        let state: Vec<_> = (0..40).map(|stream| record(1000 + stream, &[stream as u8; 100])).collect();
        for number in 1..=80 {
            let records = random_records(&mut random);
            opened.append(&records).unwrap();
            batches.insert(BatchSequence(number), records);
            if random.chance(3) {
                opened.settle();
            }
            if BatchSequence(number) == SNAPSHOT_AT {
                opened.journal.snapshot(SNAPSHOT_AT, snapshot(&state)).unwrap();
            }
        }
        opened.settle();
        let last = opened.next.previous();
        if orderly {
            opened.close();
        }
        disk.kill();
        let sealed = if orderly { last } else { BatchSequence::NONE };
        Subject { disk, batches, state, last, sealed }
    }

    fn random_file(&self, random: &mut Random) -> PathBuf {
        let files = self.disk.contents();
        files[random.below(files.len() as u64) as usize].0.clone()
    }

    /// Opens the damaged journal. All that is delivered is true, all that is not is named. Returns the number of losses.
    fn check(&self, opened: &Opened) -> usize {
        let heard = &opened.heard;
        let mut missing: Vec<(BatchSequence, u64)> = Vec::new();
        let snapshot_at = opened.report.snapshot_at;
        let behind = self.batches.range(snapshot_at.next()..);
        let mut delivered = heard.batches.iter().peekable();
        for (sequence, record) in behind.flat_map(|(at, batch)| batch.iter().map(move |record| (*at, record))) {
            if delivered.next_if(|next| next.0 == sequence && next.1 == *record).is_none() {
                missing.push((sequence, record.stream));
            }
        }
        assert_eq!(delivered.next(), None, "delivered what was never written there");
        let mut kept = heard.snapshot.iter().peekable();
        // Without the snapshot, the batches it covered count instead.
        for record in self.state.iter().filter(|_| snapshot_at == SNAPSHOT_AT) {
            if kept.next_if(|next| *next == record).is_none() {
                missing.push((SNAPSHOT_AT, record.stream));
            }
        }
        assert_eq!(kept.next(), None, "the snapshot has grown");
        let unnoticed = |sequence: BatchSequence| sequence > opened.report.last && sequence > self.sealed;
        for (sequence, stream) in &missing {
            let names = |damage: &Damage| {
                (damage.first..=damage.last).contains(sequence) && damage.stream.is_none_or(|named| named == *stream)
            };
            assert!(unnoticed(*sequence) || heard.damages.iter().any(names), "batch {sequence} is lost without a word");
        }
        missing.len()
    }

    /// Looks without opening; an open that follows must have seen the same.
    fn inspect(&self) -> Seen {
        let before = self.disk.contents();
        let seen = Seen::of(&self.disk);
        assert!(self.disk.contents() == before, "looking changes nothing");
        seen
    }

    /// The damaged journal goes on: what is appended now stays, and the next snapshot heals it.
    fn goes_on(&self, mut opened: Opened) {
        let added = record(5, b"after the damage");
        opened.append(std::slice::from_ref(&added)).unwrap();
        assert_eq!(opened.settle(), Step::Idle);
        let at = opened.next.previous();
        drop(opened);
        self.disk.crash();
        let mut opened = open(&self.disk);
        assert_eq!(opened.heard.batches.last(), Some(&(at, added)));
        opened.journal.snapshot(at, snapshot(&self.state)).unwrap();
        opened.settle();
        assert!(opened.drain_events().contains(&JournalEvent::SnapshotDone(at)));
        drop(opened);
        self.disk.crash();
        let opened = open(&self.disk);
        assert_eq!((opened.report.damages, opened.heard.snapshot.len()), (0, self.state.len()));
    }
}

#[test]
fn a_flipped_bit_costs_one_record_at_most() {
    for_each_seed(seeds(), |seed| {
        let subject = Subject::new(seed, true);
        let mut random = Random::new(seed ^ 0xF11B);
        let path = subject.random_file(&mut random);
        subject.disk.corrupt(&path, |bytes| flip(bytes, &mut random)).unwrap();
        let seen = subject.inspect();
        let opened = open(&subject.disk);
        seen.agrees_with(&opened);
        let lost = subject.check(&opened);
        assert!(lost <= 1, "{lost} records lost by one bit");
        assert_eq!(opened.report.damages, lost as u64);
        assert_eq!(opened.report.last, subject.last);
        subject.goes_on(opened);
    });
}

#[test]
fn a_flipped_bit_without_a_seal_costs_the_last_group_at_most() {
    for_each_seed(seeds(), |seed| {
        let subject = Subject::new(seed, false);
        let mut random = Random::new(seed ^ 0xF11B);
        let path = subject.random_file(&mut random);
        subject.disk.corrupt(&path, |bytes| flip(bytes, &mut random)).unwrap();
        let opened = open(&subject.disk);
        subject.check(&opened);
        subject.goes_on(opened);
    });
}

#[test]
fn any_rough_damage_is_survived_and_named() {
    for_each_seed(seeds(), |seed| {
        let subject = Subject::new(seed, true);
        let mut random = Random::new(seed ^ 0xBAD);
        let path = subject.random_file(&mut random);
        subject.disk.corrupt(&path, |bytes| maim(bytes, &mut random)).unwrap();
        let seen = subject.inspect();
        let opened = open(&subject.disk);
        seen.agrees_with(&opened);
        subject.check(&opened);
        assert_eq!(opened.report.last, subject.last);
        subject.goes_on(opened);
    });
}

#[test]
fn a_lost_file_is_named() {
    for index in 0..Subject::new(3, true).disk.contents().len() {
        let subject = Subject::new(3, true);
        let (path, _) = subject.disk.contents().swap_remove(index);
        Disk::remove(&subject.disk, &path).unwrap();
        subject.disk.sync_folder(&folder()).unwrap();
        let opened = open(&subject.disk);
        subject.check(&opened);
    }
}

/// What the seal proves of later segments is not missed in an earlier one.
#[test]
fn a_destroyed_end_of_a_segment_costs_nothing_behind_it() {
    let subject = Subject::new(1, true);
    let files = segments(&subject.disk);
    assert!(files.len() > 2);
    subject.disk.corrupt(&files[0], |bytes| bytes[1024..].fill(0)).unwrap();
    let opened = open(&subject.disk);
    let second: u64 = files[1].to_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
    let behind = subject.batches.range(BatchSequence(second)..).flat_map(|(_, batch)| batch);
    let heard = opened.heard.batches.iter().filter(|(sequence, _)| sequence.0 >= second);
    assert!(behind.eq(heard.map(|(_, record)| record)));
    assert_eq!((opened.report.damages, opened.report.last), (1, subject.last));
}

#[test]
fn a_damaged_segment_ends_in_quarantine() {
    let subject = Subject::new(1, true);
    let path = segments(&subject.disk).pop().unwrap();
    subject.disk.corrupt(&path, |bytes| bytes[100..400].fill(0xFF)).unwrap();
    let opened = open(&subject.disk);
    assert!(opened.report.damages > 0);
    subject.goes_on(opened);
    let kept = folder().join("quarantine").join(path.file_name().unwrap());
    assert!(subject.disk.contents().iter().any(|(path, _)| *path == kept));
}

/// A client can put anything into a message, also what looks like the journal's own header.
#[test]
fn a_payload_is_never_taken_for_a_batch() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    opened.append(&[record(1, b"before")]).unwrap();
    opened.settle();
    let mut foreign = SimulatedDisk::new(2);
    let forged = forged_segment(&mut foreign);
    opened.append(&[record(2, &forged)]).unwrap();
    opened.append(&[record(3, b"behind")]).unwrap();
    opened.settle();
    opened.close();
    disk.kill();
    // The second batch loses both headers: its payload lies bare.
    disk.corrupt(&segments(&disk)[0], |bytes| {
        let headers: Vec<_> = (512..bytes.len() - 72).filter(|at| bytes[*at..].starts_with(b"XDKJ")).collect();
        let own = headers.into_iter().filter(|at| bytes[at + 8] == options().identity as u8 && bytes[at + 24] == 2);
        own.collect::<Vec<_>>().into_iter().for_each(|at| bytes[at] = 0);
    })
    .unwrap();
    let opened = open(&disk);
    let streams: Vec<_> = opened.heard.batches.iter().map(|(_, record)| record.stream).collect();
    assert_eq!(streams, [1, 3]);
    assert_eq!(opened.report.damages, 1);
}

/// Batches of a journal whose secret the forger had to guess.
fn forged_segment(disk: &mut SimulatedDisk) -> Vec<u8> {
    let mut opened = try_open(disk, Options { identity: 99, ..options() }).unwrap();
    for stream in 0..5 {
        opened.append(&[record(stream + 100, b"forged")]).unwrap();
    }
    opened.settle();
    let mut bytes = disk.contents().pop().unwrap().1;
    bytes.truncate(1024);
    bytes
}

/// Three batches of 512 bytes each, every payload led by `mark`, written in epoch `epoch` and closed.
fn three_batches(identity: u64, epoch: u64, mark: u8) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let open = || try_open(&disk, Options { identity, ..options() }).unwrap();
    (1..epoch).for_each(|_| drop(open()));
    let mut opened = open();
    for number in 1..=3 {
        opened.append(&[record(u64::from(mark), &[mark, number])]).unwrap();
        opened.settle();
    }
    opened.close();
    disk.kill();
    disk
}

/// Puts the sectors `range` of `from`'s only segment into `to`'s, and returns the payload marks that recovery delivers.
fn transplant(from: &SimulatedDisk, to: &SimulatedDisk, range: std::ops::Range<usize>) -> (Vec<u8>, u64) {
    let path = &segments(from)[0];
    let foreign = from.contents().into_iter().find(|(found, _)| found == path).unwrap().1;
    let range = range.start * 512..range.end * 512;
    to.corrupt(path, |bytes| bytes[range.clone()].copy_from_slice(&foreign[range])).unwrap();
    let opened = open(to);
    assert_eq!(opened.report.last, BatchSequence(3));
    (opened.heard.batches.iter().map(|(_, record)| record.payload[0]).collect(), opened.report.damages)
}

#[test]
fn a_batch_of_another_journal_is_damage() {
    let (own, other) = (three_batches(1, 1, b'a'), three_batches(2, 1, b'b'));
    assert_eq!(transplant(&other, &own, 0..3), (vec![], 1));
}

#[test]
fn a_batch_of_another_history_breaks_the_chain() {
    let (own, other) = (three_batches(1, 1, b'a'), three_batches(1, 1, b'b'));
    assert_eq!(transplant(&other, &own, 1..2), (vec![b'a', b'a'], 1));
}

#[test]
fn a_batch_of_an_older_epoch_is_stale() {
    let (own, other) = (three_batches(1, 2, b'a'), three_batches(1, 1, b'b'));
    // Without the second batch there is no chain to the third, only its epoch tells.
    own.corrupt(&segments(&own)[0], |bytes| bytes[512..1024].fill(0)).unwrap();
    assert_eq!(transplant(&other, &own, 2..3), (vec![b'a'], 1));
}

fn segments(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.to_str().unwrap().contains("segment-");
    disk.contents().into_iter().map(|(path, _)| path).filter(is_segment).collect()
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len() as u64) as usize;
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

pub(super) fn maim(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() as u64 + 1) as usize;
    let page = at / 4096 * 4096;
    let page_end = bytes.len().min(page + 4096);
    match random.below(5) {
        0 => bytes.truncate(at),
        1 => bytes[page..page_end].fill(0),
        2 => drop(bytes.splice(page..page, [0; 4096])),
        3 => bytes[page..page_end].fill(random.next_u64() as u8),
        _ => {
            let end = bytes.len().min(at + random.below(2000) as usize);
            bytes[at..end].iter_mut().for_each(|byte| *byte = random.next_u64() as u8);
        }
    }
}
