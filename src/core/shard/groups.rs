//! The message groups of a FIFO queue: while somebody has messages of a group, its next ones are set aside here, and those of other
//! groups go past them.
//!
//! Entries come from the front of the queue's level, so whatever is here is older than what is there. A group is free when nobody
//! has messages of it; the first entry set aside of a free group is handed out before anything newer.
//!
//! A queue whose consumers want only some of its messages ([`Wishes`]) is sorted in the same way: those that the same consumers want
//! are a group, and wait while none of these has room. So each message is compared with each selector once. In a FIFO queue with such
//! consumers the groups stay what they are: the first message of a group waits for who wants it, and the group with it.
//!
//! A queue that shares itself fairly among groups ([`fair`]) sets aside those of groups that have much of it already.

mod fair;
mod next;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crossdock_common::{Instant, Message};
use hashbrown::HashMap;

use super::entry::Entry;
use super::level::Read;
use super::wishes::{EVERYTHING, Wishes};
use crate::log::Location;
use fair::Fair;
pub(crate) use fair::has_tenant;
use next::{Next, Place, group_to_be_read};

/// Most messages that are set aside; what is behind them waits, whatever group it is of. As SQS, which looks no further.
const ASIDE_MAX: usize = 120_000;
/// Messages of that many bytes in all stay in memory when they are set aside.
const ASIDE_BYTES_MAX: u64 = 4 << 20;
/// Most free groups whose next message is read ahead.
const AHEAD_MAX: usize = 256;
/// What a place costs beside its entry.
const PLACE_BYTES: u64 = 128;

/// Which group a message belongs to; those without one are a group as well.
pub(crate) fn group_of(message: &Message) -> &str {
    let own = message.rare.as_ref().and_then(|rare| rare.group.as_ref());
    own.or_else(|| message.hub().group_id.as_ref()).map_or("", |group| group)
}

/// What is set aside, and what somebody has, by group.
#[derive(Default)]
pub(crate) struct Groups {
    groups: HashMap<Arc<str>, Group, foldhash::fast::RandomState>,
    aside: BTreeMap<Place, Aside>,
    /// The first place of every free group.
    next: Next,
    /// Places that somebody has.
    held: HashMap<u64, Arc<str>, foldhash::fast::RandomState>,
    memory_bytes: u64,
    /// Groups are those that messages name, and somebody has one message of each at a time.
    is_fifo: bool,
    /// What consumers want; where messages name no groups, these are made by that.
    wishes: Option<Wishes>,
    /// Groups are free however much of them somebody has, until they are noisy.
    fair: Option<Box<Fair>>,
}

struct Aside {
    entry: Entry,
    group: Arc<str>,
    wanted_by: u64,
}

#[derive(Default)]
struct Group {
    held: usize,
    is_noisy: bool,
    /// Set aside, in order.
    places: VecDeque<Place>,
}

impl Group {
    /// What is next if the group is free.
    fn next(&self, is_shared: bool) -> Option<Place> {
        self.places.front().copied().filter(|_| (is_shared || self.held == 0) && !self.is_noisy)
    }

    fn insert(&mut self, place: Place) {
        let index = self.places.partition_point(|other| *other < place);
        self.places.insert(index, place);
    }

    fn remove(&mut self, place: Place) {
        if let Ok(index) = self.places.binary_search(&place) {
            self.places.remove(index);
        }
    }
}

impl Groups {
    /// Groups that messages name.
    pub(crate) fn fifo() -> Self {
        Self { is_fifo: true, ..Self::default() }
    }

    /// Groups by what consumers want.
    pub(crate) fn by_wishes(wishes: Wishes) -> Self {
        Self { wishes: Some(wishes), ..Self::default() }
    }

    /// Nothing may go past what is set aside.
    pub(crate) fn is_full(&self) -> bool {
        self.aside.len() >= if self.fair.is_some() { fair::ASIDE_MAX } else { ASIDE_MAX }
    }

    /// A message of a free group is set aside, here or to be read.
    pub(crate) fn has_next(&self) -> bool {
        self.first().is_some()
    }

    /// Such a message goes before everything of that level.
    pub(crate) fn has_next_before(&self, level: Option<u8>) -> bool {
        self.first().is_some_and(|place| level.is_none_or(|level| place.level() >= level))
    }

