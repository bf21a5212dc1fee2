//! Dead-letter queues from their own side: ListDeadLetterSourceQueues, and RedriveAllowPolicy, which says who may use one.

use crossdock_common::definition::QueueInfo;
use serde_json::Value as Json;

use super::attributes::kept;
use super::pages::{Page, names};
use super::queue;
use crate::call::Job;
use crate::error::Failure;
use crate::json_text;
use crate::wire::Shape;

const SOURCES_MAX: usize = 10;
const NAME: &str = "RedriveAllowPolicy";

pub(super) async fn list_sources(job: &Job) -> Result<Shape, Failure> {
    let target = queue(job).await?;
    Page::read(job)?.answer(job, "", "queueUrls", |info| is_source_of(info, &target.spec.name)).await
}

/// Whether the dead letters of any queue go there.
pub(super) async fn is_target(job: &Job, queue: &str) -> Result<bool, Failure> {
    Ok(!names(job, "", None, 1, |info| is_source_of(info, queue)).await?.is_empty())
}

fn is_source_of(info: &QueueInfo, target: &str) -> bool {
    let letters = info.spec.settings.dead_letter.as_ref().filter(|letters| letters.exchange.is_empty());
    letters.and_then(|letters| letters.routing_key.as_ref()).is_some_and(|key| key == target)
}

/// Whose dead letters a queue takes.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    All,
    Nobody,
    Queues(Vec<String>),
}

/// Refuses what is no policy.
pub(super) fn check(policy: &str) -> Result<(), Failure> {
    if policy.is_empty() { Ok(()) } else { parse(policy).map(drop) }
}

/// Whether the queue lets the queue of that ARN send its dead letters there.
pub(super) fn allows(target: &QueueInfo, source_arn: &str) -> bool {
    match kept(target, NAME).and_then(|policy| parse(policy).ok()) {
        None | Some(Allowed::All) => true,
        Some(Allowed::Nobody) => false,
        Some(Allowed::Queues(arns)) => arns.iter().any(|arn| arn == source_arn),
    }
}

fn parse(policy: &str) -> Result<Allowed, Failure> {
    let refuse = |reason: &str| Failure::value(policy, NAME, reason);
    let Some(Json::Object(parsed)) = json_text::parse(policy) else {
        return Err(refuse("Redrive allow policy is not a valid JSON map."));
    };
    let permission = parsed.get("redrivePermission").and_then(Json::as_str);
    let sources = parsed.get("sourceQueueArns");
    match permission {
        Some("allowAll" | "denyAll") if sources.is_some() => {
            Err(refuse("sourceQueueArns can be specified only when redrivePermission is byQueue."))
        }
        Some("allowAll") => Ok(Allowed::All),
        Some("denyAll") => Ok(Allowed::Nobody),
        Some("byQueue") => by_queue(sources).map(Allowed::Queues).ok_or_else(|| {
            refuse("sourceQueueArns must be a list of 1 to 10 ARNs of queues when redrivePermission is byQueue.")
        }),
        Some(_) => Err(refuse("redrivePermission must be one of allowAll, denyAll and byQueue.")),
        None => Err(refuse("Redrive allow policy does not contain mandatory attribute: redrivePermission.")),
    }
}

fn by_queue(sources: Option<&Json>) -> Option<Vec<String>> {
    let sources = sources?.as_array().filter(|sources| (1..=SOURCES_MAX).contains(&sources.len()))?;
    let arn = |source: &Json| source.as_str().filter(|arn| arn.starts_with("arn:")).map(str::to_owned);
    sources.iter().map(arn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_says_who_may_send_dead_letters() {
        let arns = |count: usize| serde_json::json!(vec!["arn:aws:sqs:r:000000000000:q"; count]).to_string();
        let by_queue = |sources: &str| format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":{sources}}}"#);
        assert_eq!(parse(r#"{"redrivePermission":"allowAll"}"#).unwrap(), Allowed::All);
        assert_eq!(parse(r#"{"redrivePermission":"denyAll"}"#).unwrap(), Allowed::Nobody);
        for count in [1, 9, 10] {
            assert!(matches!(parse(&by_queue(&arns(count))), Ok(Allowed::Queues(found)) if found.len() == count));
        }
        for bad in [
            "[]",
            "{}",
            r#"{"redrivePermission":"some"}"#,
            r#"{"redrivePermission":"byQueue"}"#,
            r#"{"redrivePermission":"denyAll","sourceQueueArns":[]}"#,
            &by_queue(&arns(0)),
            &by_queue(&arns(11)),
            &by_queue("[1]"),
        ] {
            assert_eq!(parse(bad).unwrap_err().query_code(), "InvalidParameterValue", "{bad}");
        }
    }
}
