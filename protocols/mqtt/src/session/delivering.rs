//! What becomes of a delivery: for which subscriptions it is, with which QoS it goes to the client.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::event::Delivery;
use crossdock_common::{DropReason, Message, Now, Output, Text, UnixMillis};
use smallvec::SmallVec;

use super::{Session, context};
use crate::convert;
use crate::outbound::Outgoing;
use crate::packet::Qos;
use crate::requests::{Peer, Retained};
use crate::subscribing::OWN_CONSUMER;
use crate::subscriptions::{Matched, Subscription};
use crate::topic::{self, Filter};

impl Session {
    /// Takes one delivery: sent, or settled at once if nobody here wants it.
    pub(super) fn deliver(&mut self, now: Now, delivery: Delivery, output: &mut Output) {
        let Self { peer, requests, outbound, subscribing, last_topic, .. } = self;
        let mut cx = context(now, peer, requests, output);
        let outbound = outbound.get_or_insert_default();
        let message = &delivery.message;
        let is_own_queue = delivery.consumer == OWN_CONSUMER;
        if is_own_queue && outbound.was_received(&delivery.id) {
            return outbound.accept(Some(delivery.id));
        }
        let shared = subscribing.shared(delivery.consumer);
        if !is_own_queue && shared.is_none() {
            // Sent before the client unsubscribed: the rest of the group shall have it.
            return outbound.release_delivery(&mut cx, delivery.id);
        }
        let Some(topic) = topic_of(last_topic, &message.routing_key) else {
            cx.output.drops.push(DropReason::NoName);
            return outbound.reject(&mut cx, Some(delivery.id));
        };
        let matched = |topic: &str| match shared {
            Some(shared) => match_shared(&shared.filter, shared.subscription, topic, peer),
            None => subscribing.own.matched(topic, is_own(message, peer)),
        };
        let found = matched(&topic).map(|matched| (topic, matched)).or_else(|| extra_key(message, matched));
        let Some((topic, matched)) = found else { return outbound.accept(Some(delivery.id)) };
        let outgoing = Outgoing {
            qos: outgoing_qos(message, matched.qos, peer),
            retain: matched.retain_as_published && convert::is_retained(message),
            dup: delivery.delivery_count > 0,
            ids: matched.ids,
            expires_at: delivery.expires_at,
            delivery: Some(delivery.id),
            position: is_own_queue.then_some(delivery.id.position),
            topic,
            message: delivery.message,
        };
        outbound.send(&mut cx, outgoing);
    }

    /// Retained messages go out with RETAIN set, whatever the subscription says of retain-as-published ([MQTT-3.3.1-8]).
    pub(super) fn send_retained(
        &mut self,
        now: Now,
        retained: &Retained,
        messages: Vec<Arc<Message>>,
        output: &mut Output,
    ) {
        let Self { peer, requests, outbound, .. } = self;
        let mut cx = context(now, peer, requests, output);
        let outbound = outbound.get_or_insert_default();
        let Some(filter) = Filter::parse(&retained.filter, peer.options.limits.topic_levels_max) else { return };
        let subscription = retained.subscription;
        for message in messages {
            let is_unwanted = subscription.options.no_local && is_own(&message, peer);
            let Some(topic) = topic::from_key(&message.routing_key) else { continue };
            if is_unwanted || !filter.matches(&topic) {
                continue;
            }
            let expires_at = message.ttl_ms.map(|ttl_ms| {
                let at = message.received_at.0.saturating_add(ttl_ms);
                now.instant_at(UnixMillis(at))
            });
            let outgoing = Outgoing {
                topic,
                qos: outgoing_qos(&message, subscription.options.qos, peer),
                retain: true,
                dup: false,
                ids: subscription.id.into_iter().collect(),
                expires_at,
                delivery: None,
                position: None,
                message,
            };
            outbound.send(&mut cx, outgoing);
        }
    }
}

/// The lower of the message's QoS and what was granted (section 3.8.4), or what was granted if the operator wants that.
pub(super) fn outgoing_qos(message: &Message, granted: Qos, peer: &Peer) -> Qos {
    if peer.options.upgrade_outgoing_qos { granted } else { convert::qos(message).min(granted) }
}

fn is_own(message: &Message, peer: &Peer) -> bool {
    message.rare.as_ref().is_some_and(|rare| rare.session.as_ref() == Some(&peer.client_id))
}

pub(super) fn topic_of(last: &mut Option<Box<(Bytes, Text)>>, key: &Bytes) -> Option<Text> {
    if let Some((last_key, topic)) = last.as_deref()
        && last_key == key
    {
        return Some(topic.clone());
    }
    let topic = topic::from_key(key)?;
    *last.get_or_insert_default().as_mut() = (key.clone(), topic.clone());
    Some(topic)
}

/// A message may have come here by one of its further keys (AMQP `CC`).
fn extra_key(message: &Message, matched: impl Fn(&str) -> Option<Matched>) -> Option<(Text, Matched)> {
    let keys = &message.rare.as_ref()?.extra_keys;
    let topics = keys.iter().filter_map(|key| topic::from_key(key));
    topics.filter_map(|topic| matched(&topic).map(|matched| (topic, matched))).next()
}

fn match_shared(filter: &str, subscription: Subscription, topic: &str, peer: &Peer) -> Option<Matched> {
    let filter = Filter::parse(filter, peer.options.limits.topic_levels_max)?;
    let ids: SmallVec<[u32; 2]> = subscription.id.into_iter().collect();
    let (qos, retain_as_published) = (subscription.options.qos, subscription.options.retain_as_published);
    filter.matches(topic).then_some(Matched { qos, retain_as_published, ids })
}
