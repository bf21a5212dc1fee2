//! RedrivePolicy of a subscription: the queue of messages that could not be delivered.

use super::filter::json_check;
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
    let Some(name) = queue(policy, &job.place) else { return Ok(()) };
    let info = attributes::find(job, &name).await.ok().flatten();
    let Some(info) = info else {
        return Err(format!(
            "RedrivePolicy: deadLetterTargetArn does not exist: {}",
            target(policy).unwrap_or_default()
        ));
    };
    match (topic_is_fifo, fifo::is_fifo(&info)) {
        (true, false) => {
            Err("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.".to_owned())
        }
        (false, true) => {
            Err("RedrivePolicy: must use a standard queue as DLQ for a subscription to a standard topic.".to_owned())
        }
        _ => Ok(()),
    }
}
