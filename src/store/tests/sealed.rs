//! Encryption at rest: nothing readable on disk, nothing believed that was changed, nothing touched without the key.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inspection::Seen;
use super::stored::read;
use super::support::*;
use crate::simulated::{Fault, Random, SimulatedDisk};
use crate::*;

const FIRST: &str = "segment-00000000000000000001";
/// Where blocks begin, and their sizes on disk and to their users.
const BLOCKS_AT: usize = 8192;
const BLOCK: usize = 512;
const PLAIN: u32 = 488;

pub(super) fn with(keys: Keyring) -> Options {
    Options { keep_segments: true, keys, ..options() }
}

/// Something that is easy to find again.
pub(super) fn readable(number: u64) -> Record {
    record(number, format!("the number of this very secret account is {number:06}").repeat(10).as_bytes())
}

/// A folder with a snapshot, several segments and a compact file, closed.
pub(super) fn full_folder(keys: Keyring) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let mut opened = try_open(&disk, with(keys)).unwrap();
    append(&mut opened, 1..=100);
    opened.journal.snapshot(BatchSequence(70), snapshot(&[readable(1)])).unwrap();
    opened.settle();
    opened.journal.clean(BatchSequence(1), Box::new(KeepThirds)).unwrap();
    opened.settle();
    assert!(opened.drain_events().iter().any(|event| matches!(event, JournalEvent::Cleaned { len_bytes: 1.., .. })));
    opened.close();
    disk.kill();
    disk
}

fn append(opened: &mut Opened, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        opened.append(&[readable(number)]).unwrap();
        if number % 7 == 0 {
            opened.settle();
        }
    }
    opened.settle();
}

struct KeepThirds;

impl Survivors for KeepThirds {
    fn keep(&mut self, records: &[StoredRecord<'_>], keep: &mut Vec<bool>) {
        keep.extend(records.iter().map(|record| record.stream % 3 == 0));
    }
}

pub(super) fn files_with(disk: &SimulatedDisk, text: &[u8]) -> Vec<PathBuf> {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    disk.contents().into_iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path).collect()
}

fn contents(disk: &SimulatedDisk, name: &str) -> Vec<u8> {
    disk.contents().into_iter().find(|(path, _)| *path == file(name)).expect(name).1
}

#[test]
fn no_file_holds_what_was_written() {
    let text = b"secret account";
    let without = files_with(&full_folder(Keyring::default()), text);
    let kinds = ["segment-", "compact-", "snapshot-"];
    let is_of = |kind: &str, path: &PathBuf| path.to_str().unwrap().contains(kind);
    assert!(kinds.iter().all(|kind| without.iter().any(|path| is_of(kind, path))), "{without:?}");
    let disk = full_folder(keys(Some(1), &[]));
    assert_eq!(files_with(&disk, text), [] as [PathBuf; 0]);
    assert_eq!(files_with(&disk, &[1; KEY_BYTES]), [] as [PathBuf; 0], "nor the key");
    let opened = try_open(&disk, with(keys(Some(1), &[]))).unwrap();
    assert_eq!((opened.report.damages, opened.report.last), (0, BatchSequence(100)));
    assert_eq!((opened.report.sealing.bare, opened.heard.snapshot), (0, vec![readable(1)]));
    assert!(opened.heard.batches.iter().map(|(_, record)| record.clone()).eq((71..=100).map(readable)));
    let payloads = read(&*opened.journal, &opened.heard.locations);
    assert!(payloads.into_iter().zip(71..).all(|(payload, number)| payload.unwrap() == readable(number).payload));
}

#[test]
fn without_the_right_key_nothing_opens_and_nothing_changes() {
    let disk = full_folder(keys(Some(1), &[]));
    let before = disk.contents();
    let id = master(1).id();
    for (wrong, known) in [
        (Keyring::default(), "no key is configured".to_owned()),
        (keys(Some(2), &[]), format!("the only key configured is {}", master(2).id())),
        (keys(Some(2), &[3]), format!("the keys configured are [{}, {}]", master(2).id(), master(3).id())),
    ] {
        let error = try_open(&disk, with(wrong.clone())).err().unwrap();
        assert!(matches!(&error, OpenError::Sealed { reason: SealError::KeyMissing { key, .. }, .. } if *key == id));
        let text = error.to_string();
        let named = format!("with key {id}, and {known}: name the file of that key in store.encryption.key_file");
        assert!(text.contains(" in journal /journal cannot be read: ") && text.contains(&named), "{text}");
        let seen = inspect(Arc::new(disk.clone()), &wrong, &folder(), &mut |_| ());
        assert_eq!(seen.unwrap_err().to_string(), text);
        disk.kill();
    }
    assert!(disk.contents() == before, "nothing has changed");
}

