//! The pages of a level: how references become one, how one is read back, and what stands before and behind them.

use super::{Level, Sealing};
use crate::log::Location;
use crate::shard::entry::Entry;
use crate::shard::stored::{PageRef, StoredRef, Tally};

impl Level {
    /// The page to read next, if it is time: told once until [`page_read`](Self::page_read).
    pub(crate) fn choose_page(&mut self, refs_min: usize) -> Option<Location> {
        if self.page_requested || self.refs.len() > refs_min {
            return None;
        }
        let page = self.pages.front()?;
        self.page_requested = true;
        Some(page.location)
    }

    /// The page has been read (or, with `None`, cannot be): gives the page, and the references that did not survive a restart.
    pub(crate) fn page_read(
        &mut self,
        location: &Location,
        refs: Option<Vec<StoredRef>>,
    ) -> Option<(PageRef, Vec<StoredRef>)> {
        if self.pages.front().is_none_or(|page| page.location != *location) {
            return None;
        }
        self.page_requested = false;
        let page = self.pages.pop_front()?;
        let (here, gone) = refs.unwrap_or_default().into_iter().partition(|stored| page.has(stored));
        let here: Vec<StoredRef> = here;
        self.far = self.far - page.tally().count + here.len() as u64;
        self.refs.extend(here);
        Some((page, gone))
    }

    /// The oldest of `open` that make a page, if there are enough and none is being written.
    pub(crate) fn seal(&mut self, count: usize) -> Option<(Sealing, impl Iterator<Item = &StoredRef> + Clone)> {
        if self.sealing > 0 || self.open.len() < count {
            return None;
        }
        self.sealing = count;
        self.sealings = self.sealings.wrapping_add(1);
        let sealing = Sealing { level: self.number, attempt: self.sealings, count };
        Some((sealing, self.open.range(..count)))
    }

    /// The page is written. False if it is not needed any more.
    pub(crate) fn sealed(&mut self, sealing: Sealing, location: Location) -> bool {
        if self.sealing != sealing.count || self.sealings != sealing.attempt {
            return false;
        }
        self.sealing = 0;
        let page = PageRef::new(location, self.open.range(..sealing.count));
        self.open.drain(..sealing.count);
        self.pages.push_back(page);
        true
    }

    /// A message from a snapshot or a log, after all pages: first those that stand before the pages, then the others.
    pub(crate) fn restore(&mut self, stored: StoredRef, before_pages: bool) {
        self.far += 1;
        self.far_expires |= stored.expires;
        if before_pages && !self.pages.is_empty() {
            self.refs.push_back(stored);
        } else {
            self.open.push_back(stored);
        }
    }

    /// A page from a snapshot.
    pub(crate) fn add_page(&mut self, page: PageRef) {
        self.far += page.tally().count;
        self.far_expires |= page.expires;
        self.pages.push_back(page);
    }

    pub(crate) fn pages(&self) -> impl Iterator<Item = &PageRef> {
        self.pages.iter()
    }

    /// References to what stands before the pages.
    pub(crate) fn before_pages(&self) -> impl Iterator<Item = StoredRef> {
        self.near.iter().chain(self.runs.entries()).filter_map(Entry::to_stored).chain(self.refs.iter().copied())
    }

    /// References to what stands behind the pages.
    pub(crate) fn behind_pages(&self) -> impl Iterator<Item = StoredRef> {
        self.open.iter().copied()
    }

    /// References to what is not in a page.
    pub(crate) fn single(&self) -> impl Iterator<Item = StoredRef> {
        self.before_pages().chain(self.behind_pages())
    }
}

impl PageRef {
    /// What it holds for the queue.
    pub(crate) fn tally(&self) -> Tally {
        if self.survived { self.logged } else { self.all }
    }
}
