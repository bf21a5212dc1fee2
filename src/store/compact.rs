//! Compact files: what is left of a cleaned segment. A map leads from the places that the records had in the segment to those
//! they have now, so locations stay true.
//!
//! `header | map | payloads | padding | header copy`. In the header, `sequence` is the segment's first batch and `durable`
//! its last.

use std::io;

use crate::disk::DiskFile;
use crate::format::{ALIGNMENT_BYTES, FORMAT_VERSION, HEADER_BYTES, Header, HeaderError, Role};
use crate::types::{BatchSequence, Epoch};

/// Size of one entry of the map.
pub(crate) const MAP_ENTRY_BYTES: usize = 40;
/// Bytes of an entry that its checksum covers.
const CHECKED_BYTES: usize = 36;

/// A record in a compact file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompactEntry {
    /// Where the payload was in the segment: the offset of its location.
    pub(crate) old: u32,
    /// Where it is in the file.
    pub(crate) new: u32,
    pub(crate) length_bytes: u32,
    pub(crate) payload_crc: u32,
    /// The batch it came with.
    pub(crate) sequence: BatchSequence,
    pub(crate) stream: u64,
    pub(crate) kind: u8,
}

impl CompactEntry {
    fn encode(&self, first: BatchSequence, index: u32) -> [u8; MAP_ENTRY_BYTES] {
        let mut bytes = [0; MAP_ENTRY_BYTES];
        bytes[0..4].copy_from_slice(&self.old.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.new.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.stream.to_le_bytes());
        bytes[32] = self.kind;
        let crc = entry_crc(&bytes, first, index);
        bytes[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; MAP_ENTRY_BYTES], first: BatchSequence, index: u32) -> Option<CompactEntry> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(number(at)) | u64::from(number(at + 4)) << 32;
        (entry_crc(bytes, first, index) == number(CHECKED_BYTES)).then(|| CompactEntry {
            old: number(0),
            new: number(4),
            length_bytes: number(8),
            payload_crc: number(12),
            sequence: BatchSequence(long(16)),
            stream: long(24),
            kind: bytes[32],
        })
    }

    /// The payload in `file`, the whole file; `None` if it is damaged.
    pub(crate) fn payload<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        let start = self.new as usize;
        let payload = file.get(start..start.saturating_add(self.length_bytes as usize))?;
        (crc32c::crc32c(payload) == self.payload_crc).then_some(payload)
    }
}

fn entry_crc(bytes: &[u8; MAP_ENTRY_BYTES], first: BatchSequence, index: u32) -> u32 {
    let seed = crc32c::crc32c(&first.0.to_le_bytes());
    let seed = crc32c::crc32c_append(seed, &index.to_le_bytes());
    crc32c::crc32c_append(seed, &bytes[..CHECKED_BYTES])
}

/// Where the payloads of `entries` go, and how long the file gets.
pub(crate) fn lay_out<'a>(entries: impl ExactSizeIterator<Item = &'a mut CompactEntry>) -> u64 {
    let mut end = (HEADER_BYTES + entries.len() * MAP_ENTRY_BYTES) as u64;
    for entry in entries {
        entry.new = end as u32;
        end += u64::from(entry.length_bytes);
    }
    end.next_multiple_of(ALIGNMENT_BYTES) + HEADER_BYTES as u64
}

/// Header and map of a compact file, and the header's copy for its end.
pub(crate) fn encode(
    entries: impl ExactSizeIterator<Item = CompactEntry>,
    (identity, epoch): (u64, Epoch),
    (first, last): (BatchSequence, BatchSequence),
    length_bytes: u64,
) -> (Vec<u8>, [u8; HEADER_BYTES]) {
    let mut bytes = vec![0; HEADER_BYTES];
    let records = entries.len() as u32;
    for (index, entry) in (0..).zip(entries) {
        bytes.extend_from_slice(&entry.encode(first, index));
    }
    let header = Header {
        version: FORMAT_VERSION,
        role: Role::Compact,
        identity,
        epoch,
        sequence: first,
        durable: last,
        offset: 0,
        length_bytes: length_bytes as u32,
        records,
        table_crc: 0,
        previous_crc: 0,
    };
    bytes[..HEADER_BYTES].copy_from_slice(&header.encode().0);
    (bytes, Header { role: header.role.copy(), ..header }.encode().0)
}

/// Header and map, as far as they can be read.
pub(crate) struct Map {
    pub(crate) header: Header,
    /// In the order of the old places.
    pub(crate) entries: Vec<CompactEntry>,
    /// Entries that are damaged.
    pub(crate) damaged: u32,
}

/// Why there is no map.
#[derive(Debug)]
pub(crate) enum MapError {
    /// Neither header nor copy is one of this journal and segment.
    Damaged,
    NewerVersion(u16),
    Disk(io::Error),
}

impl From<MapError> for io::Error {
    fn from(error: MapError) -> io::Error {
        match error {
            MapError::Disk(error) => error,
            MapError::Damaged | MapError::NewerVersion(_) => io::ErrorKind::InvalidData.into(),
        }
    }
}

/// Reads header and map of the compact file of the segment `first`.
pub(crate) fn read_map(file: &dyn DiskFile, identity: u64, first: BatchSequence) -> Result<Map, MapError> {
    let header = read_header(file, identity, first)?;
    let mut bytes = vec![0; header.records as usize * MAP_ENTRY_BYTES];
    read_up_to(file, HEADER_BYTES as u64, &mut bytes).map_err(MapError::Disk)?;
    let raw = (0..).zip(bytes.as_chunks::<MAP_ENTRY_BYTES>().0);
    let entries: Vec<_> = raw.filter_map(|(index, bytes)| CompactEntry::decode(bytes, first, index)).collect();
    let damaged = header.records - entries.len() as u32;
    Ok(Map { header, entries, damaged })
}

/// Reads the header, or its copy.
fn read_header(file: &dyn DiskFile, identity: u64, first: BatchSequence) -> Result<Header, MapError> {
    let len_bytes = file.len_bytes().map_err(MapError::Disk)?;
    let places = [(0, Role::Compact), (len_bytes.saturating_sub(HEADER_BYTES as u64), Role::CompactCopy)];
    for (place, role) in places {
        let mut bytes = [0; HEADER_BYTES];
        read_up_to(file, place, &mut bytes).map_err(MapError::Disk)?;
        match Header::decode(&bytes) {
            Ok(header) if is_right(&header, role, identity, first) && fits(&header, len_bytes) => return Ok(header),
            Err(HeaderError::NewerVersion(version)) => return Err(MapError::NewerVersion(version)),
            _ => {}
        }
    }
    Err(MapError::Damaged)
}

fn is_right(header: &Header, role: Role, identity: u64, first: BatchSequence) -> bool {
    header.role == role && header.identity == identity && header.sequence == first
}

/// The map lies within the file: what is read for it is bounded by what is there.
fn fits(header: &Header, len_bytes: u64) -> bool {
    u64::from(header.records) * MAP_ENTRY_BYTES as u64 <= len_bytes
}

/// Bytes behind the end of the file stay zero.
fn read_up_to(file: &dyn DiskFile, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = file.read_at(offset, buffer)?;
        if read == 0 {
            break;
        }
        offset += read as u64;
        buffer = &mut buffer[read..];
    }
    Ok(())
}
