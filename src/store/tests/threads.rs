//! The journal with its threads, on the disk of the machine.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use super::support::*;
use crate::*;

/// What [`Folder::open`] gives.
type Opening = (FileJournal, RecoveryReport, Heard, mpsc::Receiver<JournalEvent>);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("crossdock-store-{}-{number}", std::process::id())))
    }

    fn open(&self) -> Result<Opening, OpenError> {
        self.open_with(false)
    }

    fn open_with(&self, keep_segments: bool) -> Result<Opening, OpenError> {
        let (sender, events) = mpsc::channel();
        let listener: Listener = Box::new(move |event| drop(sender.send(event)));
        let options =
            Options { segment_bytes: 64 * 1024, reserve_bytes: 64 * 1024, keep_segments, ..Options::default() };
        let mut heard = Heard::default();
        let visitor = &mut |recovered: Recovered<'_>| heard.hear(recovered);
        let (journal, report) = FileJournal::open(Arc::new(RealDisk), &self.0, options, listener, visitor)?;
        Ok((journal, report, heard, events))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn append(journal: &FileJournal, next: &Mutex<BatchSequence>, payload: &[u8]) {
    let mut next = next.lock().unwrap();
    let sequence = *next;
    journal.append(batch(sequence, &[record(1, payload)]), sequence, journal.epoch()).unwrap();
    *next = sequence.next();
}

/// Waits for an event without a clock.
fn wait_for(events: &mpsc::Receiver<JournalEvent>, wanted: impl Fn(&JournalEvent) -> bool) -> JournalEvent {
    events.iter().find(wanted).expect("the journal ended before the event")
}

#[test]
fn producers_share_one_journal() {
    let folder = Folder::new();
    let (journal, report, _, events) = folder.open().unwrap();
    let next = Mutex::new(report.last.next());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|number: u32| append(&journal, &next, &number.to_le_bytes())));
        }
    });
    wait_for(&events, |event| *event == JournalEvent::Durable(BatchSequence(2000)));
    assert_eq!((journal.durable(), journal.pending_bytes()), (BatchSequence(2000), 0));
    assert_eq!((journal.close(), journal.close()), (Ok(()), Ok(())));
    let (_journal, report, heard, _) = folder.open().unwrap();
    assert_eq!((report.batches, report.damages, report.torn_bytes), (2000, 0, 0));
    let sequences = heard.batches.iter().map(|(sequence, _)| sequence.0);
    assert!(sequences.eq(1..=2000));
}

#[test]
fn producers_who_go_on_wake_the_journal_at_the_end() {
    const ROUNDS: u64 = 50;
    let folder = Folder::new();
    let (journal, report, _, events) = folder.open().unwrap();
    let next = Mutex::new(report.last.next());
    let produce = || {
        for _ in 0..ROUNDS {
            for _ in 0..3 {
                let mut next = next.lock().unwrap();
                journal.append_on(batch(*next, &[record(1, b"x")]), *next, journal.epoch()).unwrap();
                *next = next.next();
            }
            let last = next.lock().unwrap().previous();
            journal.wake();
            while journal.durable() < last {
                std::thread::yield_now();
            }
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(produce))));
    let last = BatchSequence(report.last.0 + 2 * ROUNDS * 3);
    wait_for(&events, |event| *event == JournalEvent::Durable(last));
}

#[test]
fn closing_makes_everything_durable() {
    let folder = Folder::new();
    let (journal, report, _, _) = folder.open().unwrap();
    let next = Mutex::new(report.last.next());
    (0..300).for_each(|_| append(&journal, &next, &[1; 1000]));
    journal.close().unwrap();
    assert_eq!(journal.durable(), BatchSequence(300));
    assert_eq!(folder.open().unwrap().1.batches, 300);
}

#[test]
fn a_snapshot_replaces_segments() {
    let folder = Folder::new();
    let (journal, report, _, events) = folder.open().unwrap();
    let next = Mutex::new(report.last.next());
    (0..1000).for_each(|_| append(&journal, &next, &[1; 1000]));
    let last = BatchSequence(1000);
    journal.snapshot(last, snapshot(&[record(9, b"all of it")])).unwrap();
    wait_for(&events, |event| *event == JournalEvent::SnapshotDone(last));
    // Four spares, the active one, the reserve, and the snapshot.
    assert!(journal.disk_bytes() < 7 * 64 * 1024, "{}", journal.disk_bytes());
    drop(journal);
    let (_journal, report, heard, _) = folder.open().unwrap();
    assert_eq!((report.snapshot_at, report.last, report.records), (last, last, 0));
    assert_eq!(heard.snapshot, [record(9, b"all of it")]);
}

