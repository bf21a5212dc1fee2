//! The messages of a level that came in runs, and those that came among them.

use std::collections::VecDeque;

use crossdock_common::Instant;

use super::Level;
use crate::shard::entry::Entry;
use crate::shard::part::Part;

/// Ready messages, oldest first.
#[derive(Default)]
pub(super) struct Runs {
    items: VecDeque<Item>,
    memory_bytes: u64,
}

/// One or several of them.
pub(super) enum Item {
    Part(Part),
    One(Entry),
}

impl Item {
    fn memory_bytes(&self) -> u64 {
        match self {
            Self::Part(part) => part.memory_bytes(),
            Self::One(entry) => entry.memory_bytes(),
        }
    }

    fn position(&self) -> u64 {
        match self {
            Self::Part(part) => part.position,
            Self::One(entry) => entry.position,
        }
    }

    fn last_position(&self) -> u64 {
        match self {
            Self::Part(part) => part.position + part.len() - 1,
            Self::One(entry) => entry.position,
        }
    }

    fn to_entries(&self) -> Vec<Entry> {
        match self {
            Self::Part(part) => part.entries().collect(),
            Self::One(entry) => vec![entry.clone()],
        }
    }

    fn into_entry(self) -> Option<Entry> {
        match self {
            Self::Part(_) => None,
            Self::One(entry) => Some(entry),
        }
    }
}

impl Runs {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Messages behind this place, oldest first.
    pub(super) fn behind(&self, place: u64) -> impl Iterator<Item = Entry> {
        let first = self.items.partition_point(|item| item.last_position() <= place);
        let entries = self.items.range(first..).flat_map(Item::to_entries);
        entries.skip_while(move |entry| entry.position <= place)
    }

    /// Puts messages at the end.
    pub(super) fn push(&mut self, item: Item) {
        self.memory_bytes += item.memory_bytes();
        self.items.push_back(item);
    }

    /// Some are older than this entry.
    pub(super) fn begin_before(&self, entry: &Entry) -> bool {
        self.items.front().is_some_and(|oldest| oldest.position() < entry.position)
    }

    /// Puts an entry to where it was; that is never within a part, as those that went out of a part went from its front.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.memory_bytes += entry.memory_bytes();
        let place = self.items.partition_point(|item| item.position() < entry.position);
        self.items.insert(place, Item::One(entry));
    }

    /// Whether the message of this place is here.
    pub(super) fn has(&self, position: u64) -> bool {
        self.index_of(position).is_some()
    }

    /// Takes the message of this place, if it is not of a run: then nobody has had it.
    pub(super) fn take(&mut self, position: u64) -> Option<Entry> {
        let index = self.index_of(position).filter(|index| matches!(self.items[*index], Item::One(_)))?;
        let item = self.items.remove(index)?;
        self.memory_bytes -= item.memory_bytes();
        item.into_entry()
    }

    fn index_of(&self, position: u64) -> Option<usize> {
        let index = self.items.partition_point(|item| item.last_position() < position);
        self.items.get(index).filter(|item| item.position() <= position).map(|_| index)
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.memory_bytes -= item.memory_bytes();
        Some(item)
    }

    /// The oldest messages, if they are of a run.
    fn part(&self) -> Option<&Part> {
        match self.items.front()? {
            Item::Part(part) => Some(part),
            Item::One(_) => None,
        }
    }

    /// Takes up to so many of them.
    fn take_part(&mut self, count: u64) -> Option<Part> {
        let Item::Part(part) = self.items.front_mut()? else { return None };
        if part.len() <= count {
            return match self.pop()? {
                Item::Part(part) => Some(part),
                Item::One(_) => None,
            };
        }
        let before_bytes = part.memory_bytes();
        let taken = part.split_to(count);
        self.memory_bytes = self.memory_bytes - before_bytes + part.memory_bytes();
        Some(taken)
    }

    /// Those that are not of a run.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.items.iter().filter_map(|item| match item {
            Item::Part(_) => None,
            Item::One(entry) => Some(entry),
        })
    }

    /// As [`entries`](Self::entries), for good.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.items.into_iter().filter_map(Item::into_entry)
    }
}

impl Level {
    /// Puts new messages at the end; nothing is on disk.
    pub(crate) fn append_part(&mut self, part: Part) {
        debug_assert!(!self.is_storing(), "messages on disk are older");
        self.runs.push(Item::Part(part));
    }

    /// Messages of a run that would be handed out next.
    #[inline]
    pub(crate) fn next_part(&self) -> Option<&Part> {
        self.runs.part().filter(|_| self.near.is_empty())
    }

    /// Takes up to so many of those that [`next_part`](Self::next_part) has shown.
    pub(crate) fn take_part(&mut self, count: u64) -> Option<Part> {
        self.runs.take_part(count)
    }

    /// When the next message expires.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        match self.next_part() {
            Some(part) => part.expires_at,
            None => self.head()?.expires_at,
        }
    }

    /// Takes the next entry, if it has expired.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Entry> {
        if self.next_part().is_none_or(|part| part.is_expired(now)) {
            self.advance();
        }
        self.head()?.is_expired(now).then(|| self.pop_head())?
    }

    /// Lets the oldest run be entries, if it is next.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if self.near.is_empty() && !self.runs.is_empty() {
            self.dissolve_oldest();
        }
    }

    #[cold]
    fn dissolve_oldest(&mut self) {
        match self.runs.pop() {
            Some(Item::Part(part)) => part.entries().for_each(|entry| self.insert(entry)),
            Some(Item::One(entry)) => self.insert(entry),
            None => {}
        }
    }
}
