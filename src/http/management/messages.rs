//! Publishing and taking messages, for people who try something out.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crossdock_amqp091::frame::properties::Properties;
use crossdock_amqp091::frame::table::{self, Budget};
use crossdock_amqp091::outside::{Content, message, shown};
use crossdock_common::command::{Fetch, Lease, Outcome};
use crossdock_common::event::Delivery;
use crossdock_common::{Lane, Refusal, Table};
use serde_json::{Map, Value, json};

use super::Management;
use super::answer::{Answer, Failure, ok};
use super::call::{Call, Document, SHORT_BYTES_MAX, short};
use super::exchanges::named;
use super::queues::existing_vhost;
use super::session::{Session, principal};
use super::values::{from_table, to_table};

/// Messages that one request takes at most.
const COUNT_MAX: i64 = 10_000;
/// Bytes of bodies that one request takes at most; the rest stays in the queue.
const BYTES_MAX: usize = 64 << 20;

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/exchanges/{vhost}/{name}/publish", post(publish))
        .route("/queues/{vhost}/{name}/get", post(take))
}

async fn publish(call: Call, Path((vhost, name)): Path<(String, String)>, body: Bytes) -> Answer {
    let (vhost, document) = (existing_vhost(&call, &vhost)?, Document::parse(&body)?);
    document.require(&["properties", "routing_key", "payload", "payload_encoding"])?;
    let content = Content {
        exchange: named(&name),
        routing_key: Bytes::copy_from_slice(short(document.text("routing_key"))?.as_bytes()),
        properties: properties(document.get("properties").unwrap_or(&Value::Null))?,
        body: payload(&document)?,
    };
    // Connections that publish are not read meanwhile; a request has no connection of the core's to be stopped.
    if let Some(why) = call.engine.broker.blocked() {
        return Err(Failure::unavailable(format!("publishers wait: {why}")));
    }
    let publisher = principal(&call.visitor);
    let message = message(call.now, &publisher, content, &call.management.limits)
        .map_err(|fault| Failure::bad_request(format!("{} {fault}", fault.code.number())))?;
    match call.session(&vhost).await?.publish(message).await? {
        Ok(routed) => ok(&json!({ "routed": routed })),
        // RabbitMQ's words: its channel was closed with them.
        Err(refusal @ Refusal::NotFound { .. }) => Err(Failure::bad_request(format!("404 NOT_FOUND - {refusal}"))),
        Err(refusal) => Err(refusal.into()),
    }
}

fn payload(document: &Document) -> Result<Bytes, Failure> {
    let payload = document.text("payload");
    match document.text("payload_encoding") {
        "string" => Ok(Bytes::copy_from_slice(payload.as_bytes())),
        "base64" => {
            let not_base64 = |_| Failure::bad_request(json!(["not_base64", payload]));
            STANDARD.decode(payload).map(Bytes::from).map_err(not_base64)
        }
        other => Err(Failure::bad_request(json!(["unsupported_encoding", other]))),
    }
}

/// Property flags and list of what the request says.
fn properties(value: &Value) -> Result<Bytes, Failure> {
    let none = Map::new();
    let members = match value {
        Value::Object(members) => members,
        Value::Array(items) if items.is_empty() => &none,
        other => return Err(Failure::bad_request(json!(["not_a_list_or_object", other]))),
    };
    let text = |name: &str| text(members, name);
    let headers = headers(members)?;
    let properties = Properties {
        content_type: text("content_type")?,
        content_encoding: text("content_encoding")?,
        headers: headers.as_deref(),
        delivery_mode: octet(members, "delivery_mode")?,
        priority: octet(members, "priority")?,
        correlation_id: text("correlation_id")?,
        reply_to: text("reply_to")?,
        expiration: text("expiration")?,
        message_id: text("message_id")?,
        timestamp: number(members, "timestamp")?,
        message_type: text("type")?,
        user_id: text("user_id")?,
        app_id: text("app_id")?,
        cluster_id: text("cluster_id")?,
    };
    Ok(properties.to_vec().into())
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a [u8]>, Failure> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= SHORT_BYTES_MAX => Ok(Some(text.as_bytes())),
        Some(other) => Err(Failure::bad_request(json!(["not_a_string", name, other]))),
    }
}

fn number(members: &Map<String, Value>, name: &str) -> Result<Option<u64>, Failure> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(Failure::bad_request(json!(["not_a_number", name, value]))),
        },
    }
}

fn octet(members: &Map<String, Value>, name: &str) -> Result<Option<u8>, Failure> {
    let Some(number) = number(members, name)? else { return Ok(None) };
    u8::try_from(number).map(Some).map_err(|_| Failure::bad_request(json!(["not_an_octet", name, number])))
}

fn headers(members: &Map<String, Value>) -> Result<Option<Vec<u8>>, Failure> {
    let Some(value) = members.get("headers").filter(|value| !value.is_null()) else { return Ok(None) };
    let headers: Table = to_table(value).ok_or_else(|| Failure::bad_request("headers are not an object"))?;
    if headers.iter().any(|(name, _)| name.len() > SHORT_BYTES_MAX) {
        return Err(Failure::bad_request("a header's name is too long"));
    }
    let mut content = Vec::with_capacity(table::content_len(&headers));
    table::put_content(&mut content, &headers);
    Ok(Some(content))
}

/// What becomes of messages that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    Gone,
    Kept,
    Rejected,
}

impl Afterwards {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "ack_requeue_false" => Self::Gone,
            "ack_requeue_true" | "reject_requeue_true" => Self::Kept,
            "reject_requeue_false" => Self::Rejected,
            _ => return None,
        })
    }
}

/// What a request for messages says.
struct Wanted {
    count: i64,
    afterwards: Afterwards,
    always_base64: bool,
    truncate_bytes: Option<usize>,
}

