//! SEND: to a message and its way.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::Publish;
use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::output::LINK_BYTES_MIN;
use crossdock_common::{Command, Lane, Message, Name, Now, Output, Text};

use super::requests::{Purpose, ReceiptId};
use super::subscribe::Plan;
use super::transactions::Action;
use super::{Session, queue_spec};
use crate::convert::{self, FORMAT};
use crate::destination::Destination;
use crate::error::{Fault, quote};
use crate::frame::{Frame, Headers};

/// Only in `reply-to`: a queue of this connection, made on first use.
pub(super) const TEMP_QUEUE: &str = "/temp-queue/";

/// A SEND that waits for the name of its reply queue.
pub(super) struct PendingSend {
    frame: Frame,
    destination: Destination,
    temp_queue: Text,
}

impl Session {
    pub(super) fn send(
        &mut self,
        now: Now,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let destination = destination(&frame.headers, "SEND")?;
        self.check_send(&frame.headers)?;
        let temp_queue = frame.headers.text("reply-to").filter(|name| name.starts_with(TEMP_QUEUE));
        let Some(temp_queue) = temp_queue else {
            return self.publish(now, frame, &destination, None, receipt, output);
        };
        if let Some(queue) = self.replies.get(&temp_queue).cloned() {
            return self.publish(now, frame, &destination, Some(&queue), receipt, output);
        }
        Destination::parse(&temp_queue)?;
        self.subscriptions.check_room(&self.limits)?;
        let spec = QueueSpec { exclusive: true, auto_delete: true, ..QueueSpec::default() };
        let purpose = Purpose::ReplyTo(Box::new(PendingSend { frame: frame.clone(), destination, temp_queue }));
        let declare = Definition::DeclareQueue { spec, passive: false };
        self.awaited_name = Some(self.define(purpose, declare, receipt, output));
        Ok(())
    }

    /// The reply queue has its name: consume from it, without being asked, and send.
    pub(super) fn send_with_reply(
        &mut self,
        now: Now,
        send: PendingSend,
        queue: Name,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        self.replies.insert(send.temp_queue.clone(), queue.clone());
        self.bind_and_consume(Plan::of_reply_queue(&send.temp_queue), queue.clone(), receipt, output);
        self.publish(now, &send.frame, &send.destination, Some(&queue), receipt, output)
    }

    /// A message that no queue took.
    pub(super) fn unroutable(&mut self, confirm: Option<u64>, message: &Message) -> Result<(), Fault> {
        if !message.exchange.is_empty() {
            return Ok(());
        }
        let queue = String::from_utf8_lossy(&message.routing_key);
        self.declared.remove(&*queue);
        if !self.requests.must_be_routed(confirm) {
            return Ok(());
        }
        let fault = Fault::refused("not_found", format!("no queue '{}'", quote(&queue)));
        Err(fault.with_receipt(self.requests.receipt_of(confirm)))
    }

    /// Publishes now, confirmed if a receipt waits for it.
    pub(super) fn publish_message(
        &mut self,
        message: Arc<Message>,
        to_queue: bool,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        let confirm = self.requests.confirm(receipt, to_queue);
        // Whether the queue is still there concerns the next SEND to it as well.
        let mandatory = to_queue && self.declared.contains(&*String::from_utf8_lossy(&message.routing_key));
        output.commands.push(Command::Publish(Publish {
            lane: Lane::default(),
            confirm,
            message,
            mandatory,
            retain: false,
            exactly_once: None,
        }));
    }

    fn publish(
        &mut self,
        now: Now,
        frame: &Frame,
        destination: &Destination,
        reply_to: Option<&str>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        if let Destination::Queue(name) = destination
            && !self.declared.contains(name)
        {
            let default = QueueSpec { name: name.clone(), durable: true, ..QueueSpec::default() };
            self.declare(queue_spec(&frame.headers, default), receipt, output);
        }
        let message = Arc::new(self.message(now, frame, destination, reply_to));
        let to_queue = matches!(destination, Destination::Queue(_) | Destination::AmqQueue(_));
        match frame.headers.get("transaction") {
            Some(name) => self.transactions.add(&name, Action::Publish { message, to_queue }, &self.limits),
            None => {
                self.publish_message(message, to_queue, receipt, output);
                Ok(())
            }
        }
    }

    fn message(&self, now: Now, frame: &Frame, destination: &Destination, reply_to: Option<&str>) -> Message {
        let headers = &frame.headers;
        let (exchange, key) = destination.route();
        let properties = convert::properties(headers, reply_to);
        let mut message = Message::new(&FORMAT, exchange, key, properties, own_body(&frame.body));
        message.durable = headers.is_true("persistent");
        message.priority = headers.get("priority").and_then(|text| text.parse().ok()).unwrap_or_default();
        message.ttl_ms = headers.get("expiration").and_then(|text| text.parse().ok());
        message.user = self.user.clone();
        message.received_at = now.unix;
        message
    }

    fn check_send(&self, headers: &Headers) -> Result<(), Fault> {
        if headers.get("message-id").is_some() {
            return Err(Fault::violation("Invalid header", "'message-id' is not allowed on 'SEND'."));
        }
        if let Some(user) = headers.get("user-id").filter(|user| **user != *self.user) {
            let detail =
                format!("user_id property set to '{}' but authenticated user was '{}'", quote(&user), self.user);
            return Err(Fault::refused("precondition_failed", detail));
        }
        match headers.get("transaction") {
            Some(name) => self.transactions.check(&name),
            None => Ok(()),
        }
    }
}

/// The destination of a SEND or SUBSCRIBE. Temporary queues are reached through `reply-to` only, as with RabbitMQ.
pub(super) fn destination(headers: &Headers, verb: &str) -> Result<Destination, Fault> {
    let Some(text) = headers.get("destination") else {
        return Err(Fault::missing("Missing destination", verb, "destination"));
    };
    match Destination::parse(&text)? {
        Destination::TempQueue(_) => {
            let detail = format!("'{}' is not a valid destination for '{verb}'", quote(&text));
            Err(Fault::violation("Invalid destination", detail))
        }
        destination => Ok(destination),
    }
}

/// A small body is copied, so that a waiting message does not keep a large read buffer alive.
fn own_body(body: &Bytes) -> Bytes {
    if body.len() < LINK_BYTES_MIN { Bytes::copy_from_slice(body) } else { body.clone() }
}
