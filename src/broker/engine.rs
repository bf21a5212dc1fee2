//! The running broker without its listeners.

use std::sync::Arc;
use std::time::Duration;

use crossdock_core::{Broker, Client};
use crossdock_store::{Journal, JournalStatus};

use super::alarms::Alarms;
use super::clock::Clock;
use super::partition::Signals;
use crate::auth::Authenticator;
use crate::telemetry::Metrics;

/// Bytes that may wait for the disk before publishers are no longer read. A few groups: more only adds latency.
const PENDING_BYTES_MAX: u64 = 32 << 20;

/// Everything that connections share.
pub struct Engine {
    pub broker: Arc<Broker>,
    pub clock: Clock,
    pub authenticator: Arc<Authenticator>,
    pub metrics: Arc<Metrics>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) journals: Arc<Vec<Arc<dyn Journal>>>,
    pub(super) signals: Vec<Arc<Signals>>,
}

/// How long a last snapshot may take; without it, the next start has more to replay, nothing else.
const LAST_SNAPSHOT_MAX: Duration = Duration::from_secs(10);

/// Whether the broker can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Ready,
    /// It cannot, and why.
    NotReady(String),
}

impl Engine {
    /// A new connection to the core. `wake` is called when events wait for it.
    pub fn connect(&self, wake: Box<dyn Fn() + Send + Sync>) -> Client {
        self.broker.connect(wake)
    }

    /// More waits for the disk than is good: whoever publishes should pause.
    pub fn is_behind(&self) -> bool {
        self.journals.iter().any(|journal| journal.pending_bytes() > PENDING_BYTES_MAX)
    }

    /// Whether publishers are served, or why not.
    pub fn health(&self) -> Health {
        self.alarms.described().map_or(Health::Ready, Health::NotReady)
    }

    /// Waits until everything that was handed to the journals is durable, or never will be.
    pub async fn flushed(&self) {
        let waiting =
            |journal: &Arc<dyn Journal>| journal.pending_bytes() > 0 && journal.status() == JournalStatus::Healthy;
        while self.journals.iter().any(waiting) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Takes the last snapshots, when all connections are gone.
    pub async fn finish(&self) {
        for signals in &self.signals {
            if tokio::time::timeout(LAST_SNAPSHOT_MAX, signals.end()).await.is_err() {
                tracing::warn!("a last snapshot was not ready in time: the next start will take longer");
            }
        }
    }

    /// Makes everything durable and closes the journals. Blocks.
    ///
    /// # Errors
    /// The first journal that could not; the others are closed all the same.
    pub fn close(&self) -> anyhow::Result<()> {
        let results: Vec<_> = self.journals.iter().map(|journal| journal.close()).collect();
        results.into_iter().collect::<Result<(), _>>().map_err(Into::into)
    }
}
