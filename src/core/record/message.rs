//! A message with the places it took.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crossdock_common::message::{Death, DeathReason, Deduplication, Moved, Publication, Rare};
use crossdock_common::names::QueueId;
use crossdock_common::{Message, Name, Table, Text, UnixMillis, Value};

use super::{RecordError, TableReader, TableWriter, encode_table, put_bytes, put_location, take_u16, take_u64};
use crate::log::{Location, Log, Placed, RecordKind};

pub(super) const DURABLE: u8 = 1;
pub(super) const HAS_TTL: u8 = 2;
pub(super) const HAS_RARE: u8 = 4;
pub(super) const HAS_PUBLICATION: u8 = 8;
/// Set in the first number of a record whose body is elsewhere; the rest of it counts the pieces.
pub(super) const IN_PARTS: u32 = 1 << 31;

/// Where a stored message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPlace {
    /// The queue.
    pub queue: QueueId,
    /// Its place there.
    pub position: u64,
    /// The number of the announced binding it came through; 0 if none.
    pub binding: u64,
    /// How often it was handed out.
    pub attempts: u32,
}

/// Writes a message record. The stream is the queue when there is only one, so that damage can name it.
pub(crate) fn encode_message(
    log: &mut dyn Log,
    kind: RecordKind,
    scratch: &mut BytesMut,
    message: &Message,
    places: &[StoredPlace],
) -> Placed {
    scratch.clear();
    put_places(scratch, places);
    push_message(log, kind, stream_of(places), scratch, message)
}

/// Writes a message record whose body begins in `parts` and ends with `rest`.
pub(crate) fn encode_large_message(
    log: &mut dyn Log,
    scratch: &mut BytesMut,
    message: &Message,
    (parts, rest): (&[Location], &[u8]),
    places: &[StoredPlace],
) -> Placed {
    scratch.clear();
    scratch.put_u32_le(IN_PARTS | u32::try_from(parts.len()).unwrap_or(u32::MAX));
    parts.iter().for_each(|part| put_location(scratch, part));
    put_places(scratch, places);
    encode_head(scratch, message);
    log.push(RecordKind::Message, stream_of(places), &[scratch, rest])
}

fn put_places(scratch: &mut BytesMut, places: &[StoredPlace]) {
    scratch.put_u32_le(u32::try_from(places.len()).unwrap_or(u32::MAX));
    for place in places {
        scratch.put_u64_le(place.queue.0);
        scratch.put_u64_le(place.position);
        scratch.put_u64_le(place.binding);
        scratch.put_u32_le(place.attempts);
    }
}

fn stream_of(places: &[StoredPlace]) -> u64 {
    if let [only] = places { only.queue.0 } else { 0 }
}

/// Writes the message behind what is already in `scratch`, without copying the body into it.
pub(crate) fn push_message(
    log: &mut dyn Log,
    kind: RecordKind,
    stream: u64,
    scratch: &mut BytesMut,
    message: &Message,
) -> Placed {
    encode_head(scratch, message);
    log.push(kind, stream, &[scratch, &message.body])
}

fn encode_head(out: &mut BytesMut, message: &Message) {
    let flag = |bit: u8, set: bool| if set { bit } else { 0 };
    let (rare, publication) = match message.rare.as_deref() {
        None => (None, None),
        // Most publications have nothing else that is rare, and a table costs more than the rest.
        Some(rare) => (Some(rare).filter(|rare| has_facts(rare)), rare.publication.as_ref()),
    };
    out.put_u8(message.format.tag().0);
    out.put_u8(
        flag(DURABLE, message.durable)
            | flag(HAS_TTL, message.ttl_ms.is_some())
            | flag(HAS_RARE, rare.is_some())
            | flag(HAS_PUBLICATION, publication.is_some()),
    );
    out.put_u8(message.priority);
    out.put_u64_le(message.received_at.0);
    if let Some(ttl_ms) = message.ttl_ms {
        out.put_u64_le(ttl_ms);
    }
    put_bytes(out, message.exchange.as_bytes());
    put_bytes(out, &message.routing_key);
    put_bytes(out, message.user.as_bytes());
    if let Some(rare) = rare {
        encode_table(&rare_to_table(rare), out);
    }
    if let Some(publication) = publication {
        put_publication(out, publication);
    }
    put_bytes(out, &message.properties);
    // The body is the rest of the record: it follows as a part of its own.
}

/// Whether there is anything beside the publication.
fn has_facts(rare: &Rare) -> bool {
    let Rare {
        extra_keys,
        blind_keys: _,
        delay_ms,
        exchange_delay_ms,
        group,
        deduplication,
        session,
        publication: _,
        moved,
        deaths,
        letters: _,
    } = rare;
    !extra_keys.is_empty()
        || !deaths.is_empty()
        || delay_ms.is_some()
        || exchange_delay_ms.is_some()
        || group.is_some()
        || deduplication.is_some()
        || session.is_some()
        || moved.is_some()
}

