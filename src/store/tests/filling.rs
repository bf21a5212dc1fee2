//! Spare segments that are written before they are used.

use super::support::*;
use crate::sealed::PLAIN_BYTES;
use crate::simulated::{Fault, SimulatedDisk};
use crate::*;

fn spares(disk: &SimulatedDisk) -> Vec<Vec<u8>> {
    let is_spare = |path: &std::path::Path| path.to_string_lossy().contains("spare-");
    disk.contents().into_iter().filter(|(path, _)| is_spare(path)).map(|(_, bytes)| bytes).collect()
}

/// Appends and syncs one small batch after the other.
fn append(opened: &mut Opened, count: u64) {
    for _ in 0..count {
        let number = opened.next.0;
        opened.append(&[record(number, &[7; 900])]).unwrap();
        while opened.stepped.writer.step() == Step::Progress {}
    }
}

/// More than half of the first segment is written, and the housekeeper has not begun.
fn half_full(disk: &SimulatedDisk, options: Options) -> Opened {
    let mut opened = try_open(disk, options).unwrap();
    append(&mut opened, 6);
    opened
}

#[test]
fn the_next_segment_is_filled_where_syncs_are_small() {
    for keys in [Keyring::default(), keys(Some(1), &[])] {
        let options = Options { keys: keys.clone(), ..options() };
        let segment_bytes = options.segment_bytes.next_multiple_of(if keys.seals() { PLAIN_BYTES } else { 512 });
        let disk = SimulatedDisk::new(1);
        let mut opened = half_full(&disk, options.clone());
        assert!(spares(&disk).is_empty());
        let before = opened.journal.disk_bytes();
        opened.settle();
        assert_eq!(spares(&disk).len(), 1);
        assert!(keys.seals() || spares(&disk)[0] == vec![0; segment_bytes as usize]);
        append(&mut opened, 1);
        assert_eq!(opened.journal.disk_bytes(), before + segment_bytes);
        while opened.journal.segments().len() == 1 {
            append(&mut opened, 1);
        }
        assert!(spares(&disk).is_empty(), "it is used");
        let durable = opened.journal.durable();
        drop(opened);
        disk.crash();
        let opened = try_open(&disk, options).unwrap();
        assert_eq!((opened.report.last, opened.report.damages), (durable, 0));
    }
}

#[test]
fn a_segment_has_one_filled_behind_it_and_only_where_spares_are_kept() {
    let disk = SimulatedDisk::new(1);
    let mut opened = half_full(&disk, Options { spare_segments_max: 0, ..options() });
    opened.settle();
    assert!(spares(&disk).is_empty());
    let disk = SimulatedDisk::new(1);
    let mut opened = half_full(&disk, options());
    for _ in 0..3 {
        opened.settle();
        append(&mut opened, 1);
    }
    assert_eq!(spares(&disk).len(), 1);
}

#[test]
fn nothing_is_filled_behind_large_syncs() {
    let disk = SimulatedDisk::new(1);
    let options = Options { segment_bytes: 256 << 10, ..options() };
    let mut opened = try_open(&disk, options).unwrap();
    opened.append(&[record(1, &vec![7; 160 << 10])]).unwrap();
    opened.settle();
    assert!(spares(&disk).is_empty());
}

#[test]
fn a_spare_that_cannot_be_filled_harms_nothing() {
    let faults: [fn(&SimulatedDisk); 4] = [
        |disk| disk.fail_write(1, Fault::Full),
        |disk| disk.fail_write(2, Fault::Broken),
        |disk| disk.fail_sync(1),
        |disk| disk.fail_name(1),
    ];
    for fault in faults {
        let disk = SimulatedDisk::new(1);
        let mut opened = half_full(&disk, options());
        fault(&disk);
        while opened.stepped.housekeeper.step() == Step::Progress {}
        append(&mut opened, 14);
        opened.settle();
        assert_eq!(opened.journal.status(), JournalStatus::Healthy);
        assert!(spares(&disk).iter().all(|spare| spare.len() as u64 == options().segment_bytes));
        assert_eq!(opened.journal.durable(), BatchSequence(20));
    }
}

