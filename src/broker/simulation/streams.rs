//! What must be in a stream, and in which order a reader gets it.

use std::collections::BTreeMap;

use crossdock_common::definition::Durability;
use crossdock_common::{Now, Table, UnixMillis, Value};

use super::truth::{End, Fate};

/// When the oldest messages of a stream may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    Nothing,
    /// When the bodies have more bytes than that.
    Bytes(u64),
    /// When they are older than so many seconds.
    Age(u64),
}

/// A stream of the simulated broker.
#[derive(Debug)]
pub(super) struct StreamPlan {
    pub name: &'static str,
    durability: Durability,
    retention: Retention,
}

/// Bytes of the largest body that is published.
const BODY_BYTES_MAX: u64 = 3_008;

pub(super) const STREAMS: [StreamPlan; 4] = [
    StreamPlan { name: "log", durability: Durability::Fsync, retention: Retention::Nothing },
    StreamPlan { name: "os-log", durability: Durability::Os, retention: Retention::Nothing },
    StreamPlan { name: "short-log", durability: Durability::Fsync, retention: Retention::Bytes(6_000) },
    StreamPlan { name: "young-log", durability: Durability::Fsync, retention: Retention::Age(2) },
];

impl StreamPlan {
    pub(super) fn table(&self) -> Table {
        let durability = ("x-durability".into(), Value::string(self.durability.word()));
        let stream = ("x-queue-type".into(), Value::string("stream"));
        let retention = match self.retention {
            Retention::Nothing => None,
            Retention::Bytes(bytes) => Some(("x-max-length-bytes".into(), Value::I64(bytes.cast_signed()))),
            Retention::Age(s) => Some(("x-max-age".into(), Value::string(format!("{s}s").as_str()))),
        };
        [durability, stream].into_iter().chain(retention).collect()
    }
}

/// A message as a reader got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub offset: u64,
    pub number: u64,
    pub body_bytes: u64,
}

/// Where a reader asked to begin, and what was there then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    First,
    Offset(u64),
    /// With what is published after this number.
    Next {
        published: u64,
    },
    Last,
}

/// One stream: what was published to it, and what must have become of it.
pub(super) struct StreamTruth {
    plan: &'static StreamPlan,
    fates: BTreeMap<u64, (Fate, UnixMillis)>,
    /// Which message was read at which offset, ever.
    at: BTreeMap<u64, u64>,
}

impl StreamTruth {
    pub(super) fn all() -> [Self; STREAMS.len()] {
        STREAMS.each_ref().map(|plan| Self { plan, fates: BTreeMap::new(), at: BTreeMap::new() })
    }

    pub(super) fn sent(&mut self, number: u64, now: Now) {
        self.fates.insert(number, (Fate::Open, now.unix));
    }

    pub(super) fn confirmed(&mut self, number: u64) {
        if let Some((fate, _)) = self.fates.get_mut(&number).filter(|(fate, _)| *fate == Fate::Open) {
            *fate = Fate::Safe;
        }
    }

    pub(super) fn ended(&mut self, end: End) {
        if end == End::Power && self.plan.durability == Durability::Os {
            self.fates.values_mut().filter(|(fate, _)| *fate == Fate::Safe).for_each(|(fate, _)| *fate = Fate::Open);
            self.at.clear();
        }
    }

    /// A reader got a message after that one. Without a gap, if nothing could be the reason for one.
    pub(super) fn read(&mut self, begin: Begin, last: Option<Entry>, entry: Entry, may_miss: bool) {
        let name = self.plan.name;
        let (fate, _) = self.fates.get_mut(&entry.number).unwrap_or_else(|| panic!("{name}: {entry:?} was not sent"));
        assert_ne!(*fate, Fate::Gone, "{name}: {entry:?} is gone");
        // Who has seen it counts on it.
        *fate = Fate::Safe;
        let before = *self.at.entry(entry.offset).or_insert(entry.number);
        assert_eq!(before, entry.number, "{name}: what is at offset {}", entry.offset);
        let in_order = last.is_none_or(|last| last.offset < entry.offset && last.number < entry.number);
        assert!(in_order, "{name}: {entry:?} after {last:?}");
        if !may_miss && self.plan.retention == Retention::Nothing {
            self.check_no_gap(begin, last, entry);
        }
    }

