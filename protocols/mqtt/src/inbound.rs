//! Messages from the client: PUBLISH, PUBREL, and the core's outcomes.

mod repeat;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::{ExactlyOnce, Publish as PublishCommand};
use crossdock_common::{Arrived, Command, Lane, Message, Name, Refusal};
use hashbrown::HashMap;

use crate::convert::{self, FORMAT};
use crate::options::Offer;
use crate::packet::ack::Ack;
use crate::packet::properties::Property;
use crate::packet::publish::Publish;
use crate::packet::{Kind, Qos};
use crate::reason::{Fault, Reason};
use crate::requests::{Asked, Context};
use crate::topic;
use repeat::Repeat;

/// A packet's bytes after the fixed header.
pub(crate) struct Frame<'a> {
    pub body: &'a [u8],
    /// The packet in a buffer of its own, so that its payload need not be copied.
    pub shared: Option<&'a Bytes>,
}

impl Frame<'_> {
    /// A part of the body for keeps: a small message must not pin a large read buffer.
    fn keep(&self, part: &[u8]) -> Bytes {
        self.shared.map_or_else(|| Bytes::copy_from_slice(part), |packet| packet.slice_ref(part))
    }
}

/// A message with QoS 1 or 2 that is not acknowledged yet.
#[derive(Debug)]
struct Pending {
    packet_id: u16,
    qos: Qos,
    reason: Reason,
    is_done: bool,
}

/// Where a QoS 2 packet id is between PUBLISH and PUBREL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// The core has the message.
    Published,
    /// PUBREC is written, by this connection or an earlier one.
    Received { counts: bool },
    /// PUBREL came; PUBCOMP follows when that is kept.
    Released { counts: bool },
}

/// The client's messages.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// Routing keys by topic alias; at most `topic_alias_maximum`.
    aliases: HashMap<u16, Bytes, foldhash::fast::RandomState>,
    /// The last topic and its routing key: most clients publish to the same topic again and again.
    last: Option<(Bytes, Bytes)>,
    /// In the order of arrival, which is the order of acknowledgement ([MQTT-4.6.0-2], [MQTT-4.6.0-3]). Their confirm
    /// numbers are without gaps and end before `next_confirm`.
    pending: VecDeque<Pending>,
    next_confirm: u64,
    /// At most 65,535: one for each packet id.
    held: HashMap<u16, Held, foldhash::fast::RandomState>,
    at_least_once_count: usize,
    /// Of `held`, those that this connection has published: only they count for the receive maximum (section 4.9).
    exactly_once_count: usize,
    /// What the last message was like, if more like it may come.
    repeat: Option<Box<Repeat>>,
}

impl Inbound {
    /// A resumed session knows this packet id.
    pub fn resume(&mut self, packet_id: u16) {
        self.held.insert(packet_id, Held::Received { counts: false });
    }

    /// Gives back the memory of what is empty.
    pub fn rest(&mut self) {
        self.repeat = None;
        if self.pending.is_empty() {
            self.pending = VecDeque::new();
        }
        if self.held.is_empty() {
            self.held = HashMap::default();
        }
    }

    /// Whether the client should be read no further for now. Older versions know no receive maximum: they wait.
    pub fn is_full(&self, receive_maximum: u16) -> bool {
        self.pending.len() >= usize::from(receive_maximum.max(1))
    }

    /// Takes a PUBLISH.
    pub fn publish(
        &mut self,
        cx: &mut Context<'_>,
        publish: &Publish<'_>,
        frame: &Frame<'_>,
        names_session: bool,
    ) -> Result<(), Fault> {
        if publish.payload.len() > cx.peer.options.limits.message_bytes_max {
            return Err(Fault::new(Reason::PACKET_TOO_LARGE, "payload beyond limits.message_bytes_max"));
        }
        check_offer(&cx.peer.options.offer, publish)?;
        let routing_key = self.routing_key(cx, publish)?;
        if publish.qos == Qos::ExactlyOnce && self.is_duplicate(cx, publish.packet_id)? {
            return Ok(());
        }
        let confirm = self.admit(cx, publish)?;
        let names_session = names_session || publish.retain;
        let message = message(cx, publish, frame, routing_key, names_session)?;
        // A queue has no last value.
        let retain = publish.retain && !message.exchange.is_empty();
        self.learn(cx.peer.version, publish, &message);
        let is_kept = publish.qos == Qos::ExactlyOnce && cx.peer.is_persistent;
        let exactly_once = is_kept.then_some(ExactlyOnce { id: publish.packet_id, again: publish.dup });
        let lane = Lane(0);
        cx.command(Command::Publish(PublishCommand { lane, confirm, message, mandatory: false, retain, exactly_once }));
        Ok(())
    }

