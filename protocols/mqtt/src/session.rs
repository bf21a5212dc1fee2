//! A connected client: packets and events go to whoever deals with them.

mod delivering;
mod describe;
mod run;

use crossdock_common::event::{Reply, RetainedMessages, SessionInfo};
use crossdock_common::output::Close;
use crossdock_common::{Command, Event, Instant, Now, Output, Refusal, RequestId, Text};

use crate::authentication::{METHOD, Progress, expect_method};
use crate::inbound::{self, Frame, Inbound};
use crate::outbound::Outbound;
use crate::packet::{FixedHeader, Kind, ack, auth, disconnect, publish, subscribe, unsubscribe};
use crate::reason::{FORCED, Fault, Reason};
use crate::requests::{Asked, Context, Peer, Requests, Retained, STATE_OUTBOUND, STATE_SHARED, bounds};
use crate::subscribing::{OWN_CONSUMER, Subscribing};

/// A client that has so many requests open may not subscribe on: answers are small, questions a flood.
const REQUESTS_OPEN_MAX: usize = 1_024;

/// A connected client.
#[derive(Debug)]
pub(crate) struct Session {
    pub peer: Peer,
    requests: Requests,
    /// Boxed: most clients that listen never publish.
    inbound: Option<Box<Inbound>>,
    /// Boxed: there while something is on its way to the client.
    outbound: Option<Box<Outbound>>,
    subscribing: Subscribing,
    /// 0 if the client wants none.
    keep_alive_s: u16,
    heard_at: Instant,
    /// The topic of the last delivery, by routing key.
    last_topic: Option<Box<(bytes::Bytes, Text)>>,
}

impl Session {
    /// A session as the core has opened it. CONNACK must be written before [`resume`](Self::resume).
    pub fn new(now: Now, peer: Peer, requests: Requests, info: &SessionInfo, keep_alive_s: u16) -> Self {
        let subscribing = Subscribing::resume(info, peer.options.limits.topic_levels_max);
        Self {
            peer,
            requests,
            inbound: None,
            outbound: None,
            subscribing,
            keep_alive_s,
            heard_at: now.instant,
            last_topic: None,
        }
    }

    /// Goes on where the session's earlier connection was.
    pub fn resume(&mut self, now: Now, info: &SessionInfo, output: &mut Output) {
        let mut cx = context(now, &self.peer, &mut self.requests, output);
        for (key, value) in &info.state {
            match key.split_first() {
                Some((&STATE_SHARED, filter)) => self.subscribing.resume_shared(&mut cx, filter, value),
                Some((&STATE_OUTBOUND, &[high, low])) => {
                    self.outbound.get_or_insert_default().resume(u16::from_be_bytes([high, low]), value);
                }
                _ => {}
            }
        }
        for packet_id in &info.received {
            self.inbound.get_or_insert_default().resume(*packet_id);
        }
        self.outbound.iter_mut().for_each(|outbound| outbound.keep_again(&mut cx));
    }

    /// When the client will have been silent for too long.
    pub fn deadline(&self) -> Option<Instant> {
        // One and a half times the keep-alive ([MQTT-3.1.2-22]).
        (self.keep_alive_s > 0).then(|| self.heard_at.after_ms(u64::from(self.keep_alive_s) * 1_500))
    }

    /// Bytes came.
    pub fn heard(&mut self, now: Now) {
        self.heard_at = now.instant;
    }

    /// Whether this packet has to wait until the core has answered for earlier ones.
    pub fn must_wait(&self, header: &FixedHeader) -> bool {
        match header.kind {
            // The subscription gets it as a new message; it would get it again as the retained one.
            Kind::Publish if header.flags & publish::RETAIN != 0 && self.subscribing.is_subscribing() => true,
            // Version 5 has its receive maximum; older clients are slowed down instead.
            Kind::Publish if header.flags & 0b0110 != 0 && !self.peer.version.is_v5() => {
                self.inbound.as_ref().is_some_and(|inbound| inbound.is_full(self.peer.options.receive_maximum))
            }
            Kind::Subscribe | Kind::Unsubscribe => {
                self.subscribing.is_joining() || self.requests.len() >= REQUESTS_OPEN_MAX
            }
            _ => false,
        }
    }

    /// Takes PUBLISH packets that say what the last one said; says how many bytes they had, or 0.
    pub fn publish_again(&mut self, now: Now, header: &FixedHeader, input: &[u8], output: &mut Output) -> usize {
        let Self { peer, requests, inbound, subscribing, .. } = self;
        // The messages of who has no-local subscriptions say from whom they come.
        let Some(inbound) = inbound.as_mut().filter(|_| header.kind == Kind::Publish) else { return 0 };
        if subscribing.own.has_no_local() {
            return 0;
        }
        inbound.publish_again(&mut context(now, peer, requests, output), input)
    }

