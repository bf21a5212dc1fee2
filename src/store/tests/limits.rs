//! Limits at limit - 1, limit, limit + 1, fencing, and refusals.

use super::support::*;
use crate::format::{ENTRY_BYTES, HEADER_BYTES};
use crate::simulated::SimulatedDisk;
use crate::*;

#[test]
fn the_first_batch_is_one_and_epochs_grow() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk);
    assert_eq!((opened.next, opened.report.epoch), (BatchSequence::FIRST, Epoch(1)));
    drop(opened);
    assert_eq!(open(&disk).journal.epoch(), Epoch(2));
}

#[test]
fn append_is_fenced() {
    let mut opened = open(&SimulatedDisk::new(1));
    let (one, two, epoch) = (BatchSequence(1), BatchSequence(2), opened.report.epoch);
    let stale = Err(AppendError::WrongEpoch { offered: Epoch(0), current: epoch });
    assert_eq!(opened.journal.append(batch(one, &[]), one, Epoch(0)), stale);
    let skipped = Err(AppendError::WrongSequence { offered: two, expected: two, next: one });
    assert_eq!(opened.journal.append(batch(two, &[]), two, epoch), skipped);
    let mismatch = Err(AppendError::WrongSequence { offered: two, expected: one, next: one });
    assert_eq!(opened.journal.append(batch(two, &[]), one, epoch), mismatch);
    opened.append(&[]).unwrap();
    let repeated = Err(AppendError::WrongSequence { offered: one, expected: one, next: two });
    assert_eq!(opened.journal.append(batch(one, &[]), one, epoch), repeated);
    opened.settle();
    assert_eq!(opened.journal.durable(), one);
}

#[test]
fn a_batch_may_fill_a_segment_and_no_more() {
    let segment_bytes = options().segment_bytes as usize;
    let limit = segment_bytes - 2 * HEADER_BYTES - ENTRY_BYTES;
    for (payload_bytes, accepted) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
        let disk = SimulatedDisk::new(1);
        let mut opened = open(&disk);
        opened.append(&[record(1, b"small")]).unwrap();
        opened.settle();
        let large = record(2, &vec![7; payload_bytes]);
        assert_eq!(opened.append(std::slice::from_ref(&large)).is_ok(), accepted, "{payload_bytes}");
        opened.append(&[record(3, b"small")]).unwrap();
        assert_eq!(opened.settle(), Step::Idle);
        drop(opened);
        disk.crash();
        let heard = open(&disk).heard.batches;
        assert_eq!(heard.iter().any(|(_, record)| *record == large), accepted);
        assert_eq!(heard.last().unwrap().1.stream, 3);
    }
}

#[test]
fn a_journal_that_is_given_up_writes_what_it_accepted_and_fails() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    let accepted = record(1, b"accepted");
    opened.append(std::slice::from_ref(&accepted)).unwrap();
    opened.journal.give_up("no way on");
    opened.journal.give_up("said twice");
    let refused = opened.append(&[record(2, b"late")]);
    assert_eq!(refused, Err(AppendError::Failed("no way on".to_owned())));
    assert_eq!(opened.settle(), Step::Failed);
    assert_eq!(opened.journal.status(), JournalStatus::Failed("no way on".to_owned()));
    drop(opened);
    disk.crash();
    let heard = open(&disk).heard.batches;
    assert_eq!(heard.last().map(|(_, record)| record), Some(&accepted));
}

#[test]
fn the_builder_knows_its_size_and_empties_itself() {
    let mut builder = BatchBuilder::new();
    assert!(builder.is_empty());
    builder.push(1, 2, &[b"ab", b"", b"cde"]);
    let len_bytes = builder.len_bytes();
    assert_eq!(len_bytes, (2 * HEADER_BYTES + ENTRY_BYTES + 5).next_multiple_of(8) as u64);
    let batch = builder.finish(BatchSequence(9), SyncMode::Needed);
    assert_eq!((batch.len_bytes(), batch.records(), batch.sequence()), (len_bytes, 1, BatchSequence(9)));
    assert!(builder.is_empty());
}

#[test]
fn options_are_brought_into_range() {
    let segment = |segment_bytes| Options { segment_bytes, ..options() }.normalized(512).segment_bytes;
    assert_eq!(segment(0), SEGMENT_BYTES_MIN);
    assert_eq!(segment(SEGMENT_BYTES_MIN + 1), SEGMENT_BYTES_MIN + 512);
    assert_eq!(segment(SEGMENT_BYTES_MAX), SEGMENT_BYTES_MAX);
    assert_eq!(segment(u64::MAX), SEGMENT_BYTES_MAX);
}

#[test]
fn snapshots_are_ordered_and_one_at_a_time() {
    let mut opened = open(&SimulatedDisk::new(1));
    (0..4).for_each(|_| opened.append(&[record(1, b"x")]).unwrap());
    let snap = |opened: &Opened, at| opened.journal.snapshot(BatchSequence(at), snapshot(&[]));
    let (oldest, newest) = (BatchSequence(1), BatchSequence(4));
    for at in [0, 5] {
        let refused = SnapshotError::OutOfRange { at: BatchSequence(at), oldest, newest };
        assert_eq!(snap(&opened, at), Err(refused));
    }
    assert_eq!(snap(&opened, 3), Ok(()));
    assert_eq!(snap(&opened, 4), Err(SnapshotError::Busy));
    opened.settle();
    assert!(matches!(snap(&opened, 3), Err(SnapshotError::OutOfRange { .. })));
    assert_eq!(snap(&opened, 4), Ok(()));
}

