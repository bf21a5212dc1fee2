//! Looking at a journal without opening it.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use super::cleaning::{COMPACT, FIRST, SEGMENT, clean, covered, every, in_first};
use super::support::*;
use crate::simulated::SimulatedDisk;
use crate::*;

/// What an inspection showed.
pub(super) struct Seen {
    report: RecoveryReport,
    snapshot: Vec<Record>,
    /// With their locations, and whether the snapshot covers them.
    batches: Vec<(BatchSequence, Record, Location, bool)>,
    pub(super) damages: Vec<Damage>,
}

impl Seen {
    pub(super) fn of(disk: &(impl Disk + Clone + 'static)) -> Seen {
        Seen::with(disk.clone(), &Keyring::default())
    }

    pub(super) fn with(disk: impl Disk + 'static, keys: &Keyring) -> Seen {
        let (mut snapshot, mut batches, mut damages) = (Vec::new(), Vec::new(), Vec::new());
        let report = inspect(Arc::new(disk), keys, &folder(), &mut |inspected| match inspected {
            Inspected::SnapshotRecord { kind, stream, payload } => {
                snapshot.push(Record { kind, stream, payload: payload.to_vec() });
            }
            Inspected::Record { sequence, location, covered, kind, stream, payload } => {
                batches.push((sequence, Record { kind, stream, payload: payload.to_vec() }, location, covered));
            }
            Inspected::Damaged(damage) => damages.push(damage.clone()),
        });
        Seen { report: report.unwrap(), snapshot, batches, damages }
    }

    /// An open sees the same, except for what is covered.
    pub(super) fn agrees_with(&self, opened: &Opened) {
        let (seen, found) = (&self.report, &opened.report);
        assert_eq!((seen.last, seen.snapshot_at, seen.torn_bytes), (found.last, found.snapshot_at, found.torn_bytes));
        assert!(seen.epoch < found.epoch && seen.damages >= found.damages);
        assert_eq!(self.snapshot, opened.heard.snapshot);
        let uncovered = self.batches.iter().filter(|(.., covered)| !covered);
        let heard = opened.heard.batches.iter().zip(&opened.heard.locations);
        let heard = heard.map(|((sequence, record), location)| (*sequence, record, *location));
        assert!(uncovered.map(|(sequence, record, location, _)| (*sequence, record, *location)).eq(heard));
    }
}

/// A journal with a snapshot, covered segments, one of them cleaned, and batches behind the snapshot; closed.
fn subject() -> (SimulatedDisk, Vec<Location>) {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    clean(&mut opened, every(3));
    opened.append(&[record(99, b"behind")]).unwrap();
    opened.settle();
    opened.close();
    disk.kill();
    (disk, locations)
}

/// Refuses every change.
#[derive(Clone)]
struct ReadOnly(SimulatedDisk);

struct ReadOnlyFile(Arc<dyn DiskFile>);

fn denied<T>() -> io::Result<T> {
    Err(io::ErrorKind::PermissionDenied.into())
}

impl Disk for ReadOnly {
    fn create_folder(&self, _: &Path) -> io::Result<()> {
        panic!("a folder is made")
    }
    fn lock(&self, _: &Path) -> io::Result<Box<dyn DiskLock>> {
        denied()
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }
    fn open(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        denied()
    }
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ReadOnlyFile(self.0.open_to_read(path)?)))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        panic!("{} is made", path.display())
    }
    fn rename(&self, from: &Path, _: &Path) -> io::Result<()> {
        panic!("{} is renamed", from.display())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        panic!("{} is removed", path.display())
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        panic!("the folder is synced")
    }
}

impl DiskFile for ReadOnlyFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.0.len_bytes()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
    fn write_vectored_at(&self, _: u64, _: &[IoSlice<'_>]) -> io::Result<usize> {
        panic!("a file is written")
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        panic!("a file is allocated")
    }
    fn truncate(&self, _: u64) -> io::Result<()> {
        panic!("a file is cut")
    }
    fn sync_data(&self) -> io::Result<()> {
        panic!("a file is synced")
    }
}

