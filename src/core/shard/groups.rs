//! The message groups of a FIFO queue: while somebody has messages of a group, its next ones are set aside here, and those of other
//! groups go past them.
//!
//! Entries come from the front of the queue's level, so whatever is here is older than what is there. A group is free when nobody
//! has messages of it; the first entry set aside of a free group is handed out before anything newer.
//!
//! A queue whose consumers want only some of its messages ([`Wishes`]) is sorted in the same way: those that the same consumers want
//! are a group, which is free while one of these has room. So each message is compared with each selector once.
//!
//! A queue that shares itself fairly among groups ([`fair`]) sets aside those of groups that have much of it already.

mod fair;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crossdock_common::{Instant, Message};
use hashbrown::HashMap;

use super::entry::Entry;
use super::level::Read;
use super::wishes::{Wishes, wanted_by};
use crate::log::Location;
use fair::Fair;
pub(crate) use fair::has_tenant;

/// Most messages that are set aside; what is behind them waits, whatever group it is of. As SQS, which looks no further.
const ASIDE_MAX: usize = 120_000;
/// Messages of that many bytes in all stay in memory when they are set aside.
const ASIDE_BYTES_MAX: u64 = 4 << 20;
/// Most free groups whose next message is read ahead.
const AHEAD_MAX: usize = 256;
/// What a place costs beside its entry.
const PLACE_BYTES: u64 = 96;

/// Which group a message belongs to; those without one are a group as well.
pub(crate) fn group_of(message: &Message) -> &str {
    let own = message.rare.as_ref().and_then(|rare| rare.group.as_ref());
    own.or_else(|| message.hub().group_id.as_ref()).map_or("", |group| group)
}

/// What is set aside, and what somebody has, by group.
#[derive(Default)]
pub(crate) struct Groups {
    groups: HashMap<Arc<str>, Group, foldhash::fast::RandomState>,
    aside: BTreeMap<u64, (Entry, Arc<str>)>,
    /// The first place of every free group.
    next: BTreeSet<u64>,
    /// Places that somebody has.
    held: HashMap<u64, Arc<str>, foldhash::fast::RandomState>,
    memory_bytes: u64,
    /// Groups are made by what consumers want.
    wishes: Option<Wishes>,
    /// Groups are free however much of them somebody has, until they are noisy.
    fair: Option<Box<Fair>>,
}

#[derive(Default)]
struct Group {
    held: usize,
    /// Nobody who wants it has room, or it is noisy.
    unwanted: bool,
    /// Set aside, in order.
    places: VecDeque<u64>,
}

impl Group {
    /// What is next if the group is free.
    fn next(&self, is_shared: bool) -> Option<u64> {
        self.places.front().copied().filter(|_| (is_shared || self.held == 0) && !self.unwanted)
    }

    fn insert(&mut self, place: u64) {
        let index = self.places.partition_point(|other| *other < place);
        self.places.insert(index, place);
    }

    fn remove(&mut self, place: u64) {
        if let Ok(index) = self.places.binary_search(&place) {
            self.places.remove(index);
        }
    }
}

impl Groups {
    /// Groups by what consumers want.
    pub(crate) fn by_wishes(wishes: Wishes) -> Self {
        Self { wishes: Some(wishes), ..Self::default() }
    }

    /// What consumers want, if groups are made by that.
    pub(crate) fn wishes(&self) -> Option<&Wishes> {
        self.wishes.as_ref()
    }

    /// Who wants the message that is next, where groups are made by that.
    pub(crate) fn next_wanted_by(&self) -> Option<u64> {
        self.wishes.as_ref()?;
        let (_, name) = self.aside.get(self.next.first()?)?;
        Some(wanted_by(name))
    }

    /// Only these have room now: what others want waits.
    pub(crate) fn open_to(&mut self, room: u64) {
        let Some(wishes) = &mut self.wishes else { return };
        if !wishes.open_to(room) {
            return;
        }
        let is_unwanted = |name: &str| wanted_by(name) & room == 0;
        let differs = |(name, group): (&Arc<str>, &Group)| (group.unwanted != is_unwanted(name)).then(|| name.clone());
        let changed: Vec<Arc<str>> = self.groups.iter().filter_map(differs).collect();
        changed.iter().for_each(|name| self.change(name, |group| group.unwanted = is_unwanted(name)));
    }

    /// Nothing may go past what is set aside.
    pub(crate) fn is_full(&self) -> bool {
        self.aside.len() >= if self.fair.is_some() { fair::ASIDE_MAX } else { ASIDE_MAX }
    }

    /// A message of a free group is set aside, here or to be read.
    pub(crate) fn has_next(&self) -> bool {
        self.first().is_some()
    }

