//! RedrivePolicy: SQS's spelling of dead-lettering.

use bytes::Bytes;
use crossdock_common::Name;
use crossdock_common::definition::{DeadLetter, QueueSettings};
use serde_json::{Value as Json, json};

use super::{attributes, dead_letters, fifo};
use crate::call::Job;
use crate::error::Failure;
use crate::json_text;

const RECEIVE_COUNT_MAX: u32 = 1_000;

/// What a policy means to the core; without a dead letter it takes a policy away.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Redrive {
    pub dead_letter: Option<DeadLetter>,
    pub max_receive_count: Option<u32>,
}

/// Reads `RedrivePolicy` among attributes, if it is there.
pub(super) async fn read(
    job: &Job,
    given: &[(&str, &str)],
    (source, is_fifo): (&str, bool),
) -> Result<Option<Redrive>, Failure> {
    let Some((_, policy)) = given.iter().find(|(name, _)| *name == "RedrivePolicy") else { return Ok(None) };
    if policy.is_empty() {
        return Ok(Some(Redrive { dead_letter: None, max_receive_count: None }));
    }
    let refuse = |reason: &str| Failure::value(policy, "RedrivePolicy", reason);
    let parsed = match json_text::parse(policy) {
        Some(Json::Object(parsed)) => parsed,
        _ => return Err(refuse("Redrive policy is not a valid JSON map.")),
    };
    let missing = |name: &str| refuse(&format!("Redrive policy does not contain mandatory attribute: {name}."));
    let arn = parsed.get("deadLetterTargetArn").and_then(Json::as_str).ok_or_else(|| missing("deadLetterTargetArn"))?;
    let count = parsed.get("maxReceiveCount").ok_or_else(|| missing("maxReceiveCount"))?;
    let max_receive_count = number(count).ok_or_else(|| {
        refuse(&format!("Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive."))
    })?;
    let queue = job.place.any_queue_of(arn).ok_or_else(|| refuse("Dead letter target is not a queue's ARN."))?;
    let Some(target) = attributes::find(job, &queue).await? else {
        return Err(refuse("Dead letter target does not exist."));
    };
    if fifo::is_fifo(&target) != is_fifo {
        return Err(refuse("Dead-letter queue must be same type of queue as the source."));
    }
    if !dead_letters::allows(&target, &job.place.queue_arn(source)) {
        return Err(refuse("The dead-letter queue does not allow this queue to be a source queue."));
    }
    let routing_key = Some(Bytes::copy_from_slice(queue.as_bytes()));
    let dead_letter = Some(DeadLetter { exchange: Name::default(), routing_key });
    Ok(Some(Redrive { dead_letter, max_receive_count: Some(max_receive_count) }))
}

/// The console writes a number, some tools write text.
fn number(count: &Json) -> Option<u32> {
    let number = match count {
        Json::String(text) => text.parse().ok()?,
        other => u32::try_from(other.as_u64()?).ok()?,
    };
    (1..=RECEIVE_COUNT_MAX).contains(&number).then_some(number)
}

/// The policy of a queue that another protocol gave one, where SQS can say it.
pub(super) fn show(job: &Job, settings: &QueueSettings) -> Option<String> {
    let letter = settings.dead_letter.as_ref().filter(|letter| letter.exchange.is_empty())?;
    let queue = std::str::from_utf8(letter.routing_key.as_ref()?).ok()?;
    let policy =
        json!({ "deadLetterTargetArn": job.place.queue_arn(queue), "maxReceiveCount": settings.delivery_limit? });
    Some(policy.to_string())
}
