//! Calls that fail: fail-stop or wait, never a confirmation that does not hold.

use super::support::*;
use crate::simulated::{Fault, SimulatedDisk};
use crate::*;

const BATCHES: u64 = 60;

/// What a workload under faults came to.
struct Outcome {
    failed: bool,
    full: bool,
    durable: BatchSequence,
}

fn records(number: u64) -> Vec<Record> {
    vec![record(number, &[number as u8; 900])]
}

/// Appends, steps and snapshots, then comes down without a word. `plan` sets the fault once the journal is open.
fn workload(disk: &SimulatedDisk, plan: impl Fn(&SimulatedDisk)) -> Outcome {
    let mut opened = open(disk);
    plan(disk);
    for number in 1..=BATCHES {
        let sync = if number % 3 == 0 { SyncMode::Lazy } else { SyncMode::Needed };
        if opened.append_with(&records(number), sync).is_err() {
            break;
        }
        opened.settle();
        if number % 25 == 0 {
            let _ = opened.journal.snapshot(BatchSequence(number), snapshot(&records(number)));
        }
    }
    opened.settle();
    let events = opened.drain_events();
    let durable = opened.journal.durable();
    let confirmed = events.iter().rev().find_map(|event| match event {
        JournalEvent::Durable(sequence) => Some(*sequence),
        _ => None,
    });
    assert_eq!(confirmed.unwrap_or_default(), durable);
    let failed = matches!(opened.journal.status(), JournalStatus::Failed(_));
    assert_eq!(failed, matches!(events.last(), Some(JournalEvent::Failed(_))), "nothing happens after a failure");
    Outcome { failed, full: events.contains(&JournalEvent::Full), durable }
}

/// Everything durable is there after a power failure, in order, and nothing but what was appended.
fn check_after_crash(disk: &SimulatedDisk, durable: BatchSequence) {
    disk.crash();
    let opened = open(disk);
    assert_eq!(opened.report.damages, 0);
    assert!(opened.report.last >= durable && opened.report.last <= BatchSequence(BATCHES));
    let behind = opened.report.snapshot_at.0 + 1..=opened.report.last.0;
    let expected =
        behind.flat_map(|number| records(number).into_iter().map(move |record| (BatchSequence(number), record)));
    assert!(expected.eq(opened.heard.batches.iter().cloned()));
}

fn calls_of_workload() -> (u64, u64) {
    let disk = SimulatedDisk::new(0);
    let before = std::cell::Cell::new((0, 0));
    workload(&disk, |disk| before.set(disk.calls()));
    let after = disk.calls();
    (after.0 - before.get().0, after.1 - before.get().1)
}

#[test]
fn an_io_error_at_any_write_stops_the_journal_or_the_snapshot() {
    for nth in 1..=calls_of_workload().0 {
        let disk = SimulatedDisk::new(nth);
        let outcome = workload(&disk, |disk| disk.fail_write(nth, Fault::Broken));
        assert!(outcome.failed || outcome.durable == BatchSequence(BATCHES), "write {nth}");
        check_after_crash(&disk, outcome.durable);
    }
}

#[test]
fn no_space_at_any_write_passes() {
    for nth in 1..=calls_of_workload().0 {
        let disk = SimulatedDisk::new(nth);
        let outcome = workload(&disk, |disk| disk.fail_write(nth, Fault::Full));
        assert!(!outcome.failed, "write {nth}");
        assert_eq!(outcome.durable, BatchSequence(BATCHES), "write {nth}");
        check_after_crash(&disk, outcome.durable);
    }
}

#[test]
fn a_failed_sync_is_the_end_and_never_confirmed() {
    let mut failures = 0;
    for nth in 1..=calls_of_workload().1 {
        let disk = SimulatedDisk::new(nth);
        let outcome = workload(&disk, |disk| disk.fail_sync(nth));
        assert!(outcome.failed || outcome.durable == BatchSequence(BATCHES), "sync {nth}");
        assert!(!outcome.full);
        failures += u64::from(outcome.failed);
        check_after_crash(&disk, outcome.durable);
    }
    assert!(failures >= BATCHES, "only a snapshot's own sync may fail without consequence");
}

