//! Messages to the client: deliveries, packet ids, PUBACK, PUBREC, PUBCOMP.

pub(crate) mod run;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use crossdock_common::command::Outcome;
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::{Command, DropReason, FormatTag, Instant, Message, Now, Text};
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::convert;
use crate::inbound::put_ack;
use crate::packet::ack::Ack;
use crate::packet::primitives::VARIABLE_MAX;
use crate::packet::publish::{ALIAS_BYTES, HeadProperties, PublishHead};
use crate::packet::{Kind, Qos};
use crate::reason::{Fault, Reason};
use crate::requests::{Asked, Context, STATE_OUTBOUND, state_key};

/// A message on its way to the client.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub message: Arc<Message>,
    pub topic: Text,
    pub qos: Qos,
    pub retain: bool,
    pub dup: bool,
    pub ids: SmallVec<[u32; 2]>,
    pub expires_at: Option<Instant>,
    /// What settles it; retained messages need no settlement.
    pub delivery: Option<DeliveryId>,
    /// The place in the session's own queue, which gives the packet id.
    pub position: Option<u64>,
}

/// What has the packet id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InFlight {
    /// PUBLISH is written.
    Published { qos: Qos, delivery: Option<DeliveryId> },
    /// PUBREC came and is being kept.
    Received,
    /// PUBREL is written; the message was this one, if it was not a retained one.
    Released { place: Option<(QueueId, u64)> },
}

/// Messages on their way to the client.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// At most the client's receive maximum.
    in_flight: HashMap<u16, InFlight, foldhash::fast::RandomState>,
    /// What was resumed may not be durable yet: PUBREL would make the client forget what it received.
    is_unsure: bool,
    /// What waits for a packet id: at most the windows of the session's and the shared queues, and the retained messages of one answer.
    backlog: VecDeque<Outgoing>,
    /// Settled in one command at the end of a call.
    accepted: Vec<DeliveryId>,
    /// Where the search for any free packet id goes on.
    cursor: u16,
    /// What the client was told that stands for a topic: the first topics keep theirs.
    aliases: HashMap<Text, u16, foldhash::fast::RandomState>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            in_flight: HashMap::default(),
            is_unsure: false,
            backlog: VecDeque::new(),
            accepted: Vec::new(),
            cursor: u16::MAX,
            aliases: HashMap::default(),
        }
    }
}

impl Outbound {
    /// The state that a resumed session kept of a message whose PUBREC had come.
    pub fn resume(&mut self, packet_id: u16, value: &[u8]) {
        self.in_flight.insert(packet_id, InFlight::Released { place: place_from(value) });
    }

    /// What an earlier connection kept may not be durable yet: another state is, and all before it, when this is answered.
    pub fn keep_again(&mut self, cx: &mut Context<'_>) {
        let first = self.in_flight.iter().find_map(|(packet_id, in_flight)| match in_flight {
            InFlight::Released { place } => Some((*packet_id, *place)),
            _ => None,
        });
        if let Some((packet_id, place)) = first {
            self.is_unsure = true;
            cx.keep_state(Some(Asked::ReleasedBefore), state_key(STATE_OUTBOUND, packet_id), Some(place_value(place)));
        }
    }

    /// PUBREL is sent again for every message whose PUBCOMP is missing ([MQTT-4.4.0-1]).
    pub fn release_again(&mut self, cx: &mut Context<'_>) {
        self.is_unsure = false;
        let is_released = |in_flight: &InFlight| matches!(in_flight, InFlight::Released { .. });
        let released = self.in_flight.iter().filter(|(_, in_flight)| is_released(in_flight));
        let mut released: Vec<u16> = released.map(|(packet_id, _)| *packet_id).collect();
        released.sort_unstable();
        released.into_iter().for_each(|packet_id| put_ack(cx, Kind::PubRel, packet_id, Reason::SUCCESS));
    }

    /// Done with a delivery.
    pub fn accept(&mut self, delivery: Option<DeliveryId>) {
        self.accepted.extend(delivery);
    }

