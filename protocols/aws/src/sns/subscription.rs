//! A subscription as it is kept with its binding.

use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, Definition, Destination, ExchangeInfo};
use crossdock_common::event::Reply;
use crossdock_common::value::lookup;
use crossdock_common::{Filter, Name, Table, Text, Value};

use super::filter::{FilterPolicy, Scope};
use crate::call::Job;
use crate::error::Failure;

/// The entry of a binding's attributes that makes it a subscription.
const KEPT: &str = "sns-subscription";
/// Parts of it.
const FILTER: &str = "filter";
const SCOPE: &str = "scope";
/// Tells a subscription from another protocol's binding between the same two. Exchanges of type headers pass over arguments
/// that begin with `x-`.
const MARK: &str = "x-crossdock-sns";

/// A topic's messages go to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub topic: Name,
    pub queue: Name,
    pub key: Bytes,
    pub id: String,
    /// The user who subscribed.
    pub subscriber: String,
    /// The ARN as the subscriber wrote it.
    pub endpoint: String,
    /// Without the JSON around it.
    pub raw: bool,
    /// Only these messages.
    pub filter: Option<String>,
    pub scope: Scope,
}

/// The filter that a subscription keeps with its binding.
pub(crate) fn filter_of(attributes: &Table) -> Option<Box<dyn Filter>> {
    let Some(Value::Map(kept)) = lookup(attributes, KEPT) else { return None };
    let text = |name: &str| lookup(kept, name)?.as_str();
    let scope = text(SCOPE).and_then(Scope::from_word).unwrap_or_default();
    // It was read before it was kept.
    let policy = FilterPolicy::parse(text(FILTER)?, scope).ok()?;
    Some(Box::new(policy))
}

impl Subscription {
    /// The key that lets everything through an exchange of that type.
    pub(super) fn key_for(topic: &ExchangeInfo) -> Bytes {
        Bytes::from_static(if topic.spec.kind.as_str() == "topic" { b"#" } else { b"" })
    }

    pub(crate) fn of_binding(binding: &BindingSpec) -> Option<Self> {
        let Some(Value::Map(kept)) = lookup(&binding.attributes, KEPT) else { return None };
        let Destination::Queue(queue) = &binding.destination else { return None };
        let text = |name: &str| Some(lookup(kept, name)?.as_str()?.to_owned());
        Some(Self {
            topic: binding.source.clone(),
            queue: queue.clone(),
            key: binding.key.clone(),
            id: text("id")?,
            subscriber: text("subscriber")?,
            endpoint: text("endpoint")?,
            raw: lookup(kept, "raw")?.as_bool()?,
            filter: text(FILTER),
            scope: text(SCOPE).as_deref().and_then(Scope::from_word).unwrap_or_default(),
        })
    }

    pub(super) fn to_binding(&self) -> BindingSpec {
        let text = |text: &String| Value::string(text.as_str());
        let kept = [
            ("id", text(&self.id)),
            ("subscriber", text(&self.subscriber)),
            ("endpoint", text(&self.endpoint)),
            ("raw", Value::Bool(self.raw)),
        ];
        let mut kept = kept.map(|(name, value)| (Text::from_static(name), value)).to_vec();
        kept.extend(self.filter.iter().map(|policy| (Text::from_static(FILTER), text(policy))));
        if self.scope != Scope::default() {
            kept.push((Text::from_static(SCOPE), Value::string(self.scope.word())));
        }
        BindingSpec {
            source: self.topic.clone(),
            destination: Destination::Queue(self.queue.clone()),
            key: self.key.clone(),
            arguments: vec![(Text::from_static(MARK), Value::Bool(true))],
            announced: true,
            attributes: vec![(Text::from_static(KEPT), Value::Map(kept))],
        }
    }

    /// The subscriptions of a topic, oldest first.
    pub(super) async fn of_topic(job: &Job, topic: &Name) -> Result<Vec<Self>, Failure> {
        Self::list(job, Some(topic.clone())).await
    }

    /// The subscriptions of one topic or of all.
    pub(super) async fn list(job: &Job, source: Option<Name>) -> Result<Vec<Self>, Failure> {
        match job.desk.define(Definition::ListBindings { source }).await.map_err(Failure::of_topic)? {
            Reply::Bindings(bindings) => Ok(bindings.iter().filter_map(Self::of_binding).collect()),
            _ => Err(Failure::Internal),
        }
    }

    pub(super) async fn save(&self, job: &Job) -> Result<(), Failure> {
        job.desk.define(Definition::Bind(self.to_binding())).await.map(drop).map_err(Failure::of_topic)
    }

    pub(super) async fn remove(&self, job: &Job) -> Result<(), Failure> {
        job.desk.define(Definition::Unbind(self.to_binding())).await.map(drop).map_err(Failure::of_topic)
    }

    pub(crate) fn arn(&self, job: &Job) -> String {
        job.place.subscription_arn(&self.topic, &self.id)
    }
}
