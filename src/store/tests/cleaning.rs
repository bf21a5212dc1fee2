//! Cleaning: what it keeps, what it gives back, and what happens when it is disturbed.

use std::sync::{Arc, Mutex};

use super::stored::{read, stored};
use super::support::*;
use crate::compact::MAP_ENTRY_BYTES;
use crate::format::{ENTRY_BYTES, HEADER_BYTES};
use crate::simulated::{Fault, SimulatedDisk};
use crate::*;

/// Keeps every record for which the closure is true.
struct Keep<F>(F);

impl<F: FnMut(&StoredRecord<'_>) -> bool + Send> Survivors for Keep<F> {
    fn keep(&mut self, records: &[StoredRecord<'_>], keep: &mut Vec<bool>) {
        keep.extend(records.iter().map(&mut self.0));
    }
}

pub(super) fn every(nth: u64) -> Box<dyn Survivors> {
    Box::new(Keep(move |record: &StoredRecord<'_>| record.stream.is_multiple_of(nth)))
}

fn none() -> Box<dyn Survivors> {
    Box::new(Keep(|_: &StoredRecord<'_>| false))
}

pub(super) fn kept() -> Options {
    Options { keep_segments: true, ..options() }
}

pub(super) const FIRST: BatchSequence = BatchSequence::FIRST;
pub(super) const SEGMENT: &str = "segment-00000000000000000001";
pub(super) const COMPACT: &str = "compact-00000000000000000001";

/// 60 records in 6 segments, all but the last of which are covered, and their locations.
pub(super) fn covered(disk: &SimulatedDisk) -> (Opened, Vec<Location>) {
    let (mut opened, locations) = stored(disk, 60, 900);
    opened.journal.snapshot(BatchSequence(60), snapshot(&[])).unwrap();
    opened.settle();
    opened.drain_events();
    (opened, locations)
}

/// The locations in the first segment, with their streams.
pub(super) fn in_first(locations: &[Location]) -> Vec<(u64, Location)> {
    (0..).zip(locations.iter().copied()).filter(|(_, location)| location.segment == FIRST).collect()
}

fn names(disk: &SimulatedDisk) -> Vec<String> {
    Disk::list(disk, &folder()).unwrap()
}

fn has(disk: &SimulatedDisk, name: &str) -> bool {
    names(disk).iter().any(|found| found == name)
}

pub(super) fn clean(opened: &mut Opened, survivors: Box<dyn Survivors>) -> JournalEvent {
    opened.journal.clean(FIRST, survivors).unwrap();
    opened.settle();
    opened.drain_events().pop().unwrap()
}

/// Every `nth` record of the first segment is there, bit-exact; the others are not.
fn check(journal: &dyn Journal, locations: &[Location], nth: u64) {
    for (stream, location) in in_first(locations) {
        let payload = read(journal, &[location]).remove(0);
        if stream % nth == 0 {
            assert_eq!(payload.unwrap(), vec![stream as u8; 900]);
        } else {
            assert_eq!(payload, Err(ReadError::Missing(location)));
        }
    }
}

#[test]
fn survivors_keep_their_locations() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    let mut reader = opened.journal.reader();
    let first = in_first(&locations);
    let mut before = Vec::new();
    reader.read(&[first[0].1], &mut before);
    let disk_bytes = opened.journal.disk_bytes();
    let survivors = first.iter().filter(|(stream, _)| stream % 3 == 0).count();
    let len_bytes = (survivors * (900 + MAP_ENTRY_BYTES) + 2 * HEADER_BYTES).next_multiple_of(8) as u64;
    assert_eq!(clean(&mut opened, every(3)), JournalEvent::Cleaned { segment: FIRST, len_bytes });
    let info = opened.journal.segments()[0];
    assert_eq!((info.first, info.len_bytes, info.covered), (FIRST, len_bytes, true));
    assert_eq!(opened.journal.disk_bytes(), disk_bytes - options().segment_bytes + len_bytes);
    assert!(has(&disk, COMPACT) && !has(&disk, SEGMENT));
    check(&*opened.journal, &locations, 3);
    let mut after = Vec::new();
    reader.read(&[first[0].1], &mut after);
    assert_eq!(before, after, "the reader's own file was replaced");
    // Again, and again after a restart.
    assert!(matches!(clean(&mut opened, every(6)), JournalEvent::Cleaned { .. }));
    check(&*opened.journal, &locations, 6);
    drop(opened);
    disk.crash();
    let mut opened = try_open(&disk, kept()).unwrap();
    assert_eq!((opened.report.damages, opened.report.last), (0, BatchSequence(60)));
    assert!(matches!(clean(&mut opened, every(9)), JournalEvent::Cleaned { .. }));
    // The 6th is gone, so of every 9th only every 18th is left.
    check(&*opened.journal, &locations, 18);
}

#[test]
fn the_caller_is_shown_every_record_once_and_in_order() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&seen);
    let look = move |record: &StoredRecord<'_>| {
        assert_eq!((record.kind, record.payload), (1, vec![record.stream as u8; 900].as_slice()));
        shown.lock().unwrap().push((record.stream, record.location));
        record.stream == 0
    };
    clean(&mut opened, Box::new(Keep(look)));
    assert_eq!(*seen.lock().unwrap(), in_first(&locations));
}

#[test]
fn what_is_not_answered_is_kept() {
    struct Silent;
    impl Survivors for Silent {
        fn keep(&mut self, _: &[StoredRecord<'_>], keep: &mut Vec<bool>) {
            keep.push(false);
        }
    }
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    clean(&mut opened, Box::new(Silent));
    let first = in_first(&locations);
    let payloads = read(&*opened.journal, &first.iter().map(|(_, location)| *location).collect::<Vec<_>>());
    assert!(payloads[0].is_err() && payloads[1..].iter().all(Result::is_ok));
}

#[test]
fn a_segment_of_which_nothing_survives_is_gone() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, _) = covered(&disk);
    assert_eq!(clean(&mut opened, none()), JournalEvent::Cleaned { segment: FIRST, len_bytes: 0 });
    assert!(opened.journal.segments().iter().all(|segment| segment.first != FIRST));
    assert!(!has(&disk, COMPACT) && !has(&disk, SEGMENT));
    assert_eq!(opened.journal.clean(FIRST, none()), Err(CleanError::Unknown { segment: FIRST }));
}

