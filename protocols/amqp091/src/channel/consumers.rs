//! Class `basic` without content: windows, consumers, and taking single messages.

use crossdock_common::command::{BoundedBy, Fetch, Lease, Outcome, Subscribe};
use crossdock_common::value::lookup;
use crossdock_common::{Command, ConsumerId, Text, Value};

use super::Channel;
use super::replies::REPLY_TO;
use crate::connection::requests::Pending;
use crate::connection::shared::{Consumer, Context};
use crate::error::{Fault, Interrupt};
use crate::frame::basic::outgoing::{Cancel, CancelOk};
use crate::frame::basic::{Consume, QOS_OK, Request};
use crate::frame::method::MethodId;
use crate::frame::{put_empty, put_method, table};

impl Channel {
    pub(super) fn basic(&mut self, cx: &mut Context<'_>, id: MethodId, request: Request<'_>) -> Result<(), Interrupt> {
        match request {
            Request::Ack { delivery_tag, multiple } => self.settle(cx, delivery_tag, multiple, Outcome::Accepted)?,
            Request::Nack { delivery_tag, multiple, requeue } => {
                let outcome = if requeue { Outcome::Released } else { Outcome::Rejected };
                self.settle(cx, delivery_tag, multiple, outcome)?;
            }
            Request::Get { queue, no_ack } => self.get(cx, id, queue, no_ack)?,
            Request::Qos { prefetch_size, prefetch_count, global } => {
                self.qos(cx, prefetch_size, prefetch_count, global)?;
            }
            Request::Consume(consume) => self.consume(cx, id, consume)?,
            Request::Cancel { consumer_tag, no_wait } => self.cancel(cx, id, consumer_tag, no_wait),
            Request::Recover { requeue, answered } => self.recover(cx, id, requeue, answered)?,
            // A publish comes with content and does not pass here.
            Request::CancelOk | Request::Publish(_) => {}
        }
        Ok(())
    }

    fn qos(&mut self, cx: &mut Context<'_>, size: u32, count: u16, global: bool) -> Result<(), Fault> {
        if size != 0 {
            return Err(Fault::not_implemented(format!("prefetch_size!=0 ({size})")));
        }
        if global {
            self.prefetch_global = count;
            cx.command(Command::LaneWindow { lane: self.lane(), window: count.into() });
        } else {
            self.prefetch = count;
        }
        self.answer(cx, |buffer, number| put_empty(buffer, number, QOS_OK));
        Ok(())
    }

    fn consume(&mut self, cx: &mut Context<'_>, id: MethodId, consume: Consume<'_>) -> Result<(), Interrupt> {
        let arguments = table::decode_copy(consume.arguments, &cx.shared.limits).map_err(Fault::from)?;
        let tag = self.new_tag(cx, consume.consumer_tag)?;
        let queue = match consume.queue {
            REPLY_TO => self.open_replies(cx, id, &tag, consume.no_ack)?,
            name => self.queue_name(name)?,
        };
        let entry = Consumer {
            channel: self.number,
            tag: tag.clone(),
            no_ack: consume.no_ack,
            queue: queue.clone(),
            prefetch: self.prefetch,
            arguments: arguments.clone(),
        };
        let consumer = cx.shared.consumers.add(entry);
        self.consumers.insert(tag.clone(), consumer);
        let priority = lookup(&arguments, "x-priority").and_then(Value::as_i64).unwrap_or(0);
        let subscribe = Box::new(Subscribe {
            consumer,
            lane: self.lane(),
            queue,
            presettled: consume.no_ack,
            exclusive: consume.exclusive,
            priority: i32::try_from(priority).unwrap_or(if priority < 0 { i32::MIN } else { i32::MAX }),
            window: self.window(cx, consume.no_ack),
            bounded_by: self.bounded_by(),
            arguments,
        });
        let pending = Pending::Consume { consumer, tag, no_wait: consume.no_wait };
        self.request(cx, id, pending, |request| Command::Subscribe { request, subscribe });
        Ok(())
    }

    /// A prefetch of 0 means any number, up to what a connection may hold at all.
    fn window(&self, cx: &Context<'_>, no_ack: bool) -> u32 {
        match (no_ack, self.prefetch) {
            (true, _) => 0,
            (false, 0) => u32::try_from(cx.shared.limits.unsettled_max).unwrap_or(u32::MAX),
            (false, prefetch) => prefetch.into(),
        }
    }

    fn bounded_by(&self) -> BoundedBy {
        match (self.prefetch, self.prefetch_global) {
            (0, _) => BoundedBy::Nobody,
            (_, 0) => BoundedBy::Peer,
            _ => BoundedBy::PeerAndLane,
        }
    }

    fn new_tag(&self, cx: &mut Context<'_>, wanted: &str) -> Result<Text, Fault> {
        let max = cx.shared.limits.consumers_max;
        if cx.shared.consumers.len() >= max {
            return Err(Fault::not_allowed(format!("reached maximum ({max}) of consumers per connection")));
        }
        if self.consumers.contains_key(wanted) {
            return Err(Fault::not_allowed(format!("attempt to reuse consumer tag '{wanted}'")));
        }
        Ok(if wanted.is_empty() { cx.shared.new_consumer_tag() } else { Text::from(wanted) })
    }

    fn cancel(&mut self, cx: &mut Context<'_>, id: MethodId, tag: &str, no_wait: bool) {
        self.close_replies(tag);
        let Some((tag, consumer)) = self.consumers.remove_entry(tag) else {
            if !no_wait {
                self.answer(cx, |buffer, number| put_method(buffer, number, &CancelOk(tag)));
            }
            return;
        };
        let pending = Pending::Cancel { consumer, tag, no_wait };
        self.request(cx, id, pending, |request| Command::Unsubscribe { request, consumer });
    }

    /// No delivery to the consumer follows.
    pub(super) fn cancelled(&mut self, cx: &mut Context<'_>, consumer: ConsumerId, tag: &str, no_wait: bool) {
        cx.shared.consumers.remove(consumer);
        if !no_wait {
            put_method(cx.output.bytes.buffer(), self.number, &CancelOk(tag));
        }
    }

    /// The core ended a consumer.
    pub(crate) fn consumer_ended(&mut self, cx: &mut Context<'_>, consumer: ConsumerId, tag: &str) {
        // A tag that was cancelled may be another consumer's by now.
        if self.consumers.get(tag) == Some(&consumer) {
            self.consumers.remove(tag);
            self.close_replies(tag);
        }
        if cx.shared.capabilities.consumer_cancel_notify {
            put_method(cx.output.bytes.buffer(), self.number, &Cancel(tag));
        }
    }

    fn get(&mut self, cx: &mut Context<'_>, id: MethodId, queue: &str, no_ack: bool) -> Result<(), Interrupt> {
        let queue = self.queue_name(queue)?;
        if !no_ack {
            self.check_room(cx)?;
        }
        let fetch = Box::new(Fetch {
            lane: self.lane(),
            queue,
            count_max: 1,
            presettled: no_ack,
            lease: Lease::Connection,
            wait_ms: 0,
        });
        self.request(cx, id, Pending::Get { no_ack }, |request| Command::Fetch { request, fetch });
        Ok(())
    }

    pub(super) fn check_room(&self, cx: &Context<'_>) -> Result<(), Fault> {
        let max = cx.shared.limits.unsettled_max;
        if cx.shared.unsettled < max {
            return Ok(());
        }
        Err(Fault::precondition(format!("limit of {max} unsettled deliveries is reached")))
    }
}
