//! The messages of a queue that could be handed out, by priority and place.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::entry::Entry;

/// Levels by priority; a queue without priorities has one. Within a level, places grow.
pub(crate) struct Ready {
    levels: SmallVec<[VecDeque<Entry>; 1]>,
    body_bytes: u64,
    length: usize,
}

impl Ready {
    /// A queue that tells apart the priorities 0 to `priority_max`.
    pub(crate) fn new(priority_max: Option<u8>) -> Self {
        let count = usize::from(priority_max.unwrap_or(0)) + 1;
        Self { levels: (0..count).map(|_| VecDeque::new()).collect(), body_bytes: 0, length: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Puts an entry in its place: at the end for a new one, where it was for one that came back.
    pub(crate) fn insert(&mut self, entry: Entry) {
        self.body_bytes += entry.message.body_bytes() as u64;
        self.length += 1;
        let level = usize::from(entry.message.priority).min(self.levels.len() - 1);
        let level = &mut self.levels[level];
        match level.back() {
            Some(last) if last.position > entry.position => {
                let place = level.partition_point(|other| other.position < entry.position);
                level.insert(place, entry);
            }
            _ => level.push_back(entry),
        }
    }

    /// The entry that would be handed out next.
    pub(crate) fn head(&self) -> Option<&Entry> {
        self.levels.iter().rev().find_map(VecDeque::front)
    }

    pub(crate) fn pop_head(&mut self) -> Option<Entry> {
        let entry = self.levels.iter_mut().rev().find_map(VecDeque::pop_front)?;
        Some(self.forget(entry))
    }

    /// Takes the entry that a full queue gives up: the oldest of the lowest priority.
    pub(crate) fn pop_oldest(&mut self) -> Option<Entry> {
        let entry = self.levels.iter_mut().find_map(VecDeque::pop_front)?;
        Some(self.forget(entry))
    }

    /// Takes an expired head of any level.
    pub(crate) fn pop_expired(&mut self, now: crossdock_common::Instant) -> Option<Entry> {
        let expired = |level: &&mut VecDeque<Entry>| level.front().is_some_and(|entry| entry.is_expired(now));
        let entry = self.levels.iter_mut().find(expired)?.pop_front()?;
        Some(self.forget(entry))
    }

    /// When the first head expires.
    pub(crate) fn next_expiry(&self) -> Option<crossdock_common::Instant> {
        self.levels.iter().filter_map(|level| level.front()?.expires_at).min()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.levels.iter().flatten()
    }

    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        self.body_bytes = 0;
        self.length = 0;
        self.levels.iter_mut().flat_map(|level| level.drain(..)).collect()
    }

    fn forget(&mut self, entry: Entry) -> Entry {
        self.body_bytes -= entry.message.body_bytes() as u64;
        self.length -= 1;
        entry
    }
}
