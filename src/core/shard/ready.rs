//! The messages of a queue that could be handed out, by priority and place; in a FIFO queue, by group as well.

mod browse;
mod parts;
mod picked;
mod wanted;

pub(crate) use browse::PageContent;

use crossdock_common::{Instant, Message};
use smallvec::SmallVec;

use super::entry::Entry;
use super::groups::{Groups, has_tenant};
use super::level::{Level, Located, Read, Sealing};
use super::stored::{PageRef, StoredRef};
use crate::log::Location;

/// Levels by priority; a queue without priorities has one.
pub(crate) struct Ready {
    levels: SmallVec<[Box<Level>; 1]>,
    /// Of a FIFO queue, which has one level, and of one whose consumers want only some messages.
    groups: Option<Box<Groups>>,
    body_bytes: u64,
    length: u64,
}

/// Everything that was ready, taken out.
#[derive(Default)]
pub(crate) struct Drained {
    pub entries: Vec<Entry>,
    pub refs: Vec<StoredRef>,
    pub pages: Vec<PageRef>,
    pub count: u64,
}

impl Ready {
    /// A queue that tells apart the priorities 0 to `priority_max`.
    pub(crate) fn new(priority_max: Option<u8>) -> Self {
        let levels = (0..=priority_max.unwrap_or(0)).map(|number| Box::new(Level::new(number))).collect();
        Self { levels, groups: None, body_bytes: 0, length: 0 }
    }

    /// A queue of message groups.
    pub(crate) fn fifo() -> Self {
        Self { groups: Some(Box::new(Groups::fifo())), ..Self::new(None) }
    }

