//! The headers that are properties: one table for both directions.

use std::borrow::Cow;

use crossdock_common::hub::Field;
use crossdock_common::{Hub, Text, Value, address};

use super::header_text;
use crate::destination::{Destination, format_route, has_prefix};

/// Header name and hub field, in the order in which they are written.
const NATIVE: [(Field, &str); 14] = [
    (Field::ContentType, "content-type"),
    (Field::ContentEncoding, "content-encoding"),
    (Field::Durable, "persistent"),
    (Field::Priority, "priority"),
    (Field::CorrelationId, "correlation-id"),
    (Field::ReplyTo, "reply-to"),
    (Field::Ttl, "expiration"),
    (Field::MessageId, "amqp-message-id"),
    (Field::CreationTime, "timestamp"),
    (Field::MessageType, "type"),
    (Field::UserId, "user-id"),
    (Field::AppId, "app-id"),
    (Field::GroupId, "JMSXGroupID"),
    (Field::GroupSequence, "JMSXGroupSeq"),
];

/// The fields that headers of their own can say, with those headers.
pub(super) fn native(hub: &Hub) -> impl Iterator<Item = (Field, &'static str, Cow<'static, str>)> {
    NATIVE.into_iter().filter_map(|(field, name)| Some((field, name, render(field, &hub.field(field)?)?)))
}

/// Takes a header into its field. False if it has none, the field is taken, or the value does not fit.
pub(super) fn take(hub: &mut Hub, name: &str, value: &str) -> bool {
    let Some((field, _)) = NATIVE.into_iter().find(|(_, candidate)| *candidate == name) else { return false };
    if hub.field(field).is_some() {
        return false;
    }
    parse(field, value).is_some_and(|value| hub.set_field(field, value))
}

fn render(field: Field, value: &Value) -> Option<Cow<'static, str>> {
    match (field, value) {
        (Field::Durable, _) => Some(Cow::Borrowed("true")),
        (Field::GroupSequence, Value::U32(number)) => Some(Cow::Owned(number.to_string())),
        (Field::Priority, Value::U8(priority)) => Some(Cow::Owned(priority.to_string())),
        // The envelope's numbers are signed: what lies beyond them cannot be set again.
        (Field::Ttl, Value::U64(ms)) => i64::try_from(*ms).is_ok().then(|| Cow::Owned(ms.to_string())),
        (Field::CreationTime, Value::Timestamp(ms)) => (ms % 1000 == 0).then(|| Cow::Owned((ms / 1000).to_string())),
        (Field::ReplyTo, Value::String(text)) => reply_header(text).map(Cow::Owned),
        _ => header_text(value).map(|text| Cow::Owned(text.to_string())),
    }
}

fn parse(field: Field, value: &str) -> Option<Value> {
    match field {
        Field::Durable => (value == "true").then_some(Value::Bool(true)),
        Field::Priority => value.parse().ok().map(Value::U8),
        Field::GroupSequence => value.parse().ok().map(Value::U32),
        Field::Ttl => value.parse().ok().map(Value::U64),
        Field::CreationTime => value.parse::<i64>().ok()?.checked_mul(1000).map(Value::Timestamp),
        Field::ReplyTo => Some(Value::string(reply_address(value))),
        _ => Some(Value::String(Text::from(value))),
    }
}

/// Where an answer shall go, as other protocols understand it, from a reader's words.
fn reply_address(header: &str) -> String {
    let destination = has_prefix(header).then(|| Destination::parse(header)).and_then(Result::ok);
    match destination {
        Some(Destination::Queue(name) | Destination::AmqQueue(name) | Destination::ReplyQueue(name)) => {
            name.to_string()
        }
        Some(Destination::TempQueue(_)) | None => header.to_owned(),
        Some(destination) => {
            let (exchange, key) = destination.route();
            address::of_exchange(&exchange, &key)
        }
    }
}

/// The other way round. A queue is written by its bare name; `None` if that would be understood as something else.
fn reply_header(reply_to: &str) -> Option<String> {
    let header = match address::exchange_and_key(reply_to) {
        Some((exchange, key)) => format_route(&exchange, &key),
        None => reply_to.to_owned(),
    };
    (!header.contains('\0') && reply_address(&header) == reply_to).then_some(header)
}
