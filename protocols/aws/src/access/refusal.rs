//! How AWS says that somebody may not do something.

use super::Resource;
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Service;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The policy of the resource says so.
    Denied,
    /// It is another account's, and its policy does not allow it.
    NotShared,
    /// The user's permissions do not give it, nor does a policy.
    NotPermitted,
}

/// A refusal of the user.
pub(super) fn of_user(job: &Job, resource: &Resource<'_>, action: &str, reason: Reason) -> Failure {
    if reason != Reason::Denied && is_hidden(job, action) {
        return Failure::NoQueueOrNoAccess;
    }
    Failure::AccessDenied(text(job, resource, &format!("User: {}", job.user_arn()), action, reason))
}

/// There is no such queue or topic.
pub(super) fn not_there(job: &Job, service: Service) -> Failure {
    match service {
        Service::Sns => Failure::SnsNotFound("Topic"),
        _ if is_hidden(job, &job.action) => Failure::NoQueueOrNoAccess,
        _ => Failure::NoQueue,
    }
}

/// GetQueueUrl does not tell whether another account has a queue that the caller may not use.
fn is_hidden(job: &Job, action: &str) -> bool {
    job.is_foreign() && action == "GetQueueUrl"
}

fn text(job: &Job, resource: &Resource<'_>, who: &str, action: &str, reason: Reason) -> String {
    let action = match resource.service {
        Service::Sqs => resource.action(action).to_ascii_lowercase(),
        _ => resource.action(action).replacen("sns:", "SNS:", 1),
    };
    let why = match reason {
        Reason::Denied => "with an explicit deny in a resource-based policy".to_owned(),
        Reason::NotShared => format!("because no resource-based policy allows the {action} action"),
        Reason::NotPermitted => format!("because no identity-based policy allows the {action} action"),
    };
    format!("{who} is not authorized to perform: {action} on resource: {} {why}", resource.arn(job))
}