    /// The place of the message that is next.
    fn first(&self) -> Option<u64> {
        self.next.first().copied().or_else(|| self.first_noisy())
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.aside.values().map(|(entry, _)| entry)
    }

    /// Entries behind this place, in order.
    pub(crate) fn behind(&self, place: u64) -> impl Iterator<Item = &Entry> {
        self.aside.range(place.saturating_add(1)..).map(|(_, (entry, _))| entry)
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
            if let Some(place) = before {
                self.next.remove(&place);
            }
            self.next.extend(after);
        }
    }

    /// Sets an entry aside, without its message if that takes too much memory and can be read back.
    pub(crate) fn set_aside(&mut self, mut entry: Entry, name: Arc<str>, unload: bool) {
        if unload || self.memory_bytes > ASIDE_BYTES_MAX {
            entry.unload();
        }
        let unwanted = match (&self.wishes, &self.fair) {
            (Some(wishes), _) => !wishes.has_room_for(&name),
            (None, Some(fair)) => fair.is_noisy(&name),
            (None, None) => false,
        };
        self.change(&name, |group| {
            group.unwanted = unwanted;
            group.insert(entry.position);
        });
        self.memory_bytes += entry.memory_bytes() + PLACE_BYTES;
        self.aside.insert(entry.position, (entry, name));
    }

    /// The name by which a message's group is known here.
    pub(crate) fn name_of(&self, message: &Message) -> Arc<str> {
        let wish = self.wishes.as_ref().map(|wishes| wishes.name_of(message));
        let name = match (&wish, &self.fair) {
            (Some(wish), _) => wish,
            (None, Some(_)) => fair::tenant_of(message),
            (None, None) => group_of(message),
        };
        self.groups.get_key_value(name).map_or_else(|| Arc::from(name), |(known, _)| known.clone())
    }

    fn take(&mut self, place: u64) -> Option<Entry> {
        let (entry, name) = self.aside.remove(&place)?;
        self.memory_bytes -= entry.memory_bytes() + PLACE_BYTES;
        self.change(&name, |group| group.remove(place));
        Some(entry)
    }

    /// The next entry, unless it has to be read first.
    pub(crate) fn head(&self) -> Option<&Entry> {
        let (entry, _) = self.aside.get(&self.first()?)?;
        entry.message.is_some().then_some(entry)
    }

    pub(crate) fn pop_head(&mut self) -> Option<Entry> {
        let place = self.head()?.position;
        self.take(place)
    }

    pub(crate) fn oldest(&self) -> Option<&Entry> {
        self.aside.values().next().map(|(entry, _)| entry)
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<Entry> {
        let place = *self.aside.keys().next()?;
        self.take(place)
    }

    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Entry> {
        let place = self.oldest().filter(|entry| entry.is_expired(now))?.position;
        self.take(place)
    }

    /// Somebody has the message now: the rest of its group waits.
    pub(crate) fn hold(&mut self, place: u64, message: &Message) {
        if self.wishes.is_some() {
            return;
        }
        let name = self.name_of(message);
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
        if let (Some(_), Some(message)) = (&self.wishes, &entry.message) {
            let name = self.name_of(message);
            self.set_aside(entry, name, false);
            return None;
        }
        let Some(name) = self.held.get(&entry.position).cloned() else { return Some(entry) };
        let place = entry.position;
        self.set_aside(entry, name, false);
        self.release(place);
        None
    }

    /// Chooses what to read of what is next.
    pub(crate) fn choose(&mut self, window_bytes: u64, chosen: &mut Vec<(u64, Location)>) {
        let noisy = self.noisy_ahead();
        let Self { aside, next, .. } = self;
        let mut bytes = 0;
        for place in next.iter().chain(&noisy).take(AHEAD_MAX) {
            let Some((entry, _)) = aside.get_mut(place) else { continue };
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
        for (place, read) in read {
            let Some((entry, _)) = self.aside.get_mut(place).filter(|(entry, _)| entry.requested) else { continue };
            entry.requested = false;
            let Some(Read { message, binding, expires_at }) = read.take() else {
                damaged.extend(self.take(*place));
                continue;
            };
            self.memory_bytes -= entry.memory_bytes();
            (entry.message, entry.binding, entry.expires_at) = (Some(message), binding, expires_at);
            self.memory_bytes += entry.memory_bytes();
        }
    }

    /// Takes everything that is set aside.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Entry> {
        self.next.clear();
        self.memory_bytes = 0;
        self.groups.retain(|_, group| {
            group.places.clear();
            group.held > 0
        });
        std::mem::take(&mut self.aside).into_values().map(|(entry, _)| entry)
    }
}