#[test]
fn only_what_a_snapshot_covers_is_cleaned_and_one_at_a_time() {
    let disk = SimulatedDisk::new(1);
    let (opened, _) = stored(&disk, 60, 900);
    let segments = opened.journal.segments();
    for segment in [segments[0].first, segments[5].first] {
        assert_eq!(opened.journal.clean(segment, none()), Err(CleanError::NotCovered { segment }));
    }
    drop(opened);
    let disk = SimulatedDisk::new(1);
    let (mut opened, _) = covered(&disk);
    opened.append(&[]).unwrap();
    assert_eq!(opened.journal.clean(FIRST, every(3)), Ok(()));
    assert_eq!(opened.journal.clean(FIRST, every(3)), Err(CleanError::Busy));
    assert_eq!(opened.journal.snapshot(BatchSequence(61), snapshot(&[])), Err(SnapshotError::Busy));
    opened.settle();
    opened.journal.close().unwrap();
    assert_eq!(opened.journal.clean(FIRST, every(3)), Err(CleanError::Closed));
}

#[test]
fn a_segment_is_not_replaced_before_the_reason_is_durable() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    opened.append_with(&[record(1, b"most are settled")], SyncMode::Lazy).unwrap();
    opened.stepped.writer.step();
    opened.journal.clean(FIRST, every(3)).unwrap();
    for _ in 0..50 {
        opened.stepped.housekeeper.step();
        opened.stepped.writer.step();
    }
    assert!(has(&disk, SEGMENT) && !has(&disk, COMPACT), "the power may still take the reason");
    opened.settle();
    assert!(has(&disk, COMPACT) && !has(&disk, SEGMENT));
    check(&*opened.journal, &locations, 3);
}

