//! STOMP headers as they are stored, and their way to and from the hub.
//!
//! Stored properties are the SEND frame's header lines with all escapes of 1.2, without those that only concern the
//! frame ([`OF_THE_FRAME`]).
//!
//! | hub field | header |
//! |---|---|
//! | durable | `persistent:true` |
//! | priority, ttl | `priority`, `expiration` (milliseconds) |
//! | message id, correlation id | `amqp-message-id`, `correlation-id`; if not text, `crossdock.message-id` … |
//! | content type and encoding, reply-to, type, user id, app id | the header of that name, `type`, `user-id`, `app-id` |
//! | creation time | `timestamp` in seconds as RabbitMQ; if it has milliseconds, `crossdock.timestamp-ms` |
//! | group id and sequence | `JMSXGroupID`, `JMSXGroupSeq` |
//! | subject | `crossdock.*` |
//! | application property that would be mistaken for one of these, or has a NUL | `crossdock.header.NAME`, both `%`-escaped |
//! | the nth property of a name, since readers keep the first only | `crossdock.header-N.NAME`, both `%`-escaped |
//! | reply-to `q` | MESSAGE frames say `/reply-queue/q`, and so may SEND frames, or `/queue/q` |
//! | reply-to `/exchanges/amq.topic/a.b`, others | `/topic/a.b`, `/exchange/e/k` |
//!
//! `cluster-id` is the application property `crossdock.cluster-id`, as AMQP 0-9-1 has it.

mod fields;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use bytes::Bytes;
use crossdock_common::{Format, FormatTag, Hub, Message, Text, Value, envelope};

use crate::frame::{Headers, canonical, percent_decode, unescape};

/// Headers that say something about a frame and not about its message: not stored, and never taken from a message.
pub const OF_THE_FRAME: [&str; 4] = ["content-length", "receipt", "destination", "transaction"];
/// Headers that the broker writes in MESSAGE frames: a message cannot forge them.
pub const OF_THE_DELIVERY: [&str; 4] = ["message-id", "subscription", "ack", "redelivered"];

const QUOTED: &str = "crossdock.header";
const CLUSTER_ID: (&str, &str) = ("cluster-id", "crossdock.cluster-id");

/// Explains STOMP messages.
#[derive(Debug)]
pub struct StompFormat;

/// The instance that every STOMP message refers to.
pub static FORMAT: StompFormat = StompFormat;

impl Format for StompFormat {
    fn tag(&self) -> FormatTag {
        FormatTag::STOMP
    }

    fn to_hub(&self, message: &Message) -> Hub {
        let mut hub = to_hub(&message.properties);
        envelope::correct(&mut hub, message);
        hub
    }
}

/// The stored form of a SEND frame's headers; `reply_to` replaces the header of that name.
pub(crate) fn properties(headers: &Headers, reply_to: Option<&str>) -> Bytes {
    let mut block = String::new();
    for (name, value) in headers.iter().filter(|(name, _)| !OF_THE_FRAME.contains(&&**name)) {
        match reply_to {
            Some(reply_to) if name == "reply-to" => push_line(&mut block, &name, reply_to),
            _ => push_line(&mut block, &name, &value),
        }
    }
    Bytes::from(block)
}

/// The names and values of stored header lines, still with their escapes.
pub(crate) fn stored_lines(properties: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    // Only text is ever stored; from damaged properties nothing is read.
    std::str::from_utf8(properties).unwrap_or_default().lines().filter_map(|line| line.split_once(':'))
}

/// Stored header lines to the hub.
fn to_hub(properties: &[u8]) -> Hub {
    let mut hub = Hub::default();
    let mut rest = Vec::new();
    for (name, value) in stored_lines(properties) {
        let (name, value) = (unescape(name), unescape(value));
        if OF_THE_FRAME.contains(&&*name) || fields::take(&mut hub, &name, &value) {
            continue;
        }
        rest.push((place(&name), to_application(&name, &value)));
    }
    // Clients may send headers in any order; their numbers say which was first.
    rest.sort_by_key(|(place, _)| *place);
    envelope::from_text_headers(&mut hub, rest.into_iter().map(|(_, header)| header));
    hub
}

/// The hub to header lines in stored form.
pub fn from_hub(hub: &Hub) -> Bytes {
    let mut block = String::new();
    let mut written = Hub::default();
    let mut native = Vec::new();
    let mut counts: HashMap<Text, usize> = HashMap::new();
    for (field, name, value) in fields::native(hub) {
        push_line(&mut block, name, &value);
        fields::take(&mut written, name, &value);
        native.push(field);
        counts.insert(Text::from_static(name), 1);
    }
    for (name, value) in envelope::to_text_headers(hub, &native) {
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        match from_application(&mut written, &name, &value) {
            Some(plain) if *count == 1 => push_line(&mut block, plain, &value),
            _ => push_line(&mut block, &quoted(&name, *count), &quote_nul(&value)),
        }
    }
    Bytes::from(block)
}

fn push_line(block: &mut String, name: &str, value: &str) {
    block.push_str(&canonical(name));
    block.push(':');
    block.push_str(&canonical(value));
    block.push('\n');
}

fn to_application(name: &str, value: &str) -> (Text, Text) {
    if let Some(quoted) = unquoted(name) {
        let text = |escaped| Text::from(String::from_utf8_lossy(&percent_decode(escaped)).into_owned());
        return (text(quoted), text(value));
    }
    let name = if name == CLUSTER_ID.0 { CLUSTER_ID.1 } else { name };
    (Text::from(name), Text::from(value))
}

/// The header name under which an application property comes back as what it is; `None` if it must be quoted.
fn from_application<'a>(written: &mut Hub, name: &'a str, value: &str) -> Option<&'a str> {
    if name == CLUSTER_ID.1 && !value.contains('\0') {
        return Some(CLUSTER_ID.0);
    }
    let unusable = name.is_empty() || name.contains('\0') || value.contains('\0');
    let taken = OF_THE_FRAME.contains(&name) || OF_THE_DELIVERY.contains(&name) || name == CLUSTER_ID.0;
    let mistaken = unquoted(name).is_some() || fields::take(&mut written.clone(), name, value);
    (!unusable && !taken && !mistaken).then_some(name)
}

fn quoted(name: &str, count: usize) -> String {
    let name = quote_nul(name);
    if count == 1 { format!("{QUOTED}.{name}") } else { format!("{QUOTED}-{count}.{name}") }
}

/// What was quoted, still with its `%`-escapes.
fn unquoted(name: &str) -> Option<&str> {
    let (number, quoted) = name.strip_prefix(QUOTED)?.split_once('.')?;
    (number.is_empty() || number.strip_prefix('-')?.parse::<usize>().is_ok()).then_some(quoted)
}

/// The how-manieth of its name a header is.
fn place(name: &str) -> usize {
    let number = name.strip_prefix(QUOTED).and_then(|rest| rest.strip_prefix('-')?.split_once('.')?.0.parse().ok());
    number.unwrap_or(1)
}

fn quote_nul(text: &str) -> String {
    text.replace('%', "%25").replace('\0', "%00")
}

/// The text of a value that a header can hold as it is.
fn header_text(value: &Value) -> Option<&Text> {
    match value {
        Value::String(text) if !text.contains('\0') => Some(text),
        _ => None,
    }
}
