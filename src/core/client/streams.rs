//! Consumers of streams: where they begin, what they want, and what RabbitMQ does not let them do.

use crossdock_common::command::{BoundedBy, Subscribe};
use crossdock_common::value::lookup;
use crossdock_common::value_text::to_text;
use crossdock_common::{Name, Now, Refusal, UnixMillis, Value};

use crate::ages::parse_age_ms;
use crate::policies::QueueKind;
use crate::shard::stream::cursor::{Filter, Reading, Start};
use crate::shard::stream::not_of_streams;
use crate::wording::type_name;

const OFFSET: &str = "x-stream-offset";
const FILTER: &str = "x-stream-filter";
const MATCH_UNFILTERED: &str = "x-stream-match-unfiltered";

/// A consumer on its way to a stream.
pub(super) struct StreamConsumer<'a> {
    pub subscribe: &'a Subscribe,
    pub vhost: &'a Name,
}

impl StreamConsumer<'_> {
    /// How it wants to read.
    ///
    /// # Errors
    /// What RabbitMQ refuses, in its words.
    pub(super) fn reading(&self, now: Now) -> Result<Reading, Refusal> {
        let (queue, vhost) = (&self.subscribe.queue, self.vhost);
        if self.argument("x-priority").is_some() {
            return Err(Refusal::PreconditionFailed(format!(
                "invalid arg 'x-priority' for queue '{queue}' in vhost '{vhost}' of queue type rabbit_stream_queue"
            )));
        }
        let reading = Reading { start: self.start(now)?, filter: self.filter()? };
        match self.subscribe.bounded_by {
            BoundedBy::Protocol => Ok(reading),
            BoundedBy::Nobody => Err(Refusal::PreconditionFailed(format!(
                "consumer prefetch count is not set for 'queue '{queue}' in vhost '{vhost}''"
            ))),
            _ if self.subscribe.presettled => Err(not_of_streams("automatic acknowledgement", queue, vhost)),
            BoundedBy::PeerAndLane => {
                Err(Refusal::NotImplemented(format!("queue '{queue}' in vhost '{vhost}' does not support global qos")))
            }
            BoundedBy::Peer => Ok(reading),
        }
    }

    fn argument(&self, name: &str) -> Option<&Value> {
        lookup(&self.subscribe.arguments, name)
    }

    fn invalid(&self, name: &str, reason: &str, value: &Value) -> Refusal {
        let (queue, vhost) = (&self.subscribe.queue, self.vhost);
        let told = match value {
            Value::String(text) => format!("{{longstr,<<\"{text}\">>}}"),
            other => format!("{{{},{}}}", type_name(other), to_text(other)),
        };
        Refusal::PreconditionFailed(format!(
            "invalid arg '{name}' for queue '{queue}' in vhost '{vhost}': {{{reason},{told}}}"
        ))
    }

    fn start(&self, now: Now) -> Result<Start, Refusal> {
        let Some(value) = self.argument(OFFSET) else { return Ok(Start::Next) };
        let start = match value {
            Value::String(text) => start_of_word(text, now),
            Value::Timestamp(ms) => Some(Start::Since(UnixMillis(u64::try_from(*ms).unwrap_or(0)))),
            Value::Bool(_) => None,
            // Before the first one is the first one.
            number => number.as_i64().map(|offset| Start::Offset(u64::try_from(offset).unwrap_or(0))),
        };
        start.ok_or_else(|| self.invalid(OFFSET, "invalid_stream_offset_arg", value))
    }

    fn filter(&self) -> Result<Option<Filter>, Refusal> {
        let Some(value) = self.argument(FILTER) else { return Ok(None) };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let values = match value {
            Value::List(values) => values.iter().map(text).collect(),
            other => text(other).map(|value| vec![value]),
        };
        let values = values.ok_or_else(|| self.invalid(FILTER, "invalid_stream_filter_arg", value))?;
        let match_unfiltered = match self.argument(MATCH_UNFILTERED) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => return Err(self.invalid(MATCH_UNFILTERED, "invalid_stream_match_unfiltered_arg", other)),
        };
        Ok(Some(Filter { values, match_unfiltered }))
    }
}

/// One of RabbitMQ's words, or how long ago.
fn start_of_word(word: &str, now: Now) -> Option<Start> {
    match word {
        "first" => Some(Start::First),
        "last" => Some(Start::Last),
        "next" => Some(Start::Next),
        interval => {
            let ago_ms = parse_age_ms(interval)?;
            Some(Start::Since(UnixMillis(now.unix.0.saturating_sub(ago_ms))))
        }
    }
}

/// Refuses what only streams have, in RabbitMQ's words.
pub(super) fn check_no_stream(subscribe: &Subscribe, kind: QueueKind, vhost: &Name) -> Result<(), Refusal> {
    let queue = &subscribe.queue;
    match lookup(&subscribe.arguments, OFFSET) {
        None => Ok(()),
        Some(_) => Err(Refusal::PreconditionFailed(format!(
            "invalid arg '{OFFSET}' for queue '{queue}' in vhost '{vhost}' of queue type {}",
            if kind == QueueKind::Quorum { "rabbit_quorum_queue" } else { "rabbit_classic_queue" }
        ))),
    }
}
