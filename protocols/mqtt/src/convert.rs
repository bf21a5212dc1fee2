//! MQTT messages in the hub's words and back.
//!
//! A stored message's property section is one byte with the QoS (bits 0 and 1) and RETAIN (bit 2) it was published with, then the version 5 properties as
//! they arrived, without topic alias (which is the connection's) and message expiry (which is the message's
//! [`ttl_ms`](Message::ttl_ms)).
//!
//! | user property | content |
//! |---|---|
//! | `crossdock.mqtt-qos` | 2, if it was published so |
//! | `crossdock.mqtt-payload-format` | the payload format indicator, for readers of other protocols |
//! | `crossdock.mqtt-correlation` | the type of a correlation id that is neither text nor (what is no UTF-8) bytes |
//! | `crossdock.mqtt-escaped` | which user properties (from 0) have `%00` and `%25` for U+0000 and `%` |
//! | `crossdock.mqtt-omitted` | how many headers MQTT cannot hold (longer than 65,535 bytes) |

use bytes::Bytes;
use crossdock_common::hub::Field;
use crossdock_common::message::{Format, FormatTag};
use crossdock_common::value_text::{from_text, to_text, type_code};
use crossdock_common::{Hub, Message, Text, Value, address, envelope};

use crate::packet::Qos;
use crate::packet::properties::{Properties, Property};
use crate::topic;

const QOS: &str = "crossdock.mqtt-qos";
const PAYLOAD_FORMAT: &str = "crossdock.mqtt-payload-format";
const CORRELATION: &str = "crossdock.mqtt-correlation";
/// The type of a correlation id that is bytes although it could be text.
const BYTES: &str = "bytes";
const ESCAPED: &str = "crossdock.mqtt-escaped";
const OMITTED: &str = "crossdock.mqtt-omitted";

/// The bit of the first byte that says RETAIN.
const RETAINED: u8 = 0b100;
/// The property sections of messages without version 5 properties, each at its own index.
static PLAIN: [u8; 7] = [0, 1, 2, 3, 4, 5, 6];
const TEXT_BYTES_MAX: usize = u16::MAX as usize;

/// How MQTT messages explain themselves.
#[derive(Debug)]
pub struct MqttFormat;

/// The one instance.
pub static FORMAT: MqttFormat = MqttFormat;

impl Format for MqttFormat {
    fn tag(&self) -> FormatTag {
        FormatTag::MQTT
    }

    fn to_hub(&self, message: &Message) -> Hub {
        let mut hub = Hub { durable: message.durable, ttl_ms: message.ttl_ms, ..Hub::default() };
        let mut marks = Marks::default();
        let mut headers = Vec::new();
        for property in original(&message.properties).iter() {
            match property {
                Property::User(name, value) => marks.header(name, value, &mut headers),
                Property::PayloadFormat(format) => {
                    hub.application_properties.push((Text::from_static(PAYLOAD_FORMAT), Value::U8(format)));
                }
                Property::ContentType(text) => hub.content_type = Some(text.into()),
                Property::ResponseTopic(text) => hub.reply_to = Some(reply_address(text, &message.exchange)),
                Property::CorrelationData(bytes) => {
                    hub.correlation_id = Some(Value::Binary(Bytes::copy_from_slice(bytes)));
                }
                _ => {}
            }
        }
        if qos(message) == Qos::ExactlyOnce {
            hub.application_properties.push((Text::from_static(QOS), Value::U8(2)));
        }
        marks.apply(&mut hub, &mut headers);
        envelope::from_text_headers(&mut hub, headers);
        envelope::correct(&mut hub, message);
        hub
    }
}

/// What this converter wrote for itself among the user properties.
#[derive(Default)]
struct Marks {
    correlation: Option<Text>,
    escaped: Vec<usize>,
}

impl Marks {
    fn header(&mut self, name: &str, value: &str, headers: &mut Vec<(Text, Text)>) {
        match name {
            CORRELATION => self.correlation = Some(value.into()),
            ESCAPED => self.escaped = value.split(',').filter_map(|index| index.parse().ok()).collect(),
            OMITTED => {}
            _ => headers.push((name.into(), value.into())),
        }
    }

