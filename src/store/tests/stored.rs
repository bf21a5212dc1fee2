//! Kept segments: places, reads, releases.

use bytes::Bytes;

use super::support::*;
use crate::simulated::SimulatedDisk;
use crate::*;

const MESSAGE: u8 = 1;

/// A journal that keeps its segments, with `count` records of `payload_bytes` each, one per batch, and their locations.
pub(super) fn stored(disk: &SimulatedDisk, count: u64, payload_bytes: usize) -> (Opened, Vec<Location>) {
    let mut opened = try_open(disk, Options { keep_segments: true, spare_segments_max: 3, ..options() }).unwrap();
    let mut placed = Vec::new();
    for number in 0..count {
        let mut builder = BatchBuilder::new();
        placed.push(builder.push(MESSAGE, number, &[&vec![number as u8; payload_bytes]]));
        let sequence = opened.next;
        opened.journal.append(builder.finish(sequence, SyncMode::Needed), sequence, opened.report.epoch).unwrap();
        opened.next = sequence.next();
        opened.settle();
    }
    let mut places = Vec::new();
    opened.journal.take_places(opened.next.previous(), &mut places);
    let locations = places.iter().zip(placed).map(|(place, placed)| place.locate(placed)).collect();
    (opened, locations)
}

pub(super) fn read(journal: &dyn Journal, locations: &[Location]) -> Vec<Result<Bytes, ReadError>> {
    let mut payloads = Vec::new();
    journal.reader().read(locations, &mut payloads);
    payloads
}

#[test]
fn answers_come_in_the_order_asked() {
    let disk = SimulatedDisk::new(1);
    let (opened, locations) = stored(&disk, 60, 900);
    assert!(opened.journal.segments().len() > 3);
    let asked: Vec<_> = [40, 3, 3, 59, 0].map(|index: usize| locations[index]).into();
    let payloads = read(&*opened.journal, &asked);
    let firsts: Vec<_> = payloads.into_iter().map(|payload| payload.unwrap()[0]).collect();
    assert_eq!(firsts, [40, 3, 3, 59, 0]);
}

#[test]
fn neighbours_are_read_together() {
    let disk = SimulatedDisk::new(1);
    let (opened, locations) = stored(&disk, 10, 900);
    assert_eq!(opened.journal.segments().len(), 1);
    let before = disk.reads();
    assert!(read(&*opened.journal, &locations).iter().all(Result::is_ok));
    assert_eq!(disk.reads(), before + 1);
}

#[test]
fn payloads_far_apart_are_read_alone() {
    let disk = SimulatedDisk::new(1);
    let large = Options { keep_segments: true, segment_bytes: 1 << 22, ..options() };
    let mut opened = try_open(&disk, large).unwrap();
    let mut builder = BatchBuilder::new();
    let placed: Vec<_> = (0..5)
        .map(|number| builder.push(MESSAGE, number, &[&vec![number as u8; 60 * 1024 + 5 * 1024 * number as usize]]))
        .collect();
    opened.journal.append(builder.finish(opened.next, SyncMode::Needed), opened.next, opened.report.epoch).unwrap();
    opened.settle();
    let mut places = Vec::new();
    opened.journal.take_places(opened.next, &mut places);
    let locate = |index: usize| places[0].locate(placed[index]);
    // Between 0 and 2 lie 65 KiB, which is too far; between 2 and 3 lies nothing.
    let before = disk.reads();
    let payloads = read(&*opened.journal, &[locate(0), locate(2), locate(3)]);
    assert!(payloads.into_iter().all(|payload| payload.is_ok()));
    assert_eq!(disk.reads(), before + 2);
}

#[test]
fn places_are_handed_out_once_and_in_order() {
    let disk = SimulatedDisk::new(1);
    let mut opened = try_open(&disk, Options { keep_segments: true, ..options() }).unwrap();
    (0..40).for_each(|_| opened.append(&[record(1, &[7; 900])]).unwrap());
    let mut places = Vec::new();
    opened.journal.take_places(BatchSequence(40), &mut places);
    assert_eq!(places, [], "nothing has been written");
    opened.settle();
    opened.journal.take_places(BatchSequence(25), &mut places);
    assert_eq!(places.len(), 25);
    opened.journal.take_places(BatchSequence(40), &mut places);
    opened.journal.take_places(BatchSequence(40), &mut places);
    assert!(places.iter().map(|place| place.sequence.0).eq(1..=40));
}

#[test]
fn damage_costs_the_record_it_hit() {
    let disk = SimulatedDisk::new(1);
    let (opened, locations) = stored(&disk, 12, 900);
    let hit = locations[5];
    disk.corrupt(&file("segment-00000000000000000001"), |bytes| bytes[hit.offset as usize + 100] ^= 1).unwrap();
    for (index, payload) in read(&*opened.journal, &locations).into_iter().enumerate() {
        assert_eq!(payload.is_err(), index == 5);
    }
    let error = read(&*opened.journal, &[hit]).remove(0).unwrap_err();
    let place = FilePlace { file: "segment-00000000000000000001".to_owned(), offset_bytes: u64::from(hit.offset) };
    assert_eq!(error, ReadError::Damaged { location: hit, place: place.clone() });
    assert_eq!(error.to_string(), format!("900 bytes from {place} on are damaged"));
}