    /// The client does not want or cannot have it: to the dead letters, if there are any.
    pub fn reject(&mut self, cx: &mut Context<'_>, delivery: Option<DeliveryId>) {
        if let Some(delivery) = delivery {
            cx.command(settle(delivery, Outcome::Rejected));
        }
    }

    fn drop_too_large(&mut self, cx: &mut Context<'_>, delivery: Option<DeliveryId>) {
        cx.output.drops.push(DropReason::TooLarge);
        self.reject(cx, delivery);
    }

    fn drop_expired(&mut self, cx: &mut Context<'_>, delivery: Option<DeliveryId>) {
        cx.output.drops.push(DropReason::ExpiredOnTheWay);
        self.accept(delivery);
    }

    /// Somebody else shall have it.
    pub fn release_delivery(&mut self, cx: &mut Context<'_>, delivery: DeliveryId) {
        cx.command(settle(delivery, Outcome::Released));
    }

    /// At the end of a call: everything that was accepted meanwhile.
    pub fn flush(&mut self, commands: &mut Vec<Command>) {
        if !self.accepted.is_empty() {
            let deliveries = std::mem::take(&mut self.accepted);
            commands.push(Command::Settle { deliveries, outcome: Outcome::Accepted, request: None });
        }
    }

    /// Whether PUBREC came for this very delivery before the connection was lost, so that it must not be sent again.
    pub fn was_received(&self, delivery: &DeliveryId) -> bool {
        let place = Some((delivery.queue, delivery.position));
        self.in_flight.get(&preferred_id(delivery.position)) == Some(&InFlight::Released { place })
    }

    /// Sends a message, or keeps it until there is a packet id for it.
    pub fn send(&mut self, cx: &mut Context<'_>, outgoing: Outgoing) {
        if outgoing.qos == Qos::AtMostOnce {
            return self.send_at_most_once(cx, &outgoing);
        }
        if self.has_room(cx) && self.backlog.is_empty() {
            return self.send_with_id(cx, &outgoing);
        }
        self.backlog.push_back(outgoing);
    }

    /// Nothing is on its way, and the client was told nothing that has to be remembered.
    pub fn rests(&self) -> bool {
        self.in_flight.is_empty() && self.backlog.is_empty() && self.aliases.is_empty()
    }

