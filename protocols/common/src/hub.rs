//! The hub: the one form that every protocol converts to and from, shaped like an AMQP 1.0 message.
//!
//! N protocols need 2N converters instead of N². What a protocol cannot express travels in the envelope
//! ([`crate::envelope`]), so that a round trip A → B → A is lossless.

use bytes::Bytes;

use crate::{Table, Text, Value};

/// A message's properties in neutral form. `None` means that the writer did not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hub {
    /// Survives a restart (AMQP delivery-mode 2, MQTT QoS > 0, STOMP `persistent:true`; SQS always).
    pub durable: bool,
    /// 0 to 255, 4 being JMS's usual.
    pub priority: Option<u8>,
    /// Time to live in milliseconds.
    pub ttl_ms: Option<u64>,
    /// The application's id of the message.
    pub message_id: Option<Value>,
    /// The user that the writer claims to be (checked by the broker where the protocol says so).
    pub user_id: Option<Text>,
    /// What the message is about: AMQP 1.0 `subject`, SNS `Subject`.
    pub subject: Option<Text>,
    /// AMQP 0-9-1 `type`.
    pub message_type: Option<Text>,
    /// Where an answer shall go.
    pub reply_to: Option<Text>,
    /// Ties an answer to its question: text or bytes.
    pub correlation_id: Option<Value>,
    /// MIME type of the body.
    pub content_type: Option<Text>,
    /// Encoding of the body, such as `gzip`.
    pub content_encoding: Option<Text>,
    /// When the writer made it, in milliseconds since 1970.
    pub creation_time_ms: Option<i64>,
    /// Ordered group.
    pub group_id: Option<Text>,
    /// Place within the group.
    pub group_sequence: Option<u32>,
    /// AMQP 0-9-1 `app-id`.
    pub app_id: Option<Text>,
    /// The application's own headers, in order; names may repeat.
    pub application_properties: Table,
    /// Set only where the body travels differently from how it is stored (base64 in SQS); else the message's own body.
    pub body: Option<Bytes>,
}

/// The fields that the envelope can carry where a protocol has no place of its own for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// [`Hub::priority`]
    Priority,
    /// [`Hub::ttl_ms`]
    Ttl,
    /// [`Hub::message_id`]
    MessageId,
    /// [`Hub::user_id`]
    UserId,
    /// [`Hub::subject`]
    Subject,
    /// [`Hub::message_type`]
    MessageType,
    /// [`Hub::reply_to`]
    ReplyTo,
    /// [`Hub::correlation_id`]
    CorrelationId,
    /// [`Hub::content_type`]
    ContentType,
    /// [`Hub::content_encoding`]
    ContentEncoding,
    /// [`Hub::creation_time_ms`]
    CreationTime,
    /// [`Hub::group_id`]
    GroupId,
    /// [`Hub::group_sequence`]
    GroupSequence,
    /// [`Hub::app_id`]
    AppId,
    /// [`Hub::durable`]
    Durable,
}

impl Field {
    /// All of them, in the order in which the envelope writes them.
    pub const ALL: [Self; 15] = [
        Self::Priority,
        Self::Ttl,
        Self::MessageId,
        Self::UserId,
        Self::Subject,
        Self::MessageType,
        Self::ReplyTo,
        Self::CorrelationId,
        Self::ContentType,
        Self::ContentEncoding,
        Self::CreationTime,
        Self::GroupId,
        Self::GroupSequence,
        Self::AppId,
        Self::Durable,
    ];

    /// The name of the field in the envelope.
    pub fn envelope_name(self) -> &'static str {
        match self {
            Self::Priority => "crossdock.priority",
            Self::Ttl => "crossdock.ttl-ms",
            Self::MessageId => "crossdock.message-id",
            Self::UserId => "crossdock.user-id",
            Self::Subject => "crossdock.subject",
            Self::MessageType => "crossdock.type",
            Self::ReplyTo => "crossdock.reply-to",
            Self::CorrelationId => "crossdock.correlation-id",
            Self::ContentType => "crossdock.content-type",
            Self::ContentEncoding => "crossdock.content-encoding",
            Self::CreationTime => "crossdock.timestamp-ms",
            Self::GroupId => "crossdock.group-id",
            Self::GroupSequence => "crossdock.group-sequence",
            Self::AppId => "crossdock.app-id",
            Self::Durable => "crossdock.durable",
        }
    }

    /// The field of that envelope name.
    pub fn from_envelope_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.envelope_name() == name)
    }
}

impl Hub {
    /// The value of a field, if the writer gave one. `durable` counts as given when it is true.
    pub fn field(&self, field: Field) -> Option<Value> {
        let text = |text: &Option<Text>| text.clone().map(Value::String);
        match field {
            Field::Priority => self.priority.map(Value::U8),
            Field::Ttl => self.ttl_ms.map(Value::U64),
            Field::MessageId => self.message_id.clone(),
            Field::UserId => text(&self.user_id),
            Field::Subject => text(&self.subject),
            Field::MessageType => text(&self.message_type),
            Field::ReplyTo => text(&self.reply_to),
            Field::CorrelationId => self.correlation_id.clone(),
            Field::ContentType => text(&self.content_type),
            Field::ContentEncoding => text(&self.content_encoding),
            Field::CreationTime => self.creation_time_ms.map(Value::Timestamp),
            Field::GroupId => text(&self.group_id),
            Field::GroupSequence => self.group_sequence.map(Value::U32),
            Field::AppId => text(&self.app_id),
            Field::Durable => self.durable.then_some(Value::Bool(true)),
        }
    }

    /// Sets a field from an envelope value; a value of the wrong type is refused with `false`.
    pub fn set_field(&mut self, field: Field, value: Value) -> bool {
        match field {
            Field::MessageId => self.message_id = Some(value),
            Field::CorrelationId => self.correlation_id = Some(value),
            Field::Priority | Field::Ttl | Field::GroupSequence | Field::CreationTime => {
                return self.set_number(field, &value);
            }
            Field::Durable => match value.as_bool() {
                Some(durable) => self.durable = durable,
                None => return false,
            },
            _ => return self.set_text(field, value),
        }
        true
    }

    fn set_number(&mut self, field: Field, value: &Value) -> bool {
        let number = match value {
            Value::Timestamp(ms) => Some(*ms),
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        };
        let Some(number) = number else { return false };
        match field {
            Field::Priority => u8::try_from(number).map(|n| self.priority = Some(n)).is_ok(),
            Field::Ttl => u64::try_from(number).map(|n| self.ttl_ms = Some(n)).is_ok(),
            Field::GroupSequence => u32::try_from(number).map(|n| self.group_sequence = Some(n)).is_ok(),
            _ => {
                self.creation_time_ms = Some(number);
                true
            }
        }
    }

    fn set_text(&mut self, field: Field, value: Value) -> bool {
        let Value::String(text) = value else { return false };
        let slot = match field {
            Field::UserId => &mut self.user_id,
            Field::Subject => &mut self.subject,
            Field::MessageType => &mut self.message_type,
            Field::ReplyTo => &mut self.reply_to,
            Field::ContentType => &mut self.content_type,
            Field::ContentEncoding => &mut self.content_encoding,
            Field::GroupId => &mut self.group_id,
            Field::AppId => &mut self.app_id,
            _ => return false,
        };
        *slot = Some(text);
        true
    }
}
