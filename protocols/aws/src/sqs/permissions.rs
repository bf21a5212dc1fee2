//! AddPermission and RemovePermission: statements of the queue's policy, by their labels.

use crossdock_common::definition::{Definition, QueueInfo, QueueSpec};
use serde_json::{Value as Json, json};

use super::attributes::{keep, kept};
use super::{queue, view};
use crate::call::Job;
use crate::error::Failure;
use crate::policy::{Policy, is_account};
use crate::wire::Shape;

const POLICY: &str = "Policy";
const ACTIONS_MAX: usize = 7;
const LABEL_MAX: usize = 80;
/// What a queue's owner can let others do.
const SHARED: [&str; 9] = [
    "*",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
];

/// Refuses what is no policy; an empty text takes one away.
pub(super) fn check(policy: &str) -> Result<(), Failure> {
    let is_good = policy.is_empty() || Policy::parse(policy, "sqs").is_ok();
    if is_good { Ok(()) } else { Err(Failure::AttributeValue(POLICY.to_owned())) }
}

pub(super) async fn add(job: &Job) -> Result<Shape, Failure> {
    let label = label(job)?;
    let accounts = accounts(job)?;
    let actions = actions(job)?;
    let info = queue(job).await?;
    let mut policy = policy_of(job, &info);
    let mut statements = statements(&policy);
    if statements.iter().any(|statement| statement["Sid"] == label) {
        return Err(Failure::value(label, "Label", "Already exists."));
    }
    statements.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": { "AWS": one_or_many(accounts) },
        "Action": one_or_many(actions),
        "Resource": job.place.queue_arn(&info.spec.name),
    }));
    policy["Statement"] = Json::Array(statements);
    let policy = policy.to_string();
    // It is too long by now, say.
    Policy::parse(&policy, "sqs").map_err(|malformed| Failure::OverLimit(malformed.0.to_owned()))?;
    update(job, *info, &policy).await
}

pub(super) async fn remove(job: &Job) -> Result<Shape, Failure> {
    let label = label(job)?;
    let info = queue(job).await?;
    let mut policy = policy_of(job, &info);
    let mut statements = statements(&policy);
    let before = statements.len();
    statements.retain(|statement| statement["Sid"] != label);
    if statements.len() == before {
        return Err(Failure::value(label, "Label", "can't find label."));
    }
    if statements.is_empty() {
        return update(job, *info, "").await;
    }
    policy["Statement"] = Json::Array(statements);
    let policy = policy.to_string();
    update(job, *info, &policy).await
}

fn label(job: &Job) -> Result<&str, Failure> {
    let label = view(job).required("Label")?;
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if label.len() <= LABEL_MAX && label.bytes().all(is_legal) {
        return Ok(label);
    }
    let reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
    Err(Failure::value(label, "Label", reason))
}

fn accounts(job: &Job) -> Result<Vec<String>, Failure> {
    let accounts = view(job).texts("AWSAccountIds")?;
    if accounts.is_empty() || !accounts.iter().all(|account| is_account(account)) {
        let named = format!("[{}]", accounts.join(", "));
        return Err(Failure::value(named, "PrincipalId", "Unable to verify."));
    }
    Ok(accounts.iter().map(|account| format!("arn:aws:iam::{account}:root")).collect())
}

fn actions(job: &Job) -> Result<Vec<String>, Failure> {
    let actions = view(job).texts("Actions")?;
    if actions.is_empty() {
        return Err(Failure::MissingParameter("Actions"));
    }
    if actions.len() > ACTIONS_MAX {
        let text = format!("{} Actions were found, maximum allowed is {ACTIONS_MAX}.", actions.len());
        return Err(Failure::OverLimit(text));
    }
    if let Some(action) = actions.iter().find(|action| !SHARED.contains(action)) {
        let reason = "Only the queue owner is allowed to invoke this action.";
        return Err(Failure::value(format!("SQS:{action}"), "ActionName", reason));
    }
    Ok(actions.iter().map(|action| format!("SQS:{action}")).collect())
}

fn one_or_many(mut texts: Vec<String>) -> Json {
    if texts.len() == 1 { Json::from(texts.remove(0)) } else { Json::from(texts) }
}

/// The queue's policy, or the beginning of one as AWS makes it.
fn policy_of(job: &Job, info: &QueueInfo) -> Json {
    let known = kept(info, POLICY).and_then(|policy| serde_json::from_str(policy).ok());
    known.filter(Json::is_object).unwrap_or_else(|| {
        let id = format!("{}/SQSDefaultPolicy", job.place.queue_arn(&info.spec.name));
        json!({ "Version": "2012-10-17", "Id": id, "Statement": [] })
    })
}

/// A policy's statements, as a list.
fn statements(policy: &Json) -> Vec<Json> {
    match &policy["Statement"] {
        Json::Array(statements) => statements.clone(),
        Json::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

async fn update(job: &Job, info: QueueInfo, policy: &str) -> Result<Shape, Failure> {
    let QueueSpec { name, settings, mut attributes, .. } = info.spec;
    keep(&mut attributes, POLICY, policy);
    let update = Definition::UpdateQueue { name, settings, attributes };
    job.desk.define(update).await.map_err(Failure::of_queue)?;
    Ok(Shape::Nothing)
}
