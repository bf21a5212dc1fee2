//! The newest messages of a queue that has runs: they are ready behind all that is in a [`Level`](super::level::Level).

use std::collections::VecDeque;

use super::entry::Entry;
use super::part::Part;

/// Ready messages, oldest first. None of them is on disk.
#[derive(Default)]
pub(crate) struct Tail {
    items: VecDeque<Item>,
    memory_bytes: u64,
}

/// One or several of them.
pub(crate) enum Item {
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
}

impl Tail {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The place of the oldest.
    pub(crate) fn position(&self) -> Option<u64> {
        self.items.front().map(Item::position)
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.memory_bytes += item.memory_bytes();
        self.items.push_back(item);
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.memory_bytes -= item.memory_bytes();
        Some(item)
    }

    /// The oldest messages, if they are of a run.
    pub(crate) fn part(&self) -> Option<&Part> {
        match self.items.front()? {
            Item::Part(part) => Some(part),
            Item::One(_) => None,
        }
    }

    /// Takes up to so many of them.
    pub(crate) fn take_part(&mut self, count: u64) -> Option<Part> {
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

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