#[test]
fn any_single_sealed_file_without_its_key_keeps_a_journal_from_opening() {
    let sealed = full_folder(keys(Some(1), &[])).contents();
    let holds_records =
        |path: &PathBuf| ["segment-", "compact-", "snapshot-"].iter().any(|kind| path.to_str().unwrap().contains(kind));
    for (path, bytes) in sealed.into_iter().filter(|(path, _)| holds_records(path)) {
        let disk = full_folder(keys(Some(2), &[]));
        disk.corrupt(&path, |old| *old = bytes.clone()).unwrap();
        assert!(matches!(try_open(&disk, with(keys(Some(2), &[]))), Err(OpenError::Sealed { .. })), "{path:?}");
        assert!(disk.contents().contains(&(path, bytes)));
    }
}

#[test]
fn keys_are_rotated_added_and_given_up() {
    let disk = SimulatedDisk::new(1);
    let lives = [(keys(None, &[]), 0), (keys(Some(1), &[]), 1), (keys(Some(2), &[1]), 2), (keys(None, &[2, 1]), 2)];
    for (life, (keys, known)) in (0u64..).zip(lives) {
        let mut opened = try_open(&disk, with(keys)).unwrap();
        assert_eq!((opened.report.damages, opened.report.last.0), (0, 20 * life));
        assert!(opened.heard.batches.iter().map(|(_, record)| record.clone()).eq((1..=20 * life).map(readable)));
        assert_eq!(opened.report.sealing.sealed.len(), known.min(life.saturating_sub(1)) as usize);
        append(&mut opened, 20 * life + 1..=20 * life + 20);
        opened.close();
        disk.kill();
    }
    let mut opened = try_open(&disk, with(keys(Some(2), &[1]))).unwrap();
    let [one, two] = [1, 2].map(|number| opened.report.sealing.sealed[&master(number).id()]);
    assert!(opened.report.sealing.bare > 1 && one > 0 && two > 0, "{:?}", opened.report.sealing);
    let read_back = read(&*opened.journal, &opened.heard.locations);
    assert!(read_back.into_iter().zip(1..).all(|(payload, number)| payload.unwrap() == readable(number).payload));
    // What is freed takes the old keys with it.
    opened.journal.snapshot(BatchSequence(80), snapshot(&[])).unwrap();
    opened.journal.segments().iter().for_each(|segment| opened.journal.release(segment.first));
    append(&mut opened, 81..=82);
    opened.close();
    disk.kill();
    let opened = try_open(&disk, with(keys(Some(2), &[]))).unwrap();
    assert_eq!((opened.report.sealing.bare, opened.report.sealing.sealed.len()), (0, 1));
}

#[test]
fn spares_of_the_time_before_are_not_written_as_they_are() {
    let disk = SimulatedDisk::new(1);
    // A size that is whole blocks with and without a key, so that a spare passes for the right one.
    let plain = Options { segment_bytes: 61 * 512, keep_segments: false, ..with(Keyring::default()) };
    let sealed = Options { keys: keys(Some(1), &[]), ..plain.clone() };
    for (options, expected) in [(plain.clone(), 1), (sealed, 0), (plain.clone(), 1)] {
        let options =
            Options { keys: Keyring::new(options.keys.seals().then(|| master(1)), vec![master(1)]), ..options };
        let mut opened = try_open(&disk, options).unwrap();
        for round in 0..4 {
            append(&mut opened, 100 * round..=100 * round + 99);
            let at = opened.next.previous();
            opened.journal.snapshot(at, snapshot(&[])).unwrap();
            opened.settle();
        }
        assert!(disk.contents().iter().any(|(path, _)| path.to_str().unwrap().contains("spare-")));
        let used: Vec<_> = files_with(&disk, b"secret account");
        let used = used.iter().filter(|path| !path.to_str().unwrap().contains("spare-")).count();
        assert_eq!(used > 0, expected > 0);
        drop(opened);
        disk.kill();
    }
}

/// One flipped bit costs what lies in its block, in a header nothing, and nothing is believed.
#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    for_each_seed(seeds() / 4, |seed| {
        let mut random = Random::new(seed);
        let disk = full_folder(keys(Some(1), &[]));
        let files = disk.contents();
        let (path, bytes) = &files[random.below(files.len() as u64) as usize];
        let at = random.below(bytes.len().max(1) as u64) as usize;
        disk.corrupt(path, |bytes| bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)))
            .unwrap();
        let seen = Seen::with(disk.clone(), &keys(Some(1), &[]));
        let opened = try_open(&disk, with(keys(Some(1), &[]))).unwrap();
        seen.agrees_with(&opened);
        let replayed = opened.heard.batches.iter();
        assert!(
            replayed.clone().all(|(sequence, record)| *record == readable(sequence.0)),
            "what was changed is delivered"
        );
        let snapshot_lost = opened.heard.snapshot != [readable(1)];
        let missing = 100 - opened.report.snapshot_at.0 - replayed.count() as u64;
        assert!(missing <= 2 && opened.report.damages >= missing + u64::from(snapshot_lost), "{missing}");
        for payload in read(&*opened.journal, &opened.heard.locations) {
            payload.unwrap();
        }
    });
}

