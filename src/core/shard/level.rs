//! The ready messages of one priority: the near ones in memory, the far ones on disk, where a page of references may be on disk as
//! well.
//!
//! From the front: `near` (messages that are here, and some that are being read), `refs` (a page that was read back),
//! `pages`, `open` (the newest, not in a page yet). Messages go from the front to consumers and from the back to disk.

use std::collections::VecDeque;
use std::sync::Arc;

use crossdock_common::{Instant, Message};

use super::entry::Entry;
use super::stored::{PageRef, StoredRef, Tally};
use crate::definitions::route::AnnouncedBinding;
use crate::log::Location;

/// Memory that a reference takes.
const REF_BYTES: u64 = size_of::<StoredRef>() as u64;

/// Ready messages of one priority, oldest first.
#[derive(Default)]
pub(crate) struct Level {
    number: u8,
    near: VecDeque<Entry>,
    refs: VecDeque<StoredRef>,
    pages: VecDeque<PageRef>,
    open: VecDeque<StoredRef>,
    /// In `near`, here.
    near_bytes: u64,
    /// In `near`, being read.
    requested_bytes: u64,
    /// In `near`, neither here nor being read.
    hollow: usize,
    /// In `refs`, `pages` and `open`.
    far: u64,
    page_requested: bool,
    /// The front of `open` that is being written as a page, and which attempt that is.
    sealing: usize,
    sealings: u32,
    /// Some far message has a time to live of its own.
    far_expires: bool,
}

/// What has been read of a message.
pub(crate) struct Read {
    pub message: Arc<Message>,
    pub binding: Option<AnnouncedBinding>,
    pub expires_at: Option<Instant>,
}

/// A part of `open` on its way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealing {
    pub level: u8,
    attempt: u32,
    pub count: usize,
}

impl Level {
    pub(crate) fn new(number: u8) -> Self {
        Self { number, ..Self::default() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.near.len() as u64 + self.far
    }

    /// New messages go to disk: older ones are there already.
    pub(crate) fn is_storing(&self) -> bool {
        self.far > 0
    }

    /// The next message is known, but not here.
    pub(crate) fn is_waiting(&self) -> bool {
        self.len() > 0 && self.head().is_none()
    }

    /// Something on disk may expire.
    pub(crate) fn may_expire(&self) -> bool {
        self.far_expires || self.near.front().is_some_and(|entry| entry.expires)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.near_bytes + (self.refs.len() + self.open.len()) as u64 * REF_BYTES
    }

    pub(crate) fn head(&self) -> Option<&Entry> {
        self.near.front().filter(|entry| entry.message.is_some())
    }

    pub(crate) fn pop_head(&mut self) -> Option<Entry> {
        self.head()?;
        self.pop_near()
    }

    fn pop_near(&mut self) -> Option<Entry> {
        let entry = self.near.pop_front()?;
        self.leave(&entry);
        Some(entry)
    }

    /// Takes the oldest, whether it is here or not. `None` if there is none, or a page has to be read first.
    pub(crate) fn pop_oldest(&mut self) -> Option<Entry> {
        if let Some(entry) = self.pop_near() {
            return Some(entry);
        }
        let stored = self.next_ref()?;
        Some(stored.to_entry(self.number))
    }

    /// A new entry, or one that was away for so long that its place is the end.
    pub(crate) fn append(&mut self, entry: Entry, keep: bool) {
        match entry.to_stored() {
            Some(stored) if self.far > 0 || !keep => {
                self.far += 1;
                self.far_expires |= stored.expires;
                self.open.push_back(stored);
            }
            _ => self.put_back(entry),
        }
    }

    /// An entry that was delayed: to where it was if that is near, else to the end.
    pub(crate) fn wake(&mut self, entry: Entry) {
        let first_far = self.refs.front().map(|stored| stored.position);
        let first_far = first_far.or(self.pages.front().map(|page| page.positions.0));
        let first_far = first_far.or(self.open.front().map(|stored| stored.position));
        if first_far.is_some_and(|first| first < entry.position) {
            self.append(entry, true);
        } else {
            self.put_back(entry);
        }
    }

    /// An entry that was handed out: to where it was.
    pub(crate) fn put_back(&mut self, entry: Entry) {
        self.arrive(&entry);
        match self.near.back() {
            Some(last) if last.position > entry.position => {
                let place = self.near.partition_point(|other| other.position < entry.position);
                self.near.insert(place, entry);
            }
            _ => self.near.push_back(entry),
        }
    }

    fn arrive(&mut self, entry: &Entry) {
        self.near_bytes += entry.memory_bytes();
        if entry.message.is_none() {
            self.hollow += 1;
        }
    }

    fn leave(&mut self, entry: &Entry) {
        self.near_bytes -= entry.memory_bytes();
        if entry.message.is_some() {
            return;
        }
        if entry.requested {
            self.requested_bytes -= length_bytes(entry);
        } else {
            self.hollow -= 1;
        }
    }

    // ---- reading ----

    /// Chooses what to read so that about `window_bytes` are here or on their way.
    pub(crate) fn choose(&mut self, window_bytes: u64, chosen: &mut Vec<(u64, Location)>) {
        if self.near_bytes + self.requested_bytes > window_bytes / 2
            && !(self.is_waiting() && self.requested_bytes == 0)
        {
            return;
        }
        self.choose_hollow(window_bytes, chosen);
        while self.near_bytes + self.requested_bytes < window_bytes {
            let Some(stored) = self.next_ref() else { return };
            let mut entry = stored.to_entry(self.number);
            entry.requested = true;
            chosen.push((entry.position, stored.location));
            self.near_bytes += entry.memory_bytes();
            self.requested_bytes += length_bytes(&entry);
            self.near.push_back(entry);
        }
    }

    /// Entries that came back without their message; they are at the front.
    fn choose_hollow(&mut self, window_bytes: u64, chosen: &mut Vec<(u64, Location)>) {
        if self.hollow == 0 {
            return;
        }
        let hollow = self.near.iter_mut().filter(|entry| entry.message.is_none() && !entry.requested);
        for entry in hollow {
            let Some(location) = entry.stored else { continue };
            entry.requested = true;
            self.hollow -= 1;
            self.requested_bytes += length_bytes(entry);
            chosen.push((entry.position, location));
            if self.hollow == 0 || self.requested_bytes >= window_bytes / 2 {
                return;
            }
        }
    }

    fn next_ref(&mut self) -> Option<StoredRef> {
        let stored = match self.refs.pop_front() {
            Some(stored) => stored,
            None if self.pages.is_empty() => {
                // What is being sealed is wanted now: the page will not be needed.
                self.sealing = 0;
                self.open.pop_front()?
            }
            None => return None,
        };
        self.far -= 1;
        self.far_expires &= self.far > 0;
        Some(stored)
    }

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
        let survived = page.survived;
        let (here, gone) = refs.unwrap_or_default().into_iter().partition(|stored| !survived || stored.logged);
        let here: Vec<StoredRef> = here;
        self.far = self.far - page.tally().count + here.len() as u64;
        self.refs.extend(here);
        Some((page, gone))
    }