    /// The place of the message that is next.
    fn first(&self) -> Option<Place> {
        self.next.first().or_else(|| self.first_noisy())
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.aside.values().map(|aside| &aside.entry)
    }

    /// Entries of a level from this position on, in order.
    pub(crate) fn from(&self, level: u8, position: u64) -> impl Iterator<Item = &Entry> {
        self.aside.range(Place::new(level, position)..=Place::new(level, u64::MAX)).map(|(_, aside)| &aside.entry)
    }

    /// Somebody has this place.
    pub(crate) fn is_held(&self, place: u64) -> bool {
        self.held.contains_key(&place)
    }

    /// The message must wait: somebody has others of its group, or older ones are set aside.
    pub(crate) fn must_wait(&self, message: &Message) -> bool {
        if self.fair.is_some() {
            return self.must_yield(message);
        }
        self.wishes.is_some() || self.groups.contains_key(group_of(message))
    }

    /// Changes a group, and what is next with it.
    fn change(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Group)) {
        let is_shared = self.fair.is_some();
        let group = self.groups.entry(name.clone()).or_default();
        let before = group.next(is_shared);
        change(group);
        let after = group.next(is_shared);
        if group.held == 0 && group.places.is_empty() {
            self.groups.remove(name);
        }
        if before != after {
            let wanted_by = |place: Place| self.aside.get(&place).map_or(EVERYTHING, |aside| aside.wanted_by);
            before.into_iter().for_each(|place| self.next.remove(place, wanted_by(place)));
            after.into_iter().for_each(|place| self.next.insert(place, wanted_by(place)));
        }
    }

    /// Sets an entry aside, without its message if that takes too much memory and can be read back.
    pub(crate) fn set_aside(&mut self, mut entry: Entry, (group, wanted_by): (Arc<str>, u64), unload: bool) {
        if unload || self.memory_bytes > ASIDE_BYTES_MAX {
            entry.unload();
        }
        let is_noisy = self.fair.as_ref().is_some_and(|fair| fair.is_noisy(&group));
        let place = Place::of(&entry);
        self.memory_bytes += entry.memory_bytes() + PLACE_BYTES;
        self.aside.insert(place, Aside { entry, group: group.clone(), wanted_by });
        self.change(&group, |group| {
            group.is_noisy = is_noisy;
            group.insert(place);
        });
    }

    /// The group that a message is of here, and who wants it.
    pub(crate) fn sort(&self, message: &Message) -> (Arc<str>, u64) {
        let wanted_by = self.wishes.as_ref().map_or(EVERYTHING, |wishes| wishes.of_message(message));
        let by_wish = self.is_by_wishes().then(|| format!("{wanted_by:x}"));
        let name = match (&by_wish, &self.fair) {
            (Some(by_wish), _) => by_wish,
            (None, Some(_)) => fair::tenant_of(message),
            (None, None) => group_of(message),
        };
        (self.groups.get_key_value(name).map_or_else(|| Arc::from(name), |(known, _)| known.clone()), wanted_by)
    }

    fn take(&mut self, place: Place) -> Option<Entry> {
        let group = self.aside.get(&place)?.group.clone();
        self.change(&group, |group| group.remove(place));
        let Aside { entry, .. } = self.aside.remove(&place)?;
        self.memory_bytes -= entry.memory_bytes() + PLACE_BYTES;
        Some(entry)
    }

    /// The next entry, unless it has to be read first.
    pub(crate) fn head(&self) -> Option<&Entry> {
        let Aside { entry, .. } = self.aside.get(&self.first()?)?;
        entry.message.is_some().then_some(entry)
    }

    pub(crate) fn pop_head(&mut self) -> Option<Entry> {
        let place = Place::of(self.head()?);
        self.take(place)
    }

    /// The level of the message that a full queue gives up first.
    pub(crate) fn lowest_level(&self) -> Option<u8> {
        self.aside.last_key_value().map(|(place, _)| place.level())
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<Entry> {
        let place = Place::of(self.from(self.lowest_level()?, 0).next()?);
        self.take(place)
    }

    /// The oldest entry of each level.
    pub(crate) fn oldest_of_levels(&self) -> impl Iterator<Item = &Entry> {
        let below = |place: &Place| self.aside.range(place.below()?..).next().map(|(place, _)| *place);
        let first = self.aside.first_key_value().map(|(place, _)| *place);
        std::iter::successors(first, below).filter_map(|place| self.aside.get(&place)).map(|aside| &aside.entry)
    }

    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Entry> {
        let place = Place::of(self.oldest_of_levels().find(|entry| entry.is_expired(now))?);
        self.take(place)
    }

    /// Somebody has the message now: the rest of its group waits.
    pub(crate) fn hold(&mut self, place: u64, message: &Message) {
        if !self.is_fifo && self.fair.is_none() {
            return;
        }
        let (name, _) = self.sort(message);
        self.change(&name, |group| group.held += 1);
        self.held.insert(place, name.clone());
        self.has_more(&name);
    }

    /// Nobody has it any more, and it does not come back.
    pub(crate) fn release(&mut self, place: u64) {
        if let Some(name) = self.held.remove(&place) {
            self.change(&name, |group| group.held -= 1);
            self.has_less(&name);
        }
    }

    /// Whoever had it gives it back: it goes before the rest of its group. An entry that nobody had is given back to the caller.
    pub(crate) fn put_back(&mut self, entry: Entry) -> Option<Entry> {
        let position = entry.position;
        let group = self.held.get(&position).cloned();
        let sorted = match (&entry.message, group) {
            (_, None) if !self.is_by_wishes() => return Some(entry),
            (Some(message), group) => {
                let (sorted, wanted_by) = self.sort(message);
                (group.unwrap_or(sorted), wanted_by)
            }
            (None, group) => (group.unwrap_or_else(|| group_to_be_read(position)), self.not_known()),
        };
        self.set_aside(entry, sorted, false);
        self.release(position);
        None
    }

    /// Chooses what to read of what is next.
    pub(crate) fn choose(&mut self, window_bytes: u64, chosen: &mut Vec<(u64, Location)>) {
        let noisy = self.noisy_ahead();
        let Self { aside, next, .. } = self;
        let mut bytes = 0;
        for place in next.iter().chain(noisy).take(AHEAD_MAX) {
            let Some(Aside { entry, .. }) = aside.get_mut(&place) else { continue };
            bytes += u64::from(entry.body_bytes);
            if entry.message.is_none() && !entry.requested {
                chosen.extend(entry.request());
            }
            if bytes >= window_bytes {
                return;
            }
        }
    }

    /// Takes what was read of what is set aside. What could not be read goes to `damaged`.
    pub(crate) fn fill(&mut self, read: &mut [(u64, Option<Read>)], damaged: &mut Vec<Entry>) {
        for (position, read) in read {
            let Some(place) = self.place_of(*position) else { continue };
            let Some(Aside { entry, .. }) = self.aside.get_mut(&place).filter(|aside| aside.entry.requested) else {
                continue;
            };
            entry.requested = false;
            let Some(Read { message, binding, expires_at }) = read.take() else {
                damaged.extend(self.take(place));
                continue;
            };
            self.memory_bytes -= entry.memory_bytes();
            (entry.message, entry.binding, entry.expires_at) = (Some(message), binding, expires_at);
            self.memory_bytes += entry.memory_bytes();
        }
    }

    /// The place of a position that is set aside.
    fn place_of(&self, position: u64) -> Option<Place> {
        let levels = self.oldest_of_levels().map(|entry| entry.level);
        levels.map(|level| Place::new(level, position)).find(|place| self.aside.contains_key(place))
    }

    /// Whether the message of this position is set aside.
    pub(crate) fn has(&self, position: u64) -> bool {
        self.place_of(position).is_some()
    }

    /// Takes the message of this position, if it is set aside.
    pub(crate) fn take_at(&mut self, position: u64) -> Option<Entry> {
        let place = self.place_of(position)?;
        self.take(place)
    }

    /// Takes everything that is set aside.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Entry> {
        self.next.clear();
        self.memory_bytes = 0;
        self.groups.retain(|_, group| {
            group.places.clear();
            group.held > 0
        });
        std::mem::take(&mut self.aside).into_values().map(|aside| aside.entry)
    }
}
