//! AddPermission and RemovePermission: statements of the topic's policy, by their labels.

use serde_json::Value as Json;

use super::topics::{keep_attribute, permitted_topic, policy_of};
use super::view;
use crate::call::Job;
use crate::error::Failure;
use crate::namespaces::is_account;
use crate::policy::Policy;
use crate::policy::edit::{Permission, with_permission, without_permission};
use crate::wire::{Service, Shape};

/// What a topic's owner can let others do.
const SHARED: [&str; 9] = [
    "AddPermission",
    "DeleteTopic",
    "GetTopicAttributes",
    "ListSubscriptionsByTopic",
    "Publish",
    "Receive",
    "RemovePermission",
    "SetTopicAttributes",
    "Subscribe",
];
const OUT_OF_SCOPE: &str = "Policy statement action out of service scope!";

/// Refuses what is no policy of a topic.
pub(super) fn check(policy: &str) -> Result<(), Failure> {
    let refused = |text: &str| Failure::SnsInvalid(text.to_owned());
    match Policy::parse(policy, Service::Sns) {
        Ok(_) => Ok(()),
        Err(malformed) if malformed.is_out_of_scope() => Err(refused(OUT_OF_SCOPE)),
        Err(_) => Err(refused("Policy Error: null")),
    }
}

pub(super) async fn add(job: &Job) -> Result<Shape, Failure> {
    let label = label(job)?;
    let accounts = view(job).texts("AWSAccountId")?;
    let actions = view(job).texts("ActionName")?;
    if accounts.is_empty() || !accounts.iter().all(|account| is_account(account)) {
        return Err(Failure::SnsInvalid("AWSAccountId".to_owned()));
    }
    if actions.is_empty() || !actions.iter().all(|action| SHARED.contains(action)) {
        return Err(Failure::SnsInvalid(OUT_OF_SCOPE.to_owned()));
    }
    let info = permitted_topic(job).await?;
    let resource = job.place.topic_arn(&info.spec.name);
    let permission = Permission { label, accounts: &accounts, prefix: "SNS", actions: &actions, resource: &resource };
    let policy = with_permission(known(job, &info), &permission);
    let policy = policy.ok_or_else(|| Failure::SnsInvalid("Statement already exists".to_owned()))?.to_string();
    check(&policy)?;
    keep_attribute(job, &info, "Policy", &policy).await
}

/// A label that is not there is no error.
pub(super) async fn remove(job: &Job) -> Result<Shape, Failure> {
    let label = label(job)?;
    let info = permitted_topic(job).await?;
    let (policy, is_gone) = without_permission(known(job, &info), label);
    if !is_gone {
        return Ok(Shape::Nothing);
    }
    keep_attribute(job, &info, "Policy", &policy.to_string()).await
}

fn label(job: &Job) -> Result<&str, Failure> {
    let label = view(job).text("Label")?.filter(|label| !label.is_empty());
    label.ok_or_else(|| Failure::SnsInvalid("Label Reason: no value for required parameter".to_owned()))
}

/// The topic's policy; AWS gives every topic one.
fn known(job: &Job, info: &crossdock_common::definition::ExchangeInfo) -> Json {
    serde_json::from_str(&policy_of(job, info)).unwrap_or_default()
}
