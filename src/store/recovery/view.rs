//! A batch as it lies in a file, possibly damaged.

use crate::format::{ENTRY_BYTES, Entry, HEADER_BYTES, Header, table_crc};

/// A batch whose header is intact.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchView<'a> {
    pub(super) header: Header,
    table: &'a [u8],
    payload: &'a [u8],
    /// Where the payloads begin in the file.
    payload_offset: u32,
    /// Table and all payloads are as they were written.
    pub(super) intact: bool,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordView<'a> {
    pub(super) kind: u8,
    pub(super) stream: u64,
    pub(super) payload: &'a [u8],
    /// Where the payload begins in the file.
    pub(super) offset: u32,
    pub(super) crc: u32,
}

/// What is known of a damaged record.
#[derive(Clone, Copy, Debug)]
pub(super) struct DamagedRecord {
    pub(super) stream: Option<u64>,
    /// Where the damage begins in the file: its entry, or its payload.
    pub(super) offset: u32,
}

impl<'a> BatchView<'a> {
    /// `bytes` is the whole file; it may end before the batch does.
    pub(super) fn new(bytes: &'a [u8], header: Header) -> BatchView<'a> {
        let start = usize::try_from(header.offset).unwrap_or(usize::MAX).saturating_add(HEADER_BYTES);
        let content = (header.length_bytes as usize).saturating_sub(2 * HEADER_BYTES);
        let rest = bytes.get(start..).unwrap_or_default();
        let content = &rest[..rest.len().min(content)];
        let table_bytes = (header.records as usize).saturating_mul(ENTRY_BYTES).min(content.len());
        let (table, payload) = content.split_at(table_bytes);
        let payload_offset = u32::try_from(start.saturating_add(table_bytes)).unwrap_or(u32::MAX);
        let mut view = BatchView { header, table, payload, payload_offset, intact: false };
        view.intact = table_crc(table) == header.table_crc && view.records().all(|record| record.is_ok());
        view
    }

    /// All records in order, every one checked.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<RecordView<'a>, DamagedRecord>> + use<'a> {
        let view = *self;
        (0..view.header.records).map(move |index| view.record(index))
    }

    fn record(&self, index: u32) -> Result<RecordView<'a>, DamagedRecord> {
        let entry_start = index as usize * ENTRY_BYTES;
        let bytes = self.table.get(entry_start..).unwrap_or_default();
        let entry = match bytes.first_chunk() {
            // Everything has been checked once.
            Some(entry) if self.intact => Some(Entry::decode_checked(entry)),
            _ => Entry::decode(bytes, self.header.sequence, index),
        };
        let Some(entry) = entry else {
            let offset = u32::try_from(self.header.offset as usize + HEADER_BYTES + entry_start).unwrap_or(u32::MAX);
            return Err(DamagedRecord { stream: None, offset });
        };
        let start = entry.start as usize;
        let offset = self.payload_offset.saturating_add(entry.start);
        match self.payload.get(start..start.saturating_add(entry.length_bytes as usize)) {
            Some(payload) if self.intact || crc32c::crc32c(payload) == entry.payload_crc => {
                Ok(RecordView { kind: entry.kind, stream: entry.stream, payload, offset, crc: entry.payload_crc })
            }
            _ => Err(DamagedRecord { stream: Some(entry.stream), offset }),
        }
    }
}
