//! How definitions look in records: named tables, so that later versions may add fields.

use bytes::Bytes;
use crossdock_common::definition::{
    BindingSpec, DeadLetter, DeduplicationScope, Destination, Durability, ExchangeSpec, Fifo, Inner, Overflow,
    QueueSettings, QueueSpec, Stream,
};
use crossdock_common::{Name, Table, Text, UnixMillis, Value};

use super::QueueEntry;
use super::exchange::Exchange;
use super::session::Session;
use crate::record::{RecordError, TableReader, TableWriter};

pub(super) fn exchange_to_table(vhost: &Name, exchange: &Exchange) -> Table {
    let spec = &exchange.spec;
    TableWriter::new()
        .text("vhost", vhost)
        .text("name", &spec.name)
        .text("kind", &spec.kind)
        .flag("auto_delete", spec.auto_delete)
        .flag("internal", spec.internal)
        .table("arguments", &spec.arguments)
        .table("attributes", &spec.attributes)
        .number("created_at", exchange.created_at.0)
        .finish()
}

pub(super) fn exchange_from_table(table: &Table) -> (Name, ExchangeSpec, UnixMillis) {
    let reader = TableReader(table);
    let spec = ExchangeSpec {
        name: reader.name("name"),
        kind: reader.name("kind"),
        durable: true,
        auto_delete: reader.flag("auto_delete"),
        internal: reader.flag("internal"),
        arguments: reader.table("arguments"),
        attributes: reader.table("attributes"),
    };
    (reader.name("vhost"), spec, UnixMillis(reader.number("created_at").unwrap_or(0)))
}

pub(super) fn queue_to_table(vhost: &Name, queue: &QueueEntry) -> Table {
    let spec = &queue.spec;
    TableWriter::new()
        .text("vhost", vhost)
        .text("name", &spec.name)
        .number("id", queue.id.0)
        .flag("auto_delete", spec.auto_delete)
        .table("arguments", &spec.arguments)
        .table("settings", &settings_to_table(&spec.settings))
        .table("attributes", &spec.attributes)
        .number("created_at", queue.created_at.0)
        .number("changed_at", queue.changed_at.0)
        .finish()
}

/// A queue as it was stored.
pub(super) struct StoredQueue {
    pub vhost: Name,
    pub id: u64,
    pub spec: QueueSpec,
    pub created_at: UnixMillis,
    pub changed_at: UnixMillis,
}

pub(super) fn queue_from_table(table: &Table) -> Result<StoredQueue, RecordError> {
    let reader = TableReader(table);
    let spec = QueueSpec {
        name: reader.name("name"),
        durable: true,
        exclusive: false,
        auto_delete: reader.flag("auto_delete"),
        arguments: reader.table("arguments"),
        settings: settings_from_table(&reader.table("settings")).into(),
        attributes: reader.table("attributes"),
    };
    Ok(StoredQueue {
        vhost: reader.name("vhost"),
        id: reader.number("id").ok_or(RecordError("queue without id"))?,
        spec,
        created_at: UnixMillis(reader.number("created_at").unwrap_or(0)),
        changed_at: UnixMillis(reader.number("changed_at").unwrap_or(0)),
    })
}

fn settings_to_table(settings: &QueueSettings) -> Table {
    let mut writer = TableWriter::new()
        .number("message_ttl_ms", settings.message_ttl_ms)
        .number("expires_ms", settings.expires_ms)
        .number("length_max", settings.length_max)
        .number("bytes_max", settings.bytes_max)
        .number("delivery_limit", settings.delivery_limit.map(u64::from))
        .number("priority_max", settings.priority_max.map(u64::from))
        .number("lease_ms", settings.lease_ms)
        .number("delay_ms", settings.delay_ms)
        .number("consumer_timeout_ms", settings.consumer_timeout_ms)
        .number("stream_max_age_ms", settings.stream.and_then(|stream| stream.max_age_ms))
        .flag("single_active_consumer", settings.single_active_consumer);
    if let Some(durability) = settings.durability {
        writer = writer.text("durability", durability.word());
    }
    if let Some(fifo) = settings.fifo {
        writer = writer.text("fifo", fifo.deduplication_scope.word());
    }
    if let Some(Inner::Delays { exchange }) = &settings.inner {
        writer = writer.text("delays_for", exchange);
    }
    if let Some(overflow) = settings.overflow {
        writer = writer.text("overflow", overflow_word(overflow));
    }
    if let Some(dead_letter) = &settings.dead_letter {
        writer = writer.text("dead_letter_exchange", &dead_letter.exchange);
        if let Some(key) = &dead_letter.routing_key {
            writer = writer.bytes("dead_letter_routing_key", key);
        }
    }
    writer.finish()
}

