//! How the core's records look on disk: little-endian numbers, lengths before bytes, and named tables for everything that may
//! grow new fields.

mod decode;
mod message;
mod table;

pub(crate) use decode::{Decoder, Head, decode_parts, decode_places, peek_head};
pub(crate) use message::{StoredPlace, encode_large_message, encode_message, push_message};
pub(crate) use table::{TableReader, TableWriter, can_be_kept, decode_table, encode_table};

use std::num::NonZeroU64;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::log::Location;

/// A record that cannot be understood. It passed its checksum, so it was written by another version or a defect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record cannot be understood: {0}")]
pub struct RecordError(pub &'static str);

pub(crate) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

pub(crate) fn take_bytes(input: &mut Bytes) -> Result<Bytes, RecordError> {
    let length = take_u32(input)? as usize;
    if input.len() < length {
        return Err(RecordError("bytes end early"));
    }
    Ok(input.split_to(length))
}

fn skip_bytes(input: &mut &[u8]) -> Result<(), RecordError> {
    let length = take_u32(input)? as usize;
    *input = input.get(length..).ok_or(RecordError("bytes end early"))?;
    Ok(())
}

pub(crate) fn take_u8(input: &mut impl Buf) -> Result<u8, RecordError> {
    input.try_get_u8().map_err(|_| RecordError("number ends early"))
}

pub(crate) fn take_u16(input: &mut impl Buf) -> Result<u16, RecordError> {
    input.try_get_u16_le().map_err(|_| RecordError("number ends early"))
}

pub(crate) fn take_u32(input: &mut impl Buf) -> Result<u32, RecordError> {
    input.try_get_u32_le().map_err(|_| RecordError("number ends early"))
}

pub(crate) fn take_u64(input: &mut impl Buf) -> Result<u64, RecordError> {
    input.try_get_u64_le().map_err(|_| RecordError("number ends early"))
}

pub(crate) fn take_u128(input: &mut impl Buf) -> Result<u128, RecordError> {
    input.try_get_u128_le().map_err(|_| RecordError("number ends early"))
}

pub(crate) fn take_name(input: &mut Bytes) -> Result<crossdock_common::Name, RecordError> {
    let bytes = take_bytes(input)?;
    std::str::from_utf8(&bytes).map(crossdock_common::Name::from).map_err(|_| RecordError("name is not UTF-8"))
}

/// Writes where a record is.
pub(crate) fn put_location(out: &mut BytesMut, location: &Location) {
    out.put_u64_le(location.segment.get());
    out.put_u32_le(location.offset);
    out.put_u32_le(location.length_bytes);
    out.put_u32_le(location.crc);
}

/// Reads what [`put_location`] wrote.
pub(crate) fn take_location(input: &mut impl Buf) -> Result<Location, RecordError> {
    let segment = NonZeroU64::new(take_u64(input)?).ok_or(RecordError("a segment without a number"))?;
    Ok(Location { segment, offset: take_u32(input)?, length_bytes: take_u32(input)?, crc: take_u32(input)? })
}
