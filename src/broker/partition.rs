//! One partition: its journal, and the task that tells the core what the journal and the clock say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossdock_core::{Broker, Partition, Sequence};
use crossdock_store::{Journal, JournalEvent};
use tokio::sync::Notify;

use super::alarms::{Alarms, Reason};
use super::clock::Clock;
use super::journal_log::SnapshotLog;
use crate::telemetry::Metrics;
use crate::telemetry::events::{JournalFailed, JournalFull, JournalWritable};

/// A snapshot is taken when the journal has grown to twice the last one, but not below this.
const SNAPSHOT_BYTES_MIN: u64 = 256 << 20;

/// What the journal's thread and the core tell the partition's task.
#[derive(Default)]
pub(super) struct Signals {
    durable: AtomicU64,
    changed: Mutex<Vec<JournalEvent>>,
    wake: Notify,
}

impl Signals {
    /// The journal's listener: called on its thread, so it only leaves a note.
    pub(super) fn journal_said(&self, event: JournalEvent) {
        match event {
            JournalEvent::Durable(sequence) => self.durable.store(sequence.0, Ordering::Release),
            other => self.changed.lock().unwrap_or_else(PoisonError::into_inner).push(other),
        }
        self.wake.notify_one();
    }

    /// The core's deadline came nearer.
    pub(super) fn deadline_changed(&self) {
        self.wake.notify_one();
    }

    /// Waits until there may be something to take.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }

    pub(super) fn take_changes(&self) -> Vec<JournalEvent> {
        std::mem::take(&mut self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A partition with everything its task needs.
pub(super) struct PartitionTask {
    pub partition: Partition,
    /// The folder's name.
    pub name: String,
    pub broker: Arc<Broker>,
    pub journal: Arc<dyn Journal>,
    pub signals: Arc<Signals>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub alarms: Arc<Alarms>,
    pub last_snapshot_bytes: u64,
}

impl PartitionTask {
    /// Runs until the task is dropped.
    pub(super) async fn run(mut self) {
        let mut told = 0;
        loop {
            let durable = self.signals.durable.load(Ordering::Acquire);
            if durable > told {
                told = durable;
                self.broker.durable(self.partition, Sequence(durable), self.clock.now());
                self.snapshot_when_due();
            }
            for event in self.signals.take_changes() {
                self.journal_changed(event);
            }
            self.wait().await;
        }
    }

    async fn wait(&self) {
        let notified = self.signals.wake.notified();
        let Some(deadline) = self.broker.deadline(self.partition) else { return notified.await };
        tokio::select! {
            () = notified => {}
            () = tokio::time::sleep_until(self.clock.to_tokio(deadline)) => {
                // The runtime's timers count milliseconds; never tick before the core's microsecond has come.
                let now = self.clock.now();
                if now.instant < deadline {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                self.broker.tick(self.partition, self.clock.now());
            }
        }
    }

    fn journal_changed(&mut self, event: JournalEvent) {
        let journal = &*self.name;
        match event {
            JournalEvent::Full => {
                JournalFull { journal }.emit(&self.metrics);
                self.alarms.raise(Reason::JournalFull { journal: journal.to_owned() });
            }
            JournalEvent::Writable => {
                JournalWritable { journal }.emit(&self.metrics);
                self.alarms.lift(&Reason::JournalFull { journal: journal.to_owned() });
            }
            JournalEvent::Failed(reason) => {
                JournalFailed { journal, error: &std::io::Error::other(reason.as_str()) }.emit(&self.metrics);
                self.alarms.raise(Reason::JournalFailed { journal: journal.to_owned(), why: reason });
            }
            JournalEvent::SnapshotDone(_) => self.last_snapshot_bytes = self.journal.disk_bytes(),
            JournalEvent::SnapshotFailed(reason) => {
                tracing::warn!(journal, reason, "snapshot given up; the journal goes on and tries again later");
                self.last_snapshot_bytes = self.journal.disk_bytes();
            }
            JournalEvent::Durable(_)
            | JournalEvent::Written(_)
            | JournalEvent::Cleaned { .. }
            | JournalEvent::CleanFailed { .. } => {}
        }
    }

    fn snapshot_when_due(&mut self) {
        let limit = (2 * self.last_snapshot_bytes).max(SNAPSHOT_BYTES_MIN);
        if self.journal.disk_bytes() < limit {
            return;
        }
        let mut log = SnapshotLog::default();
        let Some(last) = self.broker.snapshot(self.partition, &mut log) else { return };
        let at = crossdock_store::BatchSequence(last.0);
        match self.journal.snapshot(at, log.builder.finish()) {
            // Until it is done, do not begin another.
            Ok(()) => self.last_snapshot_bytes = u64::MAX / 4,
            Err(error) => tracing::debug!(%error, "snapshot not begun"),
        }
    }
}
