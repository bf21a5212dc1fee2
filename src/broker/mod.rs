//! The core wired to what it must not know itself: the clock, the journals, the tasks that wake it.
//!
//! [`start`] opens the data directory, replays it (telling [`Startup`] how far it is), and gives an [`Engine`]. Each partition (the definitions and every
//! shard) has one journal and one task ([`partition`]), which tells the core when batches are durable and when its
//! timers are due.

mod alarms;
mod bell;
mod clock;
mod connections;
mod engine;
mod housekeeping;
mod journal_log;
mod keys;
mod partition;
mod reading;
mod replay;
mod rewrite;
#[cfg(test)]
mod simulation;
mod start;
mod startup;
mod sys;
mod vigil;
mod worker;

pub use alarms::Alarms;
pub(crate) use alarms::allocator::keep_large_blocks_apart;
pub use bell::Bell;
pub use clock::Clock;
pub use connections::{Connection, Connections, Newcomer};
pub use engine::{Engine, Health};
pub use journal_log::{going_on, to_core as location_of};
pub use keys::{KeyFileError, keyring};
pub use rewrite::{Faults, Outcome, rewrite};
pub use start::{Threads, start};
pub use startup::{PartitionProgress, Replayed, StartProgress, Startup};
pub use sys::announce_regularly;
pub use vigil::SyncWatch;
pub use worker::{become_worker, this_worker};