#[test]
fn a_segment_released_while_it_is_cleaned_goes_afterwards() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, _) = covered(&disk);
    opened.journal.clean(FIRST, every(3)).unwrap();
    opened.stepped.housekeeper.step();
    opened.journal.release(FIRST);
    opened.stepped.writer.step();
    assert!(has(&disk, SEGMENT), "it is being read");
    opened.settle();
    assert!(!has(&disk, SEGMENT) && !has(&disk, COMPACT));
    assert!(opened.journal.segments().iter().all(|segment| segment.first != FIRST));
}

#[test]
fn a_segment_that_would_not_get_smaller_stays() {
    let disk = SimulatedDisk::new(1);
    let mut opened = try_open(&disk, kept()).unwrap();
    for _ in 0..20 {
        let records: Vec<_> = (0..360).map(|stream| record(stream, b"tinytiny")).collect();
        opened.append(&records).unwrap();
    }
    opened.settle();
    opened.journal.snapshot(BatchSequence(20), snapshot(&[])).unwrap();
    opened.settle();
    let event = clean(&mut opened, every(1));
    assert!(matches!(event, JournalEvent::CleanFailed { segment: FIRST, .. }), "{event:?}");
    assert!(has(&disk, SEGMENT) && !has(&disk, "compact.temporary"));
}

#[test]
fn a_damaged_segment_is_not_cleaned() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    let hit = locations[2];
    disk.corrupt(&file(SEGMENT), |bytes| bytes[hit.offset as usize] ^= 1).unwrap();
    let place = FilePlace { file: SEGMENT.to_owned(), offset_bytes: u64::from(hit.offset) };
    let (reason, damage) = (format!("{place} is damaged"), Some(place));
    assert_eq!(clean(&mut opened, every(3)), JournalEvent::CleanFailed { segment: FIRST, reason, damage });
    let payloads = read(&*opened.journal, &locations);
    assert!(payloads.iter().enumerate().all(|(index, payload)| payload.is_err() == (index == 2)));
}

#[test]
fn a_condemned_segment_is_not_cleaned_and_ends_in_quarantine() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, _) = covered(&disk);
    opened.journal.condemn(FIRST);
    let damaged =
        opened.journal.segments().iter().filter(|info| info.damaged).map(|info| info.first).collect::<Vec<_>>();
    assert_eq!(damaged, [FIRST]);
    assert_eq!(opened.journal.clean(FIRST, every(3)), Err(CleanError::Damaged { segment: FIRST }));
    opened.journal.release(FIRST);
    opened.settle();
    assert!(!has(&disk, SEGMENT));
    assert!(Disk::list(&disk, &folder().join("quarantine")).unwrap().contains(&SEGMENT.to_owned()));
}

/// The first place that is damaged is named, in whatever part of a batch it is.
#[test]
fn a_cleaning_names_the_place_of_the_damage() {
    let (_, locations) = covered(&SimulatedDisk::new(1));
    let first = locations[0].offset as usize;
    let entry = first - ENTRY_BYTES;
    for (at, named) in [(first + 10, first), (entry, entry), (entry + 25, entry)] {
        let disk = SimulatedDisk::new(1);
        let (mut opened, _) = covered(&disk);
        disk.corrupt(&file(SEGMENT), |bytes| bytes[at] ^= 1).unwrap();
        let event = clean(&mut opened, every(3));
        let JournalEvent::CleanFailed { damage: Some(place), .. } = &event else { panic!("{at}: {event:?}") };
        assert_eq!(place, &FilePlace { file: SEGMENT.to_owned(), offset_bytes: named as u64 }, "{at}");
    }
}

