//! MESSAGE frames.

use std::borrow::Cow;

use bytes::Bytes;
use crossdock_common::command::Outcome;
use crossdock_common::event::Delivery;
use crossdock_common::{Command, FormatTag, Message, Output};

use super::Session;
use super::subscriptions::{AckMode, Subscription};
use crate::convert::{OF_THE_DELIVERY, OF_THE_FRAME, from_hub, stored_lines};
use crate::destination::{format_route, has_prefix};
use crate::frame::{ServerFrame, Version, canonical, unescape};

impl Session {
    pub(super) fn deliver(&mut self, deliveries: Vec<Delivery>, output: &mut Output) {
        let mut homeless = Vec::new();
        for delivery in &deliveries {
            match self.subscriptions.of(delivery.consumer) {
                Some(subscription) => {
                    let number = self.unsettled.add(subscription, delivery.id);
                    let message_id = self.message_id(&subscription.tag, number);
                    write_message(self.version, subscription, delivery, &message_id, output);
                }
                None => homeless.push(delivery.id),
            }
        }
        if !homeless.is_empty() {
            let outcome = Outcome::Released;
            output.commands.push(Command::Settle { deliveries: homeless, outcome, request: None });
        }
    }
}

fn write_message(
    version: Version,
    subscription: &Subscription,
    delivery: &Delivery,
    message_id: &str,
    output: &mut Output,
) {
    let message = &delivery.message;
    let (properties, body) = content(message);
    let reply_to = reply_destination(&properties);
    let destination = format_route(&message.exchange, &message.routing_key);
    let length = body.len().to_string();
    let ack = (version == Version::V1_2 && subscription.mode != AckMode::Auto).then_some(message_id);
    let mut frame = ServerFrame::new(version, "MESSAGE")
        .header_if("subscription", subscription.tag.id())
        .header("destination", &destination)
        .header("message-id", message_id)
        .header_if("ack", ack)
        .header("redelivered", if delivery.delivery_count > 0 { "true" } else { "false" })
        .header("content-length", &length);
    if let Some(death) = message.deaths().last() {
        frame = frame
            .header("x-first-death-queue", &death.queue)
            .header("x-first-death-reason", death.reason.word())
            .header("x-first-death-exchange", &death.exchange);
    }
    let ours = |name: &str| OF_THE_FRAME.contains(&name) || OF_THE_DELIVERY.contains(&name);
    for (name, value) in stored_lines(&properties).filter(|(name, _)| !ours(name)) {
        match &reply_to {
            Some(destination) if name == "reply-to" => frame.stored(name, destination),
            _ => frame.stored(name, value),
        }
    }
    frame.write(body, &mut output.bytes);
}

/// The headers in stored form and the body: a STOMP message's own, another's as the hub tells it.
fn content(message: &Message) -> (Cow<'_, [u8]>, &Bytes) {
    if message.format.tag() == FormatTag::STOMP {
        return (Cow::Borrowed(&message.properties), &message.body);
    }
    let hub = message.hub();
    (Cow::Owned(from_hub(hub).into()), hub.body.as_ref().unwrap_or(&message.body))
}

/// A bare queue name in `reply-to` becomes a destination that the reader can send to.
fn reply_destination(properties: &[u8]) -> Option<String> {
    let (_, stored) = stored_lines(properties).find(|(name, _)| *name == "reply-to")?;
    let name = unescape(stored);
    (!has_prefix(&name)).then(|| canonical(&format!("/reply-queue/{}", name.replace('%', "%25"))).into_owned())
}
