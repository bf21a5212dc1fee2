//! One partition: its journal, and the task that tells the core what the journal and the clock say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossdock_common::Now;
use crossdock_core::{Broker, Partition, Sequence};
use crossdock_store::JournalEvent;
use tokio::sync::Notify;

use super::alarms::{Alarms, Reason};
use super::clock::Clock;
use super::housekeeping::{Housekeeping, TIDY_EVERY};
use crate::telemetry::events::{JournalFailed, JournalFull, JournalWritable, SegmentDamaged};

/// What the journal's thread and the core tell the partition's task.
#[derive(Default)]
pub(super) struct Signals {
    written: AtomicU64,
    durable: AtomicU64,
    changed: Mutex<Vec<JournalEvent>>,
    /// Somebody looks at `durable` all the time.
    watched: AtomicBool,
    wake: Notify,
    ending: AtomicBool,
    ended: Notify,
}

impl Signals {
    /// The journal's listener: called on its thread, so it only leaves a note.
    pub(super) fn journal_said(&self, event: JournalEvent) {
        match event {
            JournalEvent::Written(sequence) => self.written.store(sequence.0, Ordering::Release),
            JournalEvent::Durable(sequence) => {
                self.durable.store(sequence.0, Ordering::SeqCst);
                if self.watched.load(Ordering::SeqCst) {
                    return;
                }
            }
            other => self.changed.lock().unwrap_or_else(PoisonError::into_inner).push(other),
        }
        self.wake.notify_one();
    }

    /// Becomes the one who looks at [`durable`](Self::durable) and needs no wake-up; false if somebody does already.
    pub(super) fn begin_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::SeqCst)
    }

    /// The core was told up to `told`. What became durable behind that has woken nobody.
    pub(super) fn end_watch(&self, told: u64) {
        self.watched.store(false, Ordering::SeqCst);
        if self.durable() > told {
            self.wake.notify_one();
        }
    }

    /// How far the journal is durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }

    /// The broker ends: the partition takes a last snapshot, so that the next start is quick and knows how often messages were
    /// handed out. Returns when it is durable, or given up.
    pub(super) async fn end(&self) {
        let ended = self.ended.notified();
        self.begin_end();
        ended.await;
    }

    pub(super) fn begin_end(&self) {
        self.ending.store(true, Ordering::Release);
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
    pub signals: Arc<Signals>,
    pub clock: Clock,
    pub alarms: Arc<Alarms>,
    pub housekeeping: Housekeeping,
    pub told: Told,
}

/// How far the core has been told that the journal is.
#[derive(Debug, Default)]
pub(super) struct Told {
    written: u64,
    durable: u64,
}

impl PartitionTask {
    /// Runs until the task is dropped.
    pub(super) async fn run(mut self) {
        // What a start found may have expired, or be due, by now.
        self.broker.tick(self.partition, self.clock.now());
        loop {
            let now = self.clock.now();
            self.tell_written(now);
            self.tell_durable(now);
            self.tell_changes(now);
            self.housekeep(now);
            if self.housekeeping.is_writing() {
                // Others have their turn, and what is due is done in time.
                tokio::task::yield_now().await;
                let now = self.clock.now();
                if self.broker.deadline(self.partition).is_some_and(|deadline| deadline <= now.instant) {
                    self.broker.tick(self.partition, now);
                }
            } else {
                self.wait().await;
            }
        }
    }

    pub(super) fn tell_changes(&mut self, now: Now) {
        for event in self.signals.take_changes() {
            self.journal_changed(now, event);
        }
    }

    pub(super) fn housekeep(&mut self, now: Now) {
        self.housekeeping.go_on();
        if !self.signals.ending.load(Ordering::Acquire) {
            self.housekeeping.tidy_sometimes(now);
        } else if self.housekeeping.has_ended(now) {
            self.signals.ended.notify_waiters();
        }
    }

    pub(super) fn tell_written(&mut self, now: Now) {
        let written = self.signals.written.load(Ordering::Acquire);
        if let (true, Partition::Shard(index)) = (written > self.told.written, self.partition) {
            self.told.written = written;
            self.broker.written(index, Sequence(written), now);
        }
    }

    pub(super) fn tell_durable(&mut self, now: Now) {
        let durable = self.signals.durable();
        if durable > self.told.durable {
            self.told.durable = durable;
            self.broker.durable(self.partition, Sequence(durable), now);
            self.housekeeping.durable(now, durable);
        }
    }

    async fn wait(&self) {
        let notified = self.signals.wake.notified();
        // Housekeeping looks after itself from time to time.
        let tidy = tokio::time::Instant::now() + TIDY_EVERY;
        let deadline = self.broker.deadline(self.partition).filter(|deadline| self.clock.to_tokio(*deadline) <= tidy);
        let until = deadline.map_or(tidy, |deadline| self.clock.to_tokio(deadline));
        let (true, Some(deadline)) = (tokio::time::timeout_at(until, notified).await.is_err(), deadline) else {
            return;
        };
        // The runtime's timers count milliseconds; never tick before the core's microsecond has come.
        if self.clock.now().instant < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.broker.tick(self.partition, self.clock.now());
    }

    fn journal_changed(&mut self, now: Now, event: JournalEvent) {
        let journal = &*self.name;
        match event {
            JournalEvent::Full => {
                JournalFull { journal }.emit();
                self.alarms.raise(Reason::JournalFull { journal: journal.to_owned() });
            }
            JournalEvent::Writable => {
                JournalWritable { journal }.emit();
                self.alarms.lift(&Reason::JournalFull { journal: journal.to_owned() });
            }
            JournalEvent::Failed(reason) => {
                JournalFailed { journal, error: &std::io::Error::other(reason.as_str()) }.emit();
                self.alarms.raise(Reason::JournalFailed { journal: journal.to_owned(), why: reason });
            }
            JournalEvent::SnapshotDone(_) => self.housekeeping.snapshot_ended(true),
            JournalEvent::SnapshotFailed(reason) => {
                tracing::warn!(journal, reason, "snapshot given up; the journal goes on and tries again later");
                self.housekeeping.snapshot_ended(false);
            }
            JournalEvent::Cleaned { segment, len_bytes } => {
                tracing::debug!(journal, %segment, len_bytes, "a segment was cleaned");
                self.housekeeping.cleaned(now, segment, true);
            }
            JournalEvent::CleanFailed { segment, damage: Some(place), .. } => {
                SegmentDamaged { journal, file: &place.file, offset: place.offset_bytes }.emit();
                self.housekeeping.found_damaged(now, segment);
            }
            JournalEvent::CleanFailed { segment, reason, damage: None } => {
                tracing::warn!(journal, %segment, reason, "a segment cannot be cleaned; it stays as it is");
                self.housekeeping.cleaned(now, segment, false);
            }
            JournalEvent::Durable(_) | JournalEvent::Written(_) => {}
        }
    }
}