#[test]
fn a_segment_condemned_while_it_is_written_ends_in_quarantine() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, _) = stored(&disk, 3, 900);
    opened.journal.condemn(FIRST);
    while opened.journal.segments()[0].last.is_none() {
        opened.append(&[record(1, &[1; 900])]).unwrap();
        opened.settle();
    }
    let newest = opened.journal.durable();
    opened.journal.snapshot(newest, snapshot(&[])).unwrap();
    opened.settle();
    opened.journal.release(FIRST);
    opened.settle();
    assert!(Disk::list(&disk, &folder().join("quarantine")).unwrap().contains(&SEGMENT.to_owned()));
}

/// Only its end shows where a segment ends whose neighbour was freed before the journal was opened.
#[test]
fn a_segment_beside_a_gap_is_cleaned() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    let second = opened.journal.segments()[1].first;
    opened.journal.release(second);
    opened.settle();
    drop(opened);
    disk.crash();
    let mut opened = try_open(&disk, kept()).unwrap();
    let event = clean(&mut opened, every(3));
    assert!(matches!(event, JournalEvent::Cleaned { segment: FIRST, .. }), "{event:?}");
    check(&*opened.journal, &locations, 3);
}

#[test]
fn damage_in_a_cleaned_file_costs_the_record_it_hit() {
    let (count, len) = {
        let disk = SimulatedDisk::new(1);
        let (mut opened, locations) = covered(&disk);
        clean(&mut opened, every(3));
        let survivors = in_first(&locations).iter().filter(|(stream, _)| stream % 3 == 0).count();
        (survivors, opened.journal.segments()[0].len_bytes as usize)
    };
    let map = HEADER_BYTES..HEADER_BYTES + count * MAP_ENTRY_BYTES;
    for at in (0..len).step_by(31) {
        let disk = SimulatedDisk::new(1);
        let (mut opened, locations) = covered(&disk);
        clean(&mut opened, every(3));
        disk.corrupt(&file(COMPACT), |bytes| bytes[at] ^= 4).unwrap();
        let survivors: Vec<_> = in_first(&locations).into_iter().filter(|(stream, _)| stream % 3 == 0).collect();
        let payload_at = at.wrapping_sub(map.end) / 900;
        let hit = match at {
            _ if map.contains(&at) => Some((at - map.start) / MAP_ENTRY_BYTES),
            _ if at >= map.end && payload_at < count => Some(payload_at),
            _ => None,
        };
        drop(opened);
        let opened = try_open(&disk, kept()).unwrap();
        assert_eq!(opened.report.damages, 0, "nothing of it is replayed");
        for (index, (stream, location)) in survivors.into_iter().enumerate() {
            let payload = read(&*opened.journal, &[location]).remove(0);
            match hit {
                Some(hit) if hit == index => {
                    let offset_bytes = if at < map.end { 0 } else { (map.end + 900 * hit) as u64 };
                    let place = FilePlace { file: COMPACT.to_owned(), offset_bytes };
                    assert_eq!(payload, Err(ReadError::Damaged { location, place }), "byte {at}");
                }
                _ => assert_eq!(payload.unwrap(), vec![stream as u8; 900], "byte {at}"),
            }
        }
    }
}

/// The snapshot that stood for the cleaned segment is lost: what is left is delivered, what is not is named.
#[test]
fn a_cleaned_segment_without_its_snapshot_is_a_loss_with_a_name() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    clean(&mut opened, every(3));
    let last = opened.journal.segments()[0].last.unwrap();
    opened.close();
    disk.kill();
    Disk::remove(&disk, &file("snapshot-00000000000000000060")).unwrap();
    let opened = try_open(&disk, kept()).unwrap();
    let damages: Vec<_> = opened.heard.damages.iter().map(|damage| (damage.first, damage.last)).collect();
    assert_eq!(damages, [(FIRST, last)]);
    assert_eq!(opened.report.last, BatchSequence(60));
    let streams: Vec<_> = opened.heard.batches.iter().map(|(_, record)| record.stream).collect();
    let expected: Vec<_> = (0..60).filter(|stream| *stream >= last.0 || stream % 3 == 0).collect();
    assert_eq!(streams, expected);
    assert_eq!(opened.heard.locations[1], locations[3]);
    check(&*opened.journal, &locations, 3);
}

