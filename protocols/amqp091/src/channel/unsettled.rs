//! Deliveries that the client has not settled, by delivery tag.

use std::collections::VecDeque;

use crossdock_common::names::{DeliveryId, QueueId};

/// No queue ever has this number: it marks an entry that was settled before those ahead of it.
const HOLE: QueueId = QueueId(u64::MAX);

/// One unsettled delivery: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub tag: u64,
    pub delivery: DeliveryId,
}

impl Entry {
    fn is_hole(&self) -> bool {
        self.delivery.queue == HOLE
    }
}

/// In order of tags. Settling in order costs O(1); settling elsewhere leaves a hole, and holes never outnumber the rest
/// by more than [`SLACK`].
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    entries: VecDeque<Entry>,
    holes: usize,
}

const SLACK: usize = 64;

impl Unsettled {
    /// A delivery with a tag above all others.
    pub(crate) fn push(&mut self, tag: u64, delivery: DeliveryId) {
        debug_assert!(self.entries.back().is_none_or(|last| last.tag < tag));
        self.entries.push_back(Entry { tag, delivery });
    }

    /// How many are unsettled.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.holes
    }

    /// The oldest one.
    pub(crate) fn oldest(&self) -> Option<&Entry> {
        self.entries.front()
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.is_hole())
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, tag: u64) -> Option<Entry> {
        let at = self.position(tag)?;
        let entry = *self.entries.get(at)?;
        if at == 0 {
            self.entries.pop_front();
            self.trim();
        } else {
            self.entries.get_mut(at)?.delivery.queue = HOLE;
            self.holes += 1;
            self.compact();
        }
        Some(entry)
    }

    /// Takes out the one of that tag and all before it; `None` if there is no such tag.
    pub(crate) fn take_through(&mut self, tag: u64) -> Option<Vec<Entry>> {
        let at = self.position(tag)?;
        let taken: Vec<Entry> = self.entries.drain(..=at).filter(|entry| !entry.is_hole()).collect();
        self.holes -= at + 1 - taken.len();
        self.trim();
        Some(taken)
    }

    /// Takes out everything.
    pub(crate) fn take_all(&mut self) -> Vec<Entry> {
        self.holes = 0;
        std::mem::take(&mut self.entries).into_iter().filter(|entry| !entry.is_hole()).collect()
    }

    /// Puts back what was taken out.
    pub(crate) fn restore(&mut self, mut taken: Vec<Entry>) {
        taken.extend(self.take_all());
        taken.sort_unstable_by_key(|entry| entry.tag);
        self.entries = taken.into();
    }

    fn position(&self, tag: u64) -> Option<usize> {
        let front = self.entries.front()?.tag;
        // Mostly the tags are dense, and the place is known.
        let guess = usize::try_from(tag.checked_sub(front)?).ok()?;
        let is_it = |at: &usize| self.entries.get(*at).is_some_and(|entry| entry.tag == tag);
        let at =
            Some(guess).filter(is_it).or_else(|| self.entries.binary_search_by_key(&tag, |entry| entry.tag).ok())?;
        self.entries.get(at).is_some_and(|entry| !entry.is_hole()).then_some(at)
    }

    /// The first entry is never a hole.
    fn trim(&mut self) {
        while self.entries.front().is_some_and(Entry::is_hole) {
            self.entries.pop_front();
            self.holes -= 1;
        }
    }

    fn compact(&mut self) {
        if self.holes > self.len() + SLACK {
            self.entries.retain(|entry| !entry.is_hole());
            self.holes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn delivery(position: u64) -> DeliveryId {
        DeliveryId { queue: QueueId(1), position, lease: 0 }
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 32);
    }

    #[test]
    fn one_old_delivery_does_not_keep_a_million_holes() {
        let mut unsettled = Unsettled::default();
        unsettled.push(1, delivery(1));
        for tag in 2..100_000 {
            unsettled.push(tag, delivery(tag));
            assert!(unsettled.take(tag).is_some());
            assert!(unsettled.entries.len() < 200);
        }
        assert_eq!(unsettled.len(), 1);
    }

    proptest! {
        /// The same as a map from tags, whatever is done.
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0..5u8, 0..60u64), 0..300)) {
            let (mut unsettled, mut model, mut next) = (Unsettled::default(), BTreeMap::new(), 1u64);
            for (step, pick) in steps {
                match step {
                    0 | 1 => {
                        // Deliveries that need no settlement use up tags as well.
                        next += pick % 3;
                        unsettled.push(next, delivery(next));
                        model.insert(next, delivery(next));
                        next += 1;
                    }
                    2 => {
                        let tag = next.saturating_sub(pick);
                        let expected = model.remove(&tag);
                        prop_assert_eq!(unsettled.take(tag).map(|entry| entry.delivery), expected);
                    }
                    3 => {
                        let tag = next.saturating_sub(pick);
                        let taken = unsettled.take_through(tag);
                        prop_assert_eq!(taken.is_some(), model.contains_key(&tag));
                        if let Some(taken) = taken {
                            let rest = model.split_off(&(tag + 1));
                            let expected = std::mem::replace(&mut model, rest);
                            let taken: Vec<u64> = taken.iter().map(|entry| entry.tag).collect();
                            prop_assert_eq!(taken, expected.into_keys().collect::<Vec<_>>());
                        }
                    }
                    _ => {
                        let taken: Vec<Entry> = (0..pick).filter_map(|back| unsettled.take(next - back.min(next))).collect();
                        unsettled.restore(taken);
                    }
                }
                prop_assert_eq!(unsettled.len(), model.len());
                prop_assert!(unsettled.holes <= unsettled.len() + SLACK);
            }
            let tags: Vec<u64> = unsettled.take_all().iter().map(|entry| entry.tag).collect();
            prop_assert_eq!(tags, model.into_keys().collect::<Vec<_>>());
        }
    }
}
