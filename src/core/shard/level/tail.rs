//! The newest messages of a level that has runs.

use std::collections::VecDeque;

use crossdock_common::Instant;

use super::Level;
use crate::shard::entry::Entry;
use crate::shard::part::Part;

/// Ready messages, oldest first. None of them is on disk.
#[derive(Default)]
pub(super) struct Tail {
    items: VecDeque<Item>,
    memory_bytes: u64,
}

/// One or several of them.
enum Item {
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

    fn entries(&self) -> Vec<Entry> {
        match self {
            Self::Part(part) => part.entries().collect(),
            Self::One(entry) => vec![entry.clone()],
        }
    }
}

impl Tail {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Messages behind this place, oldest first.
    pub(super) fn behind(&self, place: u64) -> impl Iterator<Item = Entry> {
        let first = self.items.partition_point(|item| item.last_position() <= place);
        let entries = self.items.range(first..).flat_map(Item::entries);
        entries.skip_while(move |entry| entry.position <= place)
    }

    /// The place of the oldest.
    fn position(&self) -> Option<u64> {
        self.items.front().map(Item::position)
    }

    fn push(&mut self, item: Item) {
        self.memory_bytes += item.memory_bytes();
        self.items.push_back(item);
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
        let taken = part.split_to(count);
        self.memory_bytes -= taken.memory_bytes();
        Some(taken)
    }
}

impl Level {
    /// Puts a new entry at the end, where a tail is.
    #[cold]
    pub(super) fn append_to_tail(&mut self, entry: Entry, keep: bool) {
        if keep && entry.stored.is_none() {
            return self.tail.push(Item::One(entry));
        }
        self.dissolve();
        self.append_before_tail(entry, keep);
    }

    /// Puts new messages at the end.
    pub(crate) fn append_part(&mut self, part: Part) {
        self.tail.push(Item::Part(part));
    }

    /// Messages of a run that would be handed out next.
    #[inline]
    pub(crate) fn next_part(&self) -> Option<&Part> {
        self.tail.part().filter(|_| self.ahead_of_tail() == 0)
    }

    /// Takes up to so many of those that [`next_part`](Self::next_part) has shown.
    pub(crate) fn take_part(&mut self, count: u64) -> Option<Part> {
        self.tail.take_part(count)
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

    /// Lets the oldest of the tail be entries, if they are next.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if !self.tail.is_empty() && self.ahead_of_tail() == 0 {
            self.dissolve_one();
        }
    }

    /// Lets all of the tail be entries.
    #[cold]
    pub(crate) fn dissolve(&mut self) {
        while !self.tail.is_empty() {
            self.dissolve_one();
        }
    }

    #[cold]
    fn dissolve_one(&mut self) {
        match self.tail.pop() {
            Some(Item::Part(part)) => part.entries().for_each(|entry| self.append_before_tail(entry, true)),
            Some(Item::One(entry)) => self.append_before_tail(entry, true),
            None => {}
        }
    }

    /// An entry comes back that may have its place among the tail.
    pub(super) fn make_way(&mut self, entry: &Entry) {
        if self.tail.position().is_some_and(|position| position < entry.position) {
            self.dissolve();
        }
    }
}
