//! CreateTopic, DeleteTopic, ListTopics, GetTopicAttributes, SetTopicAttributes.

mod values;

use crossdock_common::definition::{Definition, ExchangeInfo, ExchangeSpec, Kept, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::{Name, Refusal, Table};
use serde_json::json;

use super::control::DIRECT_QUEUE;
use super::delivery_policy::TopicPolicy;
use super::publish::MESSAGE_BYTES_MAX;
use super::subscription::Subscription;
use super::subscriptions::check_large;
use super::topic_attributes::Refusal as AttributeRefusal;
use super::{PAGE, archive, data_protection, fifo, page, read_token, refuse_null, tags, topic_attributes, view};
use crate::access::{Resource, appeal, lend};
use crate::arn::is_topic_name;
use crate::call::Job;
use crate::error::Failure;
use crate::wire::{Service, Shape};
pub(crate) use values::policy_in;
pub(super) use values::{
    all_kept, delivery_policy, is_large, kept, kept_with, message_bytes_max, put, remove, signature_version,
};

/// Longest name of an exchange or a queue.
const EXCHANGE_NAME_MAX: usize = 255;
/// The entry of an exchange's attributes that holds what was set.
pub(super) const KEPT: &str = "sns";

pub(super) async fn create(job: &Job) -> Result<Shape, Failure> {
    let name = view(job).text("Name")?.unwrap_or_default();
    let attributes = view(job).text_map("Attributes")?;
    let is_fifo = attributes.iter().any(|(name, value)| *name == "FifoTopic" && value.eq_ignore_ascii_case("true"));
    check_name(name, is_fifo)?;
    // As AWS: a topic that is not FIFO does not say so.
    let attributes: Vec<_> = attributes.into_iter().filter(|(name, _)| *name != "FifoTopic").collect();
    for (name, value) in &attributes {
        topic_attributes::check(name, value, is_fifo).map_err(|refusal| refusal.in_attributes(name))?;
    }
    let fifo = is_fifo.then_some(("FifoTopic", "true"));
    let protection = view(job).text("DataProtectionPolicy")?.map(|policy| (data_protection::NAME, policy));
    protection.map_or(Ok(()), |(_, policy)| data_protection::check(policy))?;
    let attributes: Vec<_> = attributes.into_iter().chain(fifo).chain(protection).collect();
    check_room(name, is_fifo, attributes.iter().any(|(name, _)| *name == archive::NAME))?;
    let tags = tags::given(job)?;
    match inspect(job, name).await {
        Ok(info) => {
            same(&info, &attributes, &tags)?;
            complete(job, info).await?;
        }
        Err(Failure::SnsNotFound(_)) => declare(job, name, &attributes, &tags).await?,
        Err(failure) => return Err(failure),
    }
    Ok(Shape::fields([("TopicArn", Shape::text(job.place.topic_arn(name)))]))
}

fn check_name(name: &str, is_fifo: bool) -> Result<(), Failure> {
    if is_topic_name(name) && name.ends_with(".fifo") == is_fifo {
        return Ok(());
    }
    if is_fifo {
        let text = "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, \
                    numbers, underscores, and hyphens, and must be between 1 and 256 characters long.";
        return Err(Failure::SnsInvalidText(text.to_owned()));
    }
    Err(Failure::SnsInvalid("Topic Name".to_owned()))
}

/// Beside a topic there may be queues called after it; their names have room for fewer characters than AWS allows for topics.
fn check_room(name: &str, is_fifo: bool, is_archived: bool) -> Result<(), Failure> {
    let prefix = match (is_fifo, is_archived) {
        (true, true) => archive::PREFIX.len(),
        (true, false) => fifo::PREFIX.len(),
        (false, _) => 0,
    };
    let max = EXCHANGE_NAME_MAX - prefix;
    if name.len() > max {
        return Err(Failure::SnsInvalid(format!(
            "Topic Name Reason: such a topic's name has at most {max} characters"
        )));
    }
    Ok(())
}

/// An existing exchange of any type is adopted; what SNS keeps with it has to be what is asked for.
fn same(info: &ExchangeInfo, attributes: &[(&str, &str)], tags: &[(&str, &str)]) -> Result<(), Failure> {
    let has = |name: &str, value: &str| topic_attributes::is_same(name, kept(info, KEPT, name), value);
    let is_fifo_too = attributes.contains(&("FifoTopic", "true")) == fifo::is_fifo(info);
    if !is_fifo_too || !attributes.iter().all(|(name, value)| has(name, value)) {
        return Err(Failure::SnsInvalid(
            "Attributes Reason: Topic already exists with different attributes".to_owned(),
        ));
    }
    if !tags.iter().all(|(key, value)| kept(info, tags::KEPT, key) == Some(value)) {
        return Err(Failure::SnsInvalid("Tags Reason: Topic already exists with different tags".to_owned()));
    }
    Ok(())
}

/// What is there may be another request's: not durable yet, or, if the broker was killed, without its archive.
async fn complete(job: &Job, info: ExchangeInfo) -> Result<(), Failure> {
    if let Some(days) = archive::days_of(&info) {
        archive::declare(job, &info.spec.name, days).await?;
    }
    job.desk.define_if(known(&info), None).await.map(drop).map_err(Failure::of_topic)
}

async fn declare(job: &Job, name: &str, attributes: &[(&str, &str)], tags: &[(&str, &str)]) -> Result<(), Failure> {
    let mut kept = Table::new();
    put(&mut kept, KEPT, attributes);
    put(&mut kept, tags::KEPT, tags);
    let archived = attributes.iter().find(|(name, _)| *name == archive::NAME).map(|(_, policy)| archive::days(policy));
    let archived = archived.transpose().map_err(Failure::SnsInvalid)?.flatten();
    if archived.is_some() {
        archive::note_beginning(job, &mut kept);
    }
    let is_fifo = attributes.contains(&("FifoTopic", "true"));
    let scope = attributes.iter().find(|(name, _)| *name == "FifoThroughputScope").map(|(_, scope)| *scope);
    let spec = ExchangeSpec {
        name: Name::from(name),
        kind: Name::from(if is_fifo { fifo::KIND } else { "fanout" }),
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Table::new(),
        attributes: kept,
    };
    let declared = job.desk.define(Definition::DeclareExchange { spec, passive: false }).await;
    declared.map_err(Failure::of_topic)?;
    let topic = Name::from(name);
    if is_fifo {
        fifo::declare(job, &topic, fifo::scope_of(scope)).await?;
    }
    match archived {
        Some(days) => archive::declare(job, &topic, days).await,
        None => Ok(()),
    }
}

pub(super) async fn delete(job: &Job) -> Result<Shape, Failure> {
    let name = job.place.topic_of(view(job).text("TopicArn")?.unwrap_or_default(), "TopicArn")?;
    let name = match permitted(job, name).await {
        Ok(info) => archive::check_deletion(&info).map(|()| info.spec.name)?,
        // Deleting what is not there is fine.
        Err(Failure::SnsNotFound(_)) => return Ok(Shape::Nothing),
        Err(failure) => return Err(failure),
    };
    let subscriptions = Subscription::of_topic(job, &name).await?;
    let deletion = Definition::DeleteExchange { name: name.clone(), if_unused: false };
    job.desk.define(deletion).await.map_err(Failure::of_topic)?;
    for subscription in subscriptions {
        lend(job, &subscription);
        subscription.remove_hidden(job).await?;
    }
    if name.ends_with(".fifo") {
        fifo::delete(job, &name).await?;
    }
    Ok(Shape::Nothing)
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let mut after = read_token(view(job), "NextToken")?.map(Name::from);
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
    for (name, default) in topic_attributes::defaults(fifo::is_fifo(&info)) {
        let value = kept(&info, KEPT, name).unwrap_or(default);
        attributes.push((name.to_owned(), value.to_owned()));
    }
    attributes.extend(archive::beginning(job, &info).map(|time| ("BeginningArchiveTime".to_owned(), time)));
    attributes.push(("Policy".to_owned(), policy_of(job, &info)));
    let known: Vec<String> = attributes.iter().map(|(name, _)| name.clone()).collect();
    let others = all_kept(&info, KEPT)
        .into_iter()
        .filter(|(name, value)| !known.contains(name) && name != data_protection::NAME && !value.is_empty());
    attributes.extend(others);
    Ok(Shape::fields([("Attributes", Shape::text_map("entry", attributes))]))
}

pub(super) async fn set_attribute(job: &Job) -> Result<Shape, Failure> {
    let name = view(job).text("AttributeName")?.ok_or_else(|| refuse_null("attributeName"))?;
    let value = view(job).text("AttributeValue")?.unwrap_or_default();
    let topic = job.place.topic_of(view(job).text("TopicArn")?.unwrap_or_default(), "TopicArn")?;
    topic_attributes::check(name, value, topic.ends_with(".fifo")).map_err(AttributeRefusal::alone)?;
    let info = permitted_topic(job).await?;
    match name {
        archive::NAME => {
            let mut attributes = info.spec.attributes.clone();
            let value = archive::follow(job, &info, &mut attributes, value).await?;
            put(&mut attributes, KEPT, &[(name, value)]);
            return keep(job, &info, attributes).await;
        }
        "FifoThroughputScope" => fifo::set_scope(job, &info.spec.name, fifo::scope_of(Some(value))).await?,
        "MaximumMessageSize" => check_size(job, &info.spec.name, value).await?,
        _ => {}
    }
    keep_attribute(job, &info, name, value).await
}

/// Keeps a value of an attribute with its topic.
pub(super) async fn keep_attribute(job: &Job, info: &ExchangeInfo, name: &str, value: &str) -> Result<Shape, Failure> {
    let mut attributes = info.spec.attributes.clone();
    put(&mut attributes, KEPT, &[(name, value)]);
    keep(job, info, attributes).await
}

/// Keeps other attributes with a topic, if those are still there that were read.
pub(super) async fn keep(job: &Job, info: &ExchangeInfo, attributes: Table) -> Result<Shape, Failure> {
    let update = Definition::UpdateExchange { name: info.spec.name.clone(), attributes };
    job.desk.define_if(known(info), Some(update)).await.map_err(Failure::of_topic)?;
    Ok(Shape::Nothing)
}

/// A topic as it was read.
fn known(info: &ExchangeInfo) -> Kept {
    Kept::Exchange { name: info.spec.name.clone(), attributes: info.spec.attributes.clone() }
}

/// The topic that the request names, as it is now, unless its policy denies the caller what is asked.
pub(super) async fn permitted_topic(job: &Job) -> Result<ExchangeInfo, Failure> {
    let name = job.place.topic_of(view(job).text("TopicArn")?.unwrap_or_default(), "TopicArn")?;
    permitted(job, name).await
}

/// The same for a topic of that name.
pub(super) async fn permitted(job: &Job, name: &str) -> Result<ExchangeInfo, Failure> {
    let info = inspect(job, name).await?;
    let policy = kept(&info, KEPT, "Policy");
    Resource { service: Service::Sns, name, policy }.check(job)?;
    Ok(info)
}

/// The topic of a subscription, of which whoever has subscribed may know, whatever its policy says now.
pub(super) async fn of_subscription(job: &Job, name: &str) -> Result<ExchangeInfo, Failure> {
    if job.is_foreign() { inspect(job, name).await } else { permitted(job, name).await }
}

/// The topic's policy; AWS gives every topic one.
pub(super) fn policy_of(job: &Job, info: &ExchangeInfo) -> String {
    let known = kept(info, KEPT, "Policy").map(str::to_owned);
    known.unwrap_or_else(|| default_policy(&job.place.topic_arn(&info.spec.name), &job.place.account))
}

async fn inspect(job: &Job, name: &str) -> Result<ExchangeInfo, Failure> {
    let question = || Definition::InspectExchange { name: Name::from(name) };
    let found = match job.desk.define(question()).await {
        Err(Refusal::AccessRefused { .. }) => {
            appeal(job, Service::Sns, name)?;
            job.desk.define(question()).await
        }
        found => found,
    };
    match found {
        Ok(Reply::ExchangeInfo(info)) => Ok(*info),
        Ok(_) => Err(Failure::Internal),
        Err(Refusal::NotFound { .. }) => Err(Failure::SnsNotFound("Topic")),
        Err(refusal) => Err(Failure::of_topic(refusal)),
    }
}

/// Refuses messages of that size where a subscription cannot have them.
async fn check_size(job: &Job, topic: &Name, bytes_max: &str) -> Result<(), Failure> {
    if bytes_max.parse().is_ok_and(|bytes: usize| bytes <= MESSAGE_BYTES_MAX) {
        return Ok(());
    }
    let all = Subscription::of_topic(job, topic).await?;
    let checked = all.iter().try_for_each(|one| check_large(one.protocol, all.len()));
    checked.map_err(|reason| Failure::SnsInvalid(format!("MaximumMessageSize: {reason}")))
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
