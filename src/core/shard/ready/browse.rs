//! Messages that are looked at, and stay.

use super::Ready;
use crate::log::Location;
use crate::shard::entry::Entry;
use crate::shard::level::Behind;
use crate::shard::stored::StoredRef;

/// A page that was read.
pub(crate) struct PageContent {
    pub location: Location,
    /// None if it cannot be read.
    pub refs: Vec<StoredRef>,
}

impl Ready {
    /// The number of the level that is handed out first.
    pub(crate) fn top_level(&self) -> u8 {
        self.level_of(u8::MAX)
    }

    /// See [`Level::behind`](crate::shard::level::Level::behind): what is set aside is there as well.
    pub(crate) fn behind(
        &self,
        level: u8,
        place: u64,
        count: usize,
        page: &Option<PageContent>,
    ) -> Result<Behind, Location> {
        let aside: Vec<&Entry> =
            self.groups.iter().flat_map(|groups| groups.from(level, place.saturating_add(1)).take(count)).collect();
        let behind = self.levels[self.index(level)].behind(place, count, page);
        if aside.is_empty() {
            return behind;
        }
        // What is in a page that has to be read first is newer than what is set aside.
        let mut behind =
            behind.unwrap_or(Behind { entries: Vec::new(), complete_to: aside.last().map(|last| last.position) });
        behind.entries.extend(aside.into_iter().cloned());
        behind.entries.sort_unstable_by_key(|entry| entry.position);
        behind.entries.retain(|entry| behind.complete_to.is_none_or(|to| entry.position <= to));
        Ok(behind)
    }
}
