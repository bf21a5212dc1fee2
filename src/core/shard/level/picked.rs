//! A message of a level that is taken out from among the others.

use std::collections::VecDeque;

use super::Level;
use super::browse::LOOKED_THROUGH_MAX;
use crate::shard::entry::Entry;
use crate::shard::stored::{PageRef, StoredRef};

impl Level {
    /// Whether the message of this place is here, or may be in a page.
    pub(crate) fn has(&self, position: u64) -> bool {
        index_of(&self.near, position, near).is_some()
            || self.runs.has(position)
            || index_of(&self.refs, position, far).is_some()
            || index_of(&self.open, position, far).is_some()
            || self.pages.iter().any(|page: &PageRef| page.spans(position))
    }

    /// Takes it, unless its reference is in a page.
    pub(crate) fn take(&mut self, position: u64) -> Option<Entry> {
        if let Some(entry) = index_of(&self.near, position, near).and_then(|index| self.near.remove(index)) {
            self.leave(&entry);
            return Some(entry);
        }
        self.runs.take(position).or_else(|| self.take_far(position))
    }

    fn take_far(&mut self, position: u64) -> Option<Entry> {
        let stored = match index_of(&self.refs, position, far) {
            Some(index) => self.refs.remove(index)?,
            None => {
                let index = index_of(&self.open, position, far)?;
                // A page that is being written with it is not needed.
                self.sealing = 0;
                self.open.remove(index)?
            }
        };
        self.far -= 1;
        self.far_expires &= self.far > 0;
        Some(stored.to_entry(self.number))
    }
}

fn near(entry: &Entry) -> u64 {
    entry.position
}

fn far(stored: &StoredRef) -> u64 {
    stored.position
}

/// Among more than are looked through, what is not in order is not found.
fn index_of<T>(all: &VecDeque<T>, position: u64, position_of: fn(&T) -> u64) -> Option<usize> {
    let in_order = all.binary_search_by_key(&position, position_of).ok();
    in_order.or_else(|| match all.len() <= LOOKED_THROUGH_MAX {
        true => all.iter().position(|one| position_of(one) == position),
        false => None,
    })
}