#[test]
fn a_snapshot_waits_for_its_batch() {
    let mut opened = open(&SimulatedDisk::new(1));
    opened.append(&[record(1, b"x")]).unwrap();
    opened.journal.snapshot(BatchSequence(1), snapshot(&[])).unwrap();
    assert_eq!(opened.stepped.writer.step(), Step::Progress);
    assert_eq!(opened.stepped.housekeeper.step(), Step::Idle);
    opened.stepped.writer.step();
    assert_eq!(opened.stepped.housekeeper.step(), Step::Progress);
}

#[test]
fn a_recovered_segment_is_cut_to_its_batches() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    opened.append(&[record(1, b"x")]).unwrap();
    opened.settle();
    drop(opened);
    assert_eq!(open(&disk).journal.disk_bytes(), 512);
}

#[test]
fn a_snapshot_of_many_chunks_comes_back() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    let state: Vec<_> = (0..12).map(|stream| record(stream, &vec![stream as u8; 600_000])).collect();
    opened.append(&[]).unwrap();
    opened.journal.snapshot(BatchSequence(1), snapshot(&state)).unwrap();
    opened.settle();
    drop(opened);
    disk.crash();
    let opened = open(&disk);
    assert!(opened.heard.snapshot == state);
    assert_eq!((opened.report.snapshot_at, opened.report.snapshot_records), (BatchSequence(1), 12));
}

#[test]
fn a_folder_belongs_to_one_process() {
    let disk = SimulatedDisk::new(1);
    let opened = open(&disk);
    assert!(matches!(try_open(&disk, options()), Err(OpenError::InUse { .. })));
    drop(opened);
    open(&disk);
}

#[test]
fn a_newer_format_is_refused_with_advice() {
    for name in ["journal.meta", "segment-00000000000000000001"] {
        let disk = SimulatedDisk::new(1);
        let mut opened = open(&disk);
        opened.append(&[record(1, b"x")]).unwrap();
        opened.settle();
        opened.close();
        disk.corrupt(&file(name), |bytes| {
            bytes[4] = 3;
            let crc = crc32c::crc32c(&bytes[..68]);
            bytes[68..72].copy_from_slice(&crc.to_le_bytes());
        })
        .unwrap();
        let text = try_open(&disk, options()).err().unwrap().to_string();
        assert!(
            text.starts_with(&format!("{name} has format version 3, this Crossdock reads up to version 2")),
            "{text}"
        );
    }
}

#[test]
fn a_damaged_meta_file_is_rebuilt() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    opened.append(&[record(1, b"x")]).unwrap();
    opened.settle();
    opened.close();
    disk.corrupt(&file("journal.meta"), Vec::clear).unwrap();
    let opened = try_open(&disk, Options { identity: 12345, ..options() }).unwrap();
    assert_eq!((opened.report.last, opened.report.epoch, opened.report.damages), (BatchSequence(1), Epoch(2), 0));
    assert_eq!(opened.report.notes.len(), 1);
}

#[test]
fn a_report_lists_only_so_many_damages() {
    let disk = SimulatedDisk::new(1);
    let mut opened = try_open(&disk, Options { segment_bytes: 1 << 20, ..options() }).unwrap();
    let records: Vec<_> = (0..=DAMAGES_LISTED_MAX as u64).map(|stream| record(stream, b"12345678")).collect();
    opened.append(&records).unwrap();
    opened.settle();
    opened.close();
    disk.corrupt(&file("segment-00000000000000000001"), |bytes| {
        let payload = HEADER_BYTES + records.len() * ENTRY_BYTES;
        bytes[payload..payload + 8 * records.len()].fill(0);
    })
    .unwrap();
    let opened = open(&disk);
    assert_eq!(opened.report.damages, DAMAGES_LISTED_MAX as u64 + 1);
    assert_eq!(opened.heard.damages.len(), DAMAGES_LISTED_MAX + 1);
    assert_eq!(opened.report.damaged.len(), DAMAGES_LISTED_MAX);
    assert_eq!(opened.report.damaged[7].stream, Some(7));
}

#[test]
fn a_rested_journal_keeps_no_spare() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    for number in 1..=60 {
        opened.append(&[record(number, &[7; 900])]).unwrap();
        opened.settle();
    }
    opened.journal.snapshot(BatchSequence(60), snapshot(&[])).unwrap();
    opened.settle();
    let spares = || Disk::list(&disk, &folder()).unwrap().iter().filter(|name| name.starts_with("spare-")).count();
    assert_eq!(spares(), 2);
    let before = opened.journal.disk_bytes();
    opened.stepped.writer.shrink();
    opened.stepped.writer.shrink();
    assert_eq!((spares(), opened.journal.disk_bytes()), (0, before - 2 * options().segment_bytes));
    (0..60).for_each(|number| opened.append(&[record(number, &[7; 900])]).unwrap());
    assert_eq!(opened.settle(), Step::Idle);
}

#[test]
fn the_reserve_counts_as_space() {
    let disk = SimulatedDisk::new(1);
    let without = open(&disk).journal.disk_bytes();
    let opened = try_open(&disk, Options { reserve_bytes: 8192, ..options() }).unwrap();
    assert_eq!(opened.journal.disk_bytes(), without + 8192);
    drop(opened);
    assert_eq!(
        try_open(&disk, Options { reserve_bytes: 8192, ..options() }).unwrap().journal.disk_bytes(),
        without + 8192
    );
}