/// Cleans the first segment while batches are appended, until something stops it. True if the journal survived.
fn disturbed(opened: &mut Opened) -> bool {
    let _ = opened.journal.clean(FIRST, every(3));
    for number in 0..12 {
        let _ = opened.append(&[record(number, b"meanwhile")]);
        opened.stepped.writer.step();
        opened.stepped.housekeeper.step();
    }
    opened.settle() != Step::Failed
}

/// Every record that was to survive is there, the files are tidy, and cleaning works afterwards.
fn check_after(disk: &SimulatedDisk, locations: &[Location], durable: BatchSequence) {
    let mut opened = try_open(disk, kept()).unwrap();
    assert_eq!(opened.report.damages, 0);
    assert!(opened.report.last >= durable);
    let survivors: Vec<_> = in_first(locations).into_iter().filter(|(stream, _)| stream % 3 == 0).collect();
    let check = |opened: &Opened| {
        for (stream, location) in &survivors {
            assert_eq!(read(&*opened.journal, &[*location]).remove(0).unwrap(), vec![*stream as u8; 900]);
        }
    };
    check(&opened);
    assert!(has(disk, SEGMENT) != has(disk, COMPACT) && !has(disk, "compact.temporary"));
    opened.settle();
    clean(&mut opened, every(3));
    check(&opened);
}

#[test]
fn a_power_failure_at_any_call_leaves_one_or_the_other() {
    let (mut whole, mut compact, mut nth) = (0, 0, 0);
    loop {
        nth += 1;
        for seed in 0..20 {
            let disk = SimulatedDisk::new(seed);
            let (mut opened, locations) = covered(&disk);
            disk.cut_power(nth);
            disturbed(&mut opened);
            let durable = opened.journal.durable();
            let ended = disk.is_powered();
            drop(opened);
            disk.crash();
            whole += u64::from(has(&disk, SEGMENT));
            compact += u64::from(has(&disk, COMPACT));
            check_after(&disk, &locations, durable);
            if ended {
                assert!(whole > 0 && compact > 0 && nth > 12, "{whole} {compact} {nth}");
                return;
            }
        }
    }
}

#[test]
fn a_power_failure_within_the_recovery_of_both_files_is_harmless() {
    for nth in 1..20 {
        let disk = SimulatedDisk::new(nth);
        let (mut opened, locations) = covered(&disk);
        let original = disk.contents().into_iter().find(|(path, _)| *path == file(SEGMENT)).unwrap().1;
        clean(&mut opened, every(3));
        drop(opened);
        Disk::create(&disk, &file(SEGMENT)).unwrap();
        disk.corrupt(&file(SEGMENT), |bytes| *bytes = original).unwrap();
        disk.sync_folder(&folder()).unwrap();
        disk.cut_power(nth);
        let _ = try_open(&disk, kept());
        disk.crash();
        check_after(&disk, &locations, BatchSequence(60));
    }
}

/// The original counts if the compact file is not whole.
#[test]
fn of_two_files_the_whole_one_counts() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    let original = disk.contents().into_iter().find(|(path, _)| *path == file(SEGMENT)).unwrap().1;
    clean(&mut opened, every(3));
    drop(opened);
    Disk::create(&disk, &file(SEGMENT)).unwrap();
    disk.corrupt(&file(SEGMENT), |bytes| *bytes = original).unwrap();
    disk.corrupt(&file(COMPACT), |bytes| bytes[HEADER_BYTES] ^= 1).unwrap();
    let opened = try_open(&disk, kept()).unwrap();
    assert!(has(&disk, SEGMENT) && !has(&disk, COMPACT));
    assert!(read(&*opened.journal, &locations).iter().all(Result::is_ok));
}

