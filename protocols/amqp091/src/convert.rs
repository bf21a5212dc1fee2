//! AMQP 0-9-1 properties to and from the hub.
//!
//! | hub field | property |
//! |---|---|
//! | durable | `delivery-mode` 2 |
//! | ttl | `expiration`, milliseconds in decimal |
//! | creation time | `timestamp` in seconds; what it cannot say travels in `crossdock.timestamp-ms` beside it |
//! | message id, correlation id | the property of that name; if not text, `crossdock.message-id` … beside its text |
//! | subject, group id and sequence | `crossdock.*` headers |
//! | any text longer than 255 bytes | `crossdock.*` header |
//! | header names longer than 255 bytes, and the second and further header of a name | pairs in `crossdock.further-headers` |
//!
//! `cluster-id`, which only AMQP 0-9-1 has, is the application property `crossdock.cluster-id` in the hub.

pub(crate) mod facts;
pub(crate) mod outgoing;

use std::collections::HashSet;

use bytes::Bytes;
use crossdock_common::hub::Field;
use crossdock_common::value_text::to_text;
use crossdock_common::{Format, FormatTag, Hub, Message, Table, Text, Value, envelope};

use crate::frame::properties::Properties;
use crate::frame::table::{self, Budget, lossy_text, text_or_binary};

const CLUSTER_ID: &str = "crossdock.cluster-id";
const FURTHER: &str = "crossdock.further-headers";
pub(crate) const SHORT_MAX: usize = 255;

/// Explains AMQP 0-9-1 messages.
#[derive(Debug)]
pub struct AmqpFormat;

/// The instance that every AMQP 0-9-1 message refers to.
pub static FORMAT: AmqpFormat = AmqpFormat;

impl Format for AmqpFormat {
    fn tag(&self) -> FormatTag {
        FormatTag::AMQP_0_9_1
    }

    fn to_hub(&self, message: &Message) -> Hub {
        let mut hub = to_hub(&message.properties);
        disown_user_id(&mut hub, message);
        if !message.deaths().is_empty() {
            // What let it die is not to let it die again: the core took the time to live from the message.
            hub.ttl_ms = message.ttl_ms;
        }
        hub
    }
}

/// The property `user-id` is checked when it is published, and readers trust it; another's in the envelope is a claim.
fn disown_user_id(hub: &mut Hub, message: &Message) {
    let Some(claimed) = hub.user_id.take_if(|claimed| **claimed != *message.user) else { return };
    let properties = Properties::parse(&message.properties).unwrap_or_default();
    hub.user_id = properties.user_id.map(|bytes| lossy_text(&message.properties, bytes));
    if hub.user_id.as_ref() != Some(&claimed) {
        hub.application_properties.push((Text::from_static(Field::UserId.envelope_name()), Value::String(claimed)));
    }
}

/// Property flags and list to the hub. What cannot be read, which no connection lets in, is left out.
pub fn to_hub(source: &Bytes) -> Hub {
    let properties = Properties::parse(source).unwrap_or_default();
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| lossy_text(source, bytes));
    let value = |bytes: Option<&[u8]>| bytes.map(|bytes| text_or_binary(source, bytes));
    let mut hub = Hub {
        durable: properties.delivery_mode == Some(2),
        priority: properties.priority,
        ttl_ms: properties.expiration.and_then(milliseconds),
        message_id: value(properties.message_id),
        user_id: text(properties.user_id),
        message_type: text(properties.message_type),
        reply_to: text(properties.reply_to),
        correlation_id: value(properties.correlation_id),
        content_type: text(properties.content_type),
        content_encoding: text(properties.content_encoding),
        creation_time_ms: properties.timestamp.map(|seconds| seconds.cast_signed().saturating_mul(1000)),
        app_id: text(properties.app_id),
        ..Hub::default()
    };
    let headers = properties.headers.map(|headers| table::decode(source, headers, &mut Budget::checked()));
    absorb_headers(&mut hub, headers.and_then(Result::ok).unwrap_or_default());
    if let Some(cluster_id) = text(properties.cluster_id) {
        hub.application_properties.push((Text::from_static(CLUSTER_ID), Value::String(cluster_id)));
    }
    hub
}

/// The milliseconds that an `expiration` says.
pub(crate) fn milliseconds(expiration: &[u8]) -> Option<u64> {
    std::str::from_utf8(expiration).ok()?.parse().ok()
}

fn absorb_headers(hub: &mut Hub, mut headers: Table) {
    let further = take(&mut headers, FURTHER);
    headers.retain(|(name, _)| &**name != facts::BCC);
    envelope::from_typed_headers(hub, headers);
    if let Some(Value::List(pairs)) = further {
        hub.application_properties.extend(pairs.into_iter().filter_map(further_header));
    }
}