fn settings_from_table(table: &Table) -> QueueSettings {
    let reader = TableReader(table);
    let small = |name: &str| reader.number(name).and_then(|number| u32::try_from(number).ok());
    QueueSettings {
        message_ttl_ms: reader.number("message_ttl_ms"),
        expires_ms: reader.number("expires_ms"),
        length_max: reader.number("length_max"),
        bytes_max: reader.number("bytes_max"),
        overflow: reader.value("overflow").and_then(Value::as_str).and_then(overflow_from_word),
        dead_letter: reader
            .optional_name("dead_letter_exchange")
            .map(|exchange| DeadLetter { exchange, routing_key: reader.bytes("dead_letter_routing_key") }),
        delivery_limit: small("delivery_limit"),
        priority_max: small("priority_max").and_then(|number| u8::try_from(number).ok()),
        single_active_consumer: reader.flag("single_active_consumer"),
        lease_ms: reader.number("lease_ms"),
        delay_ms: reader.number("delay_ms"),
        consumer_timeout_ms: reader.number("consumer_timeout_ms"),
        durability: reader.value("durability").and_then(Value::as_str).and_then(Durability::from_word),
        fifo: reader
            .value("fifo")
            .and_then(Value::as_str)
            .map(|scope| Fifo { deduplication_scope: DeduplicationScope::from_word(scope).unwrap_or_default() }),
        // Only arguments say it.
        dead_letter_strategy: None,
        deduplication: None,
        stream: reader.number("stream_max_age_ms").map(|ms| Stream { max_age_ms: Some(ms) }),
        inner: reader.optional_name("delays_for").map(|exchange| Inner::Delays { exchange }),
    }
}

fn overflow_word(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::DropHead => "drop-head",
        Overflow::RejectPublish => "reject-publish",
        Overflow::RejectPublishDeadLetter => "reject-publish-dlx",
    }
}

fn overflow_from_word(word: &str) -> Option<Overflow> {
    [Overflow::DropHead, Overflow::RejectPublish, Overflow::RejectPublishDeadLetter]
        .into_iter()
        .find(|&overflow| overflow_word(overflow) == word)
}

pub(super) fn binding_to_table(vhost: &Name, spec: &BindingSpec, serial: u64) -> Table {
    let (to_exchange, destination) = match &spec.destination {
        Destination::Queue(name) => (false, name),
        Destination::Exchange(name) => (true, name),
    };
    TableWriter::new()
        .text("vhost", vhost)
        .text("source", &spec.source)
        .flag("to_exchange", to_exchange)
        .text("destination", destination)
        .bytes("key", &spec.key)
        .flag("announced", spec.announced)
        .number("serial", serial)
        .table("arguments", &spec.arguments)
        .table("attributes", &spec.attributes)
        .finish()
}

pub(super) fn binding_from_table(table: &Table) -> (Name, BindingSpec, u64) {
    let reader = TableReader(table);
    let name = reader.name("destination");
    let spec = BindingSpec {
        source: reader.name("source"),
        destination: if reader.flag("to_exchange") { Destination::Exchange(name) } else { Destination::Queue(name) },
        key: reader.bytes("key").unwrap_or_default(),
        arguments: reader.table("arguments"),
        announced: reader.flag("announced"),
        attributes: reader.table("attributes"),
    };
    (reader.name("vhost"), spec, reader.number("serial").unwrap_or(0))
}

pub(super) fn session_to_table(vhost: &Name, session: &Session) -> Table {
    TableWriter::new()
        .text("vhost", vhost)
        .text("name", &session.name)
        .text("user", &session.user)
        .text("queue", &session.queue)
        .number("expiry_ms", session.expiry_ms)
        .finish()
}

pub(super) fn session_from_table(table: &Table) -> (Name, Session) {
    let reader = TableReader(table);
    let [name, user, queue] = ["name", "user", "queue"].map(|field| reader.name(field));
    let session = Session::new(name, user, queue, reader.number("expiry_ms"), true);
    (reader.name("vhost"), session)
}

/// What deletion records say: who it was.
pub(super) fn key_table(vhost: &Name, name: &Name) -> Table {
    vec![
        (Text::from_static("vhost"), Value::string(vhost.as_str())),
        (Text::from_static("name"), Value::string(name.as_str())),
    ]
}

pub(super) fn key_from_table(table: &Table) -> (Name, Name) {
    let reader = TableReader(table);
    (reader.name("vhost"), reader.name("name"))
}

pub(super) fn document_to_table(kind: &str, key: &Name, document: Option<&Bytes>) -> Table {
    let writer = TableWriter::new().text("kind", kind).text("key", key);
    match document {
        Some(document) => writer.bytes("document", document).finish(),
        None => writer.finish(),
    }
}

pub(super) fn document_from_table(table: &Table) -> (Name, Name, Option<Bytes>) {
    let reader = TableReader(table);
    (reader.name("kind"), reader.name("key"), reader.bytes("document"))
}
