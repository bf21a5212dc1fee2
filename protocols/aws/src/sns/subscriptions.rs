//! Subscribe, Unsubscribe, lists, GetSubscriptionAttributes, SetSubscriptionAttributes.

mod given;
mod limits;
mod lists;

use crossdock_common::Name;
use crossdock_common::definition::{Definition, ExchangeInfo, QueueSettings, QueueSpec};

use super::confirmation::{self, PENDING};
use super::delivery_policy::DeliveryPolicy;
use super::fifo;
use super::protocol::{Protocol, address_of};
use super::replay;
use super::subscription::{HIDDEN, Outward, Subscription};
use super::topics::{self, permitted};
use super::{redrive, view};
use crate::access;
use crate::arn::any_queue;
use crate::call::Job;
use crate::error::Failure;
use crate::wire::{Service, Shape};
use given::{Given, given};
pub(super) use limits::check_large;
use limits::check_limits;
pub(super) use lists::list;

const SETTABLE: [&str; 7] = [
    "RawMessageDelivery",
    "FilterPolicy",
    "FilterPolicyScope",
    "DeliveryPolicy",
    "RedrivePolicy",
    "SubscriptionRoleArn",
    replay::NAME,
];

const DIFFERENT: &str = "Subscription already exists with different attributes";

pub(super) async fn subscribe(job: &Job) -> Result<Shape, Failure> {
    let topic = job.place.topic_of(view(job).text("TopicArn")?.unwrap_or_default(), "TopicArn")?;
    let word = view(job).text("Protocol")?.unwrap_or_default();
    let Some(protocol) = Protocol::from_word(word) else {
        return Err(Failure::SnsInvalid(format!("Amazon SNS does not support this protocol string: {word}")));
    };
    let endpoint = view(job).text("Endpoint")?.unwrap_or_default();
    if protocol == Protocol::Sqs {
        check_queue(topic, endpoint)?;
    }
    let is_here = protocol == Protocol::Sqs && !job.is_foreign();
    let Some(queue) = job.place.queue_of(endpoint).filter(|_| is_here) else {
        return subscribe_outwards(job, topic, protocol, endpoint).await;
    };
    let given = given(job)?;
    let subscription = find_or_make(job, topic, queue, endpoint, given).await?;
    Ok(Shape::fields([("SubscriptionArn", Shape::text(subscription.arn(job)))]))
}

fn check_queue(topic: &str, arn: &str) -> Result<(), Failure> {
    let queue = any_queue(arn).ok_or_else(|| Failure::SnsInvalid("SQS endpoint ARN".to_owned()))?;
    if queue.name.ends_with(".fifo") && !topic.ends_with(".fifo") {
        let text = "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics";
        return Err(Failure::SnsInvalid(text.to_owned()));
    }
    Ok(())
}

/// Whoever is at the endpoint has to want it: another account's queue than the subscriber's, too.
fn needs_confirmation(job: &Job, protocol: Protocol, endpoint: &str) -> bool {
    let is_anothers = || any_queue(endpoint).is_some_and(|queue| queue.place.account != job.account());
    protocol.needs_confirmation() || (protocol == Protocol::Sqs && is_anothers())
}