impl Wanted {
    fn of(document: &Document) -> Result<Self, Failure> {
        document.require(&["ackmode", "count", "encoding"])?;
        let encoding = document.text("encoding");
        if !matches!(encoding, "auto" | "base64") {
            return Err(Failure::bad_request("Unsupported encoding. Please use auto or base64."));
        }
        let ackmode = document.text("ackmode");
        let unknown = || Failure::bad_request(format!("unknown ackmode '{ackmode}'"));
        Ok(Self {
            count: document.number("count").unwrap_or(1).min(COUNT_MAX),
            afterwards: Afterwards::of(ackmode).ok_or_else(unknown)?,
            always_base64: encoding == "base64",
            truncate_bytes: document.number("truncate").and_then(|bytes| usize::try_from(bytes).ok()),
        })
    }
}

async fn take(call: Call, Path((vhost, name)): Path<(String, String)>, body: Bytes) -> Answer {
    let (vhost, wanted) = (existing_vhost(&call, &vhost)?, Wanted::of(&Document::parse(&body)?)?);
    let mut session = call.session(&vhost).await?;
    let (mut ids, mut messages, mut bytes) = (Vec::new(), Vec::new(), 0);
    while (messages.len() as i64) < wanted.count && bytes < BYTES_MAX {
        let Some((delivery, ready)) = next(&mut session, &name).await? else { break };
        bytes += delivery.message.body_bytes();
        messages.push(show(&delivery, ready, &wanted));
        ids.push(delivery.id);
    }
    let outcome = match wanted.afterwards {
        Afterwards::Gone => Outcome::Accepted,
        Afterwards::Kept => Outcome::Released,
        Afterwards::Rejected => Outcome::Rejected,
    };
    if !ids.is_empty() {
        session.settle(ids, outcome).await?;
    }
    ok(&Value::Array(messages))
}

async fn next(session: &mut Session, queue: &str) -> Result<Option<(Delivery, u64)>, Failure> {
    let fetch = Fetch {
        lane: Lane(0),
        queue: queue.into(),
        count_max: 1,
        presettled: false,
        lease: Lease::Connection,
        wait_ms: 0,
    };
    match session.fetch(fetch).await? {
        Ok(found) => Ok(found),
        Err(refusal @ Refusal::NotFound { .. }) => Err(Failure::not_found(format!("NOT_FOUND - {refusal}"))),
        Err(refusal) => Err(refusal.into()),
    }
}

fn show(delivery: &Delivery, ready: u64, wanted: &Wanted) -> Value {
    let message = &delivery.message;
    let (properties, body) = shown(delivery);
    let length = wanted.truncate_bytes.unwrap_or(body.len()).min(body.len());
    let (payload, encoding) = encode(body.get(..length).unwrap_or_default(), wanted.always_base64);
    json!({
        "payload": payload, "payload_encoding": encoding, "payload_bytes": body.len(),
        "redelivered": delivery.delivery_count > 0, "exchange": message.exchange.as_str(),
        "routing_key": String::from_utf8_lossy(&message.routing_key), "message_count": ready,
        "properties": show_properties(&properties),
    })
}

fn encode(body: &[u8], always_base64: bool) -> (String, &'static str) {
    match std::str::from_utf8(body) {
        Ok(text) if !always_base64 => (text.to_owned(), "string"),
        _ => (STANDARD.encode(body), "base64"),
    }
}

/// RabbitMQ writes no properties as an empty list.
fn show_properties(bytes: &Bytes) -> Value {
    let properties = Properties::parse(bytes).unwrap_or_default();
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| Value::from(String::from_utf8_lossy(bytes).into_owned()));
    let headers = properties.headers.and_then(|headers| table::decode(bytes, headers, &mut Budget::checked()).ok());
    let all = [
        ("content_type", text(properties.content_type)),
        ("content_encoding", text(properties.content_encoding)),
        ("headers", headers.as_ref().map(from_table)),
        ("delivery_mode", properties.delivery_mode.map(Value::from)),
        ("priority", properties.priority.map(Value::from)),
        ("correlation_id", text(properties.correlation_id)),
        ("reply_to", text(properties.reply_to)),
        ("expiration", text(properties.expiration)),
        ("message_id", text(properties.message_id)),
        ("timestamp", properties.timestamp.map(Value::from)),
        ("type", text(properties.message_type)),
        ("user_id", text(properties.user_id)),
        ("app_id", text(properties.app_id)),
        ("cluster_id", text(properties.cluster_id)),
    ];
    let given: Map<String, Value> =
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    if given.is_empty() { json!([]) } else { Value::Object(given) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_come_back_as_they_were_given() {
        let given = json!({
            "content_type": "text/plain", "headers": { "a": 1, "b": [true] }, "delivery_mode": 2, "priority": 3,
            "correlation_id": "c", "reply_to": "r", "expiration": "60000", "message_id": "m", "timestamp": 123,
            "type": "t", "user_id": "u", "app_id": "p", "cluster_id": "i", "content_encoding": "gzip",
        });
        assert_eq!(show_properties(&properties(&given).unwrap()), given);
        assert_eq!(show_properties(&properties(&json!({})).unwrap()), json!([]));
        assert_eq!(show_properties(&properties(&json!([])).unwrap()), json!([]));
        for wrong in [json!("x"), json!({ "priority": 256 }), json!({ "type": 1 }), json!({ "headers": [1] })] {
            assert!(properties(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bodies_are_text_where_they_can_be() {
        assert_eq!(encode(b"hi", false), ("hi".to_owned(), "string"));
        assert_eq!(encode(b"hi", true), ("aGk=".to_owned(), "base64"));
        assert_eq!(encode(b"\xff", false), ("/w==".to_owned(), "base64"));
    }
}