    /// Takes a packet.
    pub fn packet(
        &mut self,
        now: Now,
        header: &FixedHeader,
        frame: &Frame<'_>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Self { peer, requests, inbound, outbound, subscribing, .. } = self;
        let (version, bounds, count_max) = (peer.version, bounds(&peer.options), peer.options.limits.consumers_max);
        let mut cx = context(now, peer, requests, output);
        let (cx, body) = (&mut cx, frame.body);
        match header.kind {
            Kind::Publish => {
                let publish = publish::decode(header, body, version, bounds)?;
                inbound.get_or_insert_default().publish(cx, &publish, frame, subscribing.own.has_no_local())
            }
            Kind::PubAck => {
                outbound.get_or_insert_default().puback(cx, ack::decode(header.kind, body, version, bounds)?)
            }
            Kind::PubRec => {
                outbound.get_or_insert_default().pubrec(cx, ack::decode(header.kind, body, version, bounds)?)
            }
            Kind::PubRel => {
                let packet_id = ack::decode(header.kind, body, version, bounds)?.packet_id;
                inbound.get_or_insert_default().release(cx, packet_id)
            }
            Kind::PubComp => {
                let ack = ack::decode(header.kind, body, version, bounds)?;
                outbound.iter_mut().for_each(|outbound| outbound.pubcomp(cx, ack));
                Ok(())
            }
            Kind::Subscribe => subscribing.subscribe(cx, &subscribe::decode(body, version, bounds, count_max)?),
            Kind::Unsubscribe => subscribing.unsubscribe(cx, &unsubscribe::decode(body, version, bounds, count_max)?),
            Kind::PingReq => {
                disconnect::decode_empty(body)?;
                cx.buffer().extend_from_slice(&disconnect::PINGRESP);
                // Only who has nothing else to say pings.
                inbound.iter_mut().for_each(|inbound| inbound.rest());
                *outbound = outbound.take().filter(|outbound| !outbound.rests());
                Ok(())
            }
            Kind::Disconnect => self.disconnect(body, output),
            Kind::Connect => Err(Fault::protocol("second CONNECT [MQTT-3.1.0-2]")),
            Kind::Auth => self.authenticate(body, output),
            Kind::ConnAck | Kind::SubAck | Kind::UnsubAck | Kind::PingResp => {
                Err(Fault::protocol("a packet that only servers send"))
            }
        }
    }

    /// The client proves once more who it is (section 4.12.1).
    fn authenticate(&mut self, body: &[u8], output: &mut Output) -> Result<(), Fault> {
        let Some(exchange) = &mut self.peer.exchange else {
            return Err(Fault::protocol("AUTH without an authentication method [MQTT-4.12.0-6]"));
        };
        let packet = auth::decode(body, bounds(&self.peer.options))?;
        expect_method(packet.method)?;
        let request = self.requests.number();
        match packet.reason {
            Reason::REAUTHENTICATE => exchange.begin(request, packet.data, output),
            _ => exchange.go_on(request, packet, output),
        }
    }

    fn authentication(&mut self, event: &Event, output: &mut Output) -> Result<(), Fault> {
        let Some(exchange) = &mut self.peer.exchange else { return Ok(()) };
        if matches!(exchange.handle(event, output)?, Progress::Proved) {
            auth::put(output.bytes.buffer(), Reason::SUCCESS, METHOD, &exchange.proof);
        }
        Ok(())
    }

    /// The client says goodbye. Only reason 0 takes the will back ([MQTT-3.14.4-3]).
    fn disconnect(&mut self, body: &[u8], output: &mut Output) -> Result<(), Fault> {
        let packet = disconnect::decode(body, self.peer.version, bounds(&self.peer.options))?;
        if let Some(seconds) = packet.session_expiry_s {
            if !self.peer.is_persistent && seconds != 0 {
                return Err(Fault::protocol("session expiry was 0 in CONNECT (section 3.14.2.2.2)"));
            }
            let expiry_ms = self.peer.options.session_expiry_ms(expiry_ms(seconds));
            output.commands.push(Command::SessionExpiry { expiry_ms });
        }
        if packet.reason == Reason::SUCCESS {
            output.commands.push(Command::DiscardWill);
        }
        output.close(Close::Normal);
        Ok(())
    }