#[test]
fn power_may_be_cut_while_a_spare_is_filled_and_used() {
    for (seed, keys) in (0..40).flat_map(|seed| [(seed, Keyring::default()), (seed, keys(Some(1), &[]))]) {
        for nth in 1..30 {
            let (disk, options) = (SimulatedDisk::new(seed), Options { keys: keys.clone(), ..options() });
            let mut opened = half_full(&disk, options.clone());
            disk.cut_power(nth);
            while opened.stepped.housekeeper.step() == Step::Progress {}
            for number in 7..27 {
                let _ = opened.append(&[record(number, &[7; 900])]);
                opened.settle();
            }
            let durable = opened.journal.durable();
            drop(opened);
            disk.crash();
            let mut opened = try_open(&disk, options.clone()).unwrap();
            assert!(opened.report.last >= durable && opened.report.damages == 0, "seed {seed}, call {nth}");
            let expected = (1..=opened.report.last.0).map(|number| (BatchSequence(number), record(number, &[7; 900])));
            assert!(expected.eq(opened.heard.batches.iter().cloned()), "seed {seed}, call {nth}");
            let last = opened.report.last.0;
            append(&mut opened, 20);
            assert_eq!(opened.journal.durable().0, last + 20);
            drop(opened);
            disk.crash();
            let opened = try_open(&disk, options).unwrap();
            assert_eq!((opened.report.last.0, opened.report.damages), (last + 20, 0), "seed {seed}, call {nth}");
        }
    }
}

/// The disk has room for what there is, and for one segment more.
fn leave_room_for_one(disk: &SimulatedDisk) {
    disk.set_capacity_bytes(disk.used_bytes() + options().segment_bytes);
}

#[test]
fn a_filled_spare_is_used_where_the_disk_is_full() {
    let disk = SimulatedDisk::new(1);
    let mut opened = half_full(&disk, options());
    leave_room_for_one(&disk);
    append(&mut opened, 4);
    // It is filled when nobody has looked for it since the last sync.
    while opened.stepped.housekeeper.step() == Step::Progress {}
    assert_eq!(spares(&disk).len(), 1);
    for _ in 0..8 {
        let number = opened.next.0;
        opened.append(&[record(number, &[7; 900])]).unwrap();
        assert_ne!(opened.settle(), Step::Full);
    }
    assert_eq!((opened.journal.durable(), spares(&disk).len()), (BatchSequence(18), 0));
}

#[test]
fn a_journal_that_waits_for_space_takes_the_spare_once_it_is_filled() {
    let disk = SimulatedDisk::new(1);
    let mut opened = half_full(&disk, options());
    leave_room_for_one(&disk);
    opened.stepped.housekeeper.step();
    append(&mut opened, 12);
    assert_eq!(opened.journal.status(), JournalStatus::Full);
    opened.settle();
    assert_eq!(opened.journal.durable(), BatchSequence(18));
    assert_eq!(opened.journal.status(), JournalStatus::Healthy);
}

#[test]
fn an_idle_journal_gives_back_what_was_filled_last() {
    let disk = SimulatedDisk::new(1);
    let mut opened = half_full(&disk, options());
    while opened.stepped.housekeeper.step() == Step::Progress {}
    assert_eq!(spares(&disk).len(), 1);
    opened.stepped.writer.seal();
    opened.stepped.writer.shrink();
    opened.settle();
    assert!(spares(&disk).is_empty());
    append(&mut opened, 20);
    assert_eq!(opened.journal.durable(), BatchSequence(26));
}

#[test]
fn a_spare_that_cannot_be_filled_gives_its_space_back_at_once() {
    let disk = SimulatedDisk::new(1);
    let mut opened = half_full(&disk, options());
    disk.fail_write(2, Fault::Full);
    while opened.stepped.housekeeper.step() == Step::Progress {}
    assert!(spares(&disk).is_empty(), "though no sync came since");
}

/// Where the file system reserves nothing.
#[test]
fn spares_go_if_the_segment_before_them_cannot_be_written_to_its_end() {
    let disk = SimulatedDisk::new(1);
    let mut opened = half_full(&disk, options());
    while opened.stepped.housekeeper.step() == Step::Progress {}
    assert_eq!(spares(&disk).len(), 1);
    disk.fail_write(1, Fault::Full);
    opened.append(&[record(7, &[7; 900])]).unwrap();
    assert_eq!(opened.stepped.writer.step(), Step::Full);
    assert!(spares(&disk).is_empty());
    opened.settle();
    assert_eq!(opened.journal.durable(), BatchSequence(7));
}