    fn apply(&self, hub: &mut Hub, headers: &mut [(Text, Text)]) {
        for &index in &self.escaped {
            if let Some((name, value)) = headers.get_mut(index) {
                (*name, *value) = (unescape(name), unescape(value));
            }
        }
        let Some(Value::Binary(bytes)) = &hub.correlation_id else { return };
        let Ok(text) = Text::try_from(bytes.clone()) else { return };
        let value = match self.correlation.as_deref() {
            Some(BYTES) => None,
            Some(code) => from_text(code, &text),
            // Most correlation ids are text, and protocols that know only text shall see what they can send back.
            None => Some(Value::String(text)),
        };
        hub.correlation_id = value.or(hub.correlation_id.take());
    }
}

/// The property section of a message that arrived with these properties.
pub(crate) fn stored(qos: Qos, retain: bool, properties: Properties<'_>) -> Bytes {
    let first = qos as u8 | if retain { RETAINED } else { 0 };
    let own = |property: &Property<'_>| {
        matches!(property, Property::TopicAlias(_) | Property::MessageExpiry(_) | Property::WillDelay(_))
    };
    let kept = || properties.with_bytes().filter(|(_, property)| !own(property)).map(|(bytes, _)| bytes);
    let length: usize = kept().map(<[u8]>::len).sum();
    if length == 0 {
        let at = usize::from(first);
        return Bytes::from_static(PLAIN.get(at..=at).unwrap_or_default());
    }
    let mut section = Vec::with_capacity(1 + length);
    section.push(first);
    kept().for_each(|bytes| section.extend_from_slice(bytes));
    Bytes::from(section)
}

/// The version 5 properties of a stored section.
pub(crate) fn original(section: &[u8]) -> Properties<'_> {
    Properties::stored(section.get(1..).unwrap_or_default())
}

/// The QoS a message was published with. Other protocols know durable and transient, and may carry our own mark back.
pub(crate) fn qos(message: &Message) -> Qos {
    let published = match message.properties.first() {
        Some(&first) if message.format.tag() == FormatTag::MQTT => Qos::from_bits(first & 3),
        _ => None,
    };
    published.unwrap_or_else(|| if message.durable { qos_of_durable(message) } else { Qos::AtMostOnce })
}

fn qos_of_durable(message: &Message) -> Qos {
    // MQTT's own messages say it in their first byte; asking for their hub would not end.
    let is_foreign = message.format.tag() != FormatTag::MQTT;
    let is_marked = is_foreign && message.hub().application_properties.iter().any(is_exactly_once);
    if is_marked { Qos::ExactlyOnce } else { Qos::AtLeastOnce }
}

fn is_exactly_once((name, value): &(Text, Value)) -> bool {
    &**name == QOS && value.as_i64() == Some(2)
}

/// Whether a message was published with RETAIN set, for subscriptions that want to know.
pub(crate) fn is_retained(message: &Message) -> bool {
    let first = message.properties.first().copied().unwrap_or_default();
    message.format.tag() == FormatTag::MQTT && first & RETAINED != 0
}

/// The property section that says in MQTT what a hub says, where topics are the keys of that exchange. Expiry is not in it: it is
/// the message's own time to live.
pub fn from_hub(hub: &Hub, exchange: &str) -> Bytes {
    let mut writer = Writer::default();
    let mut native = vec![Field::Durable, Field::Ttl];
    let mut rest = hub.clone();
    writer.take_marks(&mut rest);
    if let Some(text) = rest.content_type.as_deref().filter(|text| fits(text)) {
        native.push(Field::ContentType);
        Property::ContentType(text).put(&mut writer.section);
    }
    // A response topic with wildcards is a protocol error ([MQTT-3.3.2-14]).
    if let Some(topic) = rest.reply_to.as_deref().and_then(|reply_to| response_topic(reply_to, exchange)) {
        native.push(Field::ReplyTo);
        Property::ResponseTopic(&topic).put(&mut writer.section);
    }
    if rest.correlation_id.as_ref().is_some_and(|value| writer.correlation(value)) {
        native.push(Field::CorrelationId);
    }
    writer.headers(envelope::to_text_headers(&rest, &native));
    let qos = if hub.durable { writer.qos.max(Qos::AtLeastOnce) } else { Qos::AtMostOnce };
    let mut section = Vec::with_capacity(1 + writer.section.len());
    section.push(qos as u8);
    section.extend_from_slice(&writer.section);
    Bytes::from(section)
}

