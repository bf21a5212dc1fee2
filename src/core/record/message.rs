//! A message with the places it took.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use crossdock_common::message::{Death, DeathReason, Rare};
use crossdock_common::names::QueueId;
use crossdock_common::{Format, FormatTag, Message, Name, Table, Text, UnixMillis, Value};

use super::{
    RecordError, TableReader, TableWriter, decode_table, encode_table, put_bytes, take_bytes, take_name, take_u8,
    take_u32, take_u64,
};
use crate::log::{Log, RecordKind};

const DURABLE: u8 = 1;
const HAS_TTL: u8 = 2;
const HAS_RARE: u8 = 4;

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
pub(crate) fn encode_message(log: &mut dyn Log, scratch: &mut BytesMut, message: &Message, places: &[StoredPlace]) {
    scratch.clear();
    scratch.put_u32_le(u32::try_from(places.len()).unwrap_or(u32::MAX));
    for place in places {
        scratch.put_u64_le(place.queue.0);
        scratch.put_u64_le(place.position);
        scratch.put_u64_le(place.binding);
        scratch.put_u32_le(place.attempts);
    }
    let stream = if let [only] = places { only.queue.0 } else { 0 };
    push_message(log, RecordKind::Message, stream, scratch, message);
}

/// Writes the message behind what is already in `scratch`, without copying the body into it.
pub(crate) fn push_message(
    log: &mut dyn Log,
    kind: RecordKind,
    stream: u64,
    scratch: &mut BytesMut,
    message: &Message,
) {
    encode_head(scratch, message);
    log.push(kind, stream, &[scratch, &message.body]);
}

fn encode_head(out: &mut BytesMut, message: &Message) {
    let flag = |bit: u8, set: bool| if set { bit } else { 0 };
    out.put_u8(message.format.tag().0);
    out.put_u8(
        flag(DURABLE, message.durable)
            | flag(HAS_TTL, message.ttl_ms.is_some())
            | flag(HAS_RARE, message.rare.is_some()),
    );
    out.put_u8(message.priority);
    out.put_u64_le(message.received_at.0);
    if let Some(ttl_ms) = message.ttl_ms {
        out.put_u64_le(ttl_ms);
    }
    put_bytes(out, message.exchange.as_bytes());
    put_bytes(out, &message.routing_key);
    put_bytes(out, message.user.as_bytes());
    if let Some(rare) = &message.rare {
        encode_table(&rare_to_table(rare), out);
    }
    put_bytes(out, &message.properties);
    // The body is the rest of the record: it follows as a part of its own.
}

/// Reads what [`encode_message`] wrote.
pub(crate) fn decode_places(input: &mut Bytes) -> Result<Vec<StoredPlace>, RecordError> {
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

/// Reads a message record: its places and the message.
pub(crate) fn decode_message(
    mut input: Bytes,
    format: impl Fn(FormatTag) -> Option<&'static dyn Format>,
) -> Result<(Vec<StoredPlace>, Arc<Message>), RecordError> {
    let places = decode_places(&mut input)?;
    Ok((places, Arc::new(decode_body(input, format)?)))
}

/// Reads the message at the end of a record.
pub(crate) fn decode_body(
    mut input: Bytes,
    format: impl Fn(FormatTag) -> Option<&'static dyn Format>,
) -> Result<Message, RecordError> {
    let format = format(FormatTag(take_u8(&mut input)?)).ok_or(RecordError("unknown message format"))?;
    let flags = take_u8(&mut input)?;
    let priority = take_u8(&mut input)?;
    let received_at = UnixMillis(take_u64(&mut input)?);
    let ttl_ms = if flags & HAS_TTL != 0 { Some(take_u64(&mut input)?) } else { None };
    let exchange = take_name(&mut input)?;
    let routing_key = take_bytes(&mut input)?;
    let user = take_name(&mut input)?;
    let rare = if flags & HAS_RARE != 0 { Some(decode_table(&mut input)?) } else { None };
    let properties = take_bytes(&mut input)?;
    let mut message = Message::new(format, exchange, routing_key, properties, input);
    message.durable = flags & DURABLE != 0;
    message.priority = priority;
    message.received_at = received_at;
    message.ttl_ms = ttl_ms;
    message.user = user;
    message.rare = rare.map(|table| Box::new(rare_from_table(&table)));
    Ok(message)
}

fn rare_to_table(rare: &Rare) -> Table {
    let mut writer = TableWriter::new().number("delay_ms", rare.delay_ms);
    if !rare.extra_keys.is_empty() {
        writer = writer.put("extra_keys", keys(&rare.extra_keys));
    }
    if let Some(group) = &rare.group {
        writer = writer.text("group", group);
    }
    if let Some(id) = &rare.deduplication_id {
        writer = writer.text("deduplication_id", id);
    }
    if let Some(session) = &rare.session {
        writer = writer.text("session", session);
    }
    let deaths = rare.deaths.iter().map(|death| Value::Map(death_to_table(death))).collect();
    writer.put("deaths", Value::List(deaths)).finish()
}

fn rare_from_table(table: &Table) -> Rare {
    let reader = TableReader(table);
    let text = |name: &str| reader.value(name).and_then(Value::as_str).map(Text::from);
    Rare {
        extra_keys: binaries(reader.list("extra_keys")),
        delay_ms: reader.number("delay_ms"),
        group: text("group"),
        deduplication_id: text("deduplication_id"),
        session: reader.optional_name("session"),
        deaths: reader.list("deaths").iter().filter_map(death_from_value).collect(),
    }
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
