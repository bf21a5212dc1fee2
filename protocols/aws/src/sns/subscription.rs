//! A subscription as it is kept with its binding.

use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, Definition, Destination, ExchangeInfo, Kept};
use crossdock_common::event::Reply;
use crossdock_common::value::lookup;
use crossdock_common::{Filter, Name, Refusal, Sight, Table, Text, UnixMillis, Value};

use super::filter::{FilterPolicy, Scope};
use super::kept;
use super::protocol::{Protocol, without_password};
use super::replay::{self, Replay};
use crate::arn::Place;
use crate::call::Job;
use crate::digest::uuid_text;
use crate::error::Failure;

/// The entry of a binding's attributes that makes it a subscription.
const KEPT: &str = "sns-subscription";
/// Parts of it.
const FILTER: &str = "filter";
const SCOPE: &str = "scope";
const PROTOCOL: &str = "protocol";
const REGION: &str = "region";
const PENDING_SINCE: &str = "pending-since-ms";
const UNAUTHENTICATED: &str = "unauthenticated";
const LOCKED: &str = "locked";
const DELIVERY_POLICY: &str = "delivery-policy";
const REDRIVE_POLICY: &str = "redrive-policy";
const ROLE: &str = "role";
const OWNER: &str = "owner";
const IS_REPLAY: &str = "is-replay";
/// What the keys of subscriptions' other bindings begin with.
const REPLAY_KEY: &str = "aws.sns.replay.";
/// Tells a subscription from another protocol's binding between the same two. Exchanges of type headers pass over arguments
/// that begin with `x-`.
const MARK: &str = "x-crossdock-sns";
/// What the names of queues begin with from which messages go out. SQS cannot say them.
pub(super) const HIDDEN: &str = "aws.sns.";

/// A topic's messages go to a queue, and from a hidden one to an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subscription {
    pub topic: Name,
    /// The subscriber's, if it is here; else hidden.
    pub queue: Name,
    pub protocol: Protocol,
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
    /// What comes again of the topic's archive.
    pub replay: Option<Replay>,
    /// It is the other binding of a subscription, through which that comes.
    pub is_replay: bool,
    pub outward: Outward,
    /// What is kept of it, where it was read to be changed.
    pub known: Option<Table>,
}

/// What only subscriptions to something else than a queue have, and what queues' have without effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outward {
    /// The region that the subscriber signed for; empty for queues.
    pub region: String,
    /// The account that has subscribed, where it is not the topic's.
    pub owner: Option<String>,
    /// When a confirmation was asked for first, as long as there is none.
    pub pending_since: Option<UnixMillis>,
    /// Nobody signed for the confirmation.
    pub unauthenticated: bool,
    /// Only who signs for it may unsubscribe (AuthenticateOnUnsubscribe).
    pub locked: bool,
    pub delivery_policy: Option<String>,
    pub redrive_policy: Option<String>,
    pub role: Option<String>,
}

impl Outward {
    fn read(kept: &Table) -> Self {
        let text = |name: &str| Some(lookup(kept, name)?.as_str()?.to_owned());
        let is = |name: &str| lookup(kept, name).and_then(Value::as_bool).unwrap_or(false);
        let since = lookup(kept, PENDING_SINCE).and_then(Value::as_i64);
        Self {
            region: text(REGION).unwrap_or_default(),
            owner: text(OWNER),
            pending_since: since.map(|ms| UnixMillis(ms.unsigned_abs())),
            unauthenticated: is(UNAUTHENTICATED),
            locked: is(LOCKED),
            delivery_policy: text(DELIVERY_POLICY),
            redrive_policy: text(REDRIVE_POLICY),
            role: text(ROLE),
        }
    }