async fn subscribe_outwards(job: &Job, topic: &str, protocol: Protocol, endpoint: &str) -> Result<Shape, Failure> {
    protocol.check(endpoint)?;
    if topic.ends_with(".fifo") && protocol != Protocol::Sqs {
        let text = "Endpoint Reason: only SQS queues can be subscribed to FIFO topics";
        return Err(Failure::SnsInvalid(text.to_owned()));
    }
    check_address(job, protocol, endpoint)?;
    let given = given(job)?;
    if protocol == Protocol::Firehose && given.role.as_deref().unwrap_or_default().is_empty() {
        return Err(in_attributes("SubscriptionRoleArn: required for protocol firehose"));
    }
    let info = permitted(job, topic).await?;
    let queue = if protocol == Protocol::Sqs { endpoint } else { "" };
    check_redrive(job, &given, queue).await.map_err(|reason| in_attributes(&reason))?;
    let all = Subscription::of_topic(job, &info.spec.name).await?;
    let known = all.iter().find(|known| is_its(job, known, protocol, endpoint));
    let subscription = match known {
        Some(known) if !given.is_as(known) => return Err(in_attributes(DIFFERENT)),
        Some(known) => {
            access::check_home(job, known)?;
            access::lend(job, known);
            known.confirm(job).await?;
            known.clone()
        }
        None => make_outwards(job, &info, protocol, endpoint, (given, &all)).await?,
    };
    if subscription.is_pending() {
        confirmation::ask(job, &info, &subscription).await?;
    }
    let shows_arn = view(job).text("ReturnSubscriptionArn")?.is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let arn = if subscription.is_pending() && !shows_arn { PENDING.to_owned() } else { subscription.arn(job) };
    Ok(Shape::fields([("SubscriptionArn", Shape::text(arn))]))
}

/// Whether it is the caller's account's subscription of that endpoint: each account has its own.
fn is_its(job: &Job, one: &Subscription, protocol: Protocol, endpoint: &str) -> bool {
    one.protocol == protocol && one.endpoint == endpoint && one.owner(&job.place) == job.account()
}

/// A URL that names an address itself is refused at once if nothing would be sent there; a name's addresses are looked at when
/// something is sent.
fn check_address(job: &Job, protocol: Protocol, endpoint: &str) -> Result<(), Failure> {
    let Some(office) = &job.environment.office else { return Ok(()) };
    let address = Some(protocol).filter(|protocol| protocol.is_http()).and_then(|one| address_of(endpoint, one));
    let checked = address.map_or(Ok(()), |address| office.check_address(address));
    checked.map_err(|reason| Failure::SnsInvalid(format!("Endpoint Reason: {reason}")))
}

/// A FIFO queue's dead letters go to a FIFO queue.
async fn check_redrive(job: &Job, given: &Given, queue: &str) -> Result<(), String> {
    match given.redrive_policy.as_deref().filter(|policy| !policy.is_empty()) {
        Some(policy) => redrive::check_queue(job, policy, queue.ends_with(".fifo")).await,
        None => Ok(()),
    }
}

async fn make_outwards(
    job: &Job,
    info: &ExchangeInfo,
    protocol: Protocol,
    endpoint: &str,
    (given, others): (Given, &[Subscription]),
) -> Result<Subscription, Failure> {
    let pending_since = needs_confirmation(job, protocol, endpoint).then(|| job.desk.now().unix);
    let mut subscription = Subscription::new(job, info, protocol, endpoint);
    subscription.queue = Name::from(format!("{HIDDEN}{}", subscription.id));
    let owner = job.is_foreign().then(|| job.account().to_owned());
    subscription.outward = Outward { region: job.place.region.clone(), owner, pending_since, ..Outward::default() };
    access::check_home(job, &subscription)?;
    given.apply(&mut subscription).map_err(|reason| in_attributes(&reason))?;
    check_limits(job, info, others, &subscription).await?;
    access::lend(job, &subscription);
    let settings = if fifo::is_fifo(info) { fifo::outward_settings() } else { QueueSettings::default() };
    let (name, settings) = (subscription.queue.clone(), settings.into());
    let spec = QueueSpec { name, durable: true, settings, ..QueueSpec::default() };
    job.desk.define(Definition::DeclareQueue { spec, passive: false }).await.map_err(Failure::of_topic)?;
    subscription.save(job).await?;
    check_only(job, &subscription).await?;
    Ok(subscription)
}

