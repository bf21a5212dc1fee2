//! Access policies at the actions: what a queue's policy denies is refused, before the broker is asked.
//!
//! Rights come from the broker's users; a policy takes away, and gives nothing that the broker does not give. README.md says more.

use crossdock_common::definition::QueueInfo;

use super::attributes::kept;
use crate::calendar::iso8601;
use crate::call::Job;
use crate::error::Failure;
use crate::policy::{Caller, Context, Decision, Question};

/// The service that delivers what topics get.
pub(crate) const SNS: &str = "sns.amazonaws.com";

/// Refuses what the queue's policy denies the caller to do by this request.
pub(super) fn check(job: &Job, info: &QueueInfo) -> Result<(), Failure> {
    check_action(job, info, &job.action)
}

/// The same for another action than the request's own.
pub(super) fn check_action(job: &Job, info: &QueueInfo, action: &str) -> Result<(), Failure> {
    let arn = job.place.user_arn(&job.user);
    let caller = Caller::User { account: job.place.account.clone(), arn: arn.clone() };
    if decide(job, info, (&caller, action), || user_context(job, &arn)) != Decision::Denied {
        return Ok(());
    }
    let (action, resource) = (action_of(action).to_ascii_lowercase(), job.place.queue_arn(&info.spec.name));
    Err(Failure::AccessDenied(format!(
        "User: {arn} is not authorized to perform: {action} on resource: {resource} with an explicit deny in a \
         resource-based policy"
    )))
}

/// Whether the queue's policy denies SNS to deliver what that topic gets.
pub(crate) fn denies_topic(job: &Job, info: &QueueInfo, topic_arn: &str) -> bool {
    let context = || {
        common_context(job)
            .with("aws:SourceArn", topic_arn)
            .with("aws:SourceAccount", job.place.account.as_str())
            .with("aws:PrincipalIsAWSService", "true")
            .with("aws:PrincipalServiceName", SNS)
    };
    decide(job, info, (&Caller::Service(SNS), "SendMessage"), context) == Decision::Denied
}

fn decide(
    job: &Job,
    info: &QueueInfo,
    (caller, action): (&Caller, &str),
    context: impl FnOnce() -> Context,
) -> Decision {
    let Some(policy) = kept(info, "Policy").and_then(|text| job.environment.memory.policy(text)) else {
        return Decision::Silent;
    };
    let (action, resource, context) = (action_of(action), job.place.queue_arn(&info.spec.name), context());
    policy.decide(&Question { caller, action: &action, resource: &resource, context: &context })
}

/// Batches are what their entries are.
fn action_of(action: &str) -> String {
    format!("sqs:{}", action.strip_suffix("Batch").unwrap_or(action))
}

fn user_context(job: &Job, arn: &str) -> Context {
    let context = common_context(job)
        .with("aws:PrincipalArn", arn)
        .with("aws:PrincipalAccount", job.place.account.as_str())
        .with("aws:PrincipalType", "User")
        .with("aws:PrincipalIsAWSService", "false")
        .with("aws:username", job.user.as_str())
        .with("aws:userid", job.user.as_str());
    match job.peer {
        Some(peer) => context.with("aws:SourceIp", peer.to_canonical().to_string()),
        None => context,
    }
}

fn common_context(job: &Job) -> Context {
    let unix = job.desk.now().unix;
    Context::default()
        .with("aws:CurrentTime", iso8601(unix))
        .with("aws:EpochTime", (unix.0 / 1000).to_string())
        .with("aws:RequestedRegion", job.place.region.as_str())
        .with("aws:ResourceAccount", job.place.account.as_str())
        .with("aws:SecureTransport", job.origin.starts_with("https:").to_string())
}
