//! The property section of SQS and SNS messages, as it is stored.
//!
//! A version byte (1), then fields: a tag byte, a length as LEB128, the content. Text and bytes are slices of the section.
//! Who sent it and when are the message's own facts ([`Message::user`], [`Message::received_at`]).
//!
//! [`Message::user`]: crossdock_common::Message
//! [`Message::received_at`]: crossdock_common::Message

use bytes::{Buf, Bytes};
use crossdock_common::Text;

use super::attributes::{Attribute, AttributeValue};

const VERSION: u8 = 1;

/// Version and message id, each with what comes before it: all that most messages have.
const SHORTEST_BYTES: usize = 1 + 2 + size_of::<u128>();

/// Written to disk: a number is never given twice.
mod tag {
    pub(super) const MESSAGE_ID: u8 = 1;
    pub(super) const ATTRIBUTE: u8 = 2;
    pub(super) const SYSTEM_ATTRIBUTE: u8 = 3;
    pub(super) const SUBJECT: u8 = 4;
    pub(super) const GROUP: u8 = 5;
    pub(super) const STRUCTURE: u8 = 20;
    pub(super) const CONTROL: u8 = 21;
    pub(super) const TARGET: u8 = 10;
    pub(super) const SEQUENCE: u8 = 11;
}

/// What SendMessage and Publish say beside the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Properties {
    /// Given by the broker.
    pub message_id: u128,
    /// In the client's order.
    pub attributes: Vec<Attribute>,
    /// `AWSTraceHeader`.
    pub system_attributes: Vec<Attribute>,
    /// SNS `Subject`.
    pub subject: Option<Text>,
    /// `MessageGroupId`.
    pub group: Option<Text>,
    /// SNS `Message` with the `MessageStructure` json: a JSON object with a text for each protocol.
    pub structure: Option<Text>,
    /// SNS's own message about a subscription: JSON that `sns/control.rs` knows.
    pub control: Option<Text>,
    /// Whom SNS shall give it to, where that is no topic: `sms:+4912…` or `application:` and an endpoint's ARN.
    pub target: Option<Text>,
    /// The place of the message in its FIFO topic.
    pub sequence: Option<u64>,
}

impl Properties {
    pub(crate) fn encode(&self) -> Bytes {
        let mut section = Vec::with_capacity(SHORTEST_BYTES);
        section.push(VERSION);
        put(&mut section, tag::MESSAGE_ID, &self.message_id.to_be_bytes());
        for attribute in &self.attributes {
            put(&mut section, tag::ATTRIBUTE, &encode_attribute(attribute));
        }
        for attribute in &self.system_attributes {
            put(&mut section, tag::SYSTEM_ATTRIBUTE, &encode_attribute(attribute));
        }
        if let Some(subject) = &self.subject {
            put(&mut section, tag::SUBJECT, subject.as_bytes());
        }
        if let Some(group) = &self.group {
            put(&mut section, tag::GROUP, group.as_bytes());
        }
        if let Some(structure) = &self.structure {
            put(&mut section, tag::STRUCTURE, structure.as_bytes());
        }
        if let Some(control) = &self.control {
            put(&mut section, tag::CONTROL, control.as_bytes());
        }
        if let Some(target) = &self.target {
            put(&mut section, tag::TARGET, target.as_bytes());
        }
        if let Some(sequence) = self.sequence {
            put(&mut section, tag::SEQUENCE, &sequence.to_be_bytes());
        }
        section.into()
    }

    /// Reads a section. What cannot be read, which no call lets in, is left out.
    pub(crate) fn decode(section: &Bytes) -> Self {
        let mut properties = Self::default();
        let mut rest = section.clone();
        if !rest.has_remaining() || rest.get_u8() != VERSION {
            return properties;
        }
        while rest.has_remaining() {
            let tag = rest.get_u8();
            let Some(content) = take(&mut rest) else { break };
            properties.set(tag, content);
        }
        properties
    }

    fn set(&mut self, tag: u8, content: Bytes) {
        match tag {
            tag::MESSAGE_ID => {
                self.message_id = content.as_ref().try_into().map(u128::from_be_bytes).unwrap_or_default();
            }
            tag::ATTRIBUTE => self.attributes.extend(decode_attribute(content)),
            tag::SYSTEM_ATTRIBUTE => self.system_attributes.extend(decode_attribute(content)),
            tag::SUBJECT => self.subject = Text::try_from(content).ok(),
            tag::GROUP => self.group = Text::try_from(content).ok(),
            tag::STRUCTURE => self.structure = Text::try_from(content).ok(),
            tag::CONTROL => self.control = Text::try_from(content).ok(),
            tag::TARGET => self.target = Text::try_from(content).ok(),
            tag::SEQUENCE => self.sequence = content.as_ref().try_into().map(u64::from_be_bytes).ok(),
            _ => {}
        }
    }
}

fn encode_attribute(attribute: &Attribute) -> Vec<u8> {
    let mut content = Vec::with_capacity(attribute.cost_bytes() + 6);
    put_bytes(&mut content, attribute.name.as_bytes());
    put_bytes(&mut content, attribute.data_type.as_bytes());
    let (kind, value) = match &attribute.value {
        AttributeValue::Text(text) => (1, &text.as_bytes()[..]),
        AttributeValue::Binary(bytes) => (2, &bytes[..]),
    };
    content.push(kind);
    content.extend_from_slice(value);
    content
}

fn decode_attribute(mut content: Bytes) -> Option<Attribute> {
    let name = Text::try_from(take(&mut content)?).ok()?;
    let data_type = Text::try_from(take(&mut content)?).ok()?;
    let value = match content.try_get_u8().ok()? {
        1 => AttributeValue::Text(Text::try_from(content).ok()?),
        2 => AttributeValue::Binary(content),
        _ => return None,
    };
    Some(Attribute { name, data_type, value })
}

fn put(section: &mut Vec<u8>, tag: u8, content: &[u8]) {
    section.push(tag);
    put_bytes(section, content);
}

fn put_bytes(section: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        section.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    section.push(length as u8);
    section.extend_from_slice(bytes);
}

fn take(rest: &mut Bytes) -> Option<Bytes> {
    let mut length = 0usize;
    for shift in (0..).step_by(7).take(4) {
        let byte = rest.try_get_u8().ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (length <= rest.len()).then(|| rest.split_to(length));
        }
    }
    None
}
