//! An open connection: its channels, and who gets which frame and which event.

use bytes::{BufMut, Bytes};
use crossdock_common::command::Outcome;
use crossdock_common::event::{Delivery, Reply, RunDelivery};
use crossdock_common::{Command, ConsumerId, Event, Lane, Now, Output, Refusal, RequestId};

use super::requests::{Open, Pending};
use super::shared::{Context, Shared};
use crate::channel::{Channel, Piece, is_ours, release};
use crate::error::{Fault, Interrupt, ReplyCode, Scope};
use crate::frame::channel::{CLOSE, CLOSE_OK, Close, OPEN, OpenOk, Request};
use crate::frame::method::{self, Method};
use crate::frame::{Frame, Kind, Rest, basic, put_empty, put_method};

/// Where one channel number stands.
enum Slot {
    /// Nobody uses it.
    Vacant,
    Open(Box<Channel>),
    /// The client closed it, or the connection. What it asked for before is still answered; `close-ok` follows when the
    /// core has taken back what it held.
    Draining {
        channel: Box<Channel>,
        is_answer_due: bool,
    },
    /// We closed it; frames are discarded. The number is free when the client has answered and the core is done.
    Closing {
        is_answered: bool,
        is_released: bool,
    },
}

impl Slot {
    /// The channel, if what it asked for is still answered.
    fn channel(&mut self) -> Option<&mut Channel> {
        match self {
            Self::Open(channel) | Self::Draining { channel, .. } => Some(channel),
            Self::Vacant | Self::Closing { .. } => None,
        }
    }
}

fn drain(slot: &mut Slot, is_answer_due: bool, cx: &mut Context<'_>) {
    *slot = match std::mem::replace(slot, Slot::Vacant) {
        Slot::Open(mut channel) => {
            channel.release(cx);
            Slot::Draining { channel, is_answer_due }
        }
        other => other,
    };
}

/// An open connection.
pub(crate) struct Session {
    slots: Vec<Slot>,
    pub(crate) shared: Shared,
    channel_max: u16,
}

impl Session {
    pub(crate) fn new(shared: Shared, channel_max: u16) -> Self {
        Self { slots: Vec::new(), shared, channel_max }
    }

    /// A frame on a channel other than 0. `rest` is what follows it in the read buffer; how much of that was used as well
    /// is returned. Errors are the connection's: a channel's own are dealt with here.
    pub(crate) fn frame(
        &mut self,
        now: Now,
        frame: &Frame<'_>,
        rest: Rest<'_>,
        output: &mut Output,
    ) -> Result<usize, Interrupt> {
        if self.shared.requests.is_full() {
            return Err(Interrupt::Stall);
        }
        let number = frame.channel;
        let result = match self.slots.get_mut(usize::from(number)).unwrap_or(&mut Slot::Vacant) {
            Slot::Vacant => self.open(frame, output).map(|()| 0),
            Slot::Draining { .. } => draining(frame).map(|()| 0),
            Slot::Closing { .. } => self.closing(frame, output).map(|()| 0),
            Slot::Open(channel) => {
                let mut cx = Context { now, shared: &mut self.shared, output };
                match open_frame(channel, &mut cx, frame, rest) {
                    Ok(Done::Used(used)) => Ok(used),
                    Ok(Done::Closed) => Ok(self.drain(now, number, output)),
                    Err(interrupt) => Err(interrupt),
                }
            }
        };
        self.contain(now, number, result, output)
    }

    /// A body frame large enough to be kept as a slice of the read buffer.
    pub(crate) fn large_body(
        &mut self,
        now: Now,
        channel: u16,
        body: Bytes,
        output: &mut Output,
    ) -> Result<(), Interrupt> {
        let result = match self.slots.get_mut(usize::from(channel)) {
            Some(Slot::Open(open)) => {
                let mut cx = Context { now, shared: &mut self.shared, output };
                open.content_body(&mut cx, Piece::Owned(body)).map_err(Interrupt::Fault)
            }
            Some(Slot::Draining { .. } | Slot::Closing { .. }) => Ok(()),
            _ => Err(not_open()),
        };
        self.contain(now, channel, result.map(|()| 0), output).map(drop)
    }

