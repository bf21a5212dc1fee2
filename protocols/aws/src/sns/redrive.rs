//! RedrivePolicy of a subscription: the queue of messages that could not be delivered.

use super::filter::json_check;
use crate::access;
use crate::arn::Place;
use crate::call::Job;
use crate::json_text;
use crate::sqs::attributes;
use crate::sqs::fifo;

/// The ARN of a policy that was read before.
pub(super) fn target(policy: &str) -> Option<String> {
    let json = json_text::parse(policy)?;
    Some(json.get("deadLetterTargetArn")?.as_str()?.to_owned())
}

/// The queue of a policy that was read before.
pub(super) fn queue(policy: &str, place: &Place) -> Option<String> {
    place.queue_of(&target(policy)?).map(str::to_owned)
}

/// Reads a policy; empty stands for none.
///
/// # Errors
/// What SNS says of it.
pub(super) fn check(policy: &str, place: &Place) -> Result<(), String> {
    if policy.is_empty() {
        return Ok(());
    }
    if json_text::is_too_much(policy.as_bytes()) {
        return Err("RedrivePolicy: failed to parse JSON".to_owned());
    }
    json_check(policy).map_err(|problem| format!("RedrivePolicy: {problem}"))?;
    match queue(policy, place) {
        Some(_) => Ok(()),
        None => Err("RedrivePolicy: deadLetterTargetArn is an invalid arn".to_owned()),
    }
}

/// Whether letters can go there.
///
/// # Errors
/// What is wrong with the queue.
pub(super) async fn check_queue(job: &Job, policy: &str, topic_is_fifo: bool) -> Result<(), String> {
    let Some(name) = queue(policy, &access::home_place(job)) else { return Ok(()) };
    let Some(is_fifo) = is_fifo(job, &name).await else {
        return Err(format!(
            "RedrivePolicy: deadLetterTargetArn does not exist: {}",
            target(policy).unwrap_or_default()
        ));
    };
    match (topic_is_fifo, is_fifo) {
        (true, false) => {
            Err("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.".to_owned())
        }
        (false, true) => {
            Err("RedrivePolicy: must use a standard queue as DLQ for a subscription to a standard topic.".to_owned())
        }
        _ => Ok(()),
    }
}

/// What kind of queue of the caller's account it is, if there is one.
async fn is_fifo(job: &Job, queue: &str) -> Option<bool> {
    if job.is_foreign() {
        return access::is_queue_at_home(job, queue).then(|| queue.ends_with(".fifo"));
    }
    attributes::find(job, queue).await.ok().flatten().map(|info| fifo::is_fifo(&info))
}
