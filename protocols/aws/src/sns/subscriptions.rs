//! Subscribe, Unsubscribe, lists, GetSubscriptionAttributes, SetSubscriptionAttributes.

use crossdock_common::Name;

use super::filter::{FilterPolicy, Scope};
use super::subscription::Subscription;
use super::topics::permitted;
use super::{PAGE, page, read_token, view};
use crate::arn::{subscription_of, topic_of};
use crate::call::Job;
use crate::digest::uuid_text;
use crate::error::Failure;
use crate::sqs::{attributes, guarded};
use crate::wire::Shape;

const PROTOCOLS: [&str; 9] =
    ["http", "https", "email", "email-json", "sms", "sqs", "application", "lambda", "firehose"];
const SETTABLE: [&str; 3] = ["RawMessageDelivery", "FilterPolicy", "FilterPolicyScope"];
/// Attributes that SNS knows and this broker does not keep yet: refused, so that nobody relies on them.
const LATER: [&str; 4] = ["DeliveryPolicy", "RedrivePolicy", "SubscriptionRoleArn", "ReplayPolicy"];

/// What a request says of a subscription; `None` where it says nothing.
#[derive(Default)]
struct Given {
    raw: Option<bool>,
    /// Empty for none.
    filter: Option<String>,
    scope: Option<Scope>,
}

impl Given {
    /// Takes one attribute.
    ///
    /// # Errors
    /// What SNS says of it, behind `Invalid parameter: `.
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "RawMessageDelivery" => self.raw = Some(truth(value)?),
            "FilterPolicy" => self.filter = Some(value.to_owned()),
            "FilterPolicyScope" => self.scope = Some(scope(value)?),
            later if LATER.contains(&later) => return Err(not_yet(later)),
            other => return Err(format!("Unknown attribute {other}")),
        }
        Ok(())
    }

    /// Changes a subscription.
    ///
    /// # Errors
    /// What SNS says of its filter policy then.
    fn apply(self, subscription: &mut Subscription) -> Result<(), String> {
        subscription.raw = self.raw.unwrap_or(subscription.raw);
        subscription.scope = self.scope.unwrap_or(subscription.scope);
        if let Some(filter) = self.filter {
            subscription.filter = Some(filter).filter(|filter| !filter.is_empty());
        }
        let Some(filter) = &subscription.filter else { return Ok(()) };
        FilterPolicy::parse(filter, subscription.scope).map(drop).map_err(|text| format!("FilterPolicy: {text}"))
    }

    /// Whether the subscription is so already.
    fn is_as(&self, known: &Subscription) -> bool {
        let filter = self.filter.as_ref().is_none_or(|filter| *filter == known.filter.clone().unwrap_or_default());
        filter && self.raw.is_none_or(|raw| raw == known.raw) && self.scope.is_none_or(|scope| scope == known.scope)
    }
}

fn scope(value: &str) -> Result<Scope, String> {
    Scope::from_word(value).ok_or_else(|| {
        format!("FilterPolicyScope: Invalid value [{value}]. Please use either MessageBody or MessageAttributes")
    })
}

pub(super) async fn subscribe(job: &Job) -> Result<Shape, Failure> {
    let topic = topic_of(view(job).text("TopicArn")?.unwrap_or_default(), "TopicArn")?;
    let protocol = view(job).text("Protocol")?.unwrap_or_default();
    match protocol {
        "sqs" => {}
        known if PROTOCOLS.contains(&known) => {
            let text = format!("Protocol Reason: subscriptions of protocol {known} are not available yet; use sqs");
            return Err(Failure::SnsInvalid(text));
        }
        other => {
            return Err(Failure::SnsInvalid(format!("Amazon SNS does not support this protocol string: {other}")));
        }
    }
    let endpoint = view(job).text("Endpoint")?.unwrap_or_default();
    let queue = job.place.queue_of(endpoint).ok_or_else(|| Failure::SnsInvalid("SQS endpoint ARN".to_owned()))?;
    if queue.ends_with(".fifo") {
        let text = "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics";
        return Err(Failure::SnsInvalid(text.to_owned()));
    }
    let given = given(job)?;
    check_policy(job, topic, queue).await?;
    let subscription = find_or_make(job, topic, queue, endpoint, given).await?;
    Ok(Shape::fields([("SubscriptionArn", Shape::text(subscription.arn(job)))]))
}

/// A queue whose policy denies it to SNS gets nothing from the topic.
async fn check_policy(job: &Job, topic: &str, queue: &str) -> Result<(), Failure> {
    match attributes::find(job, queue).await? {
        Some(info) => guarded(&info).check_delivery(job, &job.place.topic_arn(topic)),
        None => Ok(()),
    }
}

fn given(job: &Job) -> Result<Given, Failure> {
    let mut given = Given::default();
    for (name, value) in view(job).text_map("Attributes")? {
        given.take(name, value).map_err(|reason| in_attributes(&reason))?;
    }
    Ok(given)
}

fn in_attributes(reason: &str) -> Failure {
    Failure::SnsInvalid(format!("Attributes Reason: {reason}"))
}

fn not_yet(name: &str) -> String {
    format!("{name}: not available yet")
}

fn truth(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("RawMessageDelivery: Invalid value [{value}]. Must be true or false.")),
    }
}