    /// Whether a large body for the channel has to wait for the core.
    pub(crate) fn is_stalled(&self, channel: u16) -> bool {
        let is_committing =
            matches!(self.slots.get(usize::from(channel)), Some(Slot::Open(open)) if open.is_committing());
        is_committing || self.shared.requests.is_full()
    }

    /// One event of the core.
    pub(crate) fn handle(&mut self, now: Now, event: Event, output: &mut Output) -> Result<(), Fault> {
        match event {
            Event::Deliver(deliveries) => {
                deliveries.iter().for_each(|delivery| self.deliver(now, delivery, output));
                Ok(())
            }
            Event::DeliverRun(delivery) => {
                self.deliver_run(now, &delivery, output);
                Ok(())
            }
            Event::Confirmed { lane, confirms } => {
                self.on_lane(now, lane, output, |channel, cx| channel.confirmed(cx, &confirms))
            }
            Event::Rejected { lane, confirm, .. } => {
                self.on_lane(now, lane, output, |channel, cx| channel.rejected(cx, confirm))
            }
            Event::Unroutable { lane, mandatory: true, message, .. } => {
                self.on_lane(now, lane, output, |channel, cx| {
                    channel.returned(cx, &message);
                    Ok(())
                })
            }
            Event::PublishRefused { lane, confirm, refusal } => {
                self.on_lane(now, lane, output, |channel, _| match channel.blamed_method(confirm) {
                    Some(method) => Err(Fault::from(refusal).at(method)),
                    None => Ok(()),
                })
            }
            Event::ConsumerCancelled { consumer } => {
                self.consumer_ended(now, consumer, output);
                Ok(())
            }
            Event::Reply { request, result } => self.reply(now, request, result, output),
            Event::Fetched { request, deliveries, ready } => self.fetched(now, request, deliveries, ready, output),
            _ => Ok(()),
        }
    }

