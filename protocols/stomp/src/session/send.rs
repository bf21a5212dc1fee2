//! SEND: to a message and its way.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::Publish;
use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::output::LINK_BYTES_MIN;
use crossdock_common::{Command, Lane, Message, Name, Now, Output, Text};
use smallvec::SmallVec;

use super::plan::Plan;
use super::requests::{Purpose, ReceiptId};
use super::transactions::Action;
use super::{Session, queue_spec};
use crate::convert::{self, FORMAT};
use crate::destination::Destination;
use crate::error::{Fault, PRECONDITION, in_code, quote};
use crate::frame::{Frame, Headers};

/// A queue of this connection, made on first use by `reply-to` or SUBSCRIBE.
pub(super) const TEMP_QUEUE: &str = "/temp-queue/";

/// Where a SEND goes.
type Destinations = SmallVec<[Destination; 1]>;

/// A SEND that waits for the name of its reply queue.
pub(super) struct PendingSend {
    frame: Frame,
    destinations: Destinations,
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
        let destinations = self.destinations(&frame.headers)?;
        self.check_send(&frame.headers)?;
        let temp_queue = frame.headers.text("reply-to").filter(|name| name.starts_with(TEMP_QUEUE));
        let Some(temp_queue) = temp_queue else {
            return self.publish(now, frame, &destinations, None, receipt, output);
        };
        if let Some(queue) = self.replies.get(&temp_queue).cloned() {
            return self.publish(now, frame, &destinations, Some(&queue), receipt, output);
        }
        Destination::parse(&temp_queue)?;
        self.check_room()?;
        let spec = QueueSpec { exclusive: true, auto_delete: true, ..QueueSpec::default() };
        let purpose = Purpose::ReplyTo(Box::new(PendingSend { frame: frame.clone(), destinations, temp_queue }));
        self.define(purpose, Definition::DeclareQueue { spec, passive: false }, receipt, output);
        self.awaited += 1;
        Ok(())
    }

    /// Where the message goes. Temporary queues of this connection are known by their real names.
    fn destinations(&self, headers: &Headers) -> Result<Destinations, Fault> {
        let Some(text) = headers.get("destination") else {
            return Err(Fault::missing("Missing destination", "SEND", "destination"));
        };
        let mut destinations = Destination::parse_all(&text)?;
        for destination in &mut destinations {
            let Destination::TempQueue(name) = destination else { continue };
            let Some(queue) = self.replies.get(&*format!("{TEMP_QUEUE}{name}")) else {
                let detail = format!("'{}' is not a valid destination for 'SEND'", quote(&text));
                return Err(Fault::violation("Invalid destination", detail));
            };
            *destination = Destination::AmqQueue(queue.clone());
        }
        Ok(destinations)
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
        self.publish(now, &send.frame, &send.destinations, Some(&queue), receipt, output)
    }

    /// A message that no queue took.
    pub(super) fn unroutable(&mut self, confirm: Option<u64>, message: &Message) -> Result<(), Fault> {
        if !message.exchange.is_empty() {
            return Ok(());
        }
        let queue = String::from_utf8_lossy(&message.routing_key);
        self.declared.remove(&*queue);
        self.repeat = None;
        if !self.requests.must_be_routed(confirm) {
            return Ok(());
        }
        let fault = Fault::refused("not_found", in_code("not_found", format!("no queue '{}'", quote(&queue))));
        Err(fault.with_receipt(self.requests.receipt_of(confirm)))
    }

    /// Publishes now.
    pub(super) fn publish_message(
        &self,
        message: Arc<Message>,
        to_queue: bool,
        confirm: Option<u64>,
        output: &mut Output,
    ) {
        let mandatory = self.is_mandatory(&message, to_queue);
        output.commands.push(Command::Publish(Publish {
            lane: Lane::default(),
            confirm,
            message,
            mandatory,
            retain: false,
            exactly_once: None,
        }));
    }

    /// Whether the queue is still there concerns the next SEND to it as well.
    pub(super) fn is_mandatory(&self, message: &Message, to_queue: bool) -> bool {
        to_queue && self.declared.contains(&*String::from_utf8_lossy(&message.routing_key))
    }

    fn publish(
        &mut self,
        now: Now,
        frame: &Frame,
        destinations: &[Destination],
        reply_to: Option<&str>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        for destination in destinations {
            self.publish_to(now, frame, destination, reply_to, receipt, output)?;
        }
        if destinations.len() > 1 {
            self.repeat = None;
        }
        Ok(())
    }

    fn publish_to(
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
            Some(name) => self.transactions.add(&name, Action::Publish { message, to_queue }, &self.options.limits),
            None => {
                self.learn(frame, &message, to_queue);
                let confirm = self.requests.confirm(receipt, to_queue);
                self.publish_message(message, to_queue, confirm, output);
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
        message.ttl_ms = ttl_ms(headers, now);
        message.user = self.peer.user.clone();
        message.received_at = now.unix;
        if let Some(delay_ms) = number(headers, SCHEDULED_DELAY).filter(|delay_ms| *delay_ms > 0) {
            message.rare_mut().delay_ms = Some(delay_ms);
        }
        message
    }

    fn check_send(&self, headers: &Headers) -> Result<(), Fault> {
        if headers.get("message-id").is_some() {
            return Err(Fault::violation("Invalid header", "'message-id' is not allowed on 'SEND'."));
        }
        let user_name = &self.peer.user;
        if let Some(user) = headers.get("user-id").filter(|user| **user != **user_name) {
            let detail = format!("user_id property set to '{}' but authenticated user was '{user_name}'", quote(&user));
            return Err(Fault::refused(PRECONDITION, in_code(PRECONDITION, detail)));
        }
        check_schedule(headers)?;
        match headers.get("transaction") {
            Some(name) => self.transactions.check(&name),
            None => Ok(()),
        }
    }
}

