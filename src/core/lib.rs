//! The core: what the broker does with messages, whatever protocol they came by.
//!
//! Pure and synchronous: no sockets, no clock, no files, no runtime, and no protocol's name. Time comes in as
//! [`Now`](crossdock_common::Now), records go out through [`Log`], events go out through an [`Outbox`](outbox::Outbox).
//!
//! Entry points: [`Broker`] is everything there is; [`Client`] is one connection's view of it. Locks are taken in the order
//! definitions, then one shard at a time.

mod ages;
mod broker;
mod client;
mod definitions;
mod inspect;
mod log;
mod outbox;
mod permissions;
mod policies;
mod rarely;
mod record;
mod rules;
mod selector;
mod settings;
mod shard;
#[cfg(test)]
mod tests;
mod window;
mod wording;

pub use ages::parse_age_ms;
pub use broker::administer::DocumentChange;
pub use broker::recovery::{Recovery, ShardReplay};
pub use broker::view::{AppliedNames, ObjectCounts, QueueView};
pub use broker::{Broker, BrokerOptions, Needs, Partition, SessionLimits};
pub use client::{Client, Execution, Hurried};
pub use definitions::standing::Astray;
pub use definitions::traffic::ExchangeSample;
pub use inspect::{Description, PagePlace, QueuePlace, describe};
pub use log::{Location, Log, Place, Placed, RecordKind, Sequence, Urgency};
pub use outbox::cost_bytes;
pub use permissions::{Grant, Permissions, TopicGrant, TopicRules, Who};
pub use policies::{Applied, AppliesTo, Policies, Policy, PolicyDefinition, QueueKind};
pub use record::RecordError;
pub use rules::{Rules, UserRules, VhostRules};
pub use selector::{SELECTOR_BYTES_MAX, SELECTOR_DEPTH_MAX, Selector, SelectorError};
pub use settings::{validate_exchange, validate_queue};
pub use shard::ledger::Ledger;
pub use shard::paging::Paging;
pub use shard::reading::{ReadRequest, ReadResult};
pub use shard::replay::PageToRead;
pub use shard::replay::salvage::{LostPage, Reference, Repaired, Salvage};
pub use shard::segments::SegmentUse;
pub use shard::snapshot::{SnapshotPoint, Survey, UnfinishedSnapshot};
pub use shard::stored::Tally;
pub use shard::traffic::{Deaths, Traffic};
pub use shard::view::{ConsumerFigures, QueueFigures, QueueSample};
pub use shard::{Counts, Formats};