    /// The routing key of the packet's topic or topic alias (section 3.3.2.3.4).
    fn routing_key(&mut self, cx: &Context<'_>, publish: &Publish<'_>) -> Result<Bytes, Fault> {
        let alias = publish.properties.iter().find_map(|property| match property {
            Property::TopicAlias(alias) => Some(alias),
            _ => None,
        });
        if alias.is_some_and(|alias| alias > cx.peer.options.topic_alias_maximum) {
            return Err(Fault::new(Reason::TOPIC_ALIAS_INVALID, "topic alias beyond the maximum [MQTT-3.3.2-9]"));
        }
        match alias {
            Some(alias) if publish.topic.is_empty() => {
                let known = self.aliases.get(&alias).cloned();
                known.ok_or(Fault::protocol("topic alias that was not set"))
            }
            Some(alias) => {
                let key = self.key_of(publish.topic, cx)?;
                self.aliases.insert(alias, key.clone());
                Ok(key)
            }
            None if publish.topic.is_empty() && cx.peer.version.is_v5() => {
                Err(Fault::protocol("neither topic nor topic alias (section 3.3.2.1)"))
            }
            None => self.key_of(publish.topic, cx),
        }
    }

    fn key_of(&mut self, topic: &str, cx: &Context<'_>) -> Result<Bytes, Fault> {
        if let Some((last, key)) = &self.last
            && last == topic.as_bytes()
        {
            return Ok(key.clone());
        }
        let name = topic.strip_prefix(topic::QUEUE_PREFIX).unwrap_or(topic);
        topic::check_name(name, cx.peer.options.limits.topic_levels_max)?;
        let key = Bytes::from(topic::swap(topic.as_bytes()));
        self.last = Some((Bytes::copy_from_slice(topic.as_bytes()), key.clone()));
        Ok(key)
    }

    /// A QoS 2 message whose packet id is still held is not published again ([MQTT-4.3.3-10]).
    fn is_duplicate(&self, cx: &mut Context<'_>, packet_id: u16) -> Result<bool, Fault> {
        match self.held.get(&packet_id) {
            None => return Ok(false),
            Some(Held::Published) => {}
            Some(Held::Received { .. }) => put_ack(cx, Kind::PubRec, packet_id, Reason::SUCCESS),
            Some(Held::Released { .. }) => {
                return Err(Fault::protocol("packet id used again before PUBCOMP [MQTT-2.2.1-3]"));
            }
        }
        Ok(true)
    }

    /// The confirm number of a message that is to be acknowledged, if there is room for it ([MQTT-3.3.4-9]).
    fn admit(&mut self, cx: &Context<'_>, publish: &Publish<'_>) -> Result<Option<u64>, Fault> {
        if publish.qos == Qos::AtMostOnce {
            return Ok(None);
        }
        let in_flight = self.at_least_once_count + self.exactly_once_count;
        if cx.peer.version.is_v5() && in_flight >= usize::from(cx.peer.options.receive_maximum.max(1)) {
            return Err(Fault::new(Reason::RECEIVE_MAXIMUM_EXCEEDED, "receive maximum [MQTT-3.3.4-9]"));
        }
        match publish.qos {
            Qos::ExactlyOnce => {
                self.held.insert(publish.packet_id, Held::Published);
                self.exactly_once_count += 1;
            }
            _ => self.at_least_once_count += 1,
        }
        let (packet_id, qos) = (publish.packet_id, publish.qos);
        self.pending.push_back(Pending { packet_id, qos, reason: Reason::SUCCESS, is_done: false });
        self.next_confirm += 1;
        Ok(Some(self.next_confirm - 1))
    }

