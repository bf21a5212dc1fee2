//! The bytes on disk: batch header and record table entry. Little-endian throughout; `README.md` draws the layout.
//!
//! A batch is `header | table | payloads | padding | header copy`. The table has one fixed-size entry per record that
//! says where its payload lies, so a damaged entry costs one record and never the place of the others. The header
//! copy at the end lets a batch survive the loss of its first sector.

use crate::types::{BatchSequence, Epoch};

/// Unit in which a disk writes whole or not at all. A group of batches starts on one, so no durable sector is
/// ever written again.
pub(crate) const SECTOR_BYTES: u64 = 512;
/// Batches start at multiples of this, which makes the search for a header cheap.
pub(crate) const ALIGNMENT_BYTES: u64 = 8;
/// Size of a header and of its copy.
pub(crate) const HEADER_BYTES: usize = 72;
/// Size of one table entry.
pub(crate) const ENTRY_BYTES: usize = 28;
/// Format written by this version, and the newest it reads. The header's size, and the places of magic, version and
/// checksum, hold for every later format.
///
/// 1: snapshots hold everything. 2: records are read where they are, so segments outlive the snapshots that cover them; an
/// older Crossdock would take what it does not find in the snapshot for gone.
pub(crate) const FORMAT_VERSION: u16 = 2;

/// "XDKJ".
const MAGIC: [u8; 4] = *b"XDKJ";

/// What a header stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// Start of a batch in a segment.
    Batch = 1,
    /// Copy at the end of a batch.
    BatchCopy = 2,
    /// Start of a chunk of a snapshot: `sequence` counts chunks, `durable` is the snapshot's position.
    Chunk = 3,
    /// Copy at the end of a chunk.
    ChunkCopy = 4,
    /// Sector of the meta file: identity and epoch; `sequence` is unused.
    Meta = 5,
    /// Sector of the meta file: everything up to `durable` has been synced.
    Seal = 6,
    /// Start of a compact file: `sequence` and `durable` are the first and last batch of the segment it replaces.
    Compact = 7,
    /// Copy at its end.
    CompactCopy = 8,
    /// Start of a sealed file; earlier versions refuse it. The rest of the header is in `sealed/header.rs`.
    Sealed = 9,
}

impl Role {
    fn from_byte(byte: u8) -> Option<Role> {
        let batches = [Role::Batch, Role::BatchCopy, Role::Chunk, Role::ChunkCopy];
        let others = [Role::Meta, Role::Seal, Role::Compact, Role::CompactCopy];
        batches.into_iter().chain(others).find(|role| *role as u8 == byte)
    }

    /// The role of the copy at the end.
    pub(crate) fn copy(self) -> Role {
        match self {
            Role::Batch => Role::BatchCopy,
            Role::Chunk => Role::ChunkCopy,
            Role::Compact => Role::CompactCopy,
            other => other,
        }
    }
}

/// Batch header. Also frames snapshot chunks and the two sectors of the meta file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The format it was written in: part of its checksum, which the next batch repeats.
    pub(crate) version: u16,
    pub(crate) role: Role,
    /// Secret of this journal, see `Options::identity`.
    pub(crate) identity: u64,
    pub(crate) epoch: Epoch,
    pub(crate) sequence: BatchSequence,
    /// Everything up to here was synced before this header was written: proof that older damage is not a torn tail.
    pub(crate) durable: BatchSequence,
    /// Where the batch starts in its file; ties header and copy together.
    pub(crate) offset: u64,
    /// Whole batch: both headers, table, payloads, padding.
    pub(crate) length_bytes: u32,
    pub(crate) records: u32,
    pub(crate) table_crc: u32,
    /// Checksum of the previous batch's header; 0 if it was not known.
    pub(crate) previous_crc: u32,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Not one, or damaged.
    Invalid,
    /// Intact, but written by a newer Crossdock.
    NewerVersion(u16),
}