#[test]
fn everything_is_shown_and_nothing_is_changed() {
    let (disk, locations) = subject();
    let seen = Seen::of(&ReadOnly(disk.clone()));
    assert_eq!((seen.damages.len(), seen.report.last, seen.report.epoch), (0, BatchSequence(61), Epoch(1)));
    let cleaned = in_first(&locations).len() as u64;
    let expected = (0..60).filter(|stream| *stream >= cleaned || stream % 3 == 0);
    let covered = seen.batches.iter().filter(|(.., covered)| *covered);
    let shown: Vec<_> = covered.map(|(sequence, record, location, _)| (sequence.0, record, *location)).collect();
    assert_eq!(shown.len(), expected.clone().count());
    for ((sequence, record, location), stream) in shown.into_iter().zip(expected) {
        assert_eq!((sequence, location), (stream + 1, locations[stream as usize]));
        assert_eq!((record.stream, record.payload.as_slice()), (stream, [stream as u8; 900].as_slice()));
    }
    let behind: Vec<_> = seen.batches.iter().filter(|(.., covered)| !covered).map(|(at, ..)| at.0).collect();
    assert_eq!(behind, [61]);
    seen.agrees_with(&try_open(&disk, Options { keep_segments: true, ..options() }).unwrap());
}

#[test]
fn an_open_journal_is_in_use() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk);
    let inspected = inspect(Arc::new(disk.clone()), &Keyring::default(), &folder(), &mut |_| ());
    assert!(matches!(inspected, Err(OpenError::InUse { .. })));
    drop(opened);
    inspect(Arc::new(disk.clone()), &Keyring::default(), &folder(), &mut |_| ()).unwrap();
    open(&disk);
}

#[test]
fn damage_in_what_is_covered_is_named() {
    let second = {
        let (_, locations) = subject();
        locations.into_iter().find(|location| location.segment != FIRST).unwrap()
    };
    let name = format!("segment-{:020}", second.segment.0);
    // A payload of a covered segment; the snapshot; a payload of a compact file, and an entry of its map.
    let cases = [
        (name.as_str(), second.offset as usize, Some(second.segment.0 - 1)),
        ("snapshot-00000000000000000060", 0, None),
        (COMPACT, 240, Some(0)),
        (COMPACT, 80, None),
    ];
    for (name, at, stream) in cases {
        let (disk, _) = subject();
        let healthy = Seen::of(&disk).batches.len();
        disk.corrupt(&file(name), |bytes| bytes[at] ^= 1).unwrap();
        let seen = Seen::of(&disk);
        if name.starts_with("snapshot") {
            assert_eq!(seen.damages, [], "the header has a copy");
            continue;
        }
        assert_eq!((seen.damages.len(), seen.batches.len()), (1, healthy - 1), "{name}");
        assert!(seen.damages[0].what.contains(name) && seen.damages[0].stream == stream, "{:?}", seen.damages);
    }
}

#[test]
fn a_missing_segment_is_named_and_a_freed_one_is_not() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, _) = covered(&disk);
    let segments = opened.journal.segments();
    opened.journal.release(segments[2].first);
    opened.settle();
    for number in 0..40 {
        opened.append(&[record(number, &[7; 900])]).unwrap();
    }
    opened.settle();
    let behind = opened.journal.segments();
    let uncovered = behind.iter().filter(|segment| segment.first > BatchSequence(60)).nth(1).unwrap();
    let (first, last) = (uncovered.first, uncovered.last.unwrap());
    opened.close();
    disk.kill();
    assert_eq!(Seen::of(&disk).damages, []);
    Disk::remove(&disk, &file(&format!("segment-{:020}", first.0))).unwrap();
    let damages = Seen::of(&disk).damages;
    assert_eq!(damages.iter().map(|damage| (damage.first, damage.last)).collect::<Vec<_>>(), [(first, last)]);
}

#[test]
fn both_files_of_a_cleaning_are_mentioned_and_shown_once() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, _) = covered(&disk);
    let original = disk.contents().into_iter().find(|(path, _)| *path == file(SEGMENT)).unwrap().1;
    clean(&mut opened, every(3));
    opened.close();
    disk.kill();
    Disk::create(&disk, &file(SEGMENT)).unwrap();
    disk.corrupt(&file(SEGMENT), |bytes| *bytes = original).unwrap();
    let seen = Seen::of(&ReadOnly(disk));
    assert_eq!((seen.batches.len(), seen.damages.len(), seen.report.notes.len()), (60, 0, 1));
}
