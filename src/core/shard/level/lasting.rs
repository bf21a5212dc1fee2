//! A level whose messages stay where they are while others read them: finding one by its place, and cutting the oldest off.

use super::Level;
use crate::shard::ready::Drained;
use crate::shard::stored::{PageRef, StoredRef};

/// Where a message is.
pub(crate) enum Located<'a> {
    /// This is its reference.
    Here(&'a StoredRef),
    /// Its reference is in this page.
    Page(&'a PageRef),
}

impl Level {
    /// The message at this place, or the first behind it.
    pub(crate) fn locate(&self, position: u64) -> Option<Located<'_>> {
        let at = |stored: &StoredRef| stored.position < position;
        if let Some(stored) = self.refs.get(self.refs.partition_point(at)) {
            return Some(Located::Here(stored));
        }
        if let Some(page) = self.pages.get(self.pages.partition_point(|page| page.positions.1 < position)) {
            return Some(Located::Page(page));
        }
        self.open.get(self.open.partition_point(at)).map(Located::Here)
    }

    /// The least and the greatest place.
    pub(crate) fn ends(&self) -> Option<(u64, u64)> {
        let page = |page: Option<&PageRef>| page.map(|page| page.positions);
        let single = |stored: Option<&StoredRef>| stored.map(|stored| (stored.position, stored.position));
        let firsts = [single(self.refs.front()), page(self.pages.front()), single(self.open.front())];
        let lasts = [single(self.open.back()), page(self.pages.back()), single(self.refs.back())];
        let (first, _) = firsts.into_iter().flatten().next()?;
        let (_, last) = lasts.into_iter().flatten().next()?;
        Some((first, last))
    }

    /// All before this place have to go for so many bytes to go at most: single messages, and pages as a whole. Of single messages,
    /// one more goes, so that the bytes are gone; the last message stays.
    pub(crate) fn excess_before(&self, mut excess_bytes: u64) -> u64 {
        let last = self.ends().map_or(0, |(_, last)| last);
        let single = |stored: &StoredRef| (stored.position, u64::from(stored.body_bytes), false);
        let pages = self.pages.iter().map(|page| (page.positions.1, page.tally().bytes, true));
        let units = self.refs.iter().map(single).chain(pages).chain(self.open.iter().map(single));
        let mut before = 0;
        for (position, bytes, is_page) in units {
            if excess_bytes == 0 || position >= last || is_page && bytes > excess_bytes {
                break;
            }
            excess_bytes = excess_bytes.saturating_sub(bytes);
            before = position + 1;
        }
        before
    }

    /// Takes out what is before this place, of pages whole ones.
    pub(crate) fn cut(&mut self, before: u64, drained: &mut Drained) {
        let is_before = |stored: &mut StoredRef| stored.position < before;
        while let Some(stored) = self.refs.pop_front_if(is_before) {
            drained.refs.push(stored);
        }
        while let Some(page) = self.pages.pop_front_if(|page| page.positions.1 < before) {
            drained.pages.push(page);
        }
        if self.pages.is_empty() {
            while let Some(stored) = self.open.pop_front_if(is_before) {
                // A page that is being written of it is not needed.
                self.sealing = 0;
                drained.refs.push(stored);
            }
        }
        let count = drained.refs.len() as u64 + drained.pages.iter().map(|page| page.tally().count).sum::<u64>();
        drained.count += count;
        self.far -= count;
    }
}
