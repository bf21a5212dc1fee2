//! Messages that come and go without a connection: the management API publishes and shows them.

use bytes::Bytes;
use crossdock_common::event::{Delivery, Principal};
use crossdock_common::{Limits, Message, Name, Now};

use crate::channel::told;
use crate::convert::facts::{Facts, Publisher, check_sizes};
use crate::convert::outgoing;
use crate::error::Fault;

/// What somebody publishes.
#[derive(Clone, Debug)]
pub struct Content {
    /// The exchange it goes to.
    pub exchange: Name,
    /// Its routing key.
    pub routing_key: Bytes,
    /// Property flags and list.
    pub properties: Bytes,
    /// The body.
    pub body: Bytes,
}

/// The message that a connection would have made of it.
///
/// # Errors
/// What the connection would have said.
pub fn message(now: Now, publisher: &Principal, content: Content, limits: &Limits) -> Result<Message, Fault> {
    let Content { exchange, routing_key, properties, body } = content;
    check_sizes(body.len() as u64, properties.len(), limits)?;
    let is_impersonator = publisher.tags.iter().any(|tag| tag.as_str() == "impersonator");
    let facts = Facts::of(&properties, &Publisher { name: &publisher.name, is_impersonator }, limits)?;
    if facts.wants_replies {
        // There is no channel that an answer could come to.
        return Err(Fault::precondition("fast reply consumer does not exist"));
    }
    let mut message = facts.message(exchange, routing_key, properties, body);
    message.user = publisher.name.clone();
    message.received_at = now.unix;
    Ok(message)
}

/// Property flags and list, and body, as a consumer would get them.
pub fn shown(delivery: &Delivery) -> (Bytes, Bytes) {
    let properties = outgoing::properties(&delivery.message, told(delivery));
    (properties.into_owned(), outgoing::body(&delivery.message).clone())
}
