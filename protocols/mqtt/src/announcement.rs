//! What the broker says of itself, as an MQTT message.

use bytes::Bytes;
use crossdock_common::{Message, Name, UnixMillis};

use crate::convert::{FORMAT, stored};
use crate::packet::Qos;
use crate::packet::properties::Properties;
use crate::topic;

/// A message with QoS 0 that is retained under `topic`.
pub fn announcement(exchange: &Name, topic: &str, text: String, now: UnixMillis) -> Message {
    let properties = stored(Qos::AtMostOnce, true, Properties::default());
    let key = Bytes::from(topic::swap(topic.as_bytes()));
    let mut message = Message::new(&FORMAT, exchange.clone(), key, properties, Bytes::from(text));
    message.received_at = now;
    message
}
