//! A replay as the broker carries it out.

use bytes::Bytes;
use crossdock_common::definition::BindingSpec;
use crossdock_common::message::Deduplication;
use crossdock_common::{Message, Name, Text, UnixMillis};

use super::super::subscription::Subscription;
use super::super::{archive, kept};
use super::{Replay, Status, Window, document_of, read};
use crate::convert::FORMAT;
use crate::convert::properties::Properties;
use crate::digest::uuid_text;

/// A replay that is to be carried out.
#[derive(Clone, Debug)]
pub struct ReplayTask {
    subscription: Subscription,
    replay: Replay,
    window: Window,
}

impl ReplayTask {
    /// What is to be done for a subscription, if its replay is not over. Nothing comes before it is confirmed.
    pub fn of(binding: &BindingSpec) -> Option<Self> {
        let subscription = Subscription::of_binding(binding).filter(|one| !one.is_replay && !one.is_pending())?;
        let replay = subscription.replay.clone().filter(|replay| !replay.status.is_over())?;
        let window = read(&replay.policy).ok().flatten()?;
        Some(Self { subscription, replay, window })
    }

    /// What tells the replay from others.
    pub fn id(&self) -> &str {
        &self.replay.id
    }

    /// Whether the binding stands for the same subscription, whatever it wants replayed now.
    pub fn is_of(&self, binding: &BindingSpec) -> bool {
        Subscription::of_binding(binding).is_some_and(|one| one.id == self.subscription.id)
    }

    /// How far it has got.
    pub fn status(&self) -> Status {
        self.replay.status
    }

    /// The topic.
    pub fn topic(&self) -> &Name {
        &self.subscription.topic
    }

    /// The stream that messages come from.
    pub fn archive(&self) -> Name {
        archive::queue_of(&self.subscription.topic)
    }

    /// Messages from then on.
    pub fn start(&self) -> UnixMillis {
        self.window.start
    }

    /// Messages up to then, if there is an end.
    pub fn end(&self) -> Option<UnixMillis> {
        self.window.end
    }

    /// The document that says how far it has got.
    pub fn document(&self) -> Name {
        kept::name(&document_of(&self.subscription.id))
    }

    /// The subscription's binding with another status.
    pub fn with_status(&self, status: Status) -> BindingSpec {
        let replay = Replay { status, ..self.replay.clone() };
        Subscription { replay: Some(replay), ..self.subscription.clone() }.to_binding()
    }

    /// What the subscription gets of a message of the archive. In a FIFO queue a replayed message is not the one that came before, and
    /// the same replay does not bring it twice; while the replay catches up it is.
    pub fn copy(&self, message: &Message) -> Option<Message> {
        let is_in_time = message.received_at >= self.window.start;
        let is_in_time = is_in_time && self.window.end.is_none_or(|end| message.received_at <= end);
        let properties = Properties::decode(&message.properties);
        if !is_in_time || properties.control.is_some() {
            return None;
        }
        let (format, exchange) = (message.format, self.subscription.topic.clone());
        let (key, body) = (self.subscription.replay_key(), message.body.clone());
        let mut copy = Message::new(format, exchange, key, message.properties.clone(), body);
        (copy.durable, copy.priority, copy.ttl_ms) = (message.durable, message.priority, message.ttl_ms);
        (copy.user, copy.received_at) = (message.user.clone(), message.received_at);
        copy.rare.clone_from(&message.rare);
        if self.replay.status != Status::CatchingUp {
            let message_id = properties.message_id;
            let id = Text::from(format!("{}:{}", self.replay.id, uuid_text(message_id)));
            copy.rare_mut().deduplication = Some(Deduplication { id, message_id });
        }
        Some(copy)
    }

    /// A message for the archive by which the replay sees how far it has read.
    pub fn mark(&self, number: u64, now: UnixMillis) -> Message {
        let control = Some(Text::from(self.mark_text(number)));
        let properties = Properties { control, ..Properties::default() };
        let key = Bytes::copy_from_slice(self.archive().as_bytes());
        let mut mark = Message::new(&FORMAT, Name::default(), key, properties.encode(), Bytes::new());
        (mark.durable, mark.received_at) = (true, now);
        mark
    }

    /// Whether that is the mark of this number.
    pub fn is_mark(&self, message: &Message, number: u64) -> bool {
        Properties::decode(&message.properties).control.is_some_and(|text| *text == *self.mark_text(number))
    }

    fn mark_text(&self, number: u64) -> String {
        format!("replay {} {number}", self.replay.id)
    }
}