#[test]
fn a_name_that_cannot_be_changed_is_the_end_or_harmless() {
    let mut failures = 0;
    for nth in 1..=20 {
        let disk = SimulatedDisk::new(nth);
        let outcome = workload(&disk, |disk| disk.fail_name(nth));
        assert!(outcome.failed || outcome.durable == BatchSequence(BATCHES), "name {nth}");
        failures += u64::from(outcome.failed);
        check_after_crash(&disk, outcome.durable);
    }
    assert!(failures > 3, "a segment without a name can't be written");
}

#[test]
fn after_a_failure_nothing_is_accepted() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    disk.fail_sync(3);
    opened.append(&records(1)).unwrap();
    assert_eq!(opened.settle(), Step::Failed);
    assert_eq!(opened.journal.durable(), BatchSequence::NONE);
    assert!(matches!(opened.append(&records(2)), Err(AppendError::Failed(_))));
    assert!(matches!(opened.journal.snapshot(BatchSequence(1), Snapshot::default()), Err(SnapshotError::Failed(_))));
    assert!(matches!(opened.journal.close(), Err(CloseError::Failed(_))));
}

#[test]
fn a_full_disk_keeps_everything_in_order_and_frees_itself() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    disk.set_capacity_bytes(60 * 1024);
    let mut number = 0;
    while opened.settle() != Step::Full {
        number += 1;
        opened.append(&records(number)).unwrap();
    }
    let durable = opened.journal.durable();
    for _ in 0..20 {
        number += 1;
        opened.append(&records(number)).unwrap();
        assert_eq!(opened.settle(), Step::Full);
    }
    assert_eq!((opened.journal.durable(), opened.journal.status()), (durable, JournalStatus::Full));
    assert!(opened.journal.pending_bytes() > 20 * 900);
    assert_eq!(opened.drain_events().last(), Some(&JournalEvent::Full), "reported once, nothing confirmed since");
    // The consumers have drained everything durable: a small snapshot frees the segments.
    opened.journal.snapshot(durable, snapshot(&records(durable.0))).unwrap();
    assert_eq!(opened.settle(), Step::Idle);
    let last = BatchSequence(number);
    assert_eq!((opened.journal.durable(), opened.journal.status()), (last, JournalStatus::Healthy));
    assert_eq!(opened.journal.pending_bytes(), 0);
    let events = opened.drain_events();
    assert!(events.contains(&JournalEvent::Writable) && events.contains(&JournalEvent::SnapshotDone(durable)));
    drop(opened);
    check_after_crash(&disk, last);
}

#[test]
fn the_reserve_lets_a_snapshot_free_a_disk_without_any_space() {
    for (reserve_bytes, freed) in [(0, false), (8 * 1024, true)] {
        let disk = SimulatedDisk::new(1);
        let mut opened = try_open(&disk, Options { reserve_bytes, ..options() }).unwrap();
        disk.set_capacity_bytes(60 * 1024);
        let mut number = 0;
        while opened.settle() != Step::Full {
            number += 1;
            opened.append(&records(number)).unwrap();
        }
        disk.set_capacity_bytes(disk.used_bytes());
        opened.journal.snapshot(opened.journal.durable(), snapshot(&[])).unwrap();
        assert_eq!(opened.settle() == Step::Idle, freed);
        assert_eq!(opened.journal.durable() == BatchSequence(number), freed);
    }
}

#[test]
fn closing_on_a_full_disk_says_what_was_dropped() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    disk.set_capacity_bytes(10 * 1024);
    opened.append(&records(1)).unwrap();
    assert_eq!(opened.settle(), Step::Full);
    assert!(matches!(opened.journal.close(), Err(CloseError::Full { pending_bytes }) if pending_bytes > 900));
    assert_eq!(opened.append(&records(2)), Err(AppendError::Closed));
}

/// space returns.
#[test]
fn a_snapshot_gives_space_back() {
    let disk = SimulatedDisk::new(1);
    let mut opened = open(&disk);
    for number in 1..=300 {
        opened.append(&records(number)).unwrap();
        opened.settle();
    }
    let before = opened.journal.disk_bytes();
    opened.journal.snapshot(BatchSequence(300), snapshot(&[])).unwrap();
    opened.settle();
    let after = opened.journal.disk_bytes();
    let segment_bytes = options().segment_bytes;
    assert!(before > 15 * segment_bytes && after <= 3 * segment_bytes + 1024, "{before} then {after}");
    assert!(disk.used_bytes() <= after + 8 * 1024, "{} against {after}", disk.used_bytes());
}
