//! ReplayPolicy of subscriptions: messages of the topic's archive come again.
//!
//! While a replay is going on, new messages do not come to the queue directly but from the archive too, so that all keep their order. What
//! is replayed comes through a second binding of the subscription, with a key of its own. The part that copies the messages is in the
//! broker (`src/bridges/sns/replayer.rs`).

mod task;

use crossdock_common::definition::ExchangeInfo;
use crossdock_common::value::lookup;
use crossdock_common::{Table, Text, UnixMillis, Value};
use serde_json::Value as Json;

use super::archive;
use super::subscription::Subscription;
use crate::calendar::unix_seconds;
use crate::call::Job;
use crate::digest::uuid_text;
use crate::error::Failure;
use crate::json_text;
pub use task::ReplayTask;

/// The attribute.
pub(super) const NAME: &str = "ReplayPolicy";
/// Parts of a subscription as it is kept.
const POLICY: &str = "replay-policy";
const STATUS: &str = "replay-status";
const ID: &str = "replay-id";
/// Most replays of a topic that go on at the same time.
const UNFINISHED_MAX: usize = 100;

/// How far a replay has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Status {
    Pending,
    InProgress,
    /// New messages come directly again; those that came before that are still on their way.
    CatchingUp,
    Completed,
    Failed,
}

impl Status {
    const ALL: [Self; 5] = [Self::Pending, Self::InProgress, Self::CatchingUp, Self::Completed, Self::Failed];

    fn kept(self) -> &'static str {
        match self {
            Self::CatchingUp => "Catching up",
            other => other.word(),
        }
    }

    /// SNS's word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress | Self::CatchingUp => "In progress",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// What is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    start: UnixMillis,
    /// The last moment; then no new messages come either.
    end: Option<UnixMillis>,
}

/// A subscription's replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    pub policy: String,
    pub status: Status,
    /// Another one with each policy that is set.
    id: String,
}

impl Replay {
    /// What a policy asks for; none if it is empty.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(job: &Job, policy: &str) -> Result<Option<Self>, String> {
        let id = uuid_text(job.desk.uuid());
        Ok(read(policy)?.map(|_| Self { policy: policy.to_owned(), status: Status::Pending, id }))
    }

    pub(super) fn read(kept: &Table) -> Option<Self> {
        let text = |name: &str| Some(lookup(kept, name)?.as_str()?.to_owned());
        let status = text(STATUS).and_then(|word| Status::ALL.into_iter().find(|status| status.kept() == word));
        Some(Self { policy: text(POLICY)?, status: status?, id: text(ID)? })
    }

    pub(super) fn write(&self, kept: &mut Table) {
        let entries = [(POLICY, self.policy.as_str()), (STATUS, self.status.kept()), (ID, self.id.as_str())];
        kept.extend(entries.map(|(name, text)| (Text::from_static(name), Value::string(text))));
    }

    /// New messages do not come directly.
    pub(super) fn is_in_the_way(&self) -> bool {
        match self.status {
            Status::Pending | Status::InProgress => true,
            Status::CatchingUp | Status::Failed => false,
            Status::Completed => read(&self.policy).is_ok_and(|window| window.is_some_and(|one| one.end.is_some())),
        }
    }
}

fn read(policy: &str) -> Result<Option<Window>, String> {
    if policy.is_empty() {
        return Ok(None);
    }
    let json = json_text::parse(policy).ok_or_else(|| format!("{NAME}: failed to parse JSON"))?;
    let members = json.as_object().ok_or_else(|| format!("{NAME}: must be a JSON object"))?;
    if members.is_empty() {
        return Ok(None);
    }
    let known = ["PointType", "StartingPoint", "EndingPoint"];
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("{NAME}: Unknown member {unknown}"));
    }
    if members.get("PointType").and_then(Json::as_str) != Some("Timestamp") {
        return Err(format!("{NAME}: PointType must be Timestamp"));
    }
    let start = members.get("StartingPoint").map(|point| time(point, "StartingPoint")).transpose()?;
    let start = start.ok_or_else(|| format!("{NAME}: StartingPoint is missing"))?;
    let end = members.get("EndingPoint").map(|point| time(point, "EndingPoint")).transpose()?;
    if end.is_some_and(|end| end <= start) {
        return Err(format!("{NAME}: EndingPoint must be after StartingPoint"));
    }
    Ok(Some(Window { start, end }))
}