    /// Ends channels that have not settled something for too long.
    pub(crate) fn check_patience(&mut self, now: Now, output: &mut Output) {
        self.shared.check_at = None;
        for number in 1..=u16::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u16::MAX) {
            let Some(Slot::Open(channel)) = self.slots.get_mut(usize::from(number)) else { continue };
            if let Err(fault) = channel.check_patience(now, &mut self.shared) {
                self.fail(now, number, &fault, output);
            }
        }
    }

    /// The channels that are open, by number.
    pub(crate) fn open_channels(&self) -> impl Iterator<Item = &Channel> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Open(channel) => Some(&**channel),
            _ => None,
        })
    }

    /// The client closes the connection: what its channels hold goes back first. The request to wait for.
    pub(crate) fn leave(&mut self, now: Now, output: &mut Output) -> RequestId {
        for slot in &mut self.slots {
            drain(slot, false, &mut Context { now, shared: &mut self.shared, output });
        }
        let request = self.shared.requests.number();
        let (deliveries, outcome) = (Vec::new(), Outcome::Released);
        output.commands.push(Command::Settle { deliveries, outcome, request: Some(request) });
        request
    }

    fn open(&mut self, frame: &Frame<'_>, output: &mut Output) -> Result<(), Interrupt> {
        if frame.kind == Kind::Heartbeat {
            return Err(misplaced_heartbeat());
        }
        if frame.kind != Kind::Method {
            return Err(not_open());
        }
        let (id, arguments) = method::split(frame.payload)?;
        if id == CLOSE_OK {
            return Ok(());
        }
        if id != OPEN {
            return Err(not_open().at(id));
        }
        method::parse(id, arguments)?;
        if frame.channel > self.channel_max {
            let text = format!(
                "channel number {} is higher than the negotiated channel_max ({})",
                frame.channel, self.channel_max
            );
            return Err(Interrupt::from(Fault::not_allowed(text)).at(OPEN));
        }
        if let Err(limit) = self.shared.lane_share.take() {
            let user = self.shared.user();
            let text = format!(
                "number of channels opened for user '{user}' has reached the maximum allowed user limit of ({limit})"
            );
            return Err(Interrupt::from(Fault::not_allowed(text)).at(OPEN));
        }
        let at = usize::from(frame.channel);
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || Slot::Vacant);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Slot::Open(Box::new(Channel::new(frame.channel)));
        }
        put_method(output.bytes.buffer(), frame.channel, &OpenOk);
        Ok(())
    }

    /// A frame on a channel that we closed.
    fn closing(&mut self, frame: &Frame<'_>, output: &mut Output) -> Result<(), Interrupt> {
        let Some(slot) = self.slots.get_mut(usize::from(frame.channel)) else { return Ok(()) };
        let Slot::Closing { is_answered, is_released } = slot else { return Ok(()) };
        if frame.kind != Kind::Method {
            return Ok(());
        }
        let (id, _) = method::split(frame.payload)?;
        match id {
            CLOSE | CLOSE_OK => {
                // Closes may cross: a client that got its own answer may forget to answer ours.
                if id == CLOSE {
                    put_empty(output.bytes.buffer(), frame.channel, CLOSE_OK);
                }
                *is_answered = true;
                if *is_released {
                    *slot = Slot::Vacant;
                    self.shared.lane_share.release();
                }
            }
            // The number is about to be free: the core has only to finish.
            OPEN if *is_answered => return Err(Interrupt::Stall),
            _ => {}
        }
        Ok(())
    }

    /// The client closed the channel.
    fn drain(&mut self, now: Now, number: u16, output: &mut Output) -> usize {
        if let Some(slot) = self.slots.get_mut(usize::from(number)) {
            drain(slot, true, &mut Context { now, shared: &mut self.shared, output });
        }
        0
    }

    /// Lets a channel's error end the channel only.
    fn contain(
        &mut self,
        now: Now,
        number: u16,
        result: Result<usize, Interrupt>,
        output: &mut Output,
    ) -> Result<usize, Interrupt> {
        match result {
            Err(Interrupt::Fault(fault)) if fault.code.scope() == Scope::Channel => {
                self.fail(now, number, &fault, output);
                Ok(0)
            }
            other => other,
        }
    }

    fn fail(&mut self, now: Now, number: u16, fault: &Fault, output: &mut Output) {
        let Some(slot) = self.slots.get_mut(usize::from(number)) else { return };
        let closing = Slot::Closing { is_answered: false, is_released: false };
        match std::mem::replace(slot, closing) {
            Slot::Open(mut channel) => {
                put_method(output.bytes.buffer(), number, &Close(fault));
                channel.release(&mut Context { now, shared: &mut self.shared, output });
            }
            other => *slot = other,
        }
    }

    fn on_lane(
        &mut self,
        now: Now,
        lane: Lane,
        output: &mut Output,
        act: impl FnOnce(&mut Channel, &mut Context<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Some(channel) = self.slots.get_mut(usize::from(lane.0)).and_then(Slot::channel) else { return Ok(()) };
        let result = act(channel, &mut Context { now, shared: &mut self.shared, output });
        self.contain_fault(now, lane.0, result, output)
    }

    fn contain_fault(
        &mut self,
        now: Now,
        number: u16,
        result: Result<(), Fault>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        match result {
            Err(fault) if fault.code.scope() == Scope::Channel => {
                self.fail(now, number, &fault, output);
                Ok(())
            }
            other => other,
        }
    }

    fn deliver(&mut self, now: Now, delivery: &Delivery, output: &mut Output) {
        let shared = &mut self.shared;
        let found = shared.consumers.get(delivery.consumer).and_then(|consumer| {
            match self.slots.get_mut(usize::from(consumer.channel)) {
                Some(Slot::Open(channel)) => Some((consumer, channel)),
                _ => None,
            }
        });
        let Some((consumer, channel)) = found else { return output.commands.push(release(delivery)) };
        if !consumer.no_ack && shared.unsettled >= shared.limits.unsettled_max {
            let number = consumer.channel;
            output.commands.push(release(delivery));
            let text = format!("limit of {} unsettled deliveries is reached", shared.limits.unsettled_max);
            return self.fail(now, number, &Fault::precondition(text), output);
        }
        shared.unsettled += usize::from(!consumer.no_ack);
        let no_ack = consumer.no_ack;
        channel.deliver(output, shared.frame_max, &consumer.tag, no_ack, delivery);
        if !no_ack {
            channel.handed_out(now, shared);
        }
    }

    fn deliver_run(&mut self, now: Now, delivery: &RunDelivery, output: &mut Output) {
        let shared = &mut self.shared;
        let consumer = shared.consumers.get(delivery.consumer);
        let slot = consumer.and_then(|consumer| self.slots.get_mut(usize::from(consumer.channel)));
        let (Some(consumer), Some(Slot::Open(channel)), true) = (consumer, slot, is_ours(&delivery.run)) else {
            return delivery.deliveries().for_each(|delivery| self.deliver(now, &delivery, output));
        };
        let unsettled = if consumer.no_ack { shared.unsettled } else { shared.unsettled + delivery.run.len() };
        if !consumer.no_ack && unsettled > shared.limits.unsettled_max {
            return delivery.deliveries().for_each(|delivery| self.deliver(now, &delivery, output));
        }
        let no_ack = consumer.no_ack;
        let first_tag = channel.deliver_run(output, &consumer.tag, no_ack, delivery);
        if !no_ack {
            shared.unsettled = unsettled;
            channel.handed_out_from(first_tag, now, shared);
        }
    }

    fn consumer_ended(&mut self, now: Now, consumer: ConsumerId, output: &mut Output) {
        let Some(ended) = self.shared.consumers.remove(consumer) else { return };
        if let Some(channel) = self.slots.get_mut(usize::from(ended.channel)).and_then(Slot::channel) {
            let mut cx = Context { now, shared: &mut self.shared, output };
            channel.consumer_ended(&mut cx, consumer, &ended.tag);
        }
    }

    fn reply(
        &mut self,
        now: Now,
        request: RequestId,
        result: Result<Reply, Refusal>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Some(open) = self.shared.requests.finish(request) else { return Ok(()) };
        let number = open.channel;
        if matches!(open.pending, Pending::Released) {
            self.released(number, output);
            return Ok(());
        }
        let outcome = match self.slots.get_mut(usize::from(number)).and_then(Slot::channel) {
            Some(channel) => {
                channel.request_done();
                channel.reply(&mut Context { now, shared: &mut self.shared, output }, open, result)
            }
            None => {
                self.late_reply(&open);
                Ok(())
            }
        };
        let outcome = self.contain_fault(now, number, outcome, output);
        self.flush_local(output);
        outcome
    }

    fn fetched(
        &mut self,
        now: Now,
        request: RequestId,
        deliveries: Vec<Delivery>,
        ready: u64,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Some(open) = self.shared.requests.finish(request) else { return Ok(()) };
        let channel = match (self.slots.get_mut(usize::from(open.channel)), &open.pending) {
            (Some(Slot::Open(channel)), _) => channel,
            // Nobody will settle it any more, so only what counts as settled is still handed out.
            (Some(Slot::Draining { channel, .. }), Pending::Get { no_ack: true }) => channel,
            _ => {
                output.commands.extend(deliveries.iter().map(release));
                self.flush_local(output);
                return Ok(());
            }
        };
        let no_ack = matches!(open.pending, Pending::Get { no_ack: true });
        channel.request_done();
        let mut cx = Context { now, shared: &mut self.shared, output };
        let result = channel.fetched(&mut cx, no_ack, deliveries, ready).map_err(|fault| fault.at(open.method));
        let result = self.contain_fault(now, open.channel, result, output);
        self.flush_local(output);
        result
    }

    /// An answer for a channel that is not open any more.
    fn late_reply(&mut self, open: &Open) {
        if let Pending::Consume { consumer, .. } | Pending::Cancel { consumer, .. } = open.pending {
            self.shared.consumers.remove(consumer);
        }
    }

    fn released(&mut self, number: u16, output: &mut Output) {
        let Some(slot) = self.slots.get_mut(usize::from(number)) else { return };
        match slot {
            Slot::Draining { is_answer_due, .. } => {
                if *is_answer_due {
                    put_empty(output.bytes.buffer(), number, CLOSE_OK);
                }
                *slot = Slot::Vacant;
                self.shared.lane_share.release();
            }
            Slot::Closing { is_answered: true, .. } => {
                *slot = Slot::Vacant;
                self.shared.lane_share.release();
            }
            Slot::Closing { is_released, .. } => *is_released = true,
            Slot::Vacant | Slot::Open(_) => {}
        }
    }

    /// Writes the replies that waited only for the one that was just answered.
    fn flush_local(&mut self, output: &mut Output) {
        while let Some((number, bytes)) = self.shared.requests.next_local() {
            if let Some(channel) = self.slots.get_mut(usize::from(number)).and_then(Slot::channel) {
                channel.request_done();
                output.bytes.buffer().put_slice(&bytes);
            }
        }
    }
}