    /// Takes a PUBREL: the packet id may be used anew once that is durable, else a new message would look like an old one. An
    /// earlier connection may have released it, and that may not be durable either.
    pub fn release(&mut self, cx: &mut Context<'_>, packet_id: u16) -> Result<(), Fault> {
        let (counts, reason) = match self.held.get(&packet_id) {
            Some(Held::Published) => return Err(Fault::protocol("PUBREL before PUBREC")),
            Some(Held::Released { .. }) => return Ok(()),
            Some(&Held::Received { counts }) => (counts, Reason::SUCCESS),
            None => (false, Reason::PACKET_ID_NOT_FOUND),
        };
        self.held.insert(packet_id, Held::Released { counts });
        if cx.peer.is_persistent {
            let release = |request| Command::ReleasePublication { request, id: packet_id };
            cx.ask(Asked::Completed { packet_id, reason }, release);
        } else {
            self.completed(cx, packet_id, reason);
        }
        Ok(())
    }

    /// The packet id is forgotten.
    pub fn completed(&mut self, cx: &mut Context<'_>, packet_id: u16, reason: Reason) {
        if let Some(Held::Released { counts: true }) = self.held.remove(&packet_id) {
            self.exactly_once_count -= 1;
        }
        put_ack(cx, Kind::PubComp, packet_id, reason);
    }

    /// What must hold between two calls.
    pub fn check_invariants(&self) {
        let count = |qos| self.pending.iter().filter(|pending| pending.qos == qos).count();
        debug_assert_eq!(count(Qos::AtLeastOnce), self.at_least_once_count);
        debug_assert!((count(Qos::ExactlyOnce)..=self.held.len()).contains(&self.exactly_once_count));
        let holds = |pending: &Pending| self.held.get(&pending.packet_id) == Some(&Held::Published);
        let mut exactly_once = self.pending.iter().filter(|pending| pending.qos == Qos::ExactlyOnce);
        debug_assert!(exactly_once.all(holds), "every QoS 2 message on its way holds its packet id");
        debug_assert!(self.pending.front().is_none_or(|pending| !pending.is_done), "what is done is acknowledged");
    }

    fn find(&mut self, confirm: u64) -> Option<&mut Pending> {
        let first = self.next_confirm - self.pending.len() as u64;
        self.pending.get_mut(usize::try_from(confirm.checked_sub(first)?).ok()?)
    }

    /// No queue took the message; its confirm follows.
    pub fn unroutable(&mut self, confirm: u64) {
        if let Some(pending) = self.find(confirm) {
            pending.reason = Reason::NO_MATCHING_SUBSCRIBERS;
        }
    }

    /// Messages are safe, and so are the packet ids of QoS 2 messages of a session that stays.
    pub fn confirmed(&mut self, cx: &mut Context<'_>, confirms: &[u64]) {
        for &confirm in confirms {
            // What a queue refused stays refused, whatever other queues say.
            if let Some(pending) = self.find(confirm) {
                pending.is_done = true;
            }
        }
        self.acknowledge(cx);
    }

    /// A message was not taken. Older versions have no words for that but to close ([MQTT-3.3.5-2]).
    pub fn failed(&mut self, cx: &mut Context<'_>, confirm: Option<u64>, reason: Reason) -> Result<(), Fault> {
        let Some(confirm) = confirm.filter(|_| cx.peer.version.is_v5()) else {
            return Err(Fault::new(reason, "message refused [MQTT-3.3.5-2]"));
        };
        // Another queue may have refused it before: the first answer counts.
        if let Some(pending) = self.find(confirm).filter(|pending| !pending.is_done) {
            pending.reason = reason;
            pending.is_done = true;
            self.acknowledge(cx);
        }
        Ok(())
    }

    /// Acknowledges what is done, in the order of arrival.
    fn acknowledge(&mut self, cx: &mut Context<'_>) {
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.is_done) {
            let Pending { packet_id, qos, reason, .. } = pending;
            if qos == Qos::AtLeastOnce {
                self.at_least_once_count -= 1;
                put_ack(cx, Kind::PubAck, packet_id, reason);
                continue;
            }
            put_ack(cx, Kind::PubRec, packet_id, reason);
            if reason.is_failure() {
                self.held.remove(&packet_id);
                self.exactly_once_count -= 1;
            } else {
                self.held.insert(packet_id, Held::Received { counts: true });
            }
        }
    }
}