fn put_publication(out: &mut BytesMut, publication: &Publication) {
    let Publication { session, id, number, settled_below } = publication;
    out.put_u64_le(session.0);
    out.put_u16_le(*id);
    out.put_u64_le(*number);
    out.put_u64_le(*settled_below);
}

/// Reads what [`put_publication`] wrote.
pub(super) fn take_publication(input: &mut impl Buf) -> Result<Publication, RecordError> {
    Ok(Publication {
        session: QueueId(take_u64(input)?),
        id: take_u16(input)?,
        number: take_u64(input)?,
        settled_below: take_u64(input)?,
    })
}

fn rare_to_table(rare: &Rare) -> Table {
    let mut writer = TableWriter::new().number("delay_ms", rare.delay_ms);
    if !rare.extra_keys.is_empty() {
        writer = writer.put("extra_keys", keys(&rare.extra_keys)).number("blind_keys", rare.blind_keys as u64);
    }
    if let Some(delay_ms) = rare.exchange_delay_ms {
        writer = writer.put("exchange_delay_ms", Value::I64(delay_ms));
    }
    if let Some(group) = &rare.group {
        writer = writer.text("group", group);
    }
    if let Some(Deduplication { id, message_id }) = &rare.deduplication {
        let message_id = Bytes::copy_from_slice(&message_id.to_le_bytes());
        writer = writer.text("deduplication_id", id).bytes("message_id", &message_id);
    }
    if let Some(session) = &rare.session {
        writer = writer.text("session", session);
    }
    if let Some(Moved { queue, position }) = rare.moved {
        writer = writer.number("moved_queue", queue.0).number("moved_position", position);
    }
    let deaths = rare.deaths.iter().map(|death| Value::Map(death_to_table(death))).collect();
    if rare.letters > 1 {
        writer = writer.number("letters", u64::from(rare.letters));
    }
    writer.put("deaths", Value::List(deaths)).finish()
}

pub(super) fn rare_from_table(table: &Table) -> Rare {
    let reader = TableReader(table);
    let text = |name: &str| reader.value(name).and_then(Value::as_str).map(Text::from);
    Rare {
        extra_keys: binaries(reader.list("extra_keys")),
        blind_keys: reader.number("blind_keys").and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
        delay_ms: reader.number("delay_ms"),
        exchange_delay_ms: reader.value("exchange_delay_ms").and_then(Value::as_i64),
        group: text("group"),
        deduplication: text("deduplication_id").map(|id| Deduplication { id, message_id: message_id(&reader) }),
        session: reader.optional_name("session"),
        publication: None,
        moved: moved(&reader),
        deaths: reader.list("deaths").iter().filter_map(death_from_value).collect(),
        letters: reader.number("letters").and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
    }
}

fn moved(reader: &TableReader<'_>) -> Option<Moved> {
    Some(Moved { queue: QueueId(reader.number("moved_queue")?), position: reader.number("moved_position")? })
}

fn message_id(reader: &TableReader<'_>) -> u128 {
    let bytes = reader.bytes("message_id").and_then(|bytes| bytes[..].try_into().ok());
    bytes.map_or(0, u128::from_le_bytes)
}

fn death_to_table(death: &Death) -> Table {
    TableWriter::new()
        .text("queue", &death.queue)
        .text("reason", death.reason.word())
        .number("count", death.count)
        .number("time", death.time.0)
        .text("exchange", &death.exchange)
        .put("keys", keys(&death.routing_keys))
        .number("original_ttl_ms", death.original_ttl_ms)
        .finish()
}

fn death_from_value(value: &Value) -> Option<Death> {
    let Value::Map(table) = value else { return None };
    let reader = TableReader(table);
    Some(Death {
        queue: reader.name("queue"),
        reason: reason(&reader.name("reason"))?,
        count: reader.number("count")?,
        time: UnixMillis(reader.number("time")?),
        exchange: reader.name("exchange"),
        routing_keys: binaries(reader.list("keys")),
        original_ttl_ms: reader.number("original_ttl_ms"),
    })
}

fn reason(word: &Name) -> Option<DeathReason> {
    [DeathReason::Rejected, DeathReason::Expired, DeathReason::MaxLength, DeathReason::DeliveryLimit]
        .into_iter()
        .find(|reason| reason.word() == word.as_str())
}

fn keys(keys: &[Bytes]) -> Value {
    Value::List(keys.iter().cloned().map(Value::Binary).collect())
}

fn binaries(values: &[Value]) -> Vec<Bytes> {
    let binary = |value: &Value| match value {
        Value::Binary(bytes) => Some(bytes.clone()),
        _ => None,
    };
    values.iter().filter_map(binary).collect()
}
