//! Message records read back: whole, or only what a replay has to know.

use bytes::{Buf, Bytes};
use crossdock_common::message::{Publication, Rare};
use crossdock_common::names::QueueId;
use crossdock_common::{Format, FormatTag, Message, Name, UnixMillis};

use super::message::{
    DURABLE, HAS_PUBLICATION, HAS_RARE, HAS_TTL, IN_PARTS, StoredPlace, rare_from_table, take_publication,
};
use super::{RecordError, decode_table, skip_bytes, take_bytes, take_location, take_u8, take_u32, take_u64};
use crate::log::Location;

/// What a replay has to know of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub priority: u8,
    pub received_at: UnixMillis,
    /// It has a time to live of its own.
    pub expires: bool,
    pub rare: Option<Rare>,
    /// It must be taken exactly once.
    pub publication: Option<Publication>,
    pub body_bytes: u32,
}

/// Reads where the pieces of a large body are, and leaves the rest; none for other messages.
pub(crate) fn decode_parts(input: &mut impl Buf) -> Result<Vec<Location>, RecordError> {
    let first = input.chunk().first_chunk().copied().map_or(0, u32::from_le_bytes);
    if first & IN_PARTS == 0 {
        return Ok(Vec::new());
    }
    let count = take_u32(input)? & !IN_PARTS;
    (0..count).map(|_| take_location(input)).collect()
}

/// Reads the places of a message, and leaves the message.
pub(crate) fn decode_places(input: &mut impl Buf) -> Result<Vec<StoredPlace>, RecordError> {
    decode_parts(input)?;
    let count = take_u32(input)?;
    (0..count)
        .map(|_| {
            Ok(StoredPlace {
                queue: QueueId(take_u64(input)?),
                position: take_u64(input)?,
                binding: take_u64(input)?,
                attempts: take_u32(input)?,
            })
        })
        .collect()
}

/// Reads the head of a message, which stands behind its places, without copying anything.
pub(crate) fn peek_head(mut input: &[u8]) -> Result<Head, RecordError> {
    let _format = take_u8(&mut input)?;
    let flags = take_u8(&mut input)?;
    let priority = take_u8(&mut input)?;
    let received_at = UnixMillis(take_u64(&mut input)?);
    let expires = flags & HAS_TTL != 0;
    if expires {
        take_u64(&mut input)?;
    }
    // Exchange, key and user.
    (0..3).try_for_each(|_| skip_bytes(&mut input))?;
    let mut rare = None;
    if flags & HAS_RARE != 0 {
        let mut rest = Bytes::copy_from_slice(input);
        rare = Some(rare_from_table(&decode_table(&mut rest)?));
        input = &input[input.len() - rest.len()..];
    }
    let publication = if flags & HAS_PUBLICATION != 0 { Some(take_publication(&mut input)?) } else { None };
    // Properties.
    skip_bytes(&mut input)?;
    let body_bytes = u32::try_from(input.len()).unwrap_or(u32::MAX);
    Ok(Head { priority, received_at, expires, rare, publication, body_bytes })
}

/// Reads messages. Names that repeat, as they do, are shared.
pub(crate) struct Decoder<'a> {
    formats: &'a [&'static dyn Format],
    exchange: Name,
    user: Name,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(formats: &'a [&'static dyn Format]) -> Self {
        Self { formats, exchange: Name::default(), user: Name::default() }
    }

    /// Reads a message record: its places and the message.
    pub(crate) fn message(&mut self, mut input: Bytes) -> Result<(Vec<StoredPlace>, Message), RecordError> {
        let places = decode_places(&mut input)?;
        Ok((places, self.body(input)?))
    }

    /// Reads the message at the end of a record.
    pub(crate) fn body(&mut self, mut input: Bytes) -> Result<Message, RecordError> {
        let format = self.format(FormatTag(take_u8(&mut input)?))?;
        let flags = take_u8(&mut input)?;
        let priority = take_u8(&mut input)?;
        let received_at = UnixMillis(take_u64(&mut input)?);
        let ttl_ms = if flags & HAS_TTL != 0 { Some(take_u64(&mut input)?) } else { None };
        let exchange = take_shared(&mut input, &mut self.exchange)?;
        let routing_key = take_bytes(&mut input)?;
        let user = take_shared(&mut input, &mut self.user)?;
        let rare = if flags & HAS_RARE != 0 { Some(decode_table(&mut input)?) } else { None };
        let publication = if flags & HAS_PUBLICATION != 0 { Some(take_publication(&mut input)?) } else { None };
        let properties = take_bytes(&mut input)?;
        let mut message = Message::new(format, exchange, routing_key, properties, input);
        message.durable = flags & DURABLE != 0;
        message.priority = priority;
        message.received_at = received_at;
        message.ttl_ms = ttl_ms;
        message.user = user;
        message.rare = rare.map(|table| Box::new(rare_from_table(&table)));
        if publication.is_some() {
            message.rare_mut().publication = publication;
        }
        Ok(message)
    }

    fn format(&self, tag: FormatTag) -> Result<&'static dyn Format, RecordError> {
        let found = self.formats.iter().copied().find(|format| format.tag() == tag);
        found.ok_or(RecordError("unknown message format"))
    }
}

fn take_shared(input: &mut Bytes, last: &mut Name) -> Result<Name, RecordError> {
    let bytes = take_bytes(input)?;
    if bytes != last.as_bytes() {
        let text = std::str::from_utf8(&bytes).map_err(|_| RecordError("name is not UTF-8"))?;
        *last = Name::from(text);
    }
    Ok(last.clone())
}