    /// Offsets have a gap where a crash took a large body that was being written, and not what came behind it. Nothing that was
    /// safe may be in it.
    fn check_no_gap(&self, begin: Begin, last: Option<Entry>, entry: Entry) {
        let from = match (last, begin) {
            (Some(last), _) => last.number + 1,
            (None, Begin::First) => 0,
            (None, Begin::Offset(offset)) => self.at.range(offset..).next().map_or(entry.number, |(_, number)| *number),
            (None, Begin::Next { published }) => published + 1,
            (None, Begin::Last) => entry.number,
        };
        let name = self.plan.name;
        let missed = self.safe().find(|number| (from..entry.number).contains(number));
        assert_eq!(missed, None, "{name}: {entry:?} after {last:?}, begun with {begin:?}");
        let is_early = match begin {
            // What is confirmed may wait for a large body before it, and is not the last one meanwhile.
            Begin::First | Begin::Last => false,
            Begin::Offset(offset) => entry.offset < offset,
            Begin::Next { published } => entry.number <= published,
        };
        assert!(!is_early, "{name}: {entry:?} is too early for {begin:?}");
    }

    /// All that is there was read, from the beginning.
    pub(super) fn check(&mut self, found: &[Entry], now: Now) {
        let first = found.first().map_or(u64::MAX, |entry| entry.number);
        let numbers: BTreeMap<u64, ()> = found.iter().map(|entry| (entry.number, ())).collect();
        let missing: Vec<u64> = self.safe().filter(|number| !numbers.contains_key(number)).collect();
        let name = self.plan.name;
        assert!(missing.iter().all(|number| *number < first), "{name}: {missing:?} are lost, and {first} is not");
        self.check_dropped(found, &missing, now);
        let revives = self.plan.retention != Retention::Nothing;
        for (number, (fate, _)) in &mut self.fates {
            *fate = match numbers.contains_key(number) {
                true => Fate::Safe,
                // That it was let go need not survive.
                false if revives && *number < first => Fate::Open,
                false => Fate::Gone,
            };
        }
    }

    /// What was let go had to go, and what had to go did.
    fn check_dropped(&self, found: &[Entry], dropped: &[u64], now: Now) {
        let name = self.plan.name;
        match self.plan.retention {
            Retention::Nothing => assert_eq!(dropped, [0; 0], "{name}: lost"),
            Retention::Bytes(max) => {
                let bytes: u64 = found.iter().map(|entry| entry.body_bytes).sum();
                assert!(
                    dropped.is_empty() || bytes + BODY_BYTES_MAX > max,
                    "{name}: {dropped:?} and {bytes} bytes are left"
                );
                assert!(dropped.is_empty() || !found.is_empty(), "{name}: the newest is gone");
            }
            Retention::Age(s) => {
                let is_old = |number: &u64| self.fates[number].1.0 + s * 1_000 <= now.unix.0;
                assert!(dropped.iter().all(is_old), "{name}: {dropped:?} are gone at {now:?}");
            }
        }
    }

    /// What must be there and was not read, where nothing lets messages go.
    pub(super) fn lost(&self, found: &[Entry]) -> Vec<(&'static str, u64)> {
        let is_found = |number: &u64| found.iter().any(|entry| entry.number == *number);
        let lost = self.safe().filter(|number| self.plan.retention == Retention::Nothing && !is_found(number));
        lost.map(|number| (self.plan.name, number)).collect()
    }

    fn safe(&self) -> impl Iterator<Item = u64> {
        self.fates.iter().filter(|(_, (fate, _))| *fate == Fate::Safe).map(|(number, _)| *number)
    }
}
