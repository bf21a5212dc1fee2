//! What is sent.

use bytes::Bytes;
use crossdock_common::{Message, Name, UnixMillis};
use serde_json::Value as Json;

use super::Protocol;
use crate::convert::FORMAT;
use crate::convert::properties::Properties;

/// What is sent.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// By HTTP to the endpoint.
    Post(Post),
    /// To where the configuration says that such messages go.
    Record(Record),
}

/// A request of the method POST.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Post {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// A message to somebody who has no URL.
#[derive(Clone, Debug)]
pub struct Record {
    /// By what it should go.
    pub protocol: Protocol,
    /// The address, number or ARN.
    pub endpoint: String,
    /// The MessageId.
    pub id: u128,
    /// Of an e-mail.
    pub subject: Option<String>,
    /// What people read.
    pub text: String,
    /// All that there is to know.
    pub json: Json,
    /// What a function is called with.
    pub event: Option<Json>,
}

impl Record {
    /// It as a message for a queue.
    pub fn to_message(&self, queue: &Name, user: Name, now: UnixMillis) -> Message {
        let properties = Properties { message_id: self.id, ..Properties::default() };
        let (key, body) = (Bytes::copy_from_slice(queue.as_bytes()), Bytes::from(self.json.to_string()));
        let mut message = Message::new(&FORMAT, Name::default(), key, properties.encode(), body);
        message.durable = true;
        message.user = user;
        message.received_at = now;
        message
    }
}