/// Of two that were made for one endpoint at the same time, the older one stays.
async fn check_only(job: &Job, subscription: &Subscription) -> Result<(), Failure> {
    let is_like_it = |one: &&Subscription| is_its(job, one, subscription.protocol, &subscription.endpoint);
    let all = Subscription::of_topic(job, &subscription.topic).await?;
    if all.iter().find(is_like_it).is_some_and(|first| first.id != subscription.id) {
        subscription.remove(job).await?;
        return Err(Failure::Changed);
    }
    Ok(())
}

fn in_attributes(reason: &str) -> Failure {
    Failure::SnsInvalid(format!("Attributes Reason: {reason}"))
}

async fn find_or_make(
    job: &Job,
    topic: &str,
    queue: &str,
    endpoint: &str,
    given: Given,
) -> Result<Subscription, Failure> {
    let info = permitted(job, topic).await?;
    check_redrive(job, &given, queue).await.map_err(|reason| in_attributes(&reason))?;
    let known = Subscription::of_topic(job, &info.spec.name).await?;
    if let Some(known) = known.iter().find(|known| known.queue.as_str() == queue) {
        if !given.is_as(known) {
            return Err(in_attributes(DIFFERENT));
        }
        return known.confirm(job).await.map(|()| known.clone());
    }
    if job.desk.inspect_queue(queue).await.is_err() {
        return Err(Failure::SnsInvalid(format!("Endpoint Reason: there is no queue {queue}")));
    }
    let mut subscription =
        Subscription { queue: Name::from(queue), ..Subscription::new(job, &info, Protocol::Sqs, endpoint) };
    given.apply(&mut subscription).map_err(|reason| in_attributes(&reason))?;
    check_limits(job, &info, &known, &subscription).await?;
    subscription.save(job).await?;
    Ok(subscription)
}

/// Unsubscribing what is not there is fine.
pub(super) async fn unsubscribe(job: &Job) -> Result<Shape, Failure> {
    match find(job).await {
        Ok(subscription) if subscription.outward.locked && !job.is_signed => return Err(Failure::NotSigned),
        Ok(subscription) => {
            access::let_end(job, &subscription);
            subscription.remove(job).await?;
            job.environment.memory.unsubscribed(&subscription.topic);
            confirmation::say_goodbye(job, &subscription).await?;
        }
        Err(Failure::SnsNotFound(_)) => {}
        Err(failure) => return Err(failure),
    }
    Ok(Shape::Nothing)
}

pub(super) async fn list_by_topic(job: &Job) -> Result<Shape, Failure> {
    let topic = job.place.topic_of(view(job).text("TopicArn")?.unwrap_or_default(), "TopicArn")?;
    let topic = permitted(job, topic).await?.spec.name;
    lists::show(job, Subscription::of_topic(job, &topic).await?.into_iter().map(|one| (job.place.clone(), one)))
}

pub(super) async fn attributes(job: &Job) -> Result<Shape, Failure> {
    let subscription = find(job).await?;
    let account = subscription.owner(&job.place);
    let Outward { pending_since, unauthenticated, .. } = subscription.outward;
    let attributes = [
        ("SubscriptionArn", subscription.arn(job)),
        ("TopicArn", subscription.place(job).topic_arn(&subscription.topic)),
        ("Protocol", subscription.protocol.word().to_owned()),
        ("Endpoint", subscription.shown_endpoint()),
        ("Owner", account.to_owned()),
        ("RawMessageDelivery", subscription.raw.to_string()),
        ("PendingConfirmation", pending_since.is_some().to_string()),
        ("ConfirmationWasAuthenticated", (pending_since.is_none() && !unauthenticated).to_string()),
        ("SubscriptionPrincipal", format!("arn:aws:iam::{account}:user/{}", subscription.subscriber)),
    ];
    let mut attributes: Vec<(String, String)> =
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    attributes.extend(of_delivery(job, &subscription).await?);
    if let Some(filter) = subscription.filter {
        attributes.push(("FilterPolicy".to_owned(), filter));
        attributes.push(("FilterPolicyScope".to_owned(), subscription.scope.word().to_owned()));
    }
    Ok(Shape::fields([("Attributes", Shape::text_map("entry", attributes))]))
}

