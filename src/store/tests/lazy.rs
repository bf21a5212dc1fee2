//! Batches that do not wait for the disk: when they are written, when they are durable, and what a power failure takes.

use super::support::*;
use crate::simulated::{Random, SimulatedDisk};
use crate::*;

const LAZY: SyncMode = SyncMode::Lazy;

fn one() -> Vec<Record> {
    vec![record(1, &[7; 100])]
}

fn watermarks(opened: &Opened) -> (u64, u64) {
    (opened.journal.written().0, opened.journal.durable().0)
}

#[test]
fn a_lazy_batch_is_written_without_a_sync() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    opened.append(&one()).unwrap();
    opened.settle();
    opened.drain_events();
    let syncs = disk.calls().1;
    opened.append_with(&one(), LAZY).unwrap();
    assert!(opened.journal.pending_bytes() > 0);
    opened.stepped.writer.step();
    assert_eq!(opened.stepped.writer.step(), Step::Idle);
    assert_eq!((disk.calls().1, watermarks(&opened)), (syncs, (2, 1)));
    assert_eq!(opened.drain_events(), [JournalEvent::Written(BatchSequence(2))]);
    assert!(opened.stepped.writer.is_behind());
    assert_eq!(opened.journal.pending_bytes(), 0);
    opened.stepped.writer.sync();
    assert_eq!((disk.calls().1, watermarks(&opened)), (syncs + 1, (2, 2)));
    assert_eq!(opened.drain_events(), [JournalEvent::Durable(BatchSequence(2))]);
}

#[test]
fn the_next_batch_that_needs_it_syncs_them_all() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    for sync in [LAZY, LAZY, SyncMode::Needed] {
        opened.append_with(&one(), sync).unwrap();
        opened.stepped.writer.step();
    }
    assert_eq!(watermarks(&opened), (3, 3));
    let [written, durable] = [JournalEvent::Written, JournalEvent::Durable];
    let events = opened.drain_events();
    assert_eq!(events, [written(BatchSequence(1)), written(BatchSequence(2)), durable(BatchSequence(3))]);
}

#[test]
fn a_group_of_both_kinds_is_announced_twice() {
    let mut opened = open(&SimulatedDisk::new(1));
    opened.append_with(&one(), LAZY).unwrap();
    opened.append(&one()).unwrap();
    opened.stepped.writer.step();
    let two = BatchSequence(2);
    assert_eq!(opened.drain_events(), [JournalEvent::Written(two), JournalEvent::Durable(two)]);
}

#[test]
fn the_idle_seal_the_next_segment_and_the_end_sync() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    opened.append_with(&one(), LAZY).unwrap();
    opened.stepped.writer.step();
    opened.stepped.writer.seal();
    assert_eq!(watermarks(&opened), (1, 1));
    for _ in 0..3 {
        opened.append_with(&[record(1, &[7; 9000])], LAZY).unwrap();
        opened.stepped.writer.step();
    }
    assert_eq!(watermarks(&opened), (4, 3), "a segment's name proves what is before it");
    let journal = opened.journal.clone();
    opened.close();
    assert_eq!(journal.durable(), BatchSequence(4));
}

#[test]
fn a_sync_that_fails_later_is_the_end_too() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    opened.append_with(&one(), LAZY).unwrap();
    opened.stepped.writer.step();
    disk.fail_sync(1);
    assert_eq!(opened.stepped.writer.sync(), Step::Failed);
    assert_eq!(watermarks(&opened), (1, 0));
    assert!(matches!(opened.drain_events().last(), Some(JournalEvent::Failed(_))));
}

/// What the power takes is a suffix, and it does take some: otherwise this would test nothing.
#[test]
fn a_power_failure_takes_a_suffix_of_lazy_batches_only() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..300 {
        let disk = SimulatedDisk::new(seed);
        let mut random = Random::new(seed);
        let mut opened = open(&disk);
        let mut needed = 0;
        for number in 1..=20 {
            let sync = if random.chance(8) { SyncMode::Needed } else { LAZY };
            needed = if sync == LAZY { needed } else { number };
            opened.append_with(&[record(number, &[7; 700])], sync).unwrap();
            opened.stepped.writer.step();
        }
        drop(opened);
        disk.crash();
        let opened = open(&disk);
        let last = opened.report.last.0;
        assert!(last >= needed && opened.report.damages == 0);
        assert!(opened.heard.batches.iter().map(|(_, record)| record.stream).eq(1..=last));
        (kept, lost) = (kept + (last - needed), lost + (20 - last));
    }
    assert!(kept > 0 && lost > 0, "{kept} kept, {lost} lost");
}

#[test]
fn somebody_who_waits_after_all_gets_a_sync() {
    let mut opened = open(&SimulatedDisk::new(1));
    opened.append_with(&one(), LAZY).unwrap();
    opened.stepped.writer.step();
    assert_eq!(watermarks(&opened), (1, 0));
    opened.journal.sync();
    opened.stepped.writer.step();
    assert_eq!(watermarks(&opened), (1, 1));
    opened.append_with(&one(), LAZY).unwrap();
    opened.journal.sync();
    opened.stepped.writer.step();
    assert_eq!(watermarks(&opened), (2, 2), "also if it was not written yet");
    assert_eq!(opened.stepped.writer.step(), Step::Idle);
}
