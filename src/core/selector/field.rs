//! What the names in a selector stand for.

use std::borrow::Cow;

use crossdock_common::value::lookup;
use crossdock_common::{Message, Value};

use super::program::Operand;

/// JMS's priority where the publisher gave none.
const PRIORITY_DEFAULT: i64 = 4;

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Field {
    MessageId,
    CorrelationId,
    Priority,
    Timestamp,
    Expiration,
    DeliveryMode,
    Type,
    ReplyTo,
    GroupId,
    GroupSequence,
    UserId,
    ContentType,
    /// An application's own header.
    Application(Box<str>),
}

impl Field {
    pub(super) fn of_name(name: &str) -> Self {
        match name {
            "JMSMessageID" => Self::MessageId,
            "JMSCorrelationID" | "correlation-id" => Self::CorrelationId,
            "JMSPriority" => Self::Priority,
            "JMSTimestamp" => Self::Timestamp,
            "JMSExpiration" => Self::Expiration,
            "JMSDeliveryMode" => Self::DeliveryMode,
            "JMSType" => Self::Type,
            "JMSReplyTo" | "reply-to" => Self::ReplyTo,
            "JMSXGroupID" => Self::GroupId,
            "JMSXGroupSeq" => Self::GroupSequence,
            "JMSXUserID" | "user-id" => Self::UserId,
            "content-type" => Self::ContentType,
            other => Self::Application(other.into()),
        }
    }

    /// What the message has there.
    pub(super) fn of<'m>(&self, message: &'m Message) -> Operand<'m> {
        let hub = message.hub();
        let text = |text: &'m Option<crossdock_common::Text>| text.as_deref().map_or(Operand::Unknown, borrowed);
        let value = |value: Option<&'m Value>| value.map_or(Operand::Unknown, operand);
        match self {
            Self::MessageId => value(hub.message_id.as_ref()),
            Self::CorrelationId => value(hub.correlation_id.as_ref()),
            Self::Priority => Operand::Int(hub.priority.map_or(PRIORITY_DEFAULT, i64::from)),
            Self::Timestamp => Operand::Int(hub.creation_time_ms.unwrap_or_else(|| received_ms(message))),
            Self::Expiration => Operand::Int(expiration_ms(message)),
            Self::DeliveryMode => borrowed(if message.durable { "PERSISTENT" } else { "NON_PERSISTENT" }),
            Self::Type => text(if hub.message_type.is_some() { &hub.message_type } else { &hub.subject }),
            Self::ReplyTo => text(&hub.reply_to),
            Self::GroupId => text(&hub.group_id),
            Self::GroupSequence => hub.group_sequence.map_or(Operand::Unknown, |number| Operand::Int(number.into())),
            Self::UserId => text(&hub.user_id),
            Self::ContentType => text(&hub.content_type),
            Self::Application(name) => value(lookup(&hub.application_properties, name)),
        }
    }
}

fn received_ms(message: &Message) -> i64 {
    i64::try_from(message.received_at.0).unwrap_or(i64::MAX)
}

/// When it expires, in milliseconds since 1970; 0 is never.
fn expiration_ms(message: &Message) -> i64 {
    let ttl_ms = message.ttl_ms.and_then(|ttl_ms| i64::try_from(ttl_ms).ok());
    ttl_ms.map_or(0, |ttl_ms| received_ms(message).saturating_add(ttl_ms))
}

fn borrowed(text: &str) -> Operand<'_> {
    Operand::Text(Cow::Borrowed(text))
}

fn operand(value: &Value) -> Operand<'_> {
    match value {
        Value::Bool(truth) => Operand::Bool(*truth),
        Value::String(text) => borrowed(text),
        Value::Timestamp(ms) => Operand::Int(*ms),
        Value::F32(number) => Operand::Float(f64::from(*number)),
        Value::F64(number) => Operand::Float(*number),
        Value::Decimal { scale, value } => Operand::Float(f64::from(*value) / 10f64.powi(i32::from(*scale))),
        other => other.as_i64().map_or(Operand::Unknown, Operand::Int),
    }
}