/// What a client was told at CONNECT that it may not ([MQTT-3.2.2-11], [MQTT-3.2.2-14] of 5).
fn check_offer(offer: &Offer, publish: &Publish<'_>) -> Result<(), Fault> {
    if publish.qos > offer.qos_max {
        return Err(Fault::new(Reason::QOS_NOT_SUPPORTED, "QoS beyond mqtt.qos_max [MQTT-3.2.2-11]"));
    }
    if publish.retain && !offer.retain {
        return Err(Fault::new(Reason::RETAIN_NOT_SUPPORTED, "RETAIN, and mqtt.retain is off [MQTT-3.2.2-14]"));
    }
    Ok(())
}

/// The code for a publish that the core refused.
pub(crate) fn refused(refusal: &Refusal) -> Reason {
    match Reason::from(refusal) {
        Reason::SERVER_UNAVAILABLE => Reason::UNSPECIFIED,
        reason => reason,
    }
}

/// Writes an acknowledgement.
pub(crate) fn put_ack(cx: &mut Context<'_>, kind: Kind, packet_id: u16, reason: Reason) {
    let version = cx.peer.version;
    Ack { packet_id, reason }.put(cx.buffer(), kind, version);
}

/// The message. Only what is small and has no rare facts may use an earlier one's memory again.
fn message(
    cx: &Context<'_>,
    publish: &Publish<'_>,
    frame: &Frame<'_>,
    routing_key: Bytes,
    names_session: bool,
) -> Result<Arc<Message>, Fault> {
    let properties = convert::stored(publish.qos, publish.retain, publish.properties);
    let (durable, ttl_ms) = (publish.qos != Qos::AtMostOnce, expiry_ms(publish)?);
    let (default, queue) = (Name::default(), topic::queue_of_key(&routing_key));
    let exchange = if queue.is_some() { &default } else { &cx.peer.options.exchange };
    let routing_key = queue.unwrap_or(routing_key);
    if frame.shared.is_none() && publish.qos != Qos::ExactlyOnce && !names_session {
        let arrived = Arrived {
            format: &FORMAT,
            exchange,
            routing_key: &routing_key,
            properties: &properties,
            body: publish.payload,
            durable,
            priority: 0,
            ttl_ms,
            user: &cx.peer.user,
            received_at: cx.now.unix,
        };
        return Ok(arrived.to_message());
    }
    let mut message = Message::new(&FORMAT, exchange.clone(), routing_key, properties, frame.keep(publish.payload));
    message.durable = durable;
    message.user = cx.peer.user.clone();
    message.received_at = cx.now.unix;
    message.ttl_ms = ttl_ms;
    if names_session {
        message.rare_mut().session = Some(cx.peer.client_id.clone());
    }
    Ok(Arc::new(message))
}

/// The message expiry; and what else of the properties has to be right ([MQTT-3.3.2-14], section 3.3.2.3.2).
fn expiry_ms(publish: &Publish<'_>) -> Result<Option<u64>, Fault> {
    let mut expiry_ms = None;
    for property in publish.properties.iter() {
        match property {
            Property::MessageExpiry(seconds) => expiry_ms = Some(u64::from(seconds) * 1_000),
            other => check_content(other, publish.payload)?,
        }
    }
    Ok(expiry_ms)
}

/// The properties that a message and a will have in common.
pub(crate) fn check_content(property: Property<'_>, payload: &[u8]) -> Result<(), Fault> {
    match property {
        Property::ResponseTopic(topic) if !topic::is_name(topic) => {
            Err(Fault::protocol("response topic with wildcards or empty [MQTT-3.3.2-14]"))
        }
        Property::PayloadFormat(1) if std::str::from_utf8(payload).is_err() => {
            Err(Fault::new(Reason::PAYLOAD_FORMAT_INVALID, "payload is not UTF-8, as its format says"))
        }
        _ => Ok(()),
    }
}
