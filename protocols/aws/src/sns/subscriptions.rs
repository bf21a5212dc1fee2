//! Subscribe, Unsubscribe, lists, GetSubscriptionAttributes, SetSubscriptionAttributes.

use crossdock_common::Name;

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
/// Attributes that SNS knows and this broker does not keep yet: refused, so that nobody relies on them.
const LATER: [&str; 6] =
    ["DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy", "SubscriptionRoleArn", "ReplayPolicy"];

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
    let raw = given_raw(job)?;
    check_policy(job, topic, queue).await?;
    let subscription = find_or_make(job, topic, queue, endpoint, raw).await?;
    Ok(Shape::fields([("SubscriptionArn", Shape::text(subscription.arn(job)))]))
}

/// A queue whose policy denies it to SNS gets nothing from the topic.
async fn check_policy(job: &Job, topic: &str, queue: &str) -> Result<(), Failure> {
    match attributes::find(job, queue).await? {
        Some(info) => guarded(job, &info).check_delivery(job, &job.place.topic_arn(topic)),
        None => Ok(()),
    }
}

fn given_raw(job: &Job) -> Result<Option<bool>, Failure> {
    let mut raw = None;
    for (name, value) in view(job).text_map("Attributes")? {
        match name {
            "RawMessageDelivery" => raw = Some(truth(value).map_err(|reason| in_attributes(&reason))?),
            later if LATER.contains(&later) => return Err(in_attributes(&not_yet(later))),
            other => return Err(in_attributes(&format!("Unknown attribute {other}"))),
        }
    }
    Ok(raw)
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
    raw: Option<bool>,
) -> Result<Subscription, Failure> {
    let info = permitted(job, topic).await?;
    let known = Subscription::of_topic(job, &info.spec.name).await?;
    if let Some(known) = known.into_iter().find(|known| known.queue.as_str() == queue) {
        let same = raw.is_none_or(|raw| raw == known.raw);
        let different = "Subscription already exists with different attributes";
        return if same { Ok(known) } else { Err(in_attributes(different)) };
    }
    if job.desk.inspect_queue(queue).await.is_err() {
        return Err(Failure::SnsInvalid(format!("Endpoint Reason: there is no queue {queue}")));
    }
    let subscription = Subscription {
        topic: info.spec.name.clone(),
        queue: Name::from(queue),
        key: Subscription::key_for(&info),
        id: uuid_text(job.desk.uuid()),
        subscriber: job.user.to_string(),
        endpoint: endpoint.to_owned(),
        raw: raw.unwrap_or(false),
    };
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
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    Ok(Shape::fields([("Attributes", Shape::text_map("entry", attributes))]))
}

pub(super) async fn set_attribute(job: &Job) -> Result<Shape, Failure> {
    let mut subscription = find(job).await?;
    let value = view(job).text("AttributeValue")?.unwrap_or_default();
    match view(job).text("AttributeName")?.unwrap_or_default() {
        "RawMessageDelivery" => subscription.raw = truth(value).map_err(Failure::SnsInvalid)?,
        later if LATER.contains(&later) => return Err(Failure::SnsInvalid(not_yet(later))),
        _ => return Err(Failure::SnsInvalid("AttributeName".to_owned())),
    }
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
