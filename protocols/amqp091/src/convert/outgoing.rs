//! The properties that a consumer sees: verbatim for AMQP 0-9-1 messages, converted for others, and with the broker's own
//! headers where there is something to tell.

use std::borrow::Cow;

use bytes::Bytes;
use crossdock_common::message::Death;
use crossdock_common::{FormatTag, Message, Table, Text, UnixMillis, Value};

use super::{SHORT_MAX, from_hub};
use crate::frame::properties::Properties;
use crate::frame::table::{self, Entries};

const DELIVERY_COUNT: &str = "x-delivery-count";
const STREAM_OFFSET: &str = "x-stream-offset";
const DELAY: &str = "x-delay";
const ROUTING_KEY: &str = "crossdock.routing-key";

/// What a delivery's headers tell of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// How often the message was handed out before, where its queue counts.
    pub delivery_count: Option<u32>,
    /// Its number in a stream.
    pub stream_offset: Option<u64>,
}

/// Property flags and list for a delivery. The usual AMQP 0-9-1 message costs nothing.
pub(crate) fn properties(message: &Message, told: Told) -> Cow<'_, Bytes> {
    let properties = match message.format.tag() {
        FormatTag::AMQP_0_9_1 => Cow::Borrowed(&message.properties),
        _ => Cow::Owned(from_hub(message.hub())),
    };
    let has_history =
        message.rare.as_ref().is_some_and(|rare| !rare.deaths.is_empty() || rare.exchange_delay_ms.is_some());
    if !has_history && told == Told::default() && message.routing_key.len() <= SHORT_MAX {
        return properties;
    }
    Cow::Owned(merge(&properties, message, own_headers(message, told)))
}

/// The body for a delivery.
pub(crate) fn body(message: &Message) -> &Bytes {
    let converted = match message.format.tag() {
        FormatTag::AMQP_0_9_1 => None,
        _ => message.hub().body.as_ref(),
    };
    converted.unwrap_or(&message.body)
}

/// The properties without a header.
pub(crate) fn without_header(bytes: &Bytes, name: &str) -> Bytes {
    let Ok(properties) = Properties::parse(bytes) else { return bytes.clone() };
    let headers = kept_headers(properties.headers, |candidate| candidate != name.as_bytes());
    Properties { headers: Some(&headers), ..properties }.to_vec().into()
}

fn merge(bytes: &Bytes, message: &Message, own: Table) -> Bytes {
    let Ok(mut properties) = Properties::parse(bytes) else { return bytes.clone() };
    let is_ours = |name: &[u8]| own.iter().any(|(ours, _)| ours.as_bytes() == name);
    let mut headers = kept_headers(properties.headers, |name| !is_ours(name));
    table::put_content(&mut headers, &own);
    if !message.deaths().is_empty() && message.ttl_ms.is_none() {
        properties.expiration = None;
    }
    Properties { headers: Some(&headers), ..properties }.to_vec().into()
}

fn kept_headers(headers: Option<&[u8]>, keep: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(headers.map_or(0, <[u8]>::len));
    for entry in Entries(headers.unwrap_or_default()).flatten().filter(|entry| keep(entry.name)) {
        kept.extend_from_slice(entry.bytes);
    }
    kept
}

fn own_headers(message: &Message, told: Told) -> Table {
    let mut headers = death_headers(message.deaths());
    if let Some(delivery_count) = told.delivery_count {
        headers.push((Text::from_static(DELIVERY_COUNT), Value::I64(delivery_count.into())));
    }
    if let Some(offset) = told.stream_offset {
        headers.push((Text::from_static(STREAM_OFFSET), Value::I64(offset.try_into().unwrap_or(i64::MAX))));
    }
    if let Some(delay_ms) = waited_ms(message) {
        let delay = i32::try_from(delay_ms).map_or(Value::I64(delay_ms), Value::I32);
        headers.push((Text::from_static(DELAY), delay));
    }
    if message.routing_key.len() > SHORT_MAX {
        // A short string cannot hold it: the method carries its beginning, this header all of it.
        let whole = table::text_or_binary(&message.routing_key, &message.routing_key);
        headers.push((Text::from_static(ROUTING_KEY), whole));
    }
    headers
}

/// What the message has waited at a delayed-message exchange, as RabbitMQ's plugin says it: below 0.
fn waited_ms(message: &Message) -> Option<i64> {
    message.rare.as_ref()?.exchange_delay_ms.filter(|delay_ms| *delay_ms < 0)
}

/// `x-death` and what RabbitMQ puts beside it; `deaths` is newest first.
fn death_headers(deaths: &[Death]) -> Table {
    let (Some(first), Some(last)) = (deaths.last(), deaths.first()) else { return Table::new() };
    let events = deaths.iter().map(|death| Value::Map(death_table(death))).collect();
    vec![
        (Text::from_static("x-death"), Value::List(events)),
        (Text::from_static("x-first-death-exchange"), name(&first.exchange)),
        (Text::from_static("x-first-death-queue"), name(&first.queue)),
        (Text::from_static("x-first-death-reason"), Value::string(first.reason.word())),
        (Text::from_static("x-last-death-exchange"), name(&last.exchange)),
        (Text::from_static("x-last-death-queue"), name(&last.queue)),
        (Text::from_static("x-last-death-reason"), Value::string(last.reason.word())),
    ]
}