fn time(point: &Json, name: &str) -> Result<UnixMillis, String> {
    let refused = || format!("{NAME}: {name} must be a time as in 2026-01-02T03:04:05.678Z");
    let text = point.as_str().ok_or_else(refused)?;
    let seconds = unix_seconds(text).and_then(|seconds| u64::try_from(seconds).ok()).ok_or_else(refused)?;
    let fraction = text.split_once('.').map(|(_, rest)| rest).unwrap_or_default();
    let fraction: String = fraction.chars().take_while(char::is_ascii_digit).take(3).collect();
    let ms = format!("{fraction:0<3}").parse::<u64>().map_err(|_| refused())?;
    Ok(UnixMillis(seconds * 1_000 + ms))
}

/// Whether a subscription of the topic can have its replay.
pub(super) fn check(
    job: &Job,
    info: &ExchangeInfo,
    all: &[Subscription],
    id: &str,
    policy: &str,
) -> Result<(), Failure> {
    let refuse = |reason: &str| Err(Failure::SnsInvalid(format!("{NAME}: {reason}")));
    let Some(window) = read(policy).map_err(Failure::SnsInvalid)? else { return Ok(()) };
    if archive::days_of(info).is_none() {
        return refuse("the topic has no ArchivePolicy");
    }
    if window.start > job.desk.now().unix {
        return refuse("StartingPoint must not be in the future");
    }
    let is_unfinished = |one: &Subscription| one.replay.as_ref().is_some_and(|replay| !replay.status.is_over());
    if all.iter().filter(|one| one.id != id && is_unfinished(one)).count() >= UNFINISHED_MAX {
        let text = format!("A topic can have at most {UNFINISHED_MAX} replays at the same time");
        return Err(Failure::sns(403, "ReplayLimitExceeded", text));
    }
    Ok(())
}

/// Where it is kept how far a subscription's replay has got.
pub(super) fn document_of(id: &str) -> String {
    format!("replay/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read() {
        let start = "2026-01-02T03:04:05.6Z";
        let window =
            |policy: &str| read(policy).map(|window| window.map(|one| (one.start.0, one.end.map(|end| end.0))));
        let with = |more: &str| format!(r#"{{"PointType":"Timestamp","StartingPoint":"{start}"{more}}}"#);
        assert_eq!(window(&with("")), Ok(Some((1_767_323_045_600, None))));
        let both = with(r#","EndingPoint":"2026-01-02T03:04:06+00:00""#);
        assert_eq!(window(&both), Ok(Some((1_767_323_045_600, Some(1_767_323_046_000)))));
        let offset = both.replace(start, "2026-01-02T03:04:05.6+00:00");
        assert_eq!(window(&offset), Ok(Some((1_767_323_045_600, Some(1_767_323_046_000)))));
        assert_eq!((window(""), window("{}")), (Ok(None), Ok(None)));
        for wrong in [
            "nonsense".to_owned(),
            "[]".to_owned(),
            r#"{"PointType":"Timestamp"}"#.to_owned(),
            format!(r#"{{"PointType":"Offset","StartingPoint":"{start}"}}"#),
            with(r#","EndingPoint":"2026-01-02T03:04:05.600Z""#),
            with(r#","EndingPoint":"then""#),
            with(r#","EndingPoint":7"#),
            with(r#","Nonsense":"x""#),
            r#"{"PointType":"Timestamp","StartingPoint":"1960-01-01T00:00:00Z"}"#.to_owned(),
        ] {
            assert!(window(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn new_messages_wait_for_a_replay() {
        let replay = |status, end: &str| Replay {
            policy: format!(r#"{{"PointType":"Timestamp","StartingPoint":"2026-01-02T03:04:05Z"{end}}}"#),
            status,
            id: "1".to_owned(),
        };
        let is_in_the_way = |status| replay(status, "").is_in_the_way();
        assert_eq!(Status::ALL.map(is_in_the_way), [true, true, false, false, false]);
        assert!(replay(Status::Completed, r#","EndingPoint":"2026-01-02T03:04:06Z""#).is_in_the_way());
        let mut kept = Table::new();
        for status in Status::ALL {
            kept.clear();
            replay(status, "").write(&mut kept);
            assert_eq!(Replay::read(&kept), Some(replay(status, "")));
        }
    }
}