    /// Takes an event.
    pub fn handle(&mut self, now: Now, event: Event, output: &mut Output) -> Result<(), Fault> {
        match event {
            Event::Deliver(deliveries) => {
                deliveries.into_iter().for_each(|delivery| self.deliver(now, delivery, output));
                Ok(())
            }
            Event::DeliverRun(run) => {
                self.deliver_run(now, &run, output);
                Ok(())
            }
            Event::Reply { request, result } => self.reply(now, request, result, output),
            Event::Confirmed { confirms, .. } => {
                let mut cx = context(now, &self.peer, &mut self.requests, output);
                self.inbound.iter_mut().for_each(|inbound| inbound.confirmed(&mut cx, &confirms));
                Ok(())
            }
            Event::Unroutable { confirm, .. } => {
                let inbound = self.inbound.iter_mut();
                inbound.zip(confirm).for_each(|(inbound, confirm)| inbound.unroutable(confirm));
                Ok(())
            }
            Event::Rejected { confirm, .. } => {
                let mut cx = context(now, &self.peer, &mut self.requests, output);
                self.inbound.get_or_insert_default().failed(&mut cx, Some(confirm), Reason::QUOTA_EXCEEDED)
            }
            Event::PublishRefused { confirm, refusal, .. } => {
                let mut cx = context(now, &self.peer, &mut self.requests, output);
                self.inbound.get_or_insert_default().failed(&mut cx, confirm, inbound::refused(&refusal))
            }
            Event::ConsumerCancelled { consumer: OWN_CONSUMER } => {
                Err(Fault::new(Reason::ADMINISTRATIVE_ACTION, "the session's queue was deleted"))
            }
            Event::ConsumerCancelled { consumer } => {
                self.subscribing.cancelled(consumer);
                Ok(())
            }
            Event::TakenOver => Err(Fault::new(Reason::SESSION_TAKEN_OVER, "session taken over [MQTT-3.1.4-3]")),
            Event::Forced { .. } => Err(FORCED),
            // While publishers are stopped, the driver reads no further: MQTT has no word for it.
            Event::Blocked { .. } | Event::Unblocked | Event::LaneQuota(_) => Ok(()),
            Event::Authenticated { .. } | Event::Challenge { .. } | Event::Proof { .. } => {
                self.authentication(&event, output)
            }
            Event::Fetched { .. } | Event::Placed { .. } | Event::QueueMade { .. } => Ok(()),
        }
    }

    fn reply(
        &mut self,
        now: Now,
        request: RequestId,
        result: Result<Reply, Refusal>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Some(asked) = self.requests.take(request) else { return Ok(()) };
        let Self { peer, requests, inbound, outbound, subscribing, .. } = self;
        let mut cx = context(now, peer, requests, output);
        match asked {
            Asked::Filter(asked) => return subscribing.answered(&mut cx, *asked, result),
            Asked::Resumed { consumer } if result.is_err() => subscribing.cancelled(consumer),
            Asked::Resumed { .. } => {}
            Asked::Retained(retained) => {
                let found = match result {
                    Ok(Reply::Retained(found)) => *found,
                    _ => RetainedMessages::default(),
                };
                let retained = Retained { after: found.next, ..retained };
                self.send_retained(now, &retained, found.messages, output);
                self.subscribing.fetched_retained(retained);
            }
            // What could not be kept must not be promised: the client tries again on its next connection.
            _ if result.is_err() => return Err(Fault::new(Reason::UNSPECIFIED, "session state could not be kept")),
            Asked::Completed { packet_id, reason } => {
                inbound.get_or_insert_default().completed(&mut cx, packet_id, reason);
            }
            Asked::ReleasedBefore => outbound.iter_mut().for_each(|outbound| outbound.release_again(&mut cx)),
            Asked::Released { packet_id } => {
                outbound.iter_mut().for_each(|outbound| outbound.release(&mut cx, packet_id));
            }
        }
        Ok(())
    }

    /// At the end of a call.
    pub fn flush(&mut self, output: &mut Output) {
        if self.outbound.as_ref().is_none_or(|outbound| !outbound.is_backed_up()) {
            self.subscribing.fetch_retained(&self.peer, &mut self.requests, &mut output.commands);
        }
        self.outbound.iter_mut().for_each(|outbound| outbound.flush(&mut output.commands));
        if cfg!(debug_assertions) && output.close.is_none() {
            self.inbound.iter().for_each(|inbound| inbound.check_invariants());
            self.outbound.iter().for_each(|outbound| outbound.check_invariants(self.peer.receive_maximum));
        }
    }
}

fn context<'a>(now: Now, peer: &'a Peer, requests: &'a mut Requests, output: &'a mut Output) -> Context<'a> {
    Context { now, peer, requests, output }
}

/// A session expiry in seconds, as the core wants it.
pub(crate) fn expiry_ms(seconds: u32) -> Option<u64> {
    (seconds != u32::MAX).then_some(u64::from(seconds) * 1_000)
}