    fn write(&self, kept: &mut Table) {
        let texts = [
            (REGION, Some(&self.region).filter(|region| !region.is_empty())),
            (OWNER, self.owner.as_ref()),
            (DELIVERY_POLICY, self.delivery_policy.as_ref()),
            (REDRIVE_POLICY, self.redrive_policy.as_ref()),
            (ROLE, self.role.as_ref()),
        ];
        let text = |(name, text): (&'static str, Option<&String>)| Some((name, Value::string(text?.as_str())));
        let since = self.pending_since.map(|since| Value::I64(i64::try_from(since.0).unwrap_or(i64::MAX)));
        let flags = [(UNAUTHENTICATED, self.unauthenticated), (LOCKED, self.locked)];
        let entries = texts.into_iter().filter_map(text);
        let entries = entries.chain(since.map(|since| (PENDING_SINCE, since)));
        let entries = entries.chain(flags.into_iter().filter(|(_, is)| *is).map(|(name, _)| (name, Value::Bool(true))));
        kept.extend(entries.map(|(name, value)| (Text::from_static(name), value)));
    }
}

/// Lets nothing through: nobody has confirmed the subscription, or its messages come from the archive.
#[derive(Debug)]
struct Nothing;

impl Filter for Nothing {
    fn matches(&self, _: &mut Sight<'_>) -> bool {
        false
    }
}

/// The filter that a subscription keeps with its binding.
pub(crate) fn filter_of(attributes: &Table) -> Option<Box<dyn Filter>> {
    let Some(Value::Map(kept)) = lookup(attributes, KEPT) else { return None };
    let is_closed = || Replay::read(kept).is_some_and(|replay| replay.is_in_the_way());
    if lookup(kept, PENDING_SINCE).is_some() || (lookup(kept, IS_REPLAY).is_none() && is_closed()) {
        return Some(Box::new(Nothing));
    }
    let text = |name: &str| lookup(kept, name)?.as_str();
    let scope = text(SCOPE).and_then(Scope::from_word).unwrap_or_default();
    // It was read before it was kept.
    let policy = FilterPolicy::parse(text(FILTER)?, scope).ok()?;
    Some(Box::new(policy))
}

impl Subscription {
    /// One that nobody has said anything of yet, and that has no queue.
    pub(super) fn new(job: &Job, topic: &ExchangeInfo, protocol: Protocol, endpoint: &str) -> Self {
        Self {
            topic: topic.spec.name.clone(),
            queue: Name::default(),
            protocol,
            key: Self::key_for(topic),
            id: uuid_text(job.desk.uuid()),
            subscriber: job.user.to_string(),
            endpoint: endpoint.to_owned(),
            raw: false,
            filter: None,
            scope: Scope::default(),
            replay: None,
            is_replay: false,
            outward: Outward::default(),
            known: None,
        }
    }

    /// The key that lets everything through an exchange of that type.
    fn key_for(topic: &ExchangeInfo) -> Bytes {
        Bytes::from_static(if topic.spec.kind.as_str() == "topic" { b"#" } else { b"" })
    }

