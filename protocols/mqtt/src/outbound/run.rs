//! Runs on their way to the client: what all their packets have in common is written once and copied.

use bytes::{BufMut, BytesMut};
use crossdock_common::Text;
use crossdock_common::event::RunDelivery;
use crossdock_common::message::RUN_BODY_BYTES_MAX;
use crossdock_common::names::DeliveryId;

use super::{InFlight, Outbound, seconds_left};
use crate::convert;
use crate::packet::Qos;
use crate::packet::publish::{HeadProperties, PublishHead};
use crate::requests::Context;

/// Messages of a run, and what is the same for all of them.
pub(crate) struct OutgoingRun<'a> {
    pub delivery: &'a RunDelivery,
    pub topic: Text,
    pub qos: Qos,
    pub ids: &'a [u32],
}

/// A packet up to its payload, with room for what differs.
struct Packet<'a> {
    head: PublishHead<'a>,
    bytes: BytesMut,
    /// Where the packet id is.
    id_at: usize,
}

impl<'a> Packet<'a> {
    fn new(head: PublishHead<'a>) -> Self {
        let mut packet = Self { head, bytes: BytesMut::new(), id_at: 0 };
        packet.lay_out(0);
        packet
    }

    fn lay_out(&mut self, payload_bytes: usize) {
        self.bytes.clear();
        self.head.payload_bytes = payload_bytes;
        self.head.put(&mut self.bytes);
        let header_bytes = self.head.packet_len() - self.head.remaining_len();
        self.id_at = header_bytes + 2 + self.head.topic.len();
    }

    fn of(&mut self, packet_id: u16, payload_bytes: usize) -> &[u8] {
        if payload_bytes != self.head.payload_bytes {
            self.lay_out(payload_bytes);
        }
        if self.head.qos != Qos::AtMostOnce
            && let Some(id) = self.bytes.get_mut(self.id_at..self.id_at + 2)
        {
            id.copy_from_slice(&packet_id.to_be_bytes());
        }
        &self.bytes
    }
}

impl Outbound {
    /// Sends all messages of a run, if they may be sent now and are alike in what the client is told beside their payloads; says whether
    /// they were. They were never sent before.
    pub fn send_run(&mut self, cx: &mut Context<'_>, outgoing: &OutgoingRun<'_>) -> bool {
        let OutgoingRun { delivery, topic, qos, ids } = outgoing;
        let (run, head) = (&delivery.run, delivery.run.head());
        let expiry_s = seconds_left(head, cx.now);
        let alias = self.alias(cx, topic);
        let is_late = expiry_s == Some(0) || delivery.expires_at.is_some_and(|at| at <= cx.now.instant);
        let is_news = alias.is_some_and(|(_, is_known)| !is_known);
        if is_late || is_news || *qos != Qos::AtMostOnce && !self.has_room_for(cx, run.len()) {
            return false;
        }
        let properties = HeadProperties {
            original: convert::original(&head.properties).as_bytes(),
            expiry_s,
            subscription_ids: ids,
            topic_alias: alias.map(|(alias, _)| alias),
        };
        let packet_head = PublishHead {
            dup: false,
            qos: *qos,
            // Retained messages are no runs.
            retain: false,
            topic: if alias.is_some() { &[] } else { topic.as_bytes() },
            packet_id: 0,
            properties: cx.peer.version.is_v5().then_some(properties),
            payload_bytes: RUN_BODY_BYTES_MAX,
        };
        if packet_head.packet_len() > cx.peer.packet_bytes_max {
            return false;
        }
        self.put_run(cx.buffer(), packet_head, delivery);
        true
    }

    fn has_room_for(&self, cx: &Context<'_>, count: usize) -> bool {
        self.backlog.is_empty() && self.in_flight.len() + count <= usize::from(cx.peer.receive_maximum.max(1))
    }

    fn put_run(&mut self, buffer: &mut BytesMut, head: PublishHead<'_>, delivery: &RunDelivery) {
        let (qos, run) = (head.qos, &delivery.run);
        let mut packet = Packet::new(head);
        buffer.reserve(run.bodies_bytes() + run.len() * (packet.bytes.len() + 1));
        if qos == Qos::AtMostOnce {
            for body in run.bodies() {
                buffer.put_slice(packet.of(0, body.len()));
                buffer.put_slice(body);
            }
            return self.accepted.extend(delivery.ids());
        }
        for (id, body) in delivery.ids().zip(run.bodies()) {
            let packet_id = self.hold(id, qos);
            buffer.put_slice(packet.of(packet_id, body.len()));
            buffer.put_slice(body);
        }
    }

    fn hold(&mut self, delivery: DeliveryId, qos: Qos) -> u16 {
        let packet_id = self.free_id(Some(delivery.position));
        self.in_flight.insert(packet_id, InFlight::Published { qos, delivery: Some(delivery) });
        packet_id
    }
}