async fn find_or_make(
    job: &Job,
    topic: &str,
    queue: &str,
    endpoint: &str,
    given: Given,
) -> Result<Subscription, Failure> {
    let info = permitted(job, topic).await?;
    let known = Subscription::of_topic(job, &info.spec.name).await?;
    if let Some(known) = known.into_iter().find(|known| known.queue.as_str() == queue) {
        let different = "Subscription already exists with different attributes";
        return if given.is_as(&known) { Ok(known) } else { Err(in_attributes(different)) };
    }
    if job.desk.inspect_queue(queue).await.is_err() {
        return Err(Failure::SnsInvalid(format!("Endpoint Reason: there is no queue {queue}")));
    }
    let mut subscription = Subscription {
        topic: info.spec.name.clone(),
        queue: Name::from(queue),
        key: Subscription::key_for(&info),
        id: uuid_text(job.desk.uuid()),
        subscriber: job.user.to_string(),
        endpoint: endpoint.to_owned(),
        raw: false,
        filter: None,
        scope: Scope::default(),
    };
    given.apply(&mut subscription).map_err(|reason| in_attributes(&reason))?;
    subscription.save(job).await?;
    Ok(subscription)
}

/// Unsubscribing what is not there is fine.
pub(super) async fn unsubscribe(job: &Job) -> Result<Shape, Failure> {
    match find(job).await {
        Ok(subscription) => subscription.remove(job).await?,
        Err(Failure::SnsNotFound(_)) => {}
        Err(failure) => return Err(failure),
    }
    Ok(Shape::Nothing)
}

pub(super) async fn list_by_topic(job: &Job) -> Result<Shape, Failure> {
    let topic = topic_of(view(job).text("TopicArn")?.unwrap_or_default(), "TopicArn")?;
    list(job, Some(permitted(job, topic).await?.spec.name)).await
}

/// In the order of their ARNs, so that a token means the same after changes.
pub(super) async fn list(job: &Job, topic: Option<Name>) -> Result<Shape, Failure> {
    let after = read_token(view(job))?.unwrap_or_default();
    let mut found: Vec<(String, Subscription)> =
        Subscription::list(job, topic).await?.into_iter().map(|one| (one.arn(job), one)).collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let rest = found.into_iter().filter(|(arn, _)| *arn > after).take(PAGE + 1);
    Ok(page("Subscriptions", rest.map(|(arn, one)| (arn, show(job, &one))).collect()))
}

fn show(job: &Job, subscription: &Subscription) -> Shape {
    Shape::fields([
        ("SubscriptionArn", Shape::text(subscription.arn(job))),
        ("Owner", Shape::text(job.place.account.as_str())),
        ("Protocol", Shape::text("sqs")),
        ("Endpoint", Shape::text(subscription.endpoint.as_str())),
        ("TopicArn", Shape::text(job.place.topic_arn(&subscription.topic))),
    ])
}

pub(super) async fn attributes(job: &Job) -> Result<Shape, Failure> {
    let subscription = find(job).await?;
    let account = &job.place.account;
    let attributes = [
        ("SubscriptionArn", subscription.arn(job)),
        ("TopicArn", job.place.topic_arn(&subscription.topic)),
        ("Protocol", "sqs".to_owned()),
        ("Endpoint", subscription.endpoint.clone()),
        ("Owner", account.clone()),
        ("RawMessageDelivery", subscription.raw.to_string()),
        ("PendingConfirmation", "false".to_owned()),
        ("ConfirmationWasAuthenticated", "true".to_owned()),
        ("SubscriptionPrincipal", format!("arn:aws:iam::{account}:user/{}", subscription.subscriber)),
    ];
    let mut attributes: Vec<(String, String)> =
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if let Some(filter) = subscription.filter {
        attributes.push(("FilterPolicy".to_owned(), filter));
        attributes.push(("FilterPolicyScope".to_owned(), subscription.scope.word().to_owned()));
    }
    Ok(Shape::fields([("Attributes", Shape::text_map("entry", attributes))]))
}

pub(super) async fn set_attribute(job: &Job) -> Result<Shape, Failure> {
    let mut subscription = find(job).await?;
    let value = view(job).text("AttributeValue")?.unwrap_or_default();
    let name = view(job).text("AttributeName")?.unwrap_or_default();
    if !SETTABLE.contains(&name) && !LATER.contains(&name) {
        return Err(Failure::SnsInvalid("AttributeName".to_owned()));
    }
    let mut given = Given::default();
    given.take(name, value).and_then(|()| given.apply(&mut subscription)).map_err(Failure::SnsInvalid)?;
    subscription.save(job).await?;
    Ok(Shape::Nothing)
}

async fn find(job: &Job) -> Result<Subscription, Failure> {
    let (topic, id) = subscription_of(view(job).text("SubscriptionArn")?.unwrap_or_default())?;
    let found = Subscription::of_topic(job, &Name::from(topic)).await;
    let all = found.map_err(|failure| match failure {
        Failure::SnsNotFound(_) => Failure::SnsNotFound("Subscription"),
        other => other,
    })?;
    all.into_iter().find(|one| one.id == id).ok_or(Failure::SnsNotFound("Subscription"))
}