    /// Puts messages that were read where they belong, in order. Those that are not waited for any more are left over.
    pub(crate) fn fill(&mut self, read: &mut [(u64, Option<Read>)], damaged: &mut Vec<Entry>) {
        let mut rest = &mut read[..];
        let mut broken = Vec::new();
        for entry in self.near.iter_mut().filter(|entry| entry.requested && entry.message.is_none()) {
            let Some(index) = rest.iter().position(|(position, _)| *position == entry.position) else { continue };
            self.requested_bytes -= length_bytes(entry);
            self.near_bytes -= entry.memory_bytes();
            entry.requested = false;
            match rest[index].1.take() {
                Some(Read { message, binding, expires_at }) => {
                    (entry.message, entry.binding, entry.expires_at) = (Some(message), binding, expires_at);
                }
                None => {
                    // Counted as hollow until it is taken out below.
                    self.hollow += 1;
                    broken.push(entry.position);
                }
            }
            self.near_bytes += entry.memory_bytes();
            rest = &mut rest[index + 1..];
            if rest.is_empty() {
                break;
            }
        }
        if !broken.is_empty() {
            self.take_out(&broken, damaged);
        }
    }

    fn take_out(&mut self, positions: &[u64], damaged: &mut Vec<Entry>) {
        let near = std::mem::take(&mut self.near);
        let (out, near) = near.into_iter().partition(|entry| positions.contains(&entry.position));
        self.near = near;
        let out: VecDeque<Entry> = out;
        out.iter().for_each(|entry| self.leave(entry));
        damaged.extend(out);
    }

    // ---- pages ----

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
        self.near.iter().filter_map(Entry::to_stored).chain(self.refs.iter().copied())
    }

    /// References to what stands behind the pages.
    pub(crate) fn behind_pages(&self) -> impl Iterator<Item = StoredRef> {
        self.open.iter().copied()
    }

    /// References to what is not in a page.
    pub(crate) fn single(&self) -> impl Iterator<Item = StoredRef> {
        self.before_pages().chain(self.behind_pages())
    }

    /// Takes everything: entries, references, pages.
    pub(crate) fn drain(&mut self) -> (VecDeque<Entry>, VecDeque<StoredRef>, VecDeque<PageRef>) {
        let sealings = self.sealings;
        let Level { near, mut refs, pages, open, .. } = std::mem::replace(self, Self::new(self.number));
        // A page that is being written must not be taken for one of later messages.
        self.sealings = sealings;
        refs.extend(open);
        (near, refs, pages)
    }
}

impl PageRef {
    /// What it holds for the queue.
    pub(crate) fn tally(&self) -> Tally {
        if self.survived { self.logged } else { self.all }
    }
}

fn length_bytes(entry: &Entry) -> u64 {
    // Of a large body, the record holds the last piece only.
    entry.stored.map_or(0, |location| u64::from(location.length_bytes.max(entry.body_bytes)))
}
