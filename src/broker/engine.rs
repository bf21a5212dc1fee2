//! The running broker without its listeners.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crossdock_core::{Broker, Client, Counts, Ledger};
use crossdock_store::{Journal, JournalStatus};

use super::alarms::Alarms;
use super::clock::Clock;
use super::connections::Connections;
use super::partition::Signals;
use super::startup::journal_name;
use super::vigil::Vigil;
use crate::administration::Administration;
use crate::auth::Authenticator;
use crate::telemetry::{JournalFigures, MessageFigures, Metrics};

/// Bytes that may wait for the disk before publishers are no longer read. A few groups: more only adds latency.
const PENDING_BYTES_MAX: u64 = 32 << 20;

/// Everything that connections share.
pub struct Engine {
    pub broker: Arc<Broker>,
    pub clock: Clock,
    pub authenticator: Arc<Authenticator>,
    pub administration: Arc<Administration>,
    pub metrics: Arc<Metrics>,
    pub connections: Connections,
    pub(super) alarms: Arc<Alarms>,
    pub(super) journals: Arc<Vec<Arc<dyn Journal>>>,
    pub(super) signals: Vec<Arc<Signals>>,
    pub(super) vigil: Vigil,
}

/// Which of RabbitMQ's two alarms hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmsInEffect {
    pub memory: bool,
    /// Also while a journal has no space, or has failed.
    pub disk: bool,
}

/// How long a last snapshot may take; without it, the next start has more to replay, nothing else.
const LAST_SNAPSHOT_MAX: Duration = Duration::from_secs(10);

/// Whether the broker can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Ready,
    /// Consumers are served and publishers wait, and why.
    PublishersWait(String),
    /// It cannot, and why.
    NotReady(String),
}

impl Engine {
    /// A new connection to the core. `wake` is called when events wait for it.
    pub fn connect(&self, wake: Waker) -> Client {
        self.broker.connect(wake)
    }

    /// More waits for the disk than is good: whoever publishes should pause.
    pub fn is_behind(&self) -> bool {
        self.journals.iter().any(|journal| journal.pending_bytes() > PENDING_BYTES_MAX)
    }

    /// What was appended by [`going_on`](super::going_on) is written now.
    pub fn wake_journals(&self) {
        self.journals.iter().for_each(|journal| journal.wake());
    }

    /// Whether it can do its work, or what keeps it from that.
    pub fn health(&self) -> Health {
        if self.broker.is_draining() {
            return Health::NotReady("the broker is being stopped".to_owned());
        }
        self.alarms.health()
    }

    /// Which alarms stop publishers.
    pub fn alarms_in_effect(&self) -> AlarmsInEffect {
        self.alarms.in_effect()
    }

    /// Brings those metrics up to date that are not counted as things happen.
    pub fn measure(&self) {
        let (ledger, unbalanced_queues) = self.broker.ledger();
        for (fate, messages) in fates(&ledger) {
            self.metrics.set_fate(fate, messages);
        }
        self.metrics.set_drops("queue_full", ledger.dropped);
        self.metrics.set_drops("expired", ledger.expired);
        self.metrics.set_drops("rejected", ledger.rejected);
        // Nobody else makes such bindings.
        self.metrics.count_sns_drops("sqs", self.broker.take_lost_by_standing_bindings());
        let Counts { ready, unsettled, delayed, unreadable, .. } = self.broker.counts();
        let memory_bytes = self.broker.messages_memory_bytes();
        let letters_withheld = self.broker.letters_withheld();
        let figures =
            MessageFigures { ready, unsettled, delayed, unreadable, memory_bytes, unbalanced_queues, letters_withheld };
        self.metrics.set_messages(&figures);
        for (index, journal) in self.journals.iter().enumerate() {
            self.metrics.set_journal(&journal_name(index), &self.journal_figures(index, journal.as_ref()));
        }
    }

    fn journal_figures(&self, index: usize, journal: &dyn Journal) -> JournalFigures {
        let segments = journal.segments();
        JournalFigures {
            disk_bytes: journal.disk_bytes(),
            bytes_since_snapshot: journal.bytes_since_snapshot(),
            // The definitions are in memory, and their journal holds nothing that is read again.
            live_bytes: index.checked_sub(1).map_or(0, |shard| self.broker.needs(shard).live_bytes),
            segments: segments.len() as u64,
            damaged_segments: segments.iter().filter(|info| info.damaged).count() as u64,
        }
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

/// What became of messages, by the word that the metric uses.
fn fates(ledger: &Ledger) -> [(&'static str, u64); 7] {
    let Ledger { accepted, settled, rejected, expired, dead_lettered, dropped, purged } = *ledger;
    [
        ("accepted", accepted),
        ("settled", settled),
        ("rejected", rejected),
        ("expired", expired),
        ("dead_lettered", dead_lettered),
        ("dropped", dropped),
        ("purged", purged),
    ]
}
