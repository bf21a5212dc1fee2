//! The ready messages of one priority: the near ones in memory, the far ones on disk, where a page of references may be on disk as
//! well.
//!
//! From the front: `near` (messages that are here, and some that are being read), `runs` (what came in runs while nothing was on disk,
//! kept as it came), `refs` (a page that was read back), `pages`, `open` (the newest, not in a page yet). Messages go from the front
//! to consumers and from the back to disk. Reading back is in `reading`, pages are in `pages`.

mod browse;
mod lasting;
mod pages;
mod picked;
mod reading;
mod runs;

use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) use browse::Behind;
pub(crate) use lasting::Located;
use runs::{Item, Runs};

use crossdock_common::{Instant, Message};

use super::entry::Entry;
use super::stored::{PageRef, StoredRef};
use crate::definitions::route::AnnouncedBinding;

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
    /// Runs, and what came among them.
    runs: Runs,
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

    /// The priority of its messages.
    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.near.is_empty() && self.runs.is_empty() && self.far == 0
    }

    /// How many are on disk, beside some of those that are near.
    pub(crate) fn far(&self) -> u64 {
        self.far
    }

    /// New messages go to disk: older ones are there already.
    pub(crate) fn is_storing(&self) -> bool {
        self.far > 0
    }

    /// The next message is known, but not here.
    pub(crate) fn is_waiting(&self) -> bool {
        match self.near.front() {
            Some(entry) => entry.message.is_none(),
            None => self.far > 0 && self.runs.is_empty(),
        }
    }

    /// Something on disk may expire.
    pub(crate) fn may_expire(&self) -> bool {
        self.far_expires || self.near.front().is_some_and(|entry| entry.expires)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.near_bytes + (self.refs.len() + self.open.len()) as u64 * REF_BYTES + self.runs.memory_bytes()
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
        self.advance();
        if let Some(entry) = self.pop_near() {
            return Some(entry);
        }
        let stored = self.next_ref()?;
        Some(stored.to_entry(self.number))
    }

    /// A new entry, or one that was away for so long that its place is the end.
    #[inline]
    pub(crate) fn append(&mut self, entry: Entry, keep: bool) {
        match entry.to_stored() {
            Some(stored) if self.far > 0 || !keep => {
                self.far += 1;
                self.far_expires |= stored.expires;
                self.open.push_back(stored);
            }
            _ if self.runs.is_empty() => self.insert(entry),
            _ => self.runs.push(Item::One(entry)),
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
        if self.runs.begin_before(&entry) {
            self.runs.insert(entry);
        } else {
            self.insert(entry);
        }
    }

    fn insert(&mut self, entry: Entry) {
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

    /// Takes everything: entries, references, pages. What is of a run is gone.
    pub(crate) fn drain(&mut self) -> (VecDeque<Entry>, VecDeque<StoredRef>, VecDeque<PageRef>) {
        let sealings = self.sealings;
        let Level { mut near, runs, mut refs, pages, open, .. } = std::mem::replace(self, Self::new(self.number));
        // A page that is being written must not be taken for one of later messages.
        self.sealings = sealings;
        near.extend(runs.into_entries());
        refs.extend(open);
        (near, refs, pages)
    }
}

fn length_bytes(entry: &Entry) -> u64 {
    // Of a large body, the record holds the last piece only.
    entry.stored.map_or(0, |location| u64::from(location.length_bytes.max(entry.body_bytes)))
}
