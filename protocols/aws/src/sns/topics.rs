//! CreateTopic, DeleteTopic, ListTopics, GetTopicAttributes, SetTopicAttributes, ListTagsForResource.

use crossdock_common::definition::{Definition, ExchangeInfo, ExchangeSpec, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::value::lookup;
use crossdock_common::{Name, Refusal, Table, Text, Value};
use serde_json::json;

use super::control::DIRECT_QUEUE;
use super::delivery_policy::TopicPolicy;
use super::subscription::Subscription;
use super::{PAGE, page, permissions, read_token, view};
use crate::access::Resource;
use crate::arn::{is_topic_name, topic_of};
use crate::call::Job;
use crate::error::Failure;
use crate::wire::{Service, Shape};

/// Entries of an exchange's attributes: what was set, and tags.
const KEPT: &str = "sns";
const TAGS: &str = "sns-tags";

/// What can be set; README.md says which of them have an effect.
const SETTABLE: [&str; 8] = [
    "DisplayName",
    "Policy",
    "DeliveryPolicy",
    "KmsMasterKeyId",
    "SignatureVersion",
    "TracingConfig",
    "MaximumMessageSize",
    "DataProtectionPolicy",
];

pub(super) async fn create(job: &Job) -> Result<Shape, Failure> {
    let name = view(job).text("Name")?.unwrap_or_default();
    let attributes = view(job).text_map("Attributes")?;
    if name.ends_with(".fifo") || attributes.contains(&("FifoTopic", "true")) {
        return Err(Failure::SnsInvalid("FifoTopic Reason: FIFO topics are not available yet".to_owned()));
    }
    if !is_topic_name(name) {
        return Err(Failure::SnsInvalid("Topic Name".to_owned()));
    }
    let attributes: Vec<_> = attributes.into_iter().filter(|given| *given != ("FifoTopic", "false")).collect();
    if let Some((_, policy)) = attributes.iter().find(|(name, _)| *name == "Policy") {
        permissions::check(policy)?;
    }
    if let Some((unknown, _)) = attributes.iter().find(|(name, _)| !is_settable(name)) {
        return Err(Failure::SnsInvalid(format!("Attributes Reason: Unknown attribute {unknown}")));
    }
    if let Some((_, policy)) = attributes.iter().find(|(name, _)| *name == "DeliveryPolicy") {
        check_delivery_policy(policy).map_err(|text| Failure::SnsInvalid(format!("Attributes Reason: {text}")))?;
    }
    let tags = given_tags(job)?;
    match inspect(job, name).await {
        Ok(info) => same(&info, &attributes, &tags)?,
        Err(Failure::SnsNotFound(_)) => declare(job, name, &attributes, &tags).await?,
        Err(failure) => return Err(failure),
    }
    Ok(Shape::fields([("TopicArn", Shape::text(job.place.topic_arn(name)))]))
}

fn is_settable(name: &str) -> bool {
    SETTABLE.contains(&name) || name.ends_with("FeedbackRoleArn") || name.ends_with("FeedbackSampleRate")
}

fn given_tags(job: &Job) -> Result<Vec<(&str, &str)>, Failure> {
    let given = view(job).list("Tags")?.unwrap_or_default();
    let mut tags = Vec::with_capacity(given.len());
    for tag in given {
        let key = tag.required("Key")?;
        if tags.iter().any(|(known, _)| *known == key) {
            return Err(Failure::SnsInvalid("Duplicated keys are not allowed.".to_owned()));
        }
        tags.push((key, tag.text("Value")?.unwrap_or_default()));
    }
    Ok(tags)
}

/// An existing exchange of any type is adopted; what SNS keeps with it has to be what is asked for.
fn same(info: &ExchangeInfo, attributes: &[(&str, &str)], tags: &[(&str, &str)]) -> Result<(), Failure> {
    let has = |entry: &str, name: &str, value: &str| kept(info, entry, name) == Some(value);
    if !attributes.iter().all(|(name, value)| has(KEPT, name, value)) {
        return Err(Failure::SnsInvalid(
            "Attributes Reason: Topic already exists with different attributes".to_owned(),
        ));
    }
    if !tags.iter().all(|(key, value)| has(TAGS, key, value)) {
        return Err(Failure::SnsInvalid("Tags Reason: Topic already exists with different tags".to_owned()));
    }
    Ok(())
}

async fn declare(job: &Job, name: &str, attributes: &[(&str, &str)], tags: &[(&str, &str)]) -> Result<(), Failure> {
    let mut kept = Table::new();
    put(&mut kept, KEPT, attributes);
    put(&mut kept, TAGS, tags);
    let spec = ExchangeSpec {
        name: Name::from(name),
        kind: Name::from("fanout"),
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Table::new(),
        attributes: kept,
    };
    let declared = job.desk.define(Definition::DeclareExchange { spec, passive: false }).await;
    declared.map(drop).map_err(Failure::of_topic)
}

pub(super) async fn delete(job: &Job) -> Result<Shape, Failure> {
    let name = topic_of(view(job).text("TopicArn")?.unwrap_or_default(), "TopicArn")?;
    let name = match permitted(job, name).await {
        Ok(info) => info.spec.name,
        // Deleting what is not there is fine.
        Err(Failure::SnsNotFound(_)) => return Ok(Shape::Nothing),
        Err(failure) => return Err(failure),
    };
    let subscriptions = Subscription::of_topic(job, &name).await?;
    let deletion = Definition::DeleteExchange { name, if_unused: false };
    job.desk.define(deletion).await.map_err(Failure::of_topic)?;
    for subscription in subscriptions {
        subscription.remove_hidden(job).await?;
    }
    Ok(Shape::Nothing)
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let mut after = read_token(view(job))?.map(Name::from);
    let mut topics = Vec::new();
    loop {
        let question = Definition::ListExchanges { prefix: Name::default(), after, count_max: PAGE + 1 };
        let Reply::Exchanges(found) = job.desk.define(question).await.map_err(Failure::of_topic)? else {
            return Err(Failure::Internal);
        };
        let is_last = found.len() <= PAGE;
        after = found.last().map(|info| info.spec.name.clone());
        let visible = found.into_iter().filter(|info| is_topic_name(&info.spec.name) && !info.spec.internal);
        topics.extend(visible.map(|info| {
            let arn = Shape::text(job.place.topic_arn(&info.spec.name));
            (info.spec.name.to_string(), Shape::fields([("TopicArn", arn)]))
        }));
        if is_last || topics.len() > PAGE {
            return Ok(page("Topics", topics));
        }
    }
}

pub(super) async fn attributes(job: &Job) -> Result<Shape, Failure> {
    let info = permitted_topic(job).await?;
    let name = &info.spec.name;
    let subscriptions = Subscription::of_topic(job, name).await?;
    let pending = subscriptions.iter().filter(|subscription| subscription.is_pending()).count();
    let deleted = job.environment.memory.unsubscribed_count(name);
    let arn = job.place.topic_arn(name);
    let mut attributes = vec![
        ("TopicArn".to_owned(), arn),
        ("Owner".to_owned(), job.place.account.clone()),
        ("SubscriptionsConfirmed".to_owned(), (subscriptions.len() - pending).to_string()),
        ("SubscriptionsPending".to_owned(), pending.to_string()),
        ("SubscriptionsDeleted".to_owned(), deleted.to_string()),
        ("EffectiveDeliveryPolicy".to_owned(), TopicPolicy::effective(delivery_policy(&info))),
    ];
    if kept(&info, KEPT, "Policy").is_none() {
        attributes.push(("Policy".to_owned(), policy_of(job, &info)));
    }
    if kept(&info, KEPT, "DisplayName").is_none() {
        attributes.push(("DisplayName".to_owned(), String::new()));
    }
    attributes.extend(all_kept(&info, KEPT));
    Ok(Shape::fields([("Attributes", Shape::text_map("entry", attributes))]))
}

pub(super) async fn set_attribute(job: &Job) -> Result<Shape, Failure> {
    let name = view(job).text("AttributeName")?.filter(|name| is_settable(name));
    let name = name.ok_or_else(|| Failure::SnsInvalid("AttributeName".to_owned()))?;
    let value = view(job).text("AttributeValue")?.unwrap_or_default();
    let info = permitted_topic(job).await?;
    if name == "Policy" {
        permissions::check(value)?;
    }
    if name == "DeliveryPolicy" {
        check_delivery_policy(value).map_err(Failure::SnsInvalid)?;
    }
    keep_attribute(job, info, name, value).await
}

/// Keeps a value of an attribute with its topic.
pub(super) async fn keep_attribute(job: &Job, info: ExchangeInfo, name: &str, value: &str) -> Result<Shape, Failure> {
    let mut attributes = info.spec.attributes;
    put(&mut attributes, KEPT, &[(name, value)]);
    let update = Definition::UpdateExchange { name: info.spec.name, attributes };
    job.desk.define(update).await.map_err(Failure::of_topic)?;
    Ok(Shape::Nothing)
}

pub(super) async fn tags(job: &Job) -> Result<Shape, Failure> {
    let name = topic_of(view(job).text("ResourceArn")?.unwrap_or_default(), "ResourceArn")?;
    let info = permitted(job, name).await?;
    let tag =
        |(key, value): (String, String)| Shape::fields([("Key", Shape::Text(key)), ("Value", Shape::Text(value))]);
    Ok(Shape::fields([("Tags", Shape::list("member", all_kept(&info, TAGS).into_iter().map(tag)))]))
}

/// The topic that the request names, as it is now, unless its policy denies the caller what is asked.
pub(super) async fn permitted_topic(job: &Job) -> Result<ExchangeInfo, Failure> {
    let name = topic_of(view(job).text("TopicArn")?.unwrap_or_default(), "TopicArn")?;
    permitted(job, name).await
}

/// The same for a topic of that name.
pub(super) async fn permitted(job: &Job, name: &str) -> Result<ExchangeInfo, Failure> {
    let info = inspect(job, name).await?;
    let policy = kept(&info, KEPT, "Policy");
    Resource { service: Service::Sns, name, policy }.check(job)?;
    Ok(info)
}

/// The topic's policy; AWS gives every topic one.
pub(super) fn policy_of(job: &Job, info: &ExchangeInfo) -> String {
    let known = kept(info, KEPT, "Policy").map(str::to_owned);
    known.unwrap_or_else(|| default_policy(&job.place.topic_arn(&info.spec.name), &job.place.account))
}

async fn inspect(job: &Job, name: &str) -> Result<ExchangeInfo, Failure> {
    match job.desk.define(Definition::InspectExchange { name: Name::from(name) }).await {
        Ok(Reply::ExchangeInfo(info)) => Ok(*info),
        Ok(_) => Err(Failure::Internal),
        Err(Refusal::NotFound { .. }) => Err(Failure::SnsNotFound("Topic")),
        Err(refusal) => Err(Failure::of_topic(refusal)),
    }
}

fn put(attributes: &mut Table, entry: &'static str, given: &[(&str, &str)]) {
    if given.is_empty() {
        return;
    }
    let at = attributes.iter().position(|(name, _)| &**name == entry);
    let mut kept = match at.map(|at| attributes.remove(at)) {
        Some((_, Value::Map(kept))) => kept,
        _ => Table::new(),
    };
    for (name, value) in given {
        kept.retain(|(known, _)| **known != **name);
        kept.push((Text::from(*name), Value::string(*value)));
    }
    attributes.push((Text::from_static(entry), Value::Map(kept)));
}

pub(super) fn kept<'a>(info: &'a ExchangeInfo, entry: &str, name: &str) -> Option<&'a str> {
    kept_in(&info.spec, entry, name)
}

