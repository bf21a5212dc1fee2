//! Single messages that are taken out from among the others.

use super::Ready;
use crate::shard::entry::Entry;

impl Ready {
    /// Whether the message of this place is, or may be, among them.
    pub(crate) fn has(&self, position: u64) -> bool {
        self.groups.as_ref().is_some_and(|groups| groups.has(position))
            || self.levels.iter().any(|level| level.has(position))
    }

    /// Takes the message of this place, unless its reference is in a page.
    pub(crate) fn take(&mut self, position: u64) -> Option<Entry> {
        let aside = self.groups.as_mut().and_then(|groups| groups.take_at(position));
        let entry = aside.or_else(|| self.levels.iter_mut().find_map(|level| level.take(position)))?;
        Some(self.went(entry))
    }
}