/// ActiveMQ's header for a message that shall wait.
const SCHEDULED_DELAY: &str = "AMQ_SCHEDULED_DELAY";
/// ActiveMQ's headers for a message that shall come again and again, which it does not here.
const SCHEDULED_AGAIN: [&str; 3] = ["AMQ_SCHEDULED_PERIOD", "AMQ_SCHEDULED_REPEAT", "AMQ_SCHEDULED_CRON"];

fn check_schedule(headers: &Headers) -> Result<(), Fault> {
    if headers.get(SCHEDULED_DELAY).is_some() && number(headers, SCHEDULED_DELAY).is_none() {
        let detail = format!("{SCHEDULED_DELAY} is not a number of milliseconds");
        return Err(Fault::violation("Invalid header", detail));
    }
    if let Some(again) = SCHEDULED_AGAIN.into_iter().find(|name| headers.get(name).is_some()) {
        let detail = format!("{again}: a message is delivered once; a delay ({SCHEDULED_DELAY}) is possible");
        return Err(Fault::refused("not_implemented", detail));
    }
    Ok(())
}

/// RabbitMQ's `expiration` is how long it lives in milliseconds, ActiveMQ's `expires` is when it ends since 1970, 0 being never.
fn ttl_ms(headers: &Headers, now: Now) -> Option<u64> {
    let expires_at = || number(headers, "expires").filter(|at| *at > 0);
    number(headers, "expiration").or_else(|| expires_at().map(|at| at.saturating_sub(now.unix.0)))
}

fn number(headers: &Headers, name: &str) -> Option<u64> {
    headers.get(name)?.trim().parse().ok()
}

/// A small body is copied, so that a waiting message does not keep a large read buffer alive.
fn own_body(body: &Bytes) -> Bytes {
    if body.len() < LINK_BYTES_MIN { Bytes::copy_from_slice(body) } else { body.clone() }
}
