//! GetQueueAttributes and SetQueueAttributes, and what the attributes mean to the core.
//!
//! What a client set is kept verbatim with the queue under `sqs`; what the core does follows from its settings.

use crossdock_common::definition::{QueueInfo, QueueSettings, QueueSpec};
use crossdock_common::value::lookup;
use crossdock_common::{Name, Table, Text, Value};

use super::redrive::{self, Redrive};
use super::{change, dead_letters, fifo, known, permissions, queue, view};
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

/// The entry of a queue's attributes that holds what was set.
const KEPT: &str = "sqs";
/// Seconds that messages are kept where CreateQueue does not say.
const RETENTION_S_DEFAULT: u64 = 345_600;
/// What a queue without a limit says: SQS's highest.
const RETENTION_S_MAX: u64 = 1_209_600;

const TWO_ENCRYPTIONS: &str =
    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.";

/// Numbers with their bounds and defaults.
const NUMBERS: [(&str, u64, u64); 6] = [
    ("VisibilityTimeout", 0, 43_200),
    ("MaximumMessageSize", 1_024, 1_048_576),
    ("MessageRetentionPeriod", 60, RETENTION_S_MAX),
    ("DelaySeconds", 0, 900),
    ("ReceiveMessageWaitTimeSeconds", 0, 20),
    ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
];
/// Texts that are kept; README.md says which of them have an effect.
const TEXTS: [&str; 5] = ["Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled"];
/// Only asked for.
const READ_ONLY: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];
pub(super) async fn get(job: &Job) -> Result<Shape, Failure> {
    let wanted = view(job).texts("AttributeNames")?;
    let all = wanted.contains(&"All");
    let numbers = NUMBERS.map(|(name, ..)| name);
    let known = || TEXTS.into_iter().chain(numbers).chain(READ_ONLY).chain(fifo::ATTRIBUTES.map(|(name, _)| name));
    if let Some(unknown) = wanted.iter().find(|name| !(**name == "All" || known().any(|known| known == **name))) {
        return Err(Failure::UnknownAttribute((*unknown).to_owned()));
    }
    let info = queue(job).await?;
    let shown = known().filter(|name| all || wanted.contains(name));
    let values = shown.filter_map(|name| Some((name.to_owned(), value(job, &info, name)?)));
    Ok(Shape::fields([("Attributes", Shape::text_map("Attribute", values))]))
}

pub(super) async fn set(job: &Job) -> Result<Shape, Failure> {
    let given = view(job).text_map("Attributes")?;
    if given.is_empty() {
        return Err(Failure::MissingParameter("Attributes"));
    }
    let info = queue(job).await?;
    if fifo::is_fifo(&info) && given.iter().any(|(name, value)| *name == "FifoQueue" && *value != "true") {
        return Err(Failure::QueueType);
    }
    check(&given, fifo::is_fifo(&info))?;
    let (known, mut spec) = (known(&info.spec), info.spec);
    let redrive = redrive::read(job, &given, (&spec.name, spec.settings.fifo.is_some())).await?;
    apply(&mut spec, &given, redrive);
    fifo::check_together(&spec, &given)?;
    change(job, known, spec).await
}

/// Refuses names and values that SQS does not know.
pub(super) fn check(given: &[(&str, &str)], is_fifo: bool) -> Result<(), Failure> {
    given.iter().try_for_each(|(name, value)| check_one(name, value, is_fifo))?;
    let has_key = given.iter().any(|(name, value)| *name == "KmsMasterKeyId" && !value.is_empty());
    if has_key && given.contains(&("SqsManagedSseEnabled", "true")) {
        return Err(Failure::AttributeName(TWO_ENCRYPTIONS.to_owned()));
    }
    Ok(())
}

fn check_one(name: &str, value: &str, is_fifo: bool) -> Result<(), Failure> {
    if let Some((_, min, max)) = NUMBERS.iter().find(|(known, ..)| *known == name) {
        let number = value.parse::<u64>().ok().filter(|number| (min..=max).contains(&number));
        return number.map(drop).ok_or_else(|| Failure::AttributeValue(name.to_owned()));
    }
    match name {
        "SqsManagedSseEnabled" if !["true", "false", ""].contains(&value) => {
            Err(Failure::AttributeValue(name.to_owned()))
        }
        "RedriveAllowPolicy" => dead_letters::check(value),
        "Policy" => permissions::check(value),
        name if TEXTS.contains(&name) => Ok(()),
        name if fifo::ATTRIBUTES.iter().any(|(known, _)| *known == name) => fifo::check(name, value, is_fifo),
        other => Err(Failure::UnknownAttribute(other.to_owned())),
    }
}

/// Changes a queue as the attributes say, which were checked.
pub(super) fn apply(spec: &mut QueueSpec, given: &[(&str, &str)], redrive: Option<Redrive>) {
    for (name, value) in given {
        set_number(&mut spec.settings, name, value);
        fifo::set(&mut spec.settings, name, value);
        keep(&mut spec.attributes, name, value);
    }
    if let Some(redrive) = redrive {
        spec.settings.dead_letter = redrive.dead_letter;
        spec.settings.delivery_limit = redrive.max_receive_count;
    }
}

