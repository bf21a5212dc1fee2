//! ArchivePolicy of FIFO topics: what is published is kept in a stream beside the topic, and `replay.rs` takes it from there.

use bytes::Bytes;
use crossdock_common::definition::{
    BindingSpec, Definition, Destination, ExchangeInfo, QueueSettings, QueueSpec, Stream,
};
use crossdock_common::{Name, Table, Text, UnixMillis, Value};

use super::replay::Status;
use super::subscription::Subscription;
use super::topics::{self, KEPT, kept};
use crate::access;
use crate::calendar::iso8601;
use crate::call::Job;
use crate::error::Failure;
use crate::json_text;

/// The attribute.
pub(super) const NAME: &str = "ArchivePolicy";
/// The entry of an exchange's attributes that says since when there is an archive.
const ARCHIVE: &str = "sns-archive";
const SINCE: &str = "since-ms";
/// What the names of archives begin with.
pub(super) const PREFIX: &str = "aws.sns.archive.";
const PERIOD: &str = "MessageRetentionPeriod";
const DAYS: core::ops::RangeInclusive<u64> = 1..=365;
const DAY_MS: u64 = 86_400_000;

/// The stream that a topic's messages are kept in.
pub(super) fn queue_of(topic: &str) -> Name {
    format!("{PREFIX}{topic}").into()
}

/// The topic whose archive that is, if it is one.
pub fn topic_of_archive(queue: &str) -> Option<Name> {
    queue.strip_prefix(PREFIX).map(Name::from)
}

/// How many days a policy keeps messages; `None` if it keeps none.
///
/// # Errors
/// What is wrong with it.
pub(super) fn days(policy: &str) -> Result<Option<u64>, String> {
    if policy.is_empty() {
        return Ok(None);
    }
    let json = json_text::parse(policy).ok_or_else(|| format!("{NAME}: failed to parse JSON"))?;
    let members = json.as_object().ok_or_else(|| format!("{NAME}: must be a JSON object"))?;
    if let Some(unknown) = members.keys().find(|name| *name != PERIOD) {
        return Err(format!("{NAME}: Unknown member {unknown}"));
    }
    let Some(period) = members.get(PERIOD) else { return Ok(None) };
    let days = period.as_u64().or_else(|| period.as_str()?.parse().ok()).filter(|days| DAYS.contains(days));
    days.map(Some).ok_or_else(|| format!("{NAME}: {PERIOD} must be a whole number of days from 1 to 365"))
}

/// How long the topic's messages are kept now, in days.
pub(super) fn days_of(info: &ExchangeInfo) -> Option<u64> {
    days(kept(info, KEPT, NAME).unwrap_or_default()).ok().flatten()
}

/// The time of the oldest message that there may be, for GetTopicAttributes.
pub(super) fn beginning(job: &Job, info: &ExchangeInfo) -> Option<String> {
    let days = days_of(info)?;
    let since = kept(info, ARCHIVE, SINCE).and_then(|since| since.parse().ok()).unwrap_or(info.created_at.0);
    let oldest = job.desk.now().unix.0.saturating_sub(days * DAY_MS);
    Some(iso8601(UnixMillis(oldest.max(since))))
}

/// Notes in a topic's attributes that its archive begins now.
pub(super) fn note_beginning(job: &Job, attributes: &mut Table) {
    topics::put(attributes, ARCHIVE, &[(SINCE, &job.desk.now().unix.0.to_string())]);
}

fn settings(days: u64) -> QueueSettings {
    let stream = Some(Stream { max_age_ms: Some(days * DAY_MS) });
    QueueSettings { stream, ..QueueSettings::default() }
}

/// Makes the archive of a topic that exists; there may be one already.
pub(super) async fn declare(job: &Job, topic: &Name, days: u64) -> Result<(), Failure> {
    let arguments = vec![(Text::from_static("x-queue-type"), Value::string("stream"))];
    let settings = settings(days).into();
    let spec = QueueSpec { name: queue_of(topic), durable: true, arguments, settings, ..QueueSpec::default() };
    job.desk.define(Definition::DeclareQueue { spec, passive: false }).await.map_err(Failure::of_topic)?;
    let binding = BindingSpec {
        source: topic.clone(),
        destination: Destination::Queue(queue_of(topic)),
        key: Bytes::new(),
        arguments: Table::new(),
        announced: false,
        attributes: Table::new(),
    };
    job.desk.define(Definition::Bind(binding)).await.map(drop).map_err(Failure::of_topic)
}

/// Does what a new policy of a topic asks for, and notes it in the attributes. Gives the policy as it is kept: none is an empty text.
pub(super) async fn follow<'a>(
    job: &Job,
    info: &ExchangeInfo,
    attributes: &mut Table,
    policy: &'a str,
) -> Result<&'a str, Failure> {
    let topic = &info.spec.name;
    match (days_of(info), days(policy).map_err(Failure::SnsInvalid)?) {
        (None, Some(days)) => {
            declare(job, topic, days).await?;
            note_beginning(job, attributes);
        }
        (Some(_), Some(days)) => {
            declare(job, topic, days).await?;
            let (name, settings) = (queue_of(topic), settings(days).into());
            let update = Definition::UpdateQueue { name, settings, attributes: Table::new() };
            job.desk.define(update).await.map_err(Failure::of_topic)?;
        }
        (Some(_), None) => stop(job, topic).await?,
        (None, None) => {}
    }
    Ok(if days(policy).is_ok_and(|days| days.is_some()) { policy } else { "" })
}

/// The archive goes, and replays from it fail.
async fn stop(job: &Job, topic: &Name) -> Result<(), Failure> {
    for subscription in Subscription::of_topic(job, topic).await? {
        let unfinished = subscription.replay.clone().filter(|replay| !replay.status.is_over());
        if let Some(mut replay) = unfinished {
            replay.status = Status::Failed;
            access::lend(job, &subscription);
            Subscription { replay: Some(replay), ..subscription }.save(job).await?;
        }
    }
    let deletion = Definition::DeleteQueue { name: queue_of(topic), if_unused: false, if_empty: false };
    job.desk.define(deletion).await.map(drop).map_err(Failure::of_topic)
}

/// A topic that keeps messages is not deleted by mistake.
pub(super) fn check_deletion(info: &ExchangeInfo) -> Result<(), Failure> {
    match days_of(info) {
        None => Ok(()),
        Some(_) => {
            let text = "A topic with an ArchivePolicy cannot be deleted. Set the policy to {} first.";
            Err(Failure::sns(400, "InvalidState", text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_keep_days() {
        for (policy, kept) in [
            ("", None),
            ("{}", None),
            (r#"{"MessageRetentionPeriod":"1"}"#, Some(1)),
            (r#"{"MessageRetentionPeriod": 365}"#, Some(365)),
        ] {
            assert_eq!(days(policy), Ok(kept), "{policy}");
        }
        for policy in [
            "nonsense",
            "[]",
            r#"{"MessageRetentionPeriod":"0"}"#,
            r#"{"MessageRetentionPeriod":366}"#,
            r#"{"MessageRetentionPeriod":"1.5"}"#,
            r#"{"MessageRetentionPeriod":null}"#,
            r#"{"Days":"1"}"#,
        ] {
            assert!(days(policy).is_err(), "{policy}");
        }
    }

    #[test]
    fn archives_know_their_topics() {
        assert_eq!(topic_of_archive(&queue_of("orders.fifo")), Some(Name::from("orders.fifo")));
        assert_eq!(topic_of_archive("aws.sns.fifo.orders.fifo"), None);
    }
}