impl Header {
    /// Encodes and returns the checksum, which the next batch's `previous_crc` repeats.
    pub(crate) fn encode(&self) -> ([u8; HEADER_BYTES], u32) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.version.to_le_bytes());
        bytes[6] = self.role as u8;
        bytes[8..16].copy_from_slice(&self.identity.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.durable.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.offset.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.length_bytes.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.records.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.table_crc.to_le_bytes());
        bytes[60..64].copy_from_slice(&self.previous_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..68]);
        bytes[68..72].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// Decodes the header at the start of `bytes`. Only an intact checksum makes the version believable.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, HeaderError> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(HeaderError::Invalid)?;
        if !starts_like_header(bytes) || crc32c::crc32c(&bytes[..68]) != u32_at(bytes, 68) {
            return Err(HeaderError::Invalid);
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version > FORMAT_VERSION {
            return Err(HeaderError::NewerVersion(version));
        }
        Ok(Header {
            version,
            role: Role::from_byte(bytes[6]).ok_or(HeaderError::Invalid)?,
            identity: u64_at(bytes, 8),
            epoch: Epoch(u64_at(bytes, 16)),
            sequence: BatchSequence(u64_at(bytes, 24)),
            durable: BatchSequence(u64_at(bytes, 32)),
            offset: u64_at(bytes, 40),
            length_bytes: u32_at(bytes, 48),
            records: u32_at(bytes, 52),
            table_crc: u32_at(bytes, 56),
            previous_crc: u32_at(bytes, 60),
        })
    }

    /// The checksum `encode` would give this header in its first place (a copy differs in its role byte).
    pub(crate) fn chain_crc(&self, head: Role) -> u32 {
        Header { role: head, ..*self }.encode().1
    }
}

/// Cheap test before [`Header::decode`], for searching.
pub(crate) fn starts_like_header(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// One record's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Start of the payload, counted from the end of the table.
    pub(crate) start: u32,
    pub(crate) length_bytes: u32,
    pub(crate) stream: u64,
    pub(crate) kind: u8,
    pub(crate) payload_crc: u32,
}

impl Entry {
    /// Encodes all but the checksum, which [`seal_table`] adds when the batch's sequence is known.
    pub(crate) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..4].copy_from_slice(&self.start.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.length_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.stream.to_le_bytes());
        bytes[16] = self.kind;
        bytes[20..24].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes
    }

    /// Decodes entry `index` of batch `sequence`; `None` if it is damaged or belongs elsewhere.
    pub(crate) fn decode(bytes: &[u8], sequence: BatchSequence, index: u32) -> Option<Entry> {
        let bytes: &[u8; ENTRY_BYTES] = bytes.first_chunk()?;
        (entry_crc(bytes, sequence, index) == u32_at(bytes, 24)).then(|| Entry::decode_checked(bytes))
    }

    /// Decodes an entry that is known to be intact.
    pub(crate) fn decode_checked(bytes: &[u8; ENTRY_BYTES]) -> Entry {
        Entry {
            start: u32_at(bytes, 0),
            length_bytes: u32_at(bytes, 4),
            stream: u64_at(bytes, 8),
            kind: bytes[16],
            payload_crc: u32_at(bytes, 20),
        }
    }
}

/// Writes the checksum into every entry of `table`.
pub(crate) fn seal_table(table: &mut [u8], sequence: BatchSequence) {
    for (index, entry) in (0..).zip(table.as_chunks_mut::<ENTRY_BYTES>().0) {
        let crc = entry_crc(entry, sequence, index);
        entry[24..].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Checksum of the table for the header. It leaves the entries' own checksums out: the CRC of bytes followed by
/// their CRC is the same for all bytes, and would say nothing.
pub(crate) fn table_crc(table: &[u8]) -> u32 {
    let entries = table.as_chunks::<ENTRY_BYTES>().0;
    entries.iter().fold(0, |crc, entry| crc32c::crc32c_append(crc, &entry[..24]))
}

/// Sequence and index take part, so an entry left over from an older batch never passes for one of this batch.
fn entry_crc(entry: &[u8; ENTRY_BYTES], sequence: BatchSequence, index: u32) -> u32 {
    let seed = crc32c::crc32c(&sequence.0.to_le_bytes());
    let seed = crc32c::crc32c_append(seed, &index.to_le_bytes());
    crc32c::crc32c_append(seed, &entry[..24])
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