fn death_table(death: &Death) -> Table {
    let keys = death.routing_keys.iter().map(|key| table::text_or_binary(key, key)).collect();
    let mut entries = vec![
        (Text::from_static("count"), Value::I64(death.count.try_into().unwrap_or(i64::MAX))),
        (Text::from_static("reason"), Value::string(death.reason.word())),
        (Text::from_static("queue"), name(&death.queue)),
        (Text::from_static("time"), timestamp(death.time)),
        (Text::from_static("exchange"), name(&death.exchange)),
        (Text::from_static("routing-keys"), Value::List(keys)),
    ];
    if let Some(ttl_ms) = death.original_ttl_ms {
        entries.push((Text::from_static("original-expiration"), Value::string(ttl_ms.to_string())));
    }
    entries
}

fn name(name: &crossdock_common::Name) -> Value {
    Value::string(name.as_str())
}

fn timestamp(time: UnixMillis) -> Value {
    Value::Timestamp(time.0.try_into().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use crossdock_common::message::DeathReason;
    use crossdock_common::testkit::plain_format;
    use crossdock_common::value::lookup;
    use crossdock_common::{Name, hub::Hub};

    use super::*;
    use crate::FORMAT;
    use crate::convert::to_hub;

    fn message(hub: &Hub) -> Message {
        Message::new(&FORMAT, Name::from("x"), Bytes::from("k"), from_hub(hub), Bytes::from("b"))
    }

    fn death(queue: &str) -> Death {
        Death {
            queue: Name::from(queue),
            reason: DeathReason::Expired,
            count: 2,
            time: UnixMillis(5000),
            exchange: Name::from("x"),
            routing_keys: vec![Bytes::from("k")],
            original_ttl_ms: Some(10),
        }
    }

    #[test]
    fn the_usual_message_is_passed_on_verbatim() {
        let message = message(&Hub { app_id: Some("a".into()), ..Hub::default() });
        let sent = properties(&message, Told::default());
        assert_eq!(sent.as_ptr(), message.properties.as_ptr());
    }

    #[test]
    fn deaths_replace_what_the_publisher_claims() {
        let forged = vec![("x-death".into(), Value::string("forged")), ("mine".into(), Value::I32(1))];
        let mut message = message(&Hub { ttl_ms: Some(10), application_properties: forged, ..Hub::default() });
        message.ttl_ms = None;
        message.rare_mut().deaths = vec![death("new"), death("old")];
        let hub = to_hub(&properties(&message, Told { delivery_count: Some(3), stream_offset: Some(7) }));
        assert_eq!(hub.ttl_ms, None, "it would expire again");
        let headers = &hub.application_properties;
        assert_eq!(lookup(headers, "mine"), Some(&Value::I32(1)));
        assert_eq!(lookup(headers, "x-first-death-queue"), Some(&Value::string("old")));
        assert_eq!(lookup(headers, "x-last-death-queue"), Some(&Value::string("new")));
        assert_eq!(lookup(headers, "x-delivery-count"), Some(&Value::I64(3)));
        let Some(Value::List(events)) = lookup(headers, "x-death") else { panic!("no x-death") };
        let Value::Map(newest) = &events[0] else { panic!("no table") };
        assert_eq!(lookup(newest, "count"), Some(&Value::I64(2)));
        assert_eq!(lookup(newest, "original-expiration"), Some(&Value::string("10")));
        assert_eq!(lookup(newest, "time"), Some(&Value::Timestamp(5000)));
        assert_eq!(lookup(newest, "routing-keys"), Some(&Value::List(vec![Value::string("k")])));
    }

    #[test]
    fn a_message_that_has_waited_says_so() {
        for (exchange_delay_ms, told) in [(None, 5), (Some(5), 5), (Some(-5), -5)] {
            let asked = vec![("x-delay".into(), Value::I32(5)), ("mine".into(), Value::I32(1))];
            let mut message = message(&Hub { application_properties: asked, ..Hub::default() });
            message.rare_mut().exchange_delay_ms = exchange_delay_ms;
            let hub = to_hub(&properties(&message, Told::default()));
            assert_eq!(lookup(&hub.application_properties, "x-delay"), Some(&Value::I32(told)));
            assert_eq!(lookup(&hub.application_properties, "mine"), Some(&Value::I32(1)));
        }
    }

    #[test]
    fn other_formats_are_converted() {
        let message = Message::new(plain_format(), Name::from("x"), "k".into(), "junk".into(), "b".into());
        assert_eq!(*properties(&message, Told::default()), from_hub(&Hub::default()));
        assert_eq!(body(&message), "b");
    }

    #[test]
    fn keys_beyond_a_short_string_are_told_in_a_header() {
        for length in [255, 256] {
            let mut message = message(&Hub::default());
            message.routing_key = Bytes::from(vec![b'k'; length]);
            let hub = to_hub(&properties(&message, Told::default()));
            assert_eq!(lookup(&hub.application_properties, ROUTING_KEY).is_some(), length > 255);
        }
    }

    #[test]
    fn one_header_can_be_taken_out() {
        let headers = vec![("BCC".into(), Value::I32(1)), ("a".into(), Value::I32(2)), ("BCC".into(), Value::Null)];
        let mut content = Vec::new();
        table::put_content(&mut content, &headers);
        let bytes = Bytes::from(Properties { headers: Some(&content), ..Properties::default() }.to_vec());
        let left = without_header(&bytes, "BCC");
        assert_eq!(Properties::parse(&left).unwrap().headers, Some(&b"\x01aI\x00\x00\x00\x02"[..]));
    }
}