    /// Messages wait for the client to acknowledge others.
    pub fn is_backed_up(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// What must hold between two calls.
    pub fn check_invariants(&self, receive_maximum: u16) {
        let has_room = self.in_flight.len() < usize::from(receive_maximum.max(1));
        debug_assert!(!has_room || self.backlog.is_empty(), "nothing waits while there is room");
        debug_assert!(!self.in_flight.contains_key(&0));
        debug_assert!(self.accepted.is_empty(), "everything is settled at the end of a call");
    }

    fn has_room(&self, cx: &Context<'_>) -> bool {
        self.in_flight.len() < usize::from(cx.peer.receive_maximum.max(1))
    }

    fn send_at_most_once(&mut self, cx: &mut Context<'_>, outgoing: &Outgoing) {
        match self.put_publish(cx, outgoing, 0) {
            Written::TooLarge => self.drop_too_large(cx, outgoing.delivery),
            Written::Expired => self.drop_expired(cx, outgoing.delivery),
            Written::Yes => self.accept(outgoing.delivery),
        }
    }

    fn send_with_id(&mut self, cx: &mut Context<'_>, outgoing: &Outgoing) {
        let packet_id = self.free_id(outgoing.position);
        let (qos, delivery) = (outgoing.qos, outgoing.delivery);
        match self.put_publish(cx, outgoing, packet_id) {
            Written::Yes => drop(self.in_flight.insert(packet_id, InFlight::Published { qos, delivery })),
            // [MQTT-3.1.2-25]: discarded, as if it had been sent.
            Written::TooLarge => self.drop_too_large(cx, delivery),
            Written::Expired => self.drop_expired(cx, delivery),
        }
    }

    /// The packet id of a place in the session's queue is always the same, so that a resumed QoS 2 flow goes on with its
    /// own ([MQTT-4.4.0-1]); if it is taken, and for other messages, any free one.
    fn free_id(&mut self, position: Option<u64>) -> u16 {
        if let Some(position) = position {
            let preferred = preferred_id(position);
            if !self.in_flight.contains_key(&preferred) {
                return preferred;
            }
        }
        while self.in_flight.contains_key(&self.cursor) {
            self.cursor = self.cursor.checked_sub(1).filter(|&id| id != 0).unwrap_or(u16::MAX);
        }
        self.cursor
    }

    /// Sends what waits, as far as there is room.
    fn pump(&mut self, cx: &mut Context<'_>) {
        while self.has_room(cx)
            && let Some(outgoing) = self.backlog.pop_front()
        {
            self.send_with_id(cx, &outgoing);
        }
    }

    /// Takes a PUBACK.
    pub fn puback(&mut self, cx: &mut Context<'_>, ack: Ack) -> Result<(), Fault> {
        match self.in_flight.get(&ack.packet_id) {
            Some(&InFlight::Published { qos: Qos::AtLeastOnce, delivery }) => {
                self.in_flight.remove(&ack.packet_id);
                self.settle(cx, delivery, ack.reason);
                self.pump(cx);
                Ok(())
            }
            Some(_) => Err(Fault::protocol("PUBACK for a QoS 2 message")),
            // Late, or of an earlier connection: nothing hangs on it.
            None => Ok(()),
        }
    }

    fn settle(&mut self, cx: &mut Context<'_>, delivery: Option<DeliveryId>, reason: Reason) {
        if reason.is_failure() { self.reject(cx, delivery) } else { self.accept(delivery) }
    }

    /// Takes a PUBREC. That it came is kept, durably, before PUBREL is sent; the delivery is settled in the same batch.
    pub fn pubrec(&mut self, cx: &mut Context<'_>, ack: Ack) -> Result<(), Fault> {
        let packet_id = ack.packet_id;
        match self.in_flight.get(&packet_id).copied() {
            Some(InFlight::Published { qos: Qos::ExactlyOnce, delivery }) => self.received(cx, ack, delivery),
            Some(InFlight::Published { .. }) => return Err(Fault::protocol("PUBREC for a QoS 1 message")),
            Some(InFlight::Received) => {}
            Some(InFlight::Released { .. }) if self.is_unsure => {}
            Some(InFlight::Released { .. }) => put_ack(cx, Kind::PubRel, packet_id, Reason::SUCCESS),
            None if ack.reason.is_failure() => {}
            None => put_ack(cx, Kind::PubRel, packet_id, Reason::PACKET_ID_NOT_FOUND),
        }
        Ok(())
    }

    fn received(&mut self, cx: &mut Context<'_>, ack: Ack, delivery: Option<DeliveryId>) {
        let packet_id = ack.packet_id;
        if ack.reason.is_failure() {
            self.in_flight.remove(&packet_id);
            self.reject(cx, delivery);
            return self.pump(cx);
        }
        self.accept(delivery);
        if cx.peer.is_persistent {
            self.in_flight.insert(packet_id, InFlight::Received);
            let key = state_key(STATE_OUTBOUND, packet_id);
            let place = delivery.map(|delivery| (delivery.queue, delivery.position));
            cx.keep_state(Some(Asked::Released { packet_id }), key, Some(place_value(place)));
        } else {
            self.in_flight.insert(packet_id, InFlight::Received);
            self.release(cx, packet_id);
        }
    }

    /// That PUBREC came is kept.
    pub fn release(&mut self, cx: &mut Context<'_>, packet_id: u16) {
        if let Some(in_flight) = self.in_flight.get_mut(&packet_id)
            && *in_flight == InFlight::Received
        {
            *in_flight = InFlight::Released { place: None };
            put_ack(cx, Kind::PubRel, packet_id, Reason::SUCCESS);
        }
    }

    /// Takes a PUBCOMP.
    pub fn pubcomp(&mut self, cx: &mut Context<'_>, ack: Ack) {
        if !matches!(self.in_flight.get(&ack.packet_id), Some(InFlight::Released { .. })) {
            return;
        }
        self.in_flight.remove(&ack.packet_id);
        if cx.peer.is_persistent {
            cx.keep_state(None, state_key(STATE_OUTBOUND, ack.packet_id), None);
        }
        self.pump(cx);
    }
}

fn settle(delivery: DeliveryId, outcome: Outcome) -> Command {
    Command::Settle { deliveries: vec![delivery], outcome, request: None }
}

fn preferred_id(position: u64) -> u16 {
    u16::try_from(1 + position % 65_535).unwrap_or(u16::MAX)
}

fn place_value(place: Option<(QueueId, u64)>) -> Bytes {
    let Some((queue, position)) = place else { return Bytes::new() };
    let mut value = Vec::with_capacity(16);
    value.put_u64(queue.0);
    value.put_u64(position);
    Bytes::from(value)
}

fn place_from(value: &[u8]) -> Option<(QueueId, u64)> {
    let (queue, position) = value.split_first_chunk::<8>()?;
    Some((QueueId(u64::from_be_bytes(*queue)), u64::from_be_bytes(*position.first_chunk::<8>()?)))
}

enum Written {
    Yes,
    TooLarge,
    Expired,
}

impl Outbound {
    /// What stands for the topic, and whether the client knows that; `None` where an alias is not wanted or saves nothing.
    fn alias(&self, cx: &Context<'_>, topic: &Text) -> Option<(u16, bool)> {
        let maximum = cx.peer.topic_alias_maximum;
        if maximum == 0 || topic.len() <= ALIAS_BYTES {
            return None;
        }
        if let Some(&alias) = self.aliases.get(topic) {
            return Some((alias, true));
        }
        let next = u16::try_from(self.aliases.len() + 1).ok()?;
        (next <= maximum).then_some((next, false))
    }