fn further_header(pair: Value) -> Option<(Text, Value)> {
    let Value::List(pair) = pair else { return None };
    match <[Value; 2]>::try_from(pair).ok()? {
        [Value::String(name), value] => Some((name, value)),
        _ => None,
    }
}

fn take(headers: &mut Table, wanted: &str) -> Option<Value> {
    let at = headers.iter().position(|(name, _)| &**name == wanted)?;
    Some(headers.remove(at).1)
}

/// The hub as property flags and list.
pub fn from_hub(hub: &Hub) -> Bytes {
    let (expiration, message_id) = (hub.ttl_ms.map(|ms| ms.to_string()), hub.message_id.as_ref().map(to_text));
    let correlation_id = hub.correlation_id.as_ref().map(to_text);
    let mut headers = envelope::to_typed_headers(hub, &native_fields(hub));
    keep_milliseconds(&mut headers);
    let cluster_id = take_cluster_id(&mut headers);
    fold_further(&mut headers);
    let headers = encode_headers(&headers);
    let properties = Properties {
        content_type: short(hub.content_type.as_ref()),
        content_encoding: short(hub.content_encoding.as_ref()),
        headers: headers.as_deref(),
        delivery_mode: hub.durable.then_some(2),
        priority: hub.priority,
        correlation_id: short(correlation_id.as_ref()),
        reply_to: short(hub.reply_to.as_ref()),
        expiration: expiration.as_ref().map(String::as_bytes),
        message_id: short(message_id.as_ref()),
        timestamp: hub.creation_time_ms.and_then(|ms| u64::try_from(ms.div_euclid(1000)).ok()),
        message_type: short(hub.message_type.as_ref()),
        user_id: short(hub.user_id.as_ref()),
        app_id: short(hub.app_id.as_ref()),
        cluster_id: short(cluster_id.as_ref()),
    };
    properties.to_vec().into()
}

fn short(text: Option<&Text>) -> Option<&[u8]> {
    text.map(|text| &text.as_bytes()[..]).filter(|bytes| bytes.len() <= SHORT_MAX)
}

/// The fields that properties say exactly, so that no header has to.
fn native_fields(hub: &Hub) -> Vec<Field> {
    let always = [Field::Durable, Field::Priority, Field::Ttl];
    let others = Field::ALL.into_iter().filter(|field| is_exact(hub, *field));
    always.into_iter().chain(others).collect()
}

fn is_exact(hub: &Hub, field: Field) -> bool {
    let fits = |text: &Option<Text>| text.as_ref().is_some_and(|text| text.len() <= SHORT_MAX);
    let is_short = |value: &Option<Value>| matches!(value, Some(Value::String(text)) if text.len() <= SHORT_MAX);
    match field {
        Field::MessageId => is_short(&hub.message_id),
        Field::CorrelationId => is_short(&hub.correlation_id),
        Field::CreationTime => hub.creation_time_ms.is_some_and(|ms| ms >= 0 && ms % 1000 == 0),
        Field::UserId => fits(&hub.user_id),
        Field::MessageType => fits(&hub.message_type),
        Field::ReplyTo => fits(&hub.reply_to),
        Field::ContentType => fits(&hub.content_type),
        Field::ContentEncoding => fits(&hub.content_encoding),
        Field::AppId => fits(&hub.app_id),
        _ => false,
    }
}

/// A timestamp on the wire has seconds only; the envelope's one is there for its milliseconds.
fn keep_milliseconds(headers: &mut Table) {
    for (name, value) in headers {
        if let Value::Timestamp(ms) = *value
            && &**name == Field::CreationTime.envelope_name()
        {
            *value = Value::I64(ms);
        }
    }
}

fn take_cluster_id(headers: &mut Table) -> Option<Text> {
    let is_ours = |(name, value): &(Text, Value)| {
        &**name == CLUSTER_ID && value.as_str().is_some_and(|text| text.len() <= SHORT_MAX)
    };
    let at = headers.iter().position(is_ours)?;
    match headers.remove(at).1 {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A table has short names, each of them once: the other headers travel as pairs.
fn fold_further(headers: &mut Table) {
    let mut names = HashSet::with_capacity(headers.len());
    let mut fits = |name: &Text| name.len() <= SHORT_MAX && names.insert(name.clone());
    let (fitting, further): (Table, Table) = std::mem::take(headers).into_iter().partition(|(name, _)| fits(name));
    *headers = fitting;
    if further.is_empty() {
        return;
    }
    let pairs = further.into_iter().map(|(name, value)| Value::List(vec![Value::String(name), value])).collect();
    headers.push((Text::from_static(FURTHER), Value::List(pairs)));
}

fn encode_headers(headers: &Table) -> Option<Vec<u8>> {
    if headers.is_empty() {
        return None;
    }
    let mut content = Vec::with_capacity(table::content_len(headers));
    table::put_content(&mut content, headers);
    Some(content)
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