fn kept_in<'a>(spec: &'a ExchangeSpec, entry: &str, name: &str) -> Option<&'a str> {
    match lookup(&spec.attributes, entry)? {
        Value::Map(kept) => lookup(kept, name)?.as_str(),
        _ => None,
    }
}

/// Largest message of a topic, if one was set.
pub(super) fn message_bytes_max(info: &ExchangeInfo) -> Option<usize> {
    kept(info, KEPT, "MaximumMessageSize")?.parse().ok()
}

fn all_kept(info: &ExchangeInfo, entry: &str) -> Vec<(String, String)> {
    let Some(Value::Map(kept)) = lookup(&info.spec.attributes, entry) else { return Vec::new() };
    kept.iter().filter_map(|(name, value)| Some((name.to_string(), value.as_str()?.to_owned()))).collect()
}

/// The DeliveryPolicy of a topic, if one was set.
pub(super) fn delivery_policy(info: &ExchangeInfo) -> Option<&str> {
    kept(info, KEPT, "DeliveryPolicy").filter(|policy| !policy.is_empty())
}

/// The SignatureVersion of a topic, if one was set.
pub(super) fn signature_version(info: &ExchangeInfo) -> Option<&str> {
    kept(info, KEPT, "SignatureVersion")
}

/// One of these attributes of an exchange as it was declared.
pub(super) fn kept_with<'a>(spec: &'a ExchangeSpec, name: &str) -> Option<&'a str> {
    kept_in(spec, KEPT, name)
}

