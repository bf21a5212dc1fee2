//! MESSAGE frames.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use crossdock_common::command::Outcome;
use crossdock_common::event::{Delivery, RunDelivery};
use crossdock_common::names::DeliveryId;
use crossdock_common::{Command, ConsumerId, FormatTag, Message, Output};

use super::Session;
use super::subscriptions::Subscription;
use super::template::{Template, put_properties};
use crate::convert::from_hub;
use crate::frame::{Line, Version};

impl Session {
    pub(super) fn deliver(&mut self, deliveries: &[Delivery], output: &mut Output) {
        let mut homeless = Vec::new();
        for delivery in deliveries {
            if !self.write_delivery(delivery.consumer, delivery, output) {
                homeless.push(delivery.id);
            }
        }
        give_back(homeless, output);
    }

    /// Writes what a browser is shown.
    pub(super) fn show(&mut self, browser: ConsumerId, deliveries: &[Delivery], output: &mut Output) {
        for delivery in deliveries {
            self.write_delivery(browser, delivery, output);
        }
    }

    /// False if the subscription is over.
    fn write_delivery(&mut self, consumer: ConsumerId, delivery: &Delivery, output: &mut Output) -> bool {
        let Some(subscription) = self.subscriptions.of_mut(consumer) else { return false };
        let one = std::iter::once((delivery.id, delivery.delivery_count));
        let number = self.unsettled.add(&subscription.tag, subscription.mode, one);
        let template = template(&self.id, self.peer.version, subscription, &delivery.message);
        write_message(self.peer.version, template, delivery, number, output);
        true
    }

    /// As [`deliver`](Self::deliver) with each message of the run, whose headers are the same.
    pub(super) fn deliver_run(&mut self, delivery: &RunDelivery, output: &mut Output) {
        let head = delivery.run.head();
        let (properties, other_body) = properties(head);
        if other_body.is_some() {
            return self.deliver(&delivery.deliveries().collect::<Vec<_>>(), output);
        }
        let Some(subscription) = self.subscriptions.of_mut(delivery.consumer) else {
            return give_back(delivery.ids().collect(), output);
        };
        let ids: Vec<_> = delivery.ids().map(|id| (id, 0)).collect();
        let first = self.unsettled.add(&subscription.tag, subscription.mode, ids.into_iter());
        let template = template(&self.id, self.peer.version, subscription, head);
        let mut own = BytesMut::new();
        put_properties(&mut own, self.peer.version, &properties);
        own.put_u8(b'\n');
        let buffer = output.bytes.buffer();
        for (number, body) in (first..).zip(delivery.run.bodies()) {
            template.put(buffer, number, false, body.len());
            buffer.put_slice(&own);
            buffer.put_slice(body);
            buffer.put_u8(0);
        }
    }
}

/// What is for a subscription that is over goes back to its queue.
fn give_back(deliveries: Vec<DeliveryId>, output: &mut Output) {
    if !deliveries.is_empty() {
        output.commands.push(Command::Settle { deliveries, outcome: Outcome::Released, request: None });
    }
}

/// The subscription's template for messages like this one; the last one is kept.
fn template<'s>(
    session: &crossdock_common::Text,
    version: Version,
    subscription: &'s mut Subscription,
    message: &Message,
) -> &'s Template {
    let Subscription { tag, mode, template, .. } = subscription;
    let fits = template.take_if(|template| template.is_of(&message.exchange, &message.routing_key));
    let make = || Template::new(version, session, (tag, *mode), (&message.exchange, &message.routing_key));
    template.insert(fits.unwrap_or_else(make))
}

fn write_message(version: Version, template: &Template, delivery: &Delivery, number: u64, output: &mut Output) {
    let message = &*delivery.message;
    let (properties, other_body) = properties(message);
    let body = other_body.unwrap_or(&message.body);
    let buffer = output.bytes.buffer();
    template.put(buffer, number, delivery.delivery_count > 0, body.len());
    if let Some(death) = message.deaths().last() {
        let first_death = [
            ("x-first-death-queue", &*death.queue),
            ("x-first-death-reason", death.reason.word()),
            ("x-first-death-exchange", &*death.exchange),
        ];
        first_death.iter().for_each(|(name, value)| Line::plain(version, name, value).encode(buffer));
    }
    put_properties(buffer, version, &properties);
    buffer.put_u8(b'\n');
    output.bytes.put_body(body);
    output.bytes.buffer().put_u8(0);
}

/// The headers in stored form: a STOMP message's own, another's as the hub tells it, with the body if that is another there.
fn properties(message: &Message) -> (Cow<'_, [u8]>, Option<&Bytes>) {
    if message.format.tag() == FormatTag::STOMP {
        return (Cow::Borrowed(&message.properties), None);
    }
    let hub = message.hub();
    (Cow::Owned(from_hub(hub).into()), hub.body.as_ref())
}
