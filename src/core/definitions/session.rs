//! Sessions: what outlives a connection under a name.

use std::sync::Arc;

use crossdock_common::command::Will;
use crossdock_common::{Instant, Name};

use crate::outbox::Outbox;

/// A session (MQTT's sense of the word): a queue with its bindings and a little state, kept under a name.
pub(crate) struct Session {
    pub name: Name,
    /// Only the same user may resume or take it over.
    pub user: Name,
    /// Its queue.
    pub queue: Name,
    /// How long it lives without a connection; `None` is for ever.
    pub expiry_ms: Option<u64>,
    /// It survives a restart of the broker, as its queue does: decided when it is made.
    pub durable: bool,
    /// The connection that has it.
    pub attached: Option<Arc<Outbox>>,
    /// When it ends, if it is not resumed.
    pub ends_at: Option<Instant>,
    /// Published when the connection ends badly.
    pub will: Option<Box<Will>>,
    /// When the will is due, after the connection ended.
    pub will_at: Option<Instant>,
}

impl Session {
    /// When something has to be done without anybody asking.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.ends_at, self.will_at].into_iter().flatten().min()
    }
}