/// A topic, if it is there.
pub(super) async fn find(job: &Job, name: &str) -> Result<Option<ExchangeInfo>, Failure> {
    match inspect(job, name).await {
        Ok(info) => Ok(Some(info)),
        Err(Failure::SnsNotFound(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Makes the queue of what goes to no subscription that is there, unless it is there.
pub(super) async fn declare_direct(job: &Job) -> Result<(), Failure> {
    let spec = QueueSpec { name: Name::from(DIRECT_QUEUE), durable: true, ..QueueSpec::default() };
    job.desk.define(Definition::DeclareQueue { spec, passive: false }).await.map_err(Failure::of_topic)?;
    job.environment.subscriptions_changed();
    Ok(())
}

fn check_delivery_policy(policy: &str) -> Result<(), String> {
    if policy.is_empty() {
        return Ok(());
    }
    TopicPolicy::parse(policy).map(drop).map_err(|text| format!("DeliveryPolicy: {text}"))
}

fn default_policy(arn: &str, owner: &str) -> String {
    let actions = [
        "GetTopicAttributes",
        "SetTopicAttributes",
        "AddPermission",
        "RemovePermission",
        "DeleteTopic",
        "Subscribe",
        "ListSubscriptionsByTopic",
        "Publish",
    ];
    json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Effect": "Allow",
            "Sid": "__default_statement_ID",
            "Principal": { "AWS": "*" },
            "Action": actions.map(|action| format!("SNS:{action}")),
            "Resource": arn,
            "Condition": { "StringEquals": { "AWS:SourceOwner": owner } }
        }]
    })
    .to_string()
}
