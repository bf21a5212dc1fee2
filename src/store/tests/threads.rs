//! The journal with its threads, on the disk of the machine.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use super::support::*;
use crate::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("crossdock-store-{}-{number}", std::process::id())))
    }

    fn open(&self) -> Result<(FileJournal, RecoveryReport, Heard, mpsc::Receiver<JournalEvent>), OpenError> {
        let (sender, events) = mpsc::channel();
        let listener: Listener = Box::new(move |event| drop(sender.send(event)));
        let options = Options { segment_bytes: 64 * 1024, reserve_bytes: 64 * 1024, ..Options::default() };
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
    assert!(journal.disk_bytes() < 5 * 64 * 1024, "{}", journal.disk_bytes());
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