/// A frame on a channel that the client closed: only opening it again makes sense, and has to wait.
fn draining(frame: &Frame<'_>) -> Result<(), Interrupt> {
    let is_open = frame.kind == Kind::Method && method::split(frame.payload)?.0 == OPEN;
    if is_open { Err(Interrupt::Stall) } else { Ok(()) }
}

/// What a frame led to.
enum Done {
    /// So many bytes after the frame were used as well.
    Used(usize),
    /// The client closes the channel.
    Closed,
}

fn open_frame(
    channel: &mut Channel,
    cx: &mut Context<'_>,
    frame: &Frame<'_>,
    rest: Rest<'_>,
) -> Result<Done, Interrupt> {
    if channel.is_committing() {
        return Err(Interrupt::Stall);
    }
    match frame.kind {
        Kind::Header => channel.content_header(cx, frame.payload)?,
        Kind::Body => channel.content_body(cx, Piece::Borrowed(frame.payload))?,
        Kind::Heartbeat => return Err(misplaced_heartbeat()),
        Kind::Method => {
            if let Some(used) =
                channel.publish_again(cx, frame.payload, rest).map_err(|fault| fault.at(basic::PUBLISH))?
            {
                return Ok(Done::Used(used));
            }
            let (id, arguments) = method::split(frame.payload)?;
            channel.expect_method()?;
            let method = method::parse(id, arguments)?;
            return open_method(channel, cx, id, method, (frame.payload, rest.bytes())).map_err(|error| error.at(id));
        }
    }
    Ok(Done::Used(0))
}

fn open_method(
    channel: &mut Channel,
    cx: &mut Context<'_>,
    id: method::MethodId,
    method: Method<'_>,
    (payload, rest): (&[u8], &[u8]),
) -> Result<Done, Interrupt> {
    match method {
        Method::Basic(basic::Request::Publish(publish)) => Ok(Done::Used(channel.publish(cx, publish, payload, rest)?)),
        Method::Channel(Request::Close) => Ok(Done::Closed),
        other => channel.method(cx, id, other).map(|()| Done::Used(0)),
    }
}

fn not_open() -> Interrupt {
    Fault::new(ReplyCode::ChannelError, "expected 'channel.open'").into()
}

fn misplaced_heartbeat() -> Interrupt {
    Fault::unexpected("type 8, all octets = <<>>").into()
}