#[test]
fn reads_notice_what_was_changed_and_moved() {
    for change in [
        |bytes: &mut Vec<u8>| bytes[BLOCKS_AT + BLOCK + 100] ^= 1,
        |bytes: &mut Vec<u8>| bytes[BLOCKS_AT + BLOCK] ^= 1,
        |bytes: &mut Vec<u8>| {
            let (left, right) = bytes[BLOCKS_AT + BLOCK..].split_at_mut(BLOCK);
            left.swap_with_slice(&mut right[..BLOCK]);
        },
        |bytes: &mut Vec<u8>| bytes[BLOCKS_AT + BLOCK..BLOCKS_AT + 2 * BLOCK].fill(0),
    ] {
        let disk = SimulatedDisk::new(1);
        let mut opened = try_open(&disk, with(keys(Some(1), &[]))).unwrap();
        append(&mut opened, 1..=10);
        drop(opened);
        disk.kill();
        let opened = try_open(&disk, with(keys(Some(1), &[]))).unwrap();
        disk.corrupt(&file(FIRST), change).unwrap();
        let locations = &opened.heard.locations;
        let hit = |location: &Location| location.offset < 3 * PLAIN && location.offset + location.length_bytes > PLAIN;
        let payloads = read(&*opened.journal, locations);
        assert!(payloads.iter().any(Result::is_err) && payloads.iter().any(Result::is_ok));
        for (payload, location) in payloads.into_iter().zip(locations) {
            assert!(payload.is_ok() || hit(location), "{location:?}");
        }
    }
}

#[test]
fn a_block_of_another_file_does_not_open() {
    let disk = full_folder(keys(Some(1), &[]));
    let segments: Vec<_> =
        disk.contents().into_iter().filter(|(path, _)| path.to_str().unwrap().contains("segment-")).collect();
    let (last, foreign) = (&segments[segments.len() - 1].0, &segments[segments.len() - 2].1);
    disk.corrupt(last, |bytes| {
        bytes[BLOCKS_AT..BLOCKS_AT + BLOCK].copy_from_slice(&foreign[BLOCKS_AT..BLOCKS_AT + BLOCK]);
    })
    .unwrap();
    let opened = try_open(&disk, with(keys(Some(1), &[]))).unwrap();
    assert!(opened.report.damages > 0);
    assert!(opened.heard.batches.iter().all(|(sequence, record)| *record == readable(sequence.0)));
}

#[test]
fn a_header_has_a_copy_and_what_was_forged_is_refused() {
    let open = |change: &dyn Fn(&mut Vec<u8>)| {
        let disk = full_folder(keys(Some(1), &[]));
        let path =
            disk.contents().into_iter().map(|(path, _)| path).rfind(|path| path.to_str().unwrap().contains("segment-"));
        disk.corrupt(&path.unwrap(), change).unwrap();
        let before = disk.contents();
        let opened = try_open(&disk, with(keys(Some(1), &[])));
        assert!(opened.is_ok() || disk.contents() == before);
        opened.map(|opened| opened.report.damages)
    };
    assert_eq!(open(&|bytes| bytes[..4096].fill(0)).unwrap(), 0);
    assert_eq!(open(&|bytes| bytes[4096..8192].fill(0)).unwrap(), 0);
    // Both gone, or hurt: what was in it is lost, and named.
    assert!(open(&|bytes| [100, 4196].into_iter().for_each(|at| bytes[at] ^= 1)).unwrap() > 0);
    assert!(open(&|bytes| bytes[..8192].fill(0)).unwrap() > 0);
    let forge = |bytes: &mut Vec<u8>, place: usize| {
        bytes[place + 100] ^= 1;
        let crc = crc32c::crc32c(&bytes[place..place + 140]);
        bytes[place + 140..place + 144].copy_from_slice(&crc.to_le_bytes());
    };
    assert_eq!(open(&|bytes| forge(bytes, 0)).unwrap(), 0);
    let error = open(&|bytes| [0, 4096].into_iter().for_each(|place| forge(bytes, place))).unwrap_err();
    assert!(matches!(error, OpenError::Sealed { reason: SealError::Changed { .. }, .. }), "{error}");
}

/// An earlier version sees a format that it does not know, not an empty file.
#[test]
fn a_sealed_file_begins_as_a_newer_format_does() {
    let bytes = contents(&full_folder(keys(Some(1), &[])), "snapshot-00000000000000000070");
    assert_eq!(format::Header::decode(&bytes), Err(format::HeaderError::NewerVersion(3)));
}

