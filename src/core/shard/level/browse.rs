//! A level whose messages are looked at, and stay.

use super::Level;
use crate::log::Location;
use crate::shard::entry::Entry;
use crate::shard::ready::PageContent;
use crate::shard::stored::{PageRef, StoredRef};

/// Entries that are looked through for what stands behind a place; among more than that it is searched, which finds all of them if
/// they are in order. Where a message that was delayed has come back from disk out of order, there are fewer.
pub(super) const LOOKED_THROUGH_MAX: usize = 32_768;

/// What stands behind a place.
pub(crate) struct Behind {
    /// In order, as many as were asked for and more, perhaps.
    pub entries: Vec<Entry>,
    /// There may be others from here on.
    pub complete_to: Option<u64>,
}

impl Level {
    /// The first messages behind this place, at least so many if there are. As an error, the page that has to be read first:
    /// `page` is one that was read already.
    pub(crate) fn behind(&self, place: u64, count: usize, page: &Option<PageContent>) -> Result<Behind, Location> {
        let next_page = self.pages.get(self.pages.partition_point(|page| page.positions.1 <= place));
        let mut entries = self.entries_behind(place, count);
        let complete_to = match (next_page, page) {
            (Some(next), Some(page)) if page.location == next.location => {
                let here = page.refs.iter().filter(|stored| next.has(stored));
                entries
                    .extend(first(here, place, count, |stored| stored.position).map(|one| one.to_entry(self.number)));
                Some(next.positions.1)
            }
            (Some(next), _) => Some(next.positions.0.saturating_sub(1)),
            (None, _) => None,
        };
        entries.sort_unstable_by_key(|entry| entry.position);
        entries.retain(|entry| complete_to.is_none_or(|to| entry.position <= to));
        match next_page {
            Some(page) if entries.is_empty() && complete_to.is_some_and(|to| to < page.positions.1) => {
                Err(page.location)
            }
            _ => Ok(Behind { entries, complete_to }),
        }
    }

    /// Those that are not in a page.
    fn entries_behind(&self, place: u64, count: usize) -> Vec<Entry> {
        let near = match self.near.len() {
            0..=LOOKED_THROUGH_MAX => self.near.range(..),
            all => {
                let start = self.near.partition_point(|entry| entry.position <= place);
                self.near.range(start..all.min(start + count))
            }
        };
        let near = first(near, place, count, |entry| entry.position).cloned();
        let refs = first(self.refs.iter(), place, count, |stored| stored.position);
        let open = first(self.open.iter(), place, count, |stored| stored.position);
        let far = refs.chain(open).map(|stored| stored.to_entry(self.number));
        near.chain(far).chain(self.runs.behind(place).take(count)).collect()
    }
}

/// The first so many behind a place of what may not be in order.
fn first<'a, T: 'a>(
    all: impl Iterator<Item = &'a T>,
    place: u64,
    count: usize,
    position: impl Fn(&T) -> u64,
) -> impl Iterator<Item = &'a T> {
    let mut behind: Vec<&T> = all.filter(|one| position(one) > place).collect();
    behind.sort_unstable_by_key(|one| position(one));
    behind.truncate(count);
    behind.into_iter()
}

impl PageRef {
    /// A reference in the page is the queue's.
    pub(super) fn has(&self, stored: &StoredRef) -> bool {
        !self.survived || stored.logged
    }
}
