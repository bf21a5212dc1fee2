//! The format, byte by byte. If this test fails, folders written by released versions may not open any more: raise
//! `FORMAT_VERSION` and keep reading the old format instead of changing the expectation.

use super::support::*;
use crate::simulated::SimulatedDisk;
use crate::*;

fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

/// The bytes are those on record; with CROSSDOCK_WRITE_GOLDEN, for a new format, they are written down.
fn golden(name: &str, bytes: &[u8], expected: &str) {
    if std::env::var_os("CROSSDOCK_WRITE_GOLDEN").is_some() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        std::fs::write(folder.join(format!("{name}.hex")), hex(bytes) + "\n").expect("writes");
    } else {
        assert_eq!(hex(bytes), expected.trim_end());
    }
}

/// The golden journal, sealed with a key of 32 bytes 0x5A and with data keys and nonces that anybody can know.
fn golden_sealed_disk() -> SimulatedDisk {
    let known: fn(&mut [u8]) -> std::io::Result<()> = |buffer| {
        buffer.fill(0xC3);
        Ok(())
    };
    golden_disk_with(keys(Some(0x5A), &[]).with_entropy(known))
}

/// Files of a journal with batch 1 (two records) and 2 (one record) in one group, closed, and a snapshot at 1.
fn golden_disk() -> SimulatedDisk {
    golden_disk_with(Keyring::default())
}

fn golden_disk_with(keys: Keyring) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let options = Options { segment_bytes: 4096, identity: 0x1122_3344_5566_7788, keys, ..options() };
    let mut opened = try_open(&disk, options).unwrap();
    opened.append(&[record(0xAA, b"hello"), record(0xBB, b"")]).unwrap();
    opened.append(&[record(0xCC, b"world!")]).unwrap();
    opened.journal.snapshot(BatchSequence(1), snapshot(&[record(0xDD, b"state")])).unwrap();
    opened.settle();
    opened.close();
    disk.kill();
    disk
}

fn contents(disk: &SimulatedDisk, name: &str) -> Vec<u8> {
    disk.contents().into_iter().find(|(path, _)| *path == file(name)).expect(name).1
}

#[test]
fn segment_bytes_are_fixed() {
    let bytes = contents(&golden_disk(), "segment-00000000000000000001");
    assert_eq!(bytes.len(), 4096);
    golden("segment", &bytes[..512], include_str!("golden/segment.hex"));
    assert!(bytes[512..].iter().all(|byte| *byte == 0));
}

#[test]
fn snapshot_bytes_are_fixed() {
    let bytes = contents(&golden_disk(), "snapshot-00000000000000000001");
    golden("snapshot", &bytes, include_str!("golden/snapshot.hex"));
}

#[test]
fn meta_bytes_are_fixed() {
    let bytes = contents(&golden_disk(), "journal.meta");
    assert_eq!(bytes.len(), 4096 + 512);
    golden("meta", &[&bytes[..80], &bytes[4096..4176]].concat(), include_str!("golden/meta.hex"));
}

/// A segment with three records, cleaned of the second.
#[test]
fn compact_bytes_are_fixed() {
    struct KeepOthers;
    impl Survivors for KeepOthers {
        fn keep(&mut self, records: &[StoredRecord<'_>], keep: &mut Vec<bool>) {
            keep.extend(records.iter().map(|record| record.stream != 0xBB));
        }
    }
    let disk = SimulatedDisk::new(1);
    let options = Options { segment_bytes: 4096, identity: 0x1122_3344_5566_7788, keep_segments: true, ..options() };
    let mut opened = try_open(&disk, options).unwrap();
    opened.append(&[record(0xAA, b"hello"), record(0xBB, b"gone")]).unwrap();
    opened.append(&[record(0xCC, b"world!")]).unwrap();
    opened.settle();
    opened.append(&[record(0xDD, &[0; 3500])]).unwrap();
    opened.settle();
    opened.journal.snapshot(BatchSequence(3), snapshot(&[])).unwrap();
    opened.settle();
    opened.journal.clean(BatchSequence(1), Box::new(KeepOthers)).unwrap();
    opened.settle();
    let bytes = contents(&disk, "compact-00000000000000000001");
    golden("compact", &bytes, include_str!("golden/compact.hex"));
}

/// Header, its copy, and a block for the group.
#[test]
fn sealed_segment_bytes_are_fixed() {
    let bytes = contents(&golden_sealed_disk(), "segment-00000000000000000001");
    assert_eq!(bytes.len(), 8192 + 9 * 512);
    assert!(bytes[144..4096].iter().chain(&bytes[4240..8192]).chain(&bytes[8192 + 512..]).all(|byte| *byte == 0));
    golden("sealed-segment", &without_gaps(&bytes[..8192 + 512]), include_str!("golden/sealed-segment.hex"));
}

#[test]
fn sealed_snapshot_bytes_are_fixed() {
    let bytes = contents(&golden_sealed_disk(), "snapshot-00000000000000000001");
    golden("sealed-snapshot", &without_gaps(&bytes), include_str!("golden/sealed-snapshot.hex"));
}

fn without_gaps(bytes: &[u8]) -> Vec<u8> {
    [&bytes[..144], &bytes[4096..4240], &bytes[8192..]].concat()
}

fn with_gaps(bytes: &[u8]) -> Vec<u8> {
    [&bytes[..144], &[0; 4096 - 144], &bytes[144..288], &[0; 4096 - 144], &bytes[288..]].concat()
}

#[test]
fn golden_files_open() {
    let today = [include_str!("golden/segment.hex"), include_str!("golden/snapshot.hex")].map(decode);
    let version_1 = [include_str!("golden/v1-segment.hex"), include_str!("golden/v1-snapshot.hex")].map(decode);
    let sealed = [include_str!("golden/sealed-segment.hex"), include_str!("golden/sealed-snapshot.hex")].map(decode);
    let sealed = sealed.map(|bytes| with_gaps(&bytes));
    [today, version_1, sealed].into_iter().for_each(golden_files_of_a_version_open);
}

fn decode(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn golden_files_of_a_version_open([segment, snapshot]: [Vec<u8>; 2]) {
    let disk = SimulatedDisk::new(2);
    for (name, written) in [("segment-00000000000000000001", segment), ("snapshot-00000000000000000001", snapshot)] {
        Disk::create(&disk, &file(name)).unwrap();
        disk.corrupt(&file(name), |bytes| *bytes = written).unwrap();
    }
    let opened = try_open(&disk, Options { keys: keys(None, &[0x5A]), ..options() }).unwrap();
    assert_eq!(opened.heard.snapshot, [record(0xDD, b"state")]);
    assert_eq!(opened.heard.batches, [(BatchSequence(2), record(0xCC, b"world!"))]);
    assert_eq!((opened.report.damages, opened.report.last), (0, BatchSequence(2)));
}