/// The same place is written several times, with other batches: never with the same nonce.
#[test]
fn no_nonce_is_used_twice() {
    let disk = SimulatedDisk::new(1);
    let mut opened = try_open(&disk, with(keys(Some(1), &[]))).unwrap();
    append(&mut opened, 1..=1);
    let mut counters = Vec::new();
    for number in 2..=5 {
        opened.append(&[readable(number)]).unwrap();
        disk.fail_write(1, Fault::Full);
        assert_eq!(opened.stepped.writer.step(), Step::Full);
        opened.settle();
        let bytes = contents(&disk, FIRST);
        let counter = |block: &[u8]| u64::from_le_bytes(block[..8].try_into().unwrap());
        let written = bytes[BLOCKS_AT..].chunks(BLOCK).take_while(|block| block.iter().any(|byte| *byte != 0));
        counters = written.map(counter).collect::<Vec<_>>();
    }
    let mut different = counters.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), counters.len());
    assert!(*different.last().unwrap() >= different.len() as u64, "what was not written counts, too: {counters:?}");
}

#[test]
fn whatever_is_maimed_is_survived_and_nothing_false_is_delivered() {
    for_each_seed(seeds() / 4, |seed| {
        let mut random = Random::new(seed ^ 0xBAD);
        let disk = full_folder(keys(Some(1), &[]));
        let files = disk.contents();
        let path = &files[random.below(files.len() as u64) as usize].0;
        disk.corrupt(path, |bytes| super::damage::maim(bytes, &mut random)).unwrap();
        let opened = try_open(&disk, with(keys(Some(1), &[]))).unwrap();
        assert_eq!(opened.report.last, BatchSequence(100));
        assert!(opened.heard.batches.iter().all(|(sequence, record)| *record == readable(sequence.0)));
        let missing = 100 - opened.report.snapshot_at.0 - opened.heard.batches.len() as u64;
        assert!(missing == 0 || opened.report.damages > 0, "{missing} lost without a word");
    });
}

/// What is sealed takes a little more than what is not, and the reader opens only what it needs.
#[test]
fn one_message_is_read_without_the_rest_of_its_segment() {
    let disk = SimulatedDisk::new(1);
    let mut opened = try_open(&disk, with(keys(Some(1), &[]))).unwrap();
    append(&mut opened, 1..=20);
    drop(opened);
    disk.kill();
    let opened = try_open(&disk, with(keys(Some(1), &[]))).unwrap();
    let hit = opened.heard.locations[9];
    let from = BLOCKS_AT + (hit.offset / PLAIN) as usize * BLOCK;
    let to = BLOCKS_AT + ((hit.offset + hit.length_bytes).div_ceil(PLAIN)) as usize * BLOCK;
    disk.corrupt(&file(FIRST), |bytes| {
        bytes[BLOCKS_AT..from].fill(0);
        bytes[to..].fill(0);
    })
    .unwrap();
    assert_eq!(read(&*opened.journal, &[hit]), [Ok(readable(10).payload.into())]);
}

/// What cannot be read is not taken for a file without encryption: it would be cut.
#[test]
fn a_file_whose_header_cannot_be_read_keeps_the_journal_from_opening() {
    let disk = full_folder(keys(Some(1), &[]));
    let before = disk.contents();
    let unreadable = Unreadable(disk.clone());
    let error =
        SteppedJournal::open(Arc::new(unreadable), &folder(), with(keys(Some(1), &[])), listener().0, &mut |_| ());
    let reason = match error.err().unwrap() {
        OpenError::Sealed { reason, .. } => reason,
        other => panic!("{other}"),
    };
    assert!(matches!(reason, SealError::Unreadable(_)), "{reason}");
    assert!(disk.contents() == before);
}

/// Its segments cannot be read.
struct Unreadable(SimulatedDisk);

struct UnreadableFile;

impl Disk for Unreadable {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.create_folder(folder)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.0.lock(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open_to_read(path)
    }
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if path.to_str().unwrap().contains("segment-") {
            Ok(Arc::new(UnreadableFile))
        } else {
            self.0.open_to_read(path)
        }
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk::remove(&self.0, path)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.sync_folder(folder)
    }
}

impl DiskFile for UnreadableFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(16_384)
    }
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("a bad sector"))
    }
    fn write_vectored_at(&self, _: u64, _: &[IoSlice<'_>]) -> io::Result<usize> {
        panic!("it is written")
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        panic!("it is allocated")
    }
    fn truncate(&self, _: u64) -> io::Result<()> {
        panic!("it is cut")
    }
    fn sync_data(&self) -> io::Result<()> {
        panic!("it is synced")
    }
}
