//! Messages that only some consumers want.

use super::Ready;
use crate::shard::entry::Entry;
use crate::shard::groups::Groups;
use crate::shard::wishes::Wishes;

impl Ready {
    /// Sorts messages by what consumers want, or not any more. What was set aside goes back to its place, to be looked at again.
    pub(crate) fn sort_by(&mut self, wishes: Option<Wishes>) {
        let before = self.groups.as_ref().and_then(|groups| groups.wishes());
        let is_same = match (before, &wishes) {
            (Some(before), Some(wishes)) => before.are_same(wishes),
            (before, wishes) => before.is_none() && wishes.is_none(),
        };
        if is_same {
            return;
        }
        if let Some(groups) = self.groups.as_mut().filter(|groups| groups.stay()) {
            return groups.wish(wishes);
        }
        let groups = self.groups.take();
        self.groups = wishes.map(|wishes| Box::new(Groups::by_wishes(wishes)));
        let aside: Vec<Entry> = groups.into_iter().flat_map(|mut groups| groups.drain().collect::<Vec<_>>()).collect();
        // Newest first: then each goes before all others.
        for mut entry in aside.into_iter().rev() {
            entry.requested = false;
            let index = self.index(entry.level);
            self.levels[index].put_back(entry);
        }
    }

    /// Only these wishes are served now.
    pub(crate) fn open_to(&mut self, room: u64) {
        self.groups.iter_mut().for_each(|groups| groups.open_to(room));
    }

    /// Who wants the message that is next; `None` where consumers want everything.
    pub(crate) fn next_wanted_by(&self) -> Option<u64> {
        self.groups.as_ref()?.next_wanted_by()
    }

    /// Consumers want only some messages.
    pub(crate) fn is_sorted_by_wishes(&self) -> bool {
        self.groups.as_ref().is_some_and(|groups| groups.wishes().is_some())
    }
}