    /// Writes a PUBLISH.
    fn put_publish(&mut self, cx: &mut Context<'_>, outgoing: &Outgoing, packet_id: u16) -> Written {
        let message = &outgoing.message;
        let expiry_s = seconds_left(message, cx.now);
        if expiry_s == Some(0) || outgoing.expires_at.is_some_and(|at| at <= cx.now.instant) {
            return Written::Expired;
        }
        let is_v5 = cx.peer.version.is_v5();
        let converted;
        let (original, body) = if message.format.tag() == FormatTag::MQTT {
            (convert::original(&message.properties).as_bytes(), &message.body)
        } else {
            converted = if is_v5 {
                convert::outgoing(message, &cx.peer.options.exchange)
            } else {
                (Bytes::new(), convert::outgoing_body(message))
            };
            (&converted.0[..], &converted.1)
        };
        let alias = self.alias(cx, &outgoing.topic);
        let topic_alias = alias.map(|(alias, _)| alias);
        let properties = HeadProperties { original, expiry_s, subscription_ids: &outgoing.ids, topic_alias };
        let head = PublishHead {
            dup: outgoing.dup && outgoing.qos != Qos::AtMostOnce,
            qos: outgoing.qos,
            retain: outgoing.retain,
            topic: if alias.is_some_and(|(_, is_known)| is_known) { &[] } else { outgoing.topic.as_bytes() },
            packet_id,
            properties: is_v5.then_some(properties),
            payload_bytes: body.len(),
        };
        if head.packet_len() > cx.peer.packet_bytes_max.min(VARIABLE_MAX as usize) {
            return Written::TooLarge;
        }
        if let Some((alias, false)) = alias {
            self.aliases.insert(outgoing.topic.clone(), alias);
        }
        head.put(cx.buffer());
        cx.output.bytes.put_body(body);
        Written::Yes
    }
}

/// What is left of the publisher's message expiry ([MQTT-3.3.2-6] of 5); how long the queue keeps it is not the client's business.
fn seconds_left(message: &Message, now: Now) -> Option<u32> {
    let ends_at = message.received_at.0.saturating_add(message.ttl_ms?);
    Some(u32::try_from(ends_at.saturating_sub(now.unix.0).div_ceil(1_000)).unwrap_or(u32::MAX))
}