#[test]
fn a_failing_call_is_harmless_or_the_end() {
    let calls = |disk: &SimulatedDisk| [disk.calls().0, disk.calls().1, disk.reads()];
    let (disk, counts) = (SimulatedDisk::new(0), Mutex::new([0; 3]));
    let (mut opened, _) = covered(&disk);
    let before = calls(&disk);
    disturbed(&mut opened);
    let after = calls(&disk);
    *counts.lock().unwrap() = [0, 1, 2].map(|index: usize| after[index] - before[index]);
    let [writes, syncs, reads] = *counts.lock().unwrap();
    assert!(writes > 14 && syncs > 12 && reads > 0);
    let fault = |plan: &dyn Fn(&SimulatedDisk)| {
        let disk = SimulatedDisk::new(7);
        let (mut opened, locations) = covered(&disk);
        plan(&disk);
        let survived = disturbed(&mut opened);
        let events = opened.drain_events();
        let (durable, next) = (opened.journal.durable(), opened.next);
        drop(opened);
        disk.crash();
        check_after(&disk, &locations, durable);
        (survived, survived && durable != next.previous(), events)
    };
    let ended = |events: &[JournalEvent]| {
        let is_end =
            |event: &&JournalEvent| matches!(event, JournalEvent::Cleaned { .. } | JournalEvent::CleanFailed { .. });
        events.iter().filter(is_end).count() == 1
    };
    for nth in 1..=writes {
        let (survived, stuck, events) = fault(&|disk| disk.fail_write(nth, Fault::Full));
        assert!(survived && !stuck && ended(&events), "write {nth}: {events:?}");
        let (survived, stuck, events) = fault(&|disk| disk.fail_write(nth, Fault::Broken));
        assert!(!stuck && (!survived || ended(&events)), "write {nth}: {events:?}");
    }
    for nth in 1..=syncs {
        let (survived, stuck, events) = fault(&|disk| disk.fail_sync(nth));
        assert!(!stuck && (!survived || ended(&events)), "sync {nth}: {events:?}");
    }
    // Temporary file, name, removal, and the new segments meanwhile.
    for nth in 1..=8 {
        let (survived, stuck, events) = fault(&|disk| disk.fail_name(nth));
        assert!(!stuck && (!survived || ended(&events)), "name {nth}: {events:?}");
    }
    for nth in 1..=reads {
        let (survived, _, events) = fault(&|disk| disk.fail_read(nth));
        assert!(survived && ended(&events), "read {nth}");
    }
}

#[test]
fn a_full_disk_ends_a_cleaning_that_waits() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = covered(&disk);
    opened.journal.clean(FIRST, every(3)).unwrap();
    // The reason to drop records is a batch that finds no space.
    while opened.stepped.writer.step() != Step::Full {
        opened.append(&[record(1, &[1; 900])]).unwrap();
        disk.set_capacity_bytes(disk.used_bytes() + 8 * 1024);
        if opened.journal.segments().len() > 7 {
            disk.set_capacity_bytes(disk.used_bytes());
        }
        opened.stepped.housekeeper.step();
    }
    assert_eq!(opened.settle(), Step::Full);
    let events = opened.drain_events();
    let is_end =
        |event: &&JournalEvent| matches!(event, JournalEvent::CleanFailed { .. } | JournalEvent::Cleaned { .. });
    assert!(events.iter().any(|event| is_end(&event)), "{events:?}");
    assert!(!has(&disk, "compact.temporary"));
    assert!(
        in_first(&locations)
            .iter()
            .filter(|(stream, _)| stream % 3 == 0)
            .all(|(_, location)| { read(&*opened.journal, &[*location]).remove(0).is_ok() })
    );
}
