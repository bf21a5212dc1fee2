//! What is next of all that is set aside, and who wants it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Aside, Groups};
use crate::shard::entry::Entry;
use crate::shard::wishes::{EVERYTHING, Wishes};

/// Whoever has room looks at it: it has to be read before it is known who wants it.
const NOT_KNOWN: u64 = u64::MAX;

/// What came back without its message is a group of its own until it is known who wants it: so many are read at once.
pub(super) fn group_to_be_read(position: u64) -> Arc<str> {
    Arc::from(format!("?{position}"))
}

/// Where a message stands: higher levels go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    level: Reverse<u8>,
    position: u64,
}

impl Place {
    pub(super) fn new(level: u8, position: u64) -> Self {
        Self { level: Reverse(level), position }
    }

    pub(super) fn of(entry: &Entry) -> Self {
        Self::new(entry.level, entry.position)
    }

    pub(super) fn level(self) -> u8 {
        self.level.0
    }

    /// The first place of the next lower level.
    pub(super) fn below(self) -> Option<Self> {
        Some(Self::new(self.level().checked_sub(1)?, 0))
    }
}

/// The first places of free groups, by who wants them.
pub(super) struct Next {
    by_wish: BTreeMap<u64, BTreeSet<Place>>,
    /// Who has room.
    room: u64,
    /// Of each wish of theirs the first place: selectors can have very many combinations.
    open: BTreeSet<Place>,
}

impl Default for Next {
    fn default() -> Self {
        Self { by_wish: BTreeMap::new(), room: u64::MAX, open: BTreeSet::new() }
    }
}

impl Next {
    pub(super) fn insert(&mut self, place: Place, wanted_by: u64) {
        self.change(wanted_by, |places| places.insert(place));
    }

    pub(super) fn remove(&mut self, place: Place, wanted_by: u64) {
        self.change(wanted_by, |places| places.remove(&place));
    }

    fn change(&mut self, wanted_by: u64, change: impl FnOnce(&mut BTreeSet<Place>) -> bool) {
        let places = self.by_wish.entry(wanted_by).or_default();
        let before = places.first().copied();
        change(places);
        let after = places.first().copied();
        if after.is_none() {
            self.by_wish.remove(&wanted_by);
        }
        if before != after && wanted_by & self.room != 0 {
            if let Some(before) = before {
                self.open.remove(&before);
            }
            self.open.extend(after);
        }
    }

    fn open_to(&mut self, room: u64) {
        if self.room != room {
            self.room = room;
            self.open = self.wanted().filter_map(BTreeSet::first).copied().collect();
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_wish.clear();
        self.open.clear();
    }

    /// The first place that somebody with room wants.
    pub(super) fn first(&self) -> Option<Place> {
        self.open.first().copied()
    }

    /// Places that somebody with room wants, for each wish in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Place> {
        self.wanted().flatten().copied()
    }

    fn wanted(&self) -> impl Iterator<Item = &BTreeSet<Place>> {
        self.by_wish.iter().filter(|(wanted_by, _)| **wanted_by & self.room != 0).map(|(_, places)| places)
    }
}

impl Groups {
    /// What consumers want.
    pub(crate) fn wishes(&self) -> Option<&Wishes> {
        self.wishes.as_ref()
    }

    /// Messages name no groups.
    pub(super) fn is_by_wishes(&self) -> bool {
        self.wishes.is_some() && !self.is_fifo
    }

    /// The groups stay when consumers want something else.
    pub(crate) fn stay(&self) -> bool {
        self.is_fifo
    }

    /// Who wants the message that is next, where consumers do not want everything.
    pub(crate) fn next_wanted_by(&self) -> Option<u64> {
        self.wishes.as_ref()?;
        Some(self.aside.get(&self.first()?)?.wanted_by)
    }

    /// Only these have room now: what others want waits.
    pub(crate) fn open_to(&mut self, room: u64) {
        if self.wishes.is_some() {
            self.next.open_to(room);
        }
    }

    /// Who wants a message that is not in memory.
    pub(super) fn not_known(&self) -> u64 {
        if self.wishes.is_some() { NOT_KNOWN } else { EVERYTHING }
    }

    /// Consumers of a FIFO queue want something else: what is set aside is asked for anew when it is next.
    pub(crate) fn wish(&mut self, wishes: Option<Wishes>) {
        self.wishes = wishes;
        let wanted_by = self.not_known();
        self.aside.values_mut().for_each(|aside| aside.wanted_by = wanted_by);
        let places: Vec<Place> = std::mem::take(&mut self.next).by_wish.into_values().flatten().collect();
        places.into_iter().for_each(|place| self.next.insert(place, wanted_by));
    }

    /// Finds out who wants what is next, as far as it is in memory.
    pub(crate) fn look_at_next(&mut self) {
        while let Some(place) = self.first() {
            let Some(Aside { entry, wanted_by: NOT_KNOWN, .. }) = self.aside.get(&place) else { return };
            let Some(sorted) = entry.message.as_ref().map(|message| self.sort(message)) else { return };
            self.take(place).into_iter().for_each(|entry| self.set_aside(entry, sorted.clone(), false));
        }
    }
}
