//! What operators see: log lines and metrics, written together.
//!
//! [`events`] holds one small struct per thing that happens; its `emit` writes the log line *and* the metric, so the two
//! never disagree. Anything that is counted per message goes through the handles of [`Metrics::protocol`] instead.

pub mod events;
mod log;
mod metrics;
mod process;
pub mod rabbitmq;
mod traffic;

pub use log::{TelemetryError, start};
pub use metrics::{Alarm, JournalFigures, MessageFigures, Metrics, Protocol, ProtocolMetrics, ResourceFigures};
pub use process::{anonymous_bytes, open_descriptors, resident_bytes};
