//! What is special about the declarations of streams.

use crossdock_common::definition::Stream;
use crossdock_common::{Refusal, Value};

use super::{Arguments, QUEUE_TYPE};
use crate::ages::parse_age_ms;

const MAX_AGE: &str = "x-max-age";
const SEGMENT_SIZE: &str = "x-stream-max-segment-size-bytes";
/// Largest segments in bytes, as RabbitMQ.
const SEGMENT_BYTES_MAX: u64 = 3_000_000_000;
/// Arguments that only streams have.
const OF_STREAMS: [&str; 2] = [MAX_AGE, SEGMENT_SIZE];
/// Arguments that RabbitMQ's streams do not have.
const NOT_OF_STREAMS: [&str; 12] = [
    "x-max-length",
    "x-message-ttl",
    "x-expires",
    "x-overflow",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-priority",
    "x-delivery-limit",
    "x-single-active-consumer",
    "x-queue-mode",
    "x-queue-version",
];

impl Arguments<'_> {
    pub(super) fn is_stream(&self) -> bool {
        self.value(QUEUE_TYPE).and_then(Value::as_str) == Some("stream")
    }

    /// What makes the queue a stream, if it is one. What earlier versions took for one and cannot be one is a usual queue.
    pub(super) fn stream(&self) -> Option<Stream> {
        let spec = self.spec;
        let is_one = self.is_stream() && spec.durable && !spec.exclusive && !spec.auto_delete;
        let max_age = self.value(MAX_AGE).and_then(Value::as_str);
        is_one.then(|| Stream { max_age_ms: max_age.and_then(parse_age_ms).filter(|age_ms| *age_ms > 0) })
    }

    /// The arguments of streams, wherever they are given.
    pub(super) fn check_for_streams(&self) -> Result<(), Refusal> {
        self.at_least("x-initial-cluster-size", 1)?;
        match self.text("x-queue-leader-locator")? {
            None | Some("client-local" | "balanced" | "random" | "least-leaders") => {}
            Some(_) => return Err(self.invalid("x-queue-leader-locator", "invalid_queue_locator_arg")),
        }
        let max_age = self.text(MAX_AGE)?;
        if max_age.is_some_and(|age| parse_age_ms(age).is_none_or(|age_ms| age_ms == 0)) {
            return Err(self.invalid(MAX_AGE, "invalid_max_age"));
        }
        let segment_bytes = self.at_least(SEGMENT_SIZE, 0)?;
        if self.is_stream() {
            return self.check_stream(segment_bytes);
        }
        self.has_none_of(&OF_STREAMS, if self.is_quorum() { "rabbit_quorum_queue" } else { "rabbit_classic_queue" })
    }

    fn check_stream(&self, segment_bytes: Option<u64>) -> Result<(), Refusal> {
        self.has_none_of(&NOT_OF_STREAMS, "rabbit_stream_queue")?;
        self.check_durable_and_shared()?;
        if segment_bytes.is_some_and(|bytes| bytes > SEGMENT_BYTES_MAX) {
            return Err(Refusal::PreconditionFailed(format!("Exceeded max value for {SEGMENT_SIZE}")));
        }
        Ok(())
    }
}