#[test]
fn a_read_that_fails_once_is_tried_again() {
    let disk = SimulatedDisk::new(1);
    let (opened, locations) = stored(&disk, 12, 900);
    disk.fail_read(1);
    assert!(read(&*opened.journal, &locations).iter().all(Result::is_ok));
    disk.cut_power(1);
    let _ = Disk::remove(&disk, &file("nothing"));
    let error = read(&*opened.journal, &locations[..1]).remove(0).unwrap_err();
    assert!(matches!(error, ReadError::Disk { .. }) && error.to_string().contains("simulated power cut"), "{error}");
}

#[test]
fn a_segment_goes_when_it_is_covered_and_released_in_any_order() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = stored(&disk, 60, 900);
    let firsts = |opened: &Opened| opened.journal.segments().iter().map(|segment| segment.first).collect::<Vec<_>>();
    let before = firsts(&opened);
    opened.journal.release(before[2]);
    opened.settle();
    assert_eq!(firsts(&opened), before, "no snapshot covers it");
    let at = opened.journal.segments()[2].last.unwrap();
    opened.journal.snapshot(at, snapshot(&[])).unwrap();
    opened.settle();
    assert_eq!(firsts(&opened), [&before[..2], &before[3..]].concat());
    let covered: Vec<_> = opened.journal.segments().iter().map(|segment| segment.covered).collect();
    assert!(covered.iter().enumerate().all(|(index, covered)| *covered == (index < 2)), "{covered:?}");
    let disk_bytes = opened.journal.disk_bytes();
    // Twice, unknown, and the one being written: nothing happens.
    for harmless in [before[2], BatchSequence(999), *before.last().unwrap()] {
        opened.journal.release(harmless);
    }
    opened.settle();
    assert_eq!(firsts(&opened).len(), before.len() - 1);
    opened.journal.release(before[0]);
    opened.settle();
    assert_eq!(firsts(&opened), [&before[1..2], &before[3..]].concat());
    assert_eq!(opened.journal.disk_bytes(), disk_bytes, "it is a spare now");
    let gone = locations.iter().find(|location| location.segment == before[0]).copied().unwrap();
    assert_eq!(read(&*opened.journal, &[gone]), [Err(ReadError::Missing(gone))]);
    // The gap is not missed, and what lies behind and before it is still there.
    drop(opened);
    disk.crash();
    let opened = try_open(&disk, Options { keep_segments: true, ..options() }).unwrap();
    assert_eq!((opened.report.damages, opened.report.last), (0, BatchSequence(60)));
    let kept: Vec<_> = locations.into_iter().filter(|one| ![before[0], before[2]].contains(&one.segment)).collect();
    assert!(read(&*opened.journal, &kept).iter().all(Result::is_ok));
}

#[test]
fn a_release_waits_for_what_caused_it() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, _) = stored(&disk, 60, 900);
    opened.journal.snapshot(BatchSequence(60), snapshot(&[])).unwrap();
    opened.settle();
    let segments = opened.journal.segments();
    opened.append(&[record(1, b"the last message of the first segment is settled")]).unwrap();
    opened.journal.release(segments[0].first);
    opened.stepped.writer.step();
    assert_eq!(opened.journal.segments().len(), segments.len(), "it would be needed after a power failure");
    opened.settle();
    assert_eq!(opened.journal.segments().len(), segments.len() - 1);
}

#[test]
fn growth_is_counted_from_the_snapshot() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, _) = stored(&disk, 10, 900);
    let batch_bytes = batch(BatchSequence(1), &[record(1, &[0; 900])]).len_bytes();
    assert_eq!(opened.journal.bytes_since_snapshot(), 10 * batch_bytes);
    opened.journal.snapshot(BatchSequence(10), snapshot(&[])).unwrap();
    (0..5).for_each(|_| opened.append(&[record(1, &[0; 900])]).unwrap());
    assert_eq!(opened.journal.bytes_since_snapshot(), 15 * batch_bytes, "the snapshot is not durable yet");
    opened.settle();
    assert_eq!(opened.journal.bytes_since_snapshot(), 5 * batch_bytes);
    drop(opened);
    let replayed = try_open(&disk, options()).unwrap().journal.bytes_since_snapshot();
    assert!((5 * batch_bytes..6 * batch_bytes + 512).contains(&replayed), "{replayed}");
}

#[test]
fn damage_in_a_covered_last_segment_costs_nothing_else() {
    let disk = SimulatedDisk::new(1);
    let (mut opened, locations) = stored(&disk, 10, 900);
    opened.journal.snapshot(BatchSequence(10), snapshot(&[])).unwrap();
    opened.settle();
    drop(opened);
    // The first batches lose both of their headers, and so does the last.
    disk.corrupt(&file("segment-00000000000000000001"), |bytes| {
        let headers: Vec<_> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"XDKJ")).collect();
        for at in headers.iter().take(6).chain(headers.iter().rev().take(2)) {
            bytes[*at..*at + 72].fill(0);
        }
    })
    .unwrap();
    for _ in 0..2 {
        let opened = try_open(&disk, Options { keep_segments: true, ..options() }).unwrap();
        assert_eq!((opened.report.damages, opened.report.last), (0, BatchSequence(10)));
        assert!(read(&*opened.journal, &locations).iter().all(Result::is_ok));
    }
}
