//! Which subscriptions a client has, by the id it chose and by the core's number.

use std::collections::HashMap;
use std::sync::Arc;

use crossdock_common::{ConsumerId, Name, Text};
use smallvec::SmallVec;

use crate::error::{Fault, quote};
use crate::frame::{Headers, Version};
use crate::session::plan::Plan;
use crate::session::send::TEMP_QUEUE;
use crate::session::template::Template;

/// How a subscription's deliveries are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckMode {
    /// They count as accepted when they are sent.
    Auto,
    /// ACK and NACK mean that delivery and all before it.
    Client,
    /// ACK and NACK mean that delivery.
    Individual,
}

impl AckMode {
    pub(super) fn parse(headers: &Headers) -> Result<Self, Fault> {
        match headers.get("ack").as_deref() {
            None | Some("auto") => Ok(Self::Auto),
            Some("client") => Ok(Self::Client),
            Some("client-individual") => Ok(Self::Individual),
            Some(other) => {
                let detail = format!("ack '{}' is not one of auto, client and client-individual", quote(other));
                Err(Fault::violation("Invalid header", detail))
            }
        }
    }
}

/// A subscription's name: RabbitMQ's consumer tag, which `message-id` begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tag(pub(super) Text);

impl Tag {
    /// From the `id`; 1.0 clients may have none and mean the destination.
    pub(super) fn parse(headers: &Headers, version: Version, verb: &str) -> Result<Self, Fault> {
        if let Some(id) = headers.get("id") {
            if id.starts_with(TEMP_QUEUE) {
                return Err(Fault::violation("Invalid id", format!("{verb} 'id' may not start with {TEMP_QUEUE}")));
            }
            return Ok(Self::of_id(&id));
        }
        if version > Version::V1_0 && headers.get("destination").is_some() {
            return Err(Fault::missing("Missing header", verb, "id"));
        }
        match headers.get("destination") {
            Some(destination) => Ok(Self(Text::from(format!("Q_{destination}")))),
            None => {
                let detail = format!("{verb} must include a 'destination' or 'id' header");
                Err(Fault::violation("Missing destination or id", detail))
            }
        }
    }

    pub(super) fn of_id(id: &str) -> Self {
        Self(Text::from(format!("T_{id}")))
    }

    /// The `subscription` header of its messages, if the client chose an id.
    pub(super) fn id(&self) -> Option<&str> {
        self.0.strip_prefix("T_")
    }

    /// As RabbitMQ describes it to people.
    pub(super) fn describe(&self) -> String {
        match self.id() {
            Some(id) => format!("id='{}'", quote(id)),
            None => format!("destination='{}'", quote(self.0.trim_start_matches("Q_"))),
        }
    }
}

/// What a subscription is to its queue.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// It consumes from it.
    Consumer,
    /// The same, and it is a durable subscription to a topic: its queue goes when the client says so.
    Durable,
    /// It shows what the queue has, and takes nothing.
    Browser,
    /// It has none: it finds queues by a pattern, for each of which there is a subscription after this plan.
    Follower(Arc<Plan>),
    /// It consumes from a queue that a follower has found.
    Found,
}

impl Part {
    /// It is one of its queue's consumers.
    pub(super) fn consumes(&self) -> bool {
        matches!(self, Self::Consumer | Self::Durable | Self::Found)
    }
}

/// One subscription.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) tag: Tag,
    pub(super) mode: AckMode,
    pub(super) queue: Name,
    /// Deliveries that the client may have unacknowledged; 0 for any number.
    pub(super) window: u32,
    pub(super) part: Part,
    /// How its last message began.
    pub(super) template: Option<Template>,
}

/// All subscriptions of a connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    last: u64,
    /// A subscription to several destinations has a consumer for each.
    by_tag: HashMap<Tag, SmallVec<[ConsumerId; 1]>>,
    by_consumer: HashMap<ConsumerId, Subscription>,
}

impl Subscriptions {
    /// Consumers, also those that are about to end.
    pub(super) fn len(&self) -> usize {
        self.by_consumer.len()
    }

    pub(super) fn contains(&self, tag: &Tag) -> bool {
        self.by_tag.contains_key(tag)
    }

    pub(super) fn add(&mut self, subscription: Subscription) -> ConsumerId {
        self.last += 1;
        let consumer = ConsumerId(self.last);
        self.by_tag.entry(subscription.tag.clone()).or_default().push(consumer);
        self.by_consumer.insert(consumer, subscription);
        consumer
    }

    /// Frees the id; deliveries on their way still find the subscription until [`forget`](Self::forget).
    pub(super) fn end(&mut self, tag: &Tag) -> Vec<(ConsumerId, Subscription)> {
        let consumers = self.by_tag.remove(tag).unwrap_or_default();
        let subscription = |consumer| Some((consumer, self.by_consumer.get(&consumer)?.clone()));
        consumers.into_iter().filter_map(subscription).collect()
    }

    pub(super) fn forget(&mut self, consumer: ConsumerId) -> Option<Subscription> {
        let subscription = self.by_consumer.remove(&consumer)?;
        if let Some(consumers) = self.by_tag.get_mut(&subscription.tag) {
            consumers.retain(|other| *other != consumer);
            if consumers.is_empty() {
                self.by_tag.remove(&subscription.tag);
            }
        }
        Some(subscription)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ConsumerId, &Subscription)> {
        self.by_consumer.iter()
    }

    /// Nothing of it can be acknowledged.
    pub(super) fn is_browser(&self, tag: &Tag) -> bool {
        let consumers = self.by_tag.get(tag).into_iter().flatten();
        consumers
            .filter_map(|consumer| self.by_consumer.get(consumer))
            .any(|subscription| matches!(subscription.part, Part::Browser))
    }

    pub(super) fn of_mut(&mut self, consumer: ConsumerId) -> Option<&mut Subscription> {
        self.by_consumer.get_mut(&consumer)
    }
}
