//! AddPermission and RemovePermission: statements of the queue's policy, by their labels.

use crossdock_common::definition::{Kept, QueueInfo, QueueSpec};
use serde_json::{Value as Json, json};

use super::attributes::{keep, kept};
use super::{change, known, queue, view};
use crate::call::Job;
use crate::error::Failure;
use crate::namespaces::is_account;
use crate::policy::Policy;
use crate::policy::edit::{Permission, is_empty, with_permission, without_permission};
use crate::wire::{Service, Shape};

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
    let is_good = policy.is_empty() || Policy::parse_new(policy, Service::Sqs, &super::ACTIONS).is_ok();
    if is_good { Ok(()) } else { Err(Failure::AttributeValue(POLICY.to_owned())) }
}

pub(super) async fn add(job: &Job) -> Result<Shape, Failure> {
    let label = label(job)?;
    let (accounts, actions) = (accounts(job)?, actions(job)?);
    let info = queue(job).await?;
    let known = known(&info.spec);
    let resource = job.place.queue_arn(&info.spec.name);
    let permission = Permission { label, accounts: &accounts, prefix: "SQS", actions: &actions, resource: &resource };
    let policy = with_permission(policy_of(job, &info), &permission);
    let policy = policy.ok_or_else(|| Failure::value(label, "Label", "Already exists."))?.to_string();
    // It is too long by now, say.
    Policy::parse(&policy, Service::Sqs).map_err(|malformed| Failure::OverLimit(malformed.0.to_owned()))?;
    update(job, known, info.spec, &policy).await
}

pub(super) async fn remove(job: &Job) -> Result<Shape, Failure> {
    let label = label(job)?;
    let info = queue(job).await?;
    let known = known(&info.spec);
    let (policy, is_gone) = without_permission(policy_of(job, &info), label);
    if !is_gone {
        return Err(Failure::value(label, "Label", "can't find label."));
    }
    let policy = if is_empty(&policy) { String::new() } else { policy.to_string() };
    update(job, known, info.spec, &policy).await
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

fn accounts(job: &Job) -> Result<Vec<&str>, Failure> {
    let accounts = view(job).texts("AWSAccountIds")?;
    if accounts.is_empty() || !accounts.iter().all(|account| is_account(account)) {
        let named = format!("[{}]", accounts.join(", "));
        return Err(Failure::value(named, "PrincipalId", "Unable to verify."));
    }
    Ok(accounts)
}

fn actions(job: &Job) -> Result<Vec<&str>, Failure> {
    let actions = view(job).texts("Actions")?;
    if actions.is_empty() {
        return Err(Failure::MissingParameter("Actions"));
    }
    if actions.len() > ACTIONS_MAX {
        let text = format!("{} Actions were found, maximum allowed is {ACTIONS_MAX}.", actions.len());
        return Err(Failure::OverLimit(text));
    }
    match actions.iter().find(|action| !SHARED.contains(action)) {
        None => Ok(actions),
        Some(action) => {
            let reason = "Only the queue owner is allowed to invoke this action.";
            Err(Failure::value(format!("SQS:{action}"), "ActionName", reason))
        }
    }
}

/// The queue's policy, or the beginning of one as AWS makes it.
fn policy_of(job: &Job, info: &QueueInfo) -> Json {
    let known = kept(info, POLICY).and_then(|policy| serde_json::from_str(policy).ok());
    known.filter(Json::is_object).unwrap_or_else(|| {
        let id = format!("{}/SQSDefaultPolicy", job.place.queue_arn(&info.spec.name));
        json!({ "Version": "2012-10-17", "Id": id, "Statement": [] })
    })
}

async fn update(job: &Job, known: Kept, mut spec: QueueSpec, policy: &str) -> Result<Shape, Failure> {
    keep(&mut spec.attributes, POLICY, policy);
    change(job, known, spec).await
}