    pub(crate) fn of_binding(binding: &BindingSpec) -> Option<Self> {
        let Some(Value::Map(kept)) = lookup(&binding.attributes, KEPT) else { return None };
        let Destination::Queue(queue) = &binding.destination else { return None };
        let text = |name: &str| Some(lookup(kept, name)?.as_str()?.to_owned());
        Some(Self {
            topic: binding.source.clone(),
            queue: queue.clone(),
            protocol: lookup(kept, PROTOCOL)
                .and_then(Value::as_str)
                .map_or(Some(Protocol::Sqs), Protocol::from_word)?,
            key: binding.key.clone(),
            id: text("id")?,
            subscriber: text("subscriber")?,
            endpoint: text("endpoint")?,
            raw: lookup(kept, "raw")?.as_bool()?,
            filter: text(FILTER),
            scope: text(SCOPE).as_deref().and_then(Scope::from_word).unwrap_or_default(),
            replay: Replay::read(kept),
            is_replay: lookup(kept, IS_REPLAY).is_some(),
            outward: Outward::read(kept),
            known: None,
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
        if self.protocol != Protocol::Sqs {
            kept.push((Text::from_static(PROTOCOL), Value::string(self.protocol.word())));
        }
        self.outward.write(&mut kept);
        if let Some(replay) = &self.replay {
            replay.write(&mut kept);
        }
        if self.is_replay {
            kept.push((Text::from_static(IS_REPLAY), Value::Bool(true)));
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

    /// The subscriptions of one topic or of all that are where the request is about.
    pub(super) async fn list(job: &Job, source: Option<Name>) -> Result<Vec<Self>, Failure> {
        match job.desk.define(Definition::ListBindings { source }).await.map_err(Failure::of_topic)? {
            Reply::Bindings(bindings) => {
                let read = |binding: BindingSpec| {
                    let subscription = Self::of_binding(&binding)?;
                    Some(Self { known: Some(binding.attributes), ..subscription })
                };
                Ok(bindings.into_iter().filter_map(read).filter(|one| !one.is_replay).collect())
            }
            _ => Err(Failure::Internal),
        }
    }

    /// All subscriptions to topics of the account that the request is about. Who comes from another one may not list them himself.
    pub(super) async fn all(job: &Job) -> Result<Vec<Self>, Failure> {
        match job.environment.directory.as_ref().filter(|_| job.is_foreign()) {
            Some(directory) => {
                let bindings = directory.bindings(&job.environment.namespace.vhost, None);
                let all = bindings.iter().filter_map(|binding| Self::of_binding(binding));
                Ok(all.filter(|one| !one.is_replay).collect())
            }
            None => Self::list(job, None).await,
        }
    }

    /// Makes it, or changes it if it is still as it was read.
    pub(super) async fn save(&self, job: &Job) -> Result<(), Failure> {
        if self.replay.is_some() {
            let binding = self.for_replays().to_binding();
            job.desk.define(Definition::Bind(binding)).await.map(drop).map_err(Failure::of_topic)?;
        }
        let change = Definition::Bind(self.to_binding());
        job.desk.define_if(self.kept(), Some(change)).await.map(drop).map_err(Failure::of_topic)?;
        job.environment.subscriptions_changed();
        Ok(())
    }

    /// Waits until it is durable: it may be another request's. Who asks for what is there needs the rights to make it.
    pub(super) async fn confirm(&self, job: &Job) -> Result<(), Failure> {
        let change = Definition::Bind(self.to_binding());
        job.desk.define_if(self.kept(), Some(change)).await.map(drop).map_err(Failure::of_topic)
    }

    fn kept(&self) -> Kept {
        Kept::Binding { binding: self.to_binding(), attributes: self.known.clone() }
    }

    pub(super) async fn remove(&self, job: &Job) -> Result<(), Failure> {
        job.desk.define(Definition::Unbind(self.to_binding())).await.map(drop).map_err(Failure::of_topic)?;
        if self.topic.ends_with(".fifo") {
            self.remove_replay(job).await?;
        }
        self.remove_hidden(job).await
    }

    /// The other binding goes with a hidden queue by itself, and another account cannot forget how far a replay is: the replayer does.
    async fn remove_replay(&self, job: &Job) -> Result<(), Failure> {
        if !self.has_hidden_queue() {
            let binding = self.for_replays().to_binding();
            job.desk.define(Definition::Unbind(binding)).await.map(drop).map_err(Failure::of_topic)?;
        }
        match job.is_foreign() {
            true => Ok(()),
            false => kept::forget(job, &replay::document_of(&self.id)).await,
        }
    }

    /// Its messages go out from a queue of its own: to something else than a queue, or to one of another account or region.
    pub(super) fn has_hidden_queue(&self) -> bool {
        self.queue.starts_with(HIDDEN)
    }

    /// The key by which only this subscription gets what is published.
    pub(super) fn replay_key(&self) -> Bytes {
        Bytes::from(format!("{REPLAY_KEY}{}", self.id))
    }

    /// The other binding. It stays as long as the subscription does, as messages may be in the queue that came through it.
    fn for_replays(&self) -> Self {
        Self { key: self.replay_key(), is_replay: true, replay: None, ..self.clone() }
    }

    /// The queue from which messages went out goes with the subscription.
    pub(super) async fn remove_hidden(&self, job: &Job) -> Result<(), Failure> {
        if !self.has_hidden_queue() {
            return Ok(());
        }
        let deletion = Definition::DeleteQueue { name: self.queue.clone(), if_unused: false, if_empty: false };
        match job.desk.define(deletion).await {
            Ok(_) | Err(Refusal::NotFound { .. }) => {}
            Err(refusal) => return Err(Failure::of_topic(refusal)),
        }
        job.environment.subscriptions_changed();
        Ok(())
    }

    /// Where it is: a queue's subscription is where its caller is.
    pub(crate) fn place(&self, job: &Job) -> Place {
        self.place_in(&job.place)
    }

    pub(super) fn place_in(&self, place: &Place) -> Place {
        let region = Some(&self.outward.region).filter(|region| !region.is_empty()).unwrap_or(&place.region);
        Place { region: region.clone(), ..place.clone() }
    }

    pub(crate) fn arn(&self, job: &Job) -> String {
        self.place(job).subscription_arn(&self.topic, &self.id)
    }

    /// The endpoint without its password, which only deliveries need.
    pub(super) fn shown_endpoint(&self) -> String {
        if self.protocol.is_http() { without_password(&self.endpoint) } else { self.endpoint.clone() }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.outward.pending_since.is_some()
    }
}
