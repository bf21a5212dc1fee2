//! Messages as they arrive in queues: in dead-letter queues, and in those of other accounts and regions.

use bytes::Bytes;
use crossdock_common::event::Delivery;
use crossdock_common::{FormatTag, Message, Name};

use super::super::control::Control;
use super::super::envelope;
use super::{Addressee, control_body};
use crate::convert::FORMAT;
use crate::convert::properties::Properties;
use crate::office::PostOffice;
use crate::sqs::receive::see;

impl Addressee {
    /// What goes to a queue, be it the dead-letter queue: the message as it arrives.
    pub fn letter(&self, delivery: &Delivery, office: &dyn PostOffice, queue: &Name) -> Message {
        let seen = see(delivery);
        let message = &delivery.message;
        let key = Bytes::copy_from_slice(queue.as_bytes());
        let control = seen.properties.control.as_deref().and_then(Control::decode);
        let mut letter = if self.raw && control.is_none() {
            Message::new(message.format, Name::default(), key, properties(delivery), message.body.clone())
        } else {
            let group = seen.properties.group.clone();
            let properties = Properties { message_id: seen.id, group, ..Properties::default() };
            let body = Bytes::from(match control {
                Some(control) => control_body(delivery, &seen, &control, office),
                None => self.envelope(delivery, &seen, office),
            });
            Message::new(&FORMAT, Name::default(), key, properties.encode(), body)
        };
        if let Some(known) = message.rare.as_ref().and_then(|rare| rare.deduplication.clone()) {
            letter.rare_mut().deduplication = Some(known);
        }
        letter.durable = true;
        letter.user = message.user.clone();
        letter.received_at = message.received_at;
        letter
    }
}

/// The message's own. Of what comes from the archive an attribute says so, as where the subscription's queue is here.
fn properties(delivery: &Delivery) -> Bytes {
    let message = &delivery.message;
    let Some(attribute) = envelope::replayed(delivery).filter(|_| message.format.tag() == FormatTag::AWS) else {
        return message.properties.clone();
    };
    let mut properties = Properties::decode(&message.properties);
    properties.attributes.push(attribute);
    properties.encode()
}