#[test]
fn the_folder_is_locked_and_released() {
    let folder = Folder::new();
    let (journal, ..) = folder.open().unwrap();
    assert!(matches!(folder.open(), Err(OpenError::InUse { .. })));
    drop(journal);
    folder.open().unwrap();
}

#[test]
fn lazy_batches_become_durable_without_help() {
    let folder = Folder::new();
    let (journal, report, _, events) = folder.open().unwrap();
    let sequence = report.last.next();
    let batch = Batch { sync: SyncMode::Lazy, ..batch(sequence, &[record(1, b"soon")]) };
    journal.append(batch, sequence, journal.epoch()).unwrap();
    assert_eq!(events.recv(), Ok(JournalEvent::Written(sequence)));
    assert_eq!(events.recv(), Ok(JournalEvent::Durable(sequence)));
}

/// Keeps the first of every ten records.
struct Tenth;

impl Survivors for Tenth {
    fn keep(&mut self, records: &[StoredRecord<'_>], keep: &mut Vec<bool>) {
        keep.extend(records.iter().map(|record| record.payload[0] == 0));
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn readers_read_while_the_journal_writes_and_cleans() {
    let folder = Folder::new();
    let (journal, report, _, events) = folder.open_with(true).unwrap();
    let next = Mutex::new(report.last.next());
    (0..500).for_each(|number| append(&journal, &next, &[(number % 10) as u8; 1000]));
    let last = BatchSequence(500);
    wait_for(&events, |event| *event == JournalEvent::Durable(last));
    let mut places = Vec::new();
    journal.take_places(last, &mut places);
    let placed = Placed { start: 0, length_bytes: 1000, crc: crc32c::crc32c(&[0; 1000]) };
    let tenth: Vec<_> = places.iter().step_by(10).map(|place| place.locate(placed)).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when an assertion fails below, or the readers would never end.
        let _end = OnDrop(|| done.store(true, Ordering::Release));
        for _ in 0..2 {
            scope.spawn(|| {
                let mut reader = journal.reader();
                loop {
                    let is_last = done.load(Ordering::Acquire);
                    let mut payloads = Vec::new();
                    reader.read(&tenth, &mut payloads);
                    assert!(payloads.into_iter().all(|payload| payload.unwrap() == [0; 1000].as_slice()));
                    if is_last {
                        break;
                    }
                }
            });
        }
        journal.snapshot(last, snapshot(&[])).unwrap();
        wait_for(&events, |event| *event == JournalEvent::SnapshotDone(last));
        for segment in journal.segments().into_iter().filter(|segment| segment.covered) {
            journal.clean(segment.first, Box::new(Tenth)).unwrap();
            append(&journal, &next, &[1; 1000]);
            let event = wait_for(&events, |event| !matches!(event, JournalEvent::Durable(_)));
            assert!(matches!(event, JournalEvent::Cleaned { len_bytes, .. } if len_bytes < 16 * 1024), "{event:?}");
        }
    });
    drop(journal);
    let (journal, ..) = folder.open_with(true).unwrap();
    let mut payloads = Vec::new();
    journal.reader().read(&tenth, &mut payloads);
    assert!(payloads.iter().all(Result::is_ok));
}

#[test]
fn a_folder_is_created_with_the_missing_parents_and_a_file_in_the_way_is_an_error() {
    let root = Folder::new();
    let folder = root.0.join("data/journal");
    for _ in 0..2 {
        RealDisk.create_folder(&folder).unwrap();
        assert!(folder.is_dir());
    }
    RealDisk.create_folder(Path::new("tests")).unwrap();
    let file = folder.join("file");
    std::fs::write(&file, "").unwrap();
    for (path, kind) in
        [(file.clone(), std::io::ErrorKind::AlreadyExists), (file.join("journal"), std::io::ErrorKind::NotADirectory)]
    {
        assert_eq!(RealDisk.create_folder(&path).unwrap_err().kind(), kind, "{path:?}");
    }
}