/// What is shown where it was set, and what follows from it.
async fn of_delivery(job: &Job, subscription: &Subscription) -> Result<Vec<(String, String)>, Failure> {
    let Outward { delivery_policy, redrive_policy, role, .. } = &subscription.outward;
    let kept = [("DeliveryPolicy", delivery_policy), ("RedrivePolicy", redrive_policy), ("SubscriptionRoleArn", role)];
    let kept = kept.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    let mut attributes: Vec<_> = kept.collect();
    if let Some(replay) = &subscription.replay {
        attributes.push((replay::NAME.to_owned(), replay.policy.clone()));
        attributes.push(("ReplayStatus".to_owned(), replay.status.word().to_owned()));
    }
    if subscription.protocol.is_http() {
        let info = topics::of_subscription(job, &subscription.topic).await?;
        let policy = DeliveryPolicy::effective(delivery_policy.as_deref(), topics::delivery_policy(&info));
        attributes.push(("EffectiveDeliveryPolicy".to_owned(), policy.of_subscription()));
    }
    Ok(attributes)
}

pub(super) async fn set_attribute(job: &Job) -> Result<Shape, Failure> {
    let mut subscription = find(job).await?;
    access::check_owner(job, &subscription)?;
    let value = view(job).text("AttributeValue")?.unwrap_or_default();
    let name = view(job).text("AttributeName")?.unwrap_or_default();
    if !SETTABLE.contains(&name) {
        return Err(Failure::SnsInvalid("AttributeName".to_owned()));
    }
    let mut given = Given::default();
    given.take(job, name, value).map_err(Failure::SnsInvalid)?;
    let queue = if subscription.protocol == Protocol::Sqs { subscription.endpoint.as_str() } else { "" };
    check_redrive(job, &given, queue).await.map_err(Failure::SnsInvalid)?;
    given.apply(&mut subscription).map_err(Failure::SnsInvalid)?;
    if ["FilterPolicy", replay::NAME].contains(&name) {
        let others = Subscription::of_topic(job, &subscription.topic).await?;
        check_limits(job, &topics::of_subscription(job, &subscription.topic).await?, &others, &subscription).await?;
    }
    access::lend(job, &subscription);
    subscription.save(job).await?;
    Ok(Shape::Nothing)
}

/// Whether such requests are about a subscription that they name by its ARN; whatever else they say is about nothing.
pub(crate) fn names_subscription(action: &str) -> bool {
    ["GetSubscriptionAttributes", "SetSubscriptionAttributes", "Unsubscribe"].contains(&action)
}

/// The topic and the id of the subscription that a request is about, by its ARN or by the token of its confirmation.
///
/// # Errors
/// It cannot be one of the place that the request is about.
pub(crate) fn named(job: &Job, service: Service) -> Result<Option<(String, String)>, Failure> {
    Ok(match (service, job.action.as_str()) {
        (Service::Sns, "ConfirmSubscription") => Some(confirmation::named(job)?),
        (Service::Sns, action) if names_subscription(action) => {
            let arn = view(job).text("SubscriptionArn")?.unwrap_or_default();
            let (topic, id) = job.place.subscription_of(arn)?;
            Some((topic.to_owned(), id.to_owned()))
        }
        _ => None,
    })
}

async fn find(job: &Job) -> Result<Subscription, Failure> {
    let (topic, id) = job.place.subscription_of(view(job).text("SubscriptionArn")?.unwrap_or_default())?;
    let found = Subscription::of_topic(job, &Name::from(topic)).await;
    let all = found.map_err(|failure| match failure {
        Failure::SnsNotFound(_) => Failure::SnsNotFound("Subscription"),
        other => other,
    })?;
    all.into_iter().find(|one| one.id == id).ok_or(Failure::SnsNotFound("Subscription"))
}
