//! The files of a closed journal under another key: nothing is lost, wherever that is interrupted, and nothing of the old ones stays.

use std::sync::Arc;

use super::sealed::{files_with, full_folder, readable, with};
use super::stored::read;
use super::support::*;
use crate::simulated::{Fault, SimulatedDisk};
use crate::*;

const TEXT: &[u8] = b"secret account";

fn reseal(disk: &SimulatedDisk, keys: Keyring) -> Result<Resealed, OpenError> {
    let (journal, report) = Resealing::open(Arc::new(disk.clone()), with(keys), &folder())?;
    assert_eq!(report.damages, 0, "{:?}", report.damaged);
    journal.run()
}

/// Everything is there, under these keys, and can be written on.
fn check(disk: &SimulatedDisk, keys: Keyring) -> RecoveryReport {
    let opened = try_open(disk, with(keys)).expect("opens");
    assert_eq!((opened.report.damages, opened.report.last), (0, BatchSequence(100)), "{:?}", opened.report.damaged);
    assert_eq!(opened.heard.snapshot, [readable(1)]);
    assert!(opened.heard.batches.iter().map(|(_, record)| record.clone()).eq((71..=100).map(readable)));
    let payloads = read(&*opened.journal, &opened.heard.locations);
    assert!(
        payloads.into_iter().zip(71..).all(|(payload, number)| payload.expect("reads") == readable(number).payload)
    );
    let report = opened.report.clone();
    opened.close();
    disk.kill();
    report
}

#[test]
fn all_files_are_encrypted_rotated_and_decrypted() {
    let disk = full_folder(Keyring::default());
    let files =
        inspect(Arc::new(disk.clone()), &Keyring::default(), &folder(), &mut |_| ()).expect("sound").sealing.bare;
    let everything = |disk: &SimulatedDisk, keys: &Keyring| {
        let mut seen = Vec::new();
        let report = inspect(Arc::new(disk.clone()), keys, &folder(), &mut |one| seen.push(format!("{one:?}")));
        assert_eq!(report.expect("sound").damages, 0);
        disk.kill();
        seen
    };
    let before = everything(&disk, &Keyring::default());
    for (keys, is_clear) in [(keys(Some(1), &[]), false), (keys(Some(2), &[1]), false), (keys(None, &[2]), true)] {
        let done = reseal(&disk, keys.clone()).expect("works");
        assert_eq!((done.rewritten, done.kept), (files, 0), "{done:?}");
        disk.kill();
        let again = reseal(&disk, keys.clone()).expect("works");
        assert_eq!((again.rewritten, again.kept, again.spares), (0, files, 0));
        disk.kill();
        assert_eq!(files_with(&disk, TEXT).is_empty(), !is_clear);
        assert!(everything(&disk, &keys) == before, "every record is where it was");
    }
    // The old keys are not needed any more.
    assert_eq!(check(&disk, Keyring::default()).sealing, Sealing { bare: files, ..Sealing::default() });
}

#[test]
fn an_interruption_at_any_point_loses_nothing() {
    for is_power_failure in [false, true] {
        for nth in 1.. {
            let disk = full_folder(Keyring::default());
            disk.cut_power(nth);
            let result = reseal(&disk, keys(Some(1), &[]));
            let is_over = disk.is_powered();
            assert_eq!(result.is_ok(), is_over);
            if is_power_failure {
                disk.crash();
            } else {
                disk.kill();
            }
            check(&disk, keys(Some(1), &[]));
            reseal(&disk, keys(Some(1), &[])).expect("goes on");
            disk.kill();
            assert_eq!(files_with(&disk, TEXT), [] as [std::path::PathBuf; 0], "{nth}");
            assert!(disk.contents().iter().all(|(path, _)| !path.to_string_lossy().contains("temporary")));
            assert_eq!(check(&disk, keys(Some(1), &[])).sealing.bare, 0);
            if is_over {
                assert!(nth > 20, "{nth}");
                break;
            }
        }
    }
}

#[test]
fn a_call_that_fails_leaves_what_can_be_tried_again() {
    let fails: [fn(&SimulatedDisk, u64); 4] = [
        |disk, nth| disk.fail_write(nth, Fault::Full),
        |disk, nth| disk.fail_write(nth, Fault::Broken),
        |disk, nth| disk.fail_sync(nth),
        |disk, nth| disk.fail_name(nth),
    ];
    for fail in fails {
        let mut failures = 0;
        for nth in 1..=40 {
            let disk = full_folder(Keyring::default());
            fail(&disk, nth);
            failures += u32::from(reseal(&disk, keys(Some(1), &[])).is_err());
            // Faults that did not come are forgotten.
            disk.kill();
            check(&disk, keys(Some(1), &[]));
            reseal(&disk, keys(Some(1), &[])).expect("works");
            disk.kill();
            assert_eq!(files_with(&disk, TEXT), [] as [std::path::PathBuf; 0], "{nth}");
        }
        assert!(failures > 3, "{failures}");
    }
}

#[test]
fn neither_a_journal_in_use_nor_one_without_its_key_is_touched() {
    let disk = full_folder(keys(Some(1), &[]));
    let before = disk.contents();
    let open = |keys| Resealing::open(Arc::new(disk.clone()), with(keys), &folder());
    assert!(matches!(open(keys(Some(2), &[])), Err(OpenError::Sealed { .. })));
    disk.kill();
    assert!(disk.contents() == before);
    let (held, _) = open(keys(Some(2), &[1])).expect("opens");
    assert!(matches!(open(keys(Some(2), &[1])), Err(OpenError::InUse { .. })));
    assert!(matches!(try_open(&disk, with(keys(Some(2), &[1]))), Err(OpenError::InUse { .. })));
    drop(held);
    assert!(open(keys(Some(2), &[1])).is_ok());
}

#[test]
fn spares_go_because_of_what_they_were() {
    let disk = full_folder(Keyring::default());
    let mut opened = try_open(&disk, Options { spare_segments_max: 2, ..with(Keyring::default()) }).expect("opens");
    for number in 101..=160 {
        opened.append(&[readable(number)]).expect("appends");
        opened.settle();
    }
    opened.journal.snapshot(BatchSequence(155), snapshot(&[readable(2)])).expect("begins");
    opened.settle();
    let segments: Vec<BatchSequence> = opened.journal.segments().iter().map(|one| one.first).collect();
    segments.into_iter().for_each(|first| opened.journal.release(first));
    opened.settle();
    disk.kill();
    let is_spare = |(path, _): &(std::path::PathBuf, Vec<u8>)| path.to_string_lossy().contains("spare-");
    assert!(disk.contents().iter().any(is_spare), "{:?}", disk.contents().iter().map(|one| &one.0).collect::<Vec<_>>());
    let (journal, _) = Resealing::open(
        Arc::new(disk.clone()),
        Options { spare_segments_max: 2, ..with(keys(Some(1), &[])) },
        &folder(),
    )
    .expect("opens");
    journal.run().expect("works");
    assert!(!disk.contents().iter().any(is_spare));
    assert_eq!(files_with(&disk, TEXT), [] as [std::path::PathBuf; 0]);
}
