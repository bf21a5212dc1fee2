//! Content on its way to the client: deliveries, fetched and returned messages.

use crossdock_common::command::Outcome;
use crossdock_common::event::Delivery;
use crossdock_common::{Command, Message, Output};

use super::Channel;
use crate::connection::shared::Context;
use crate::convert::outgoing::{self, Told};
use crate::error::Fault;
use crate::frame::basic::outgoing::{Deliver, GetEmpty, GetOk, Return};
use crate::frame::method::Outgoing;
use crate::frame::{put_content, put_method};

impl Channel {
    /// A message for one of the channel's consumers.
    pub(crate) fn deliver(
        &mut self,
        output: &mut Output,
        frame_max: usize,
        consumer_tag: &str,
        no_ack: bool,
        delivery: &Delivery,
    ) {
        let delivery_tag = self.next_delivery_tag(no_ack, delivery);
        let message = &*delivery.message;
        let method = Deliver {
            consumer_tag,
            delivery_tag,
            redelivered: delivery.delivery_count > 0,
            exchange: &message.exchange,
            routing_key: &message.routing_key,
        };
        self.put_message(output, frame_max, &method, message, told(delivery));
    }

    /// The answer to `basic.get`.
    pub(crate) fn fetched(
        &mut self,
        cx: &mut Context<'_>,
        no_ack: bool,
        deliveries: Vec<Delivery>,
        ready: u64,
    ) -> Result<(), Fault> {
        let Some(delivery) = deliveries.first() else {
            put_method(cx.output.bytes.buffer(), self.number, &GetEmpty);
            return Ok(());
        };
        if !no_ack {
            if let Err(fault) = self.check_room(cx) {
                cx.command(release(delivery));
                return Err(fault);
            }
            cx.shared.unsettled += 1;
        }
        let delivery_tag = self.next_delivery_tag(no_ack, delivery);
        if !no_ack {
            self.handed_out(cx.now, cx.shared);
        }
        let message = &*delivery.message;
        let method = GetOk {
            delivery_tag,
            redelivered: delivery.delivery_count > 0,
            exchange: &message.exchange,
            routing_key: &message.routing_key,
            message_count: u32::try_from(ready).unwrap_or(u32::MAX),
        };
        self.put_message(cx.output, cx.shared.frame_max, &method, message, told(delivery));
        Ok(())
    }

    /// A mandatory message that no queue took.
    pub(crate) fn returned(&mut self, cx: &mut Context<'_>, message: &Message) {
        let method = Return { exchange: &message.exchange, routing_key: &message.routing_key };
        self.put_message(cx.output, cx.shared.frame_max, &method, message, Told::default());
    }

    fn next_delivery_tag(&mut self, no_ack: bool, delivery: &Delivery) -> u64 {
        self.last_delivery_tag += 1;
        if !no_ack {
            self.unsettled.push(self.last_delivery_tag, delivery.id);
        }
        self.last_delivery_tag
    }

    fn put_message(
        &self,
        output: &mut Output,
        frame_max: usize,
        method: &impl Outgoing,
        message: &Message,
        told: Told,
    ) {
        let properties = outgoing::properties(message, told);
        put_method(output.bytes.buffer(), self.number, method);
        put_content(&mut output.bytes, self.number, frame_max, &properties, outgoing::body(message));
    }
}

/// What the message's headers tell of its queue.
pub(crate) fn told(delivery: &Delivery) -> Told {
    Told {
        delivery_count: delivery.is_counted.then_some(delivery.delivery_count),
        stream_offset: delivery.stream_offset,
    }
}

/// Gives back a delivery that nobody can take.
pub(crate) fn release(delivery: &Delivery) -> Command {
    Command::Settle { deliveries: vec![delivery.id], outcome: Outcome::Released, request: None }
}