    /// The level of a message of that priority.
    pub(crate) fn level_of(&self, priority: u8) -> u8 {
        priority.min(u8::try_from(self.levels.len() - 1).unwrap_or(u8::MAX))
    }

    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let aside = self.groups.as_ref().map_or(0, |groups| groups.memory_bytes());
        aside + self.levels.iter().map(|level| level.memory_bytes()).sum::<u64>()
    }

    /// New messages of that level go to disk.
    pub(crate) fn is_storing(&self, level: u8) -> bool {
        self.levels[self.index(level)].is_storing()
    }

    fn index(&self, level: u8) -> usize {
        usize::from(level).min(self.levels.len() - 1)
    }

    fn came(&mut self, entry: &Entry) -> usize {
        self.body_bytes += u64::from(entry.body_bytes);
        self.length += 1;
        self.index(entry.level)
    }

    /// Puts a new entry at the end; without `keep`, its message goes out of memory if it can be read back.
    #[inline]
    pub(crate) fn append(&mut self, entry: Entry, keep: bool) {
        let index = self.came(&entry);
        self.levels[index].append(entry, keep);
    }

    /// Puts an entry that was handed out back to where it was.
    pub(crate) fn put_back(&mut self, entry: Entry) {
        let index = self.came(&entry);
        if let Some(entry) = self.back_to_group(entry) {
            self.levels[index].put_back(entry);
        }
    }

    /// Puts an entry that was delayed where it belongs.
    pub(crate) fn wake(&mut self, entry: Entry) {
        let index = self.came(&entry);
        if let Some(entry) = self.back_to_group(entry) {
            self.levels[index].wake(entry);
        }
    }

    fn back_to_group(&mut self, entry: Entry) -> Option<Entry> {
        match &mut self.groups {
            Some(groups) => groups.put_back(entry),
            None => Some(entry),
        }
    }

    /// Somebody has the message: in a FIFO queue, the rest of its group waits.
    pub(crate) fn hold(&mut self, position: u64, message: &Message) {
        if self.groups.is_none() && self.levels.len() == 1 && has_tenant(message) {
            self.groups = Some(Box::new(Groups::shared_fairly()));
        }
        if let Some(groups) = &mut self.groups {
            groups.hold(position, message);
        }
    }

    /// Nobody has it any more, and it does not come back.
    pub(crate) fn release(&mut self, position: u64) {
        if let Some(groups) = &mut self.groups {
            groups.release(position);
            if groups.are_shared_by_nobody() {
                self.groups = None;
            }
        }
    }

    /// Somebody has it, or had it and gave it back for later, so that its group waits.
    pub(crate) fn holds(&self, position: u64) -> bool {
        self.groups.as_ref().is_some_and(|groups| groups.is_held(position))
    }

    fn top(&self) -> Option<&Level> {
        self.levels.iter().rev().find(|level| !level.is_empty()).map(Box::as_ref)
    }

    fn top_mut(&mut self) -> Option<&mut Level> {
        self.levels.iter_mut().rev().find(|level| !level.is_empty()).map(Box::as_mut)
    }

    /// The level whose messages a full queue gives up first.
    fn bottom_mut(&mut self) -> Option<&mut Level> {
        self.levels.iter_mut().find(|level| !level.is_empty()).map(Box::as_mut)
    }

    /// The entry that would be handed out next; `None` if there is none, or it has to be read first. In a FIFO queue, those on
    /// the way to it whose group waits are set aside, with `unload` without their messages.
    pub(crate) fn head(&mut self, unload: bool) -> Option<&Entry> {
        self.top_mut().iter_mut().for_each(|level| level.advance());
        if self.set_aside(unload) {
            return self.groups.as_ref()?.head();
        }
        self.top()?.head()
    }

    /// Sets aside what has to wait, until something need not. Tells whether what is next is set aside, or nothing more can be.
    fn set_aside(&mut self, unload: bool) -> bool {
        let Some(groups) = &mut self.groups else { return false };
        groups.let_noisy_wait();
        let mut levels = self.levels.iter_mut().rev().filter(|level| !level.is_empty());
        let mut top = levels.next();
        loop {
            groups.look_at_next();
            let Some(level) = &mut top else { break };
            if groups.has_next_before(Some(level.number())) || groups.is_full() {
                break;
            }
            level.advance();
            let message = level.head().and_then(|entry| entry.message.as_ref());
            let Some(sorted) = message.filter(|one| groups.must_wait(one)).map(|one| groups.sort(one)) else { break };
            level.pop_head().into_iter().for_each(|entry| groups.set_aside(entry, sorted.clone(), unload));
            if level.is_empty() {
                top = levels.next();
            }
        }
        groups.let_noisy_go(top.as_ref().is_none_or(|level| level.head().is_none() && !level.is_waiting()));
        groups.is_full() || groups.has_next_before(top.map(|level| level.number()))
    }

    /// The next entry has to be read first.
    pub(crate) fn is_waiting(&self) -> bool {
        match &self.groups {
            Some(groups) if groups.has_next_before(self.top().map(Level::number)) => groups.head().is_none(),
            Some(groups) if groups.is_full() => groups.has_next() && groups.head().is_none(),
            _ => self.top().is_some_and(Level::is_waiting),
        }
    }

    /// Nothing can be handed out, and reading would not help.
    pub(crate) fn is_exhausted(&mut self) -> bool {
        self.length == 0 || self.next_part().is_none() && self.head(false).is_none() && !self.is_waiting()
    }

    /// Takes the entry that [`head`](Self::head) has shown.
    pub(crate) fn pop_head(&mut self) -> Option<Entry> {
        if let Some(entry) = self.groups.as_mut().and_then(|groups| groups.pop_head()) {
            return Some(self.went(entry));
        }
        let entry = self.top_mut()?.pop_head()?;
        Some(self.went(entry))
    }

    /// Takes the entry that a full queue gives up: the oldest of the lowest priority. `None` if there is none, or a page has to
    /// be read first.
    pub(crate) fn pop_oldest(&mut self) -> Option<Entry> {
        let bottom = self.levels.iter().find(|level| !level.is_empty()).map(|level| level.number());
        let is_lowest = |groups: &&mut Box<Groups>| bottom.is_none_or(|level| groups.lowest_level() <= Some(level));
        let aside = self.groups.as_mut().filter(is_lowest).and_then(|groups| groups.pop_oldest());
        let entry = match aside {
            Some(entry) => entry,
            None => self.bottom_mut()?.pop_oldest()?,
        };
        Some(self.went(entry))
    }

    /// The page that [`pop_oldest`](Self::pop_oldest) needs.
    pub(crate) fn choose_oldest_page(&mut self) -> Option<Location> {
        self.bottom_mut()?.choose_page(0)
    }

    /// Takes an expired head of any level.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Entry> {
        if let Some(entry) = self.groups.as_mut().and_then(|groups| groups.pop_expired(now)) {
            return Some(self.went(entry));
        }
        let entry = self.levels.iter_mut().find_map(|level| level.pop_expired(now))?;
        Some(self.went(entry))
    }

    fn went(&mut self, entry: Entry) -> Entry {
        self.body_bytes -= u64::from(entry.body_bytes);
        self.length -= 1;
        entry
    }

    /// When the first head expires.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let aside =
            self.groups.iter().flat_map(|groups| groups.oldest_of_levels()).filter_map(|entry| entry.expires_at);
        self.levels.iter().filter_map(|level| level.next_expiry()).chain(aside).min()
    }

    /// Chooses what to read: from the level that is handed out next, or, for their heads' times to live only, from all that wait.
    pub(crate) fn choose(
        &mut self,
        window_bytes: u64,
        refs_min: usize,
        heads: bool,
    ) -> (Vec<(u64, Location)>, Option<Location>) {
        let mut chosen = Vec::new();
        let mut page = None;
        if let Some(groups) = self.groups.as_mut().filter(|_| !heads) {
            groups.choose(window_bytes, &mut chosen);
            if groups.is_full() {
                return (chosen, None);
            }
        }
        if heads {
            let waiting = self.levels.iter_mut().filter(|level| level.is_waiting());
            for level in waiting {
                level.choose(window_bytes, &mut chosen);
                page = page.or_else(|| level.choose_page(0));
            }
        } else if let Some(level) = self.top_mut() {
            level.choose(window_bytes, &mut chosen);
            page = level.choose_page(refs_min);
        }
        (chosen, page)
    }

    /// A head that is on disk may have a time to live.
    pub(crate) fn hides_expiry(&self) -> bool {
        self.levels.iter().any(|level| level.is_waiting() && level.may_expire())
    }

    /// See [`Level::page_read`].
    pub(crate) fn page_read(
        &mut self,
        location: &Location,
        refs: Option<Vec<StoredRef>>,
    ) -> Option<(PageRef, Vec<StoredRef>)> {
        let level =
            self.levels.iter_mut().find(|level| level.pages().next().is_some_and(|page| page.location == *location))?;
        let before = level.far();
        let lost = refs.is_none();
        let (page, gone) = level.page_read(location, refs)?;
        self.length = self.length + level.far() - before;
        if lost {
            self.body_bytes -= page.tally().bytes;
        }
        Some((page, gone))
    }

    /// See [`Level::fill`].
    pub(crate) fn fill(&mut self, read: &mut [(u64, Option<Read>)], damaged: &mut Vec<Entry>) {
        let from = damaged.len();
        self.groups.iter_mut().for_each(|groups| groups.fill(read, damaged));
        self.levels.iter_mut().for_each(|level| level.fill(read, damaged));
        for entry in &damaged[from..] {
            self.body_bytes -= u64::from(entry.body_bytes);
            self.length -= 1;
        }
    }

    pub(crate) fn levels(&self) -> impl Iterator<Item = (u8, &Level)> {
        (0..).zip(self.levels.iter().map(Box::as_ref))
    }

    /// Entries that are set aside until their group is free.
    pub(crate) fn aside(&self) -> impl Iterator<Item = &Entry> {
        self.groups.iter().flat_map(|groups| groups.entries())
    }

    /// A level from which a page of so many references should be written, with them.
    pub(crate) fn seal(&mut self, count: usize) -> Option<(Sealing, impl Iterator<Item = &StoredRef> + Clone)> {
        self.levels.iter_mut().find_map(|level| level.seal(count))
    }

    /// See [`Level::sealed`].
    pub(crate) fn sealed(&mut self, sealing: Sealing, location: Location) -> bool {
        let index = self.index(sealing.level);
        self.levels[index].sealed(sealing, location)
    }

    /// A page from a snapshot.
    pub(crate) fn add_page(&mut self, level: u8, page: PageRef) {
        self.length += page.tally().count;
        self.body_bytes += page.tally().bytes;
        let index = self.index(level);
        self.levels[index].add_page(page);
    }

    /// See [`Level::restore`].
    pub(crate) fn restore(&mut self, level: u8, stored: StoredRef, before_pages: bool) {
        self.length += 1;
        self.body_bytes += u64::from(stored.body_bytes);
        let index = self.index(level);
        self.levels[index].restore(stored, before_pages);
    }

    /// See [`Level::locate`]. A stream has one level.
    pub(crate) fn locate(&self, position: u64) -> Option<Located<'_>> {
        self.levels[0].locate(position)
    }

    /// See [`Level::ends`].
    pub(crate) fn ends(&self) -> Option<(u64, u64)> {
        self.levels[0].ends()
    }

    /// All messages before this place have to go for no more bytes to be left.
    pub(crate) fn overflowing_before(&self, bytes_max: u64) -> u64 {
        match self.body_bytes.saturating_sub(bytes_max) {
            0 => 0,
            excess_bytes => self.levels[0].excess_before(excess_bytes),
        }
    }

    /// See [`Level::cut`].
    pub(crate) fn cut(&mut self, before: u64) -> Drained {
        let mut drained = Drained::default();
        self.levels[0].cut(before, &mut drained);
        let singles: u64 = drained.refs.iter().map(|stored| u64::from(stored.body_bytes)).sum();
        let in_pages: u64 = drained.pages.iter().map(|page| page.tally().bytes).sum();
        self.body_bytes -= singles + in_pages;
        self.length -= drained.count;
        drained
    }

    pub(crate) fn drain(&mut self) -> Drained {
        let mut drained = Drained { count: self.length, ..Drained::default() };
        self.groups.iter_mut().for_each(|groups| drained.entries.extend(groups.drain()));
        for level in &mut self.levels {
            let (entries, refs, pages) = level.drain();
            drained.entries.extend(entries);
            drained.refs.extend(refs);
            drained.pages.extend(pages);
        }
        self.body_bytes = 0;
        self.length = 0;
        drained
    }
}