/// What CreateQueue does not say and the core would do otherwise.
pub(super) fn set_defaults(spec: &mut QueueSpec) {
    spec.settings.message_ttl_ms.get_or_insert(RETENTION_S_DEFAULT * 1000);
}

fn set_number(settings: &mut QueueSettings, name: &str, value: &str) {
    let ms = value.parse::<u64>().ok().map(|seconds| seconds * 1000);
    match name {
        "VisibilityTimeout" => settings.lease_ms = ms,
        "MessageRetentionPeriod" => settings.message_ttl_ms = ms,
        "DelaySeconds" => settings.delay_ms = ms,
        _ => {}
    }
}

pub(crate) fn keep(attributes: &mut Table, name: &str, value: &str) {
    let at = attributes.iter().position(|(name, _)| &**name == KEPT);
    let mut kept = match at.map(|at| attributes.remove(at)) {
        Some((_, Value::Map(kept))) => kept,
        _ => Table::new(),
    };
    kept.retain(|(key, _)| **key != *name);
    if !value.is_empty() {
        kept.push((Text::from(name), Value::string(value)));
    }
    attributes.push((Text::from_static(KEPT), Value::Map(kept)));
}

/// The access policy among a queue's attributes.
pub(crate) fn policy_in(attributes: &Table) -> Option<&str> {
    kept_in(attributes, "Policy")
}

pub(super) fn kept<'a>(info: &'a QueueInfo, name: &str) -> Option<&'a str> {
    kept_in(&info.spec.attributes, name)
}

pub(super) fn kept_in<'a>(attributes: &'a Table, name: &str) -> Option<&'a str> {
    match lookup(attributes, KEPT)? {
        Value::Map(kept) => lookup(kept, name)?.as_str(),
        _ => None,
    }
}

/// CreateQueue of a queue that exists: what is asked for has to be what is there.
pub(super) fn same(job: &Job, info: &QueueInfo, given: &[(&str, &str)]) -> Result<(), Failure> {
    let differs = |name: &str, asked: &str| match value(job, info, name) {
        Some(there) => there != asked && !same_json(&there, asked),
        None => !asked.is_empty(),
    };
    match given.iter().find(|(name, asked)| differs(name, asked)) {
        Some((name, _)) => Err(Failure::QueueExists((*name).to_owned())),
        None => Ok(()),
    }
}

fn same_json(one: &str, other: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    parse(one).is_some_and(|one| parse(other).is_some_and(|other| one == other))
}

/// The value of an attribute of a queue, whichever protocol made the queue.
pub(super) fn value(job: &Job, info: &QueueInfo, name: &str) -> Option<String> {
    let settings = &info.spec.settings;
    let seconds = |ms: Option<u64>, default: u64| ms.map_or(default, |ms| ms / 1000).to_string();
    Some(match name {
        "VisibilityTimeout" => seconds(settings.lease_ms, 30),
        "MessageRetentionPeriod" => seconds(settings.message_ttl_ms, RETENTION_S_MAX),
        "DelaySeconds" => seconds(settings.delay_ms, 0),
        "MaximumMessageSize" => message_bytes_max(job, info).to_string(),
        "ReceiveMessageWaitTimeSeconds" => wait_seconds(info).to_string(),
        "ApproximateNumberOfMessages" => info.ready.to_string(),
        "ApproximateNumberOfMessagesNotVisible" => info.unsettled.to_string(),
        "ApproximateNumberOfMessagesDelayed" => info.delayed.to_string(),
        "CreatedTimestamp" => (info.created_at.0 / 1000).to_string(),
        "LastModifiedTimestamp" => (info.changed_at.0 / 1000).to_string(),
        "QueueArn" => job.place.queue_arn(&info.spec.name),
        "SqsManagedSseEnabled" => kept(info, name).unwrap_or("false").to_owned(),
        "RedrivePolicy" => kept(info, name).map(str::to_owned).or_else(|| redrive::show(job, settings))?,
        name if fifo::ATTRIBUTES.iter().any(|(known, _)| *known == name) => fifo::value(info, name)?,
        other => kept(info, other)?.to_owned(),
    })
}

/// Largest message of the queue.
pub(super) fn message_bytes_max(job: &Job, info: &QueueInfo) -> usize {
    let own = kept(info, "MaximumMessageSize").and_then(|value| value.parse().ok());
    let most = job.environment.message_bytes_max;
    own.map_or(most, |own: usize| own.min(most))
}

/// How long ReceiveMessage waits where it does not say.
pub(super) fn wait_seconds(info: &QueueInfo) -> u64 {
    kept(info, "ReceiveMessageWaitTimeSeconds").and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// An existing queue, for policies that refer to one.
pub(crate) async fn find(job: &Job, name: &str) -> Result<Option<Box<QueueInfo>>, Failure> {
    use crossdock_common::Refusal;
    match job.desk.inspect_queue(&Name::from(name)).await {
        Ok(info) => Ok(Some(info)),
        Err(Refusal::NotFound { .. } | Refusal::ResourceLocked { .. }) => Ok(None),
        Err(refusal) => Err(Failure::of_queue(refusal)),
    }
}
