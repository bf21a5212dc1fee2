//! Why publishers are stopped: the one place that knows all reasons, and tells the core.

pub(crate) mod allocator;
mod disk;
mod memory;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossdock_core::Broker;

use super::engine::{AlarmsInEffect, Health};
use crate::telemetry::{Alarm, Metrics};
pub(super) use disk::watch_disk;
pub(super) use memory::{messages_memory_bytes, watch_memory};

/// A reason to stop publishers, most serious first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// A journal failed: nothing more is confirmed until a restart.
    JournalFailed { journal: String, why: String },
    /// A journal finds no space.
    JournalFull { journal: String },
    /// The data directory's file system is nearly full.
    DiskLow,
    /// The broker uses more memory than it may.
    MemoryHigh,
}

impl Reason {
    /// What clients are told, in RabbitMQ's words.
    fn said(&self) -> &'static str {
        match self {
            Self::JournalFailed { .. } => "journal failed",
            Self::JournalFull { .. } | Self::DiskLow => "low on disk",
            Self::MemoryHigh => "low on memory",
        }
    }

    fn alarm(&self) -> Alarm {
        match self {
            Self::JournalFailed { .. } => Alarm::JournalFailed,
            Self::JournalFull { .. } => Alarm::JournalFull,
            Self::DiskLow => Alarm::DiskLow,
            Self::MemoryHigh => Alarm::MemoryHigh,
        }
    }
}

/// What operators are told.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JournalFailed { journal, why } => write!(f, "journal {journal} failed: {why}"),
            Self::JournalFull { journal } => write!(f, "the disk of journal {journal} is full"),
            Self::DiskLow => f.write_str("less disk space is free than store.disk_free_bytes_min"),
            Self::MemoryHigh => f.write_str("more memory is used than limits.memory_bytes_max"),
        }
    }
}

/// Tells the core that publishers must stop, and why, or that they may go on.
type Block = Box<dyn Fn(Option<&'static str>) + Send + Sync>;

/// The reasons that hold. Publishers are stopped as long as there is one, and told the most serious.
pub struct Alarms {
    reasons: Mutex<BTreeSet<Reason>>,
    block: Block,
    metrics: Arc<Metrics>,
}

impl Alarms {
    /// No reason holds.
    pub(super) fn new(broker: Arc<Broker>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self::with(Box::new(move |reason| broker.set_blocked(reason)), metrics))
    }

    fn with(block: Block, metrics: Arc<Metrics>) -> Self {
        Self { reasons: Mutex::default(), block, metrics }
    }

    /// The reason holds from now on.
    pub(super) fn raise(&self, reason: Reason) {
        let mut reasons = self.reasons();
        let alarm = reason.alarm();
        if reasons.insert(reason) {
            self.metrics.alarm_raised(alarm);
            self.tell(&reasons);
        }
    }

    /// The reason holds no longer.
    pub(super) fn lift(&self, reason: &Reason) {
        let mut reasons = self.reasons();
        if reasons.remove(reason) {
            self.metrics.alarm_lifted(reason.alarm());
            self.tell(&reasons);
        }
    }

    /// Raises or lifts; true when that changed something.
    fn set(&self, reason: Reason, holds: bool) -> bool {
        let held = self.reasons().contains(&reason);
        if holds {
            self.raise(reason);
        } else {
            self.lift(&reason);
        }
        held != holds
    }

    /// Which of RabbitMQ's two alarms hold.
    pub(super) fn in_effect(&self) -> AlarmsInEffect {
        let reasons = self.reasons();
        let memory = reasons.contains(&Reason::MemoryHigh);
        AlarmsInEffect { memory, disk: reasons.iter().any(|reason| *reason != Reason::MemoryHigh) }
    }

    /// Whether the broker can do its work.
    pub(super) fn health(&self) -> Health {
        let reasons = self.reasons();
        let described: Vec<String> = reasons.iter().map(Reason::to_string).collect();
        let described = described.join("; ");
        match reasons.first() {
            None => Health::Ready,
            // The most serious reason comes first.
            Some(Reason::JournalFailed { .. }) => Health::NotReady(described),
            Some(_) => Health::PublishersWait(described),
        }
    }

    /// Called with the reasons locked, so that the core hears of changes in the order in which they happen.
    fn tell(&self, reasons: &BTreeSet<Reason>) {
        (self.block)(reasons.first().map(Reason::said));
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeSet<Reason>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = Arc<Mutex<Vec<Option<&'static str>>>>;

    fn alarms() -> (Alarms, Told, Arc<Metrics>) {
        let (told, metrics) = (Told::default(), Arc::new(Metrics::new()));
        let hears = told.clone();
        (Alarms::with(Box::new(move |reason| hears.lock().unwrap().push(reason)), metrics.clone()), told, metrics)
    }

    fn full(journal: &str) -> Reason {
        Reason::JournalFull { journal: journal.to_owned() }
    }

    #[test]
    fn publishers_go_on_only_when_no_reason_holds() {
        let (alarms, told, _) = alarms();
        alarms.raise(full("shard-0"));
        alarms.raise(full("shard-1"));
        alarms.lift(&full("shard-0"));
        assert_eq!(told.lock().unwrap().last(), Some(&Some("low on disk")));
        alarms.lift(&full("shard-1"));
        assert_eq!(told.lock().unwrap().last(), Some(&None));
    }

    #[test]
    fn the_most_serious_reason_is_told_and_all_are_described() {
        let (alarms, told, _) = alarms();
        alarms.raise(Reason::MemoryHigh);
        alarms.raise(Reason::DiskLow);
        alarms.raise(Reason::JournalFailed { journal: "shard-0".to_owned(), why: "broken".to_owned() });
        alarms.lift(&Reason::DiskLow);
        let expected = ["low on memory", "low on disk", "journal failed", "journal failed"].map(Some);
        assert_eq!(*told.lock().unwrap(), expected);
        let described = "journal shard-0 failed: broken; more memory is used than limits.memory_bytes_max";
        assert_eq!(alarms.health(), Health::NotReady(described.to_owned()));
    }

    #[test]
    fn while_consumers_can_be_served_it_is_not_unready() {
        let (alarms, ..) = alarms();
        assert_eq!(alarms.health(), Health::Ready);
        for reason in [Reason::MemoryHigh, Reason::DiskLow, full("shard-0")] {
            alarms.raise(reason.clone());
            assert!(matches!(alarms.health(), Health::PublishersWait(_)), "{reason}");
        }
        alarms.raise(Reason::JournalFailed { journal: "shard-0".to_owned(), why: "broken".to_owned() });
        assert!(matches!(alarms.health(), Health::NotReady(_)));
    }

    #[test]
    fn raising_is_counted_once_until_it_is_lifted() {
        let (alarms, told, metrics) = alarms();
        assert!(alarms.set(Reason::MemoryHigh, true));
        assert!(!alarms.set(Reason::MemoryHigh, true));
        assert!(metrics.encode().contains("crossdock_alarms{reason=\"memory_high\"} 1\n"));
        assert!(alarms.set(Reason::MemoryHigh, false));
        assert!(!alarms.set(Reason::MemoryHigh, false));
        assert_eq!(told.lock().unwrap().len(), 2);
        let page = metrics.encode();
        assert!(page.contains("crossdock_alarms{reason=\"memory_high\"} 0\n"), "{page}");
        assert!(page.contains("crossdock_alarms_raised_total{reason=\"memory_high\"} 1\n"), "{page}");
    }
}