/// A response topic as other protocols understand it.
fn reply_address(topic: &str, exchange: &str) -> Text {
    match topic.strip_prefix(topic::QUEUE_PREFIX) {
        Some(queue) => queue.into(),
        None if exchange.is_empty() => topic.into(),
        None => address::of_exchange(exchange, &topic::swap(topic.as_bytes())).into(),
    }
}

/// The topic on which a client answers; `None` if there is none that would lead there.
fn response_topic(reply_to: &str, topic_exchange: &str) -> Option<Text> {
    let topic = match address::exchange_and_key(reply_to) {
        Some((exchange, key)) if &*exchange == topic_exchange => topic::from_key(&key)?,
        Some(_) => return None,
        None if reply_to.is_empty() => return None,
        None => format!("{}{reply_to}", topic::QUEUE_PREFIX).into(),
    };
    let is_other_queue = address::exchange_and_key(reply_to).is_some() && topic.starts_with(topic::QUEUE_PREFIX);
    (topic::is_name(&topic) && !is_other_queue).then_some(topic)
}

fn fits(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !text.contains('\0')
}

#[derive(Default)]
struct Writer {
    section: Vec<u8>,
    qos: Qos,
}

impl Writer {
    /// What [`MqttFormat::to_hub`] had put among the application's headers goes back to its place.
    fn take_marks(&mut self, hub: &mut Hub) {
        let (qos, section) = (&mut self.qos, &mut self.section);
        let mut format_is_written = false;
        hub.application_properties.retain(|(name, value)| match (&**name, value.as_i64()) {
            (QOS, Some(2)) => {
                *qos = Qos::ExactlyOnce;
                false
            }
            (PAYLOAD_FORMAT, Some(format @ 0..=1)) if !format_is_written => {
                Property::PayloadFormat(u8::from(format == 1)).put(section);
                format_is_written = true;
                false
            }
            _ => true,
        });
    }

    fn correlation(&mut self, value: &Value) -> bool {
        let (bytes, code) = match value {
            Value::String(text) => (text.as_bytes().clone(), None),
            Value::Binary(bytes) => (bytes.clone(), std::str::from_utf8(bytes).is_ok().then_some(BYTES)),
            other => (to_text(other).as_bytes().clone(), type_code(other)),
        };
        if bytes.len() > TEXT_BYTES_MAX {
            return false;
        }
        Property::CorrelationData(&bytes).put(&mut self.section);
        if let Some(code) = code {
            Property::User(CORRELATION, code).put(&mut self.section);
        }
        true
    }

    fn headers(&mut self, headers: Vec<(Text, Text)>) {
        let (mut escaped, mut omitted, mut index) = (String::new(), 0u32, 0u32);
        for (mut name, mut value) in headers {
            let has_nul = name.contains('\0') || value.contains('\0');
            if has_nul {
                (name, value) = (escape(&name), escape(&value));
            }
            if !fits(&name) || !fits(&value) {
                omitted += 1;
                continue;
            }
            Property::User(&name, &value).put(&mut self.section);
            if has_nul {
                escaped.push_str(if escaped.is_empty() { "" } else { "," });
                escaped.push_str(&index.to_string());
            }
            index += 1;
        }
        if !escaped.is_empty() && fits(&escaped) {
            Property::User(ESCAPED, &escaped).put(&mut self.section);
        }
        if omitted > 0 {
            Property::User(OMITTED, &omitted.to_string()).put(&mut self.section);
        }
    }
}

fn escape(text: &str) -> Text {
    text.replace('%', "%25").replace('\0', "%00").into()
}

fn unescape(text: &str) -> Text {
    text.replace("%00", "\0").replace("%25", "%").into()
}

/// The version 5 properties and the body of another protocol's message.
pub(crate) fn outgoing(message: &Message, exchange: &str) -> (Bytes, Bytes) {
    (from_hub(message.hub(), exchange).slice(1..), outgoing_body(message))
}

/// The body of another protocol's message; clients before version 5 get no more.
pub(crate) fn outgoing_body(message: &Message) -> Bytes {
    message.hub().body.as_ref().unwrap_or(&message.body).clone()
}
