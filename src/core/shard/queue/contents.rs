//! What is in a queue, wherever it is: on its way in, ready, handed out, on its way out, or unreadable.

use super::Queue;
use crate::log::Urgency;
use crate::shard::entry::Entry;
use crate::shard::stream::cursor::Cursor;

/// Messages on their way into a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Awaited {
    /// Until the log is written.
    pub write: usize,
    /// Until the log is synced.
    pub sync: usize,
    /// Of both: those that cannot be read back from the log.
    pub unstored: usize,
}

impl Awaited {
    pub(crate) fn count(self) -> usize {
        self.write + self.sync
    }

    pub(crate) fn add(&mut self, until: Urgency, unstored: bool) {
        *self.until(until) += 1;
        self.unstored += usize::from(unstored);
    }

    pub(crate) fn remove(&mut self, until: Urgency, unstored: bool) {
        *self.until(until) -= 1;
        self.unstored -= usize::from(unstored);
    }

    fn until(&mut self, until: Urgency) -> &mut usize {
        match until {
            Urgency::Write => &mut self.write,
            Urgency::Sync => &mut self.sync,
        }
    }
}

impl Queue {
    /// Messages that are in the queue in whatever way; the [`Ledger`] must say the same.
    pub(crate) fn held(&self) -> u64 {
        let letters = self.special.departing.len() + self.special.burying.len() + self.special.kept.len();
        let maps = self.unsettled.len() + self.special.delayed.len() + letters;
        self.ready.len()
            + self.unreadable()
            + (maps + self.awaiting.count() + self.special.behind.entries().count()) as u64
    }

    /// Messages that somebody has. Those of a stream are in it all the same.
    pub(crate) fn unsettled_count(&self) -> u64 {
        let of_stream = self.stream.as_ref().map_or(0, |_| self.consumers.unsettled());
        self.unsettled.len() as u64 + of_stream
    }

    /// Messages that could not be read since the start.
    pub(crate) fn unreadable(&self) -> u64 {
        let in_pages: u64 = self.special.damaged_pages.iter().map(|page| page.tally().count).sum();
        in_pages + self.special.damaged.len() as u64
    }

    /// Entries that somebody has, or that are on their way out, or set aside, or that cannot be read.
    pub(crate) fn out(&self) -> impl Iterator<Item = &Entry> {
        let letters = self.special.departing.values().chain(self.special.burying.values()).map(|dying| &dying.entry);
        self.unsettled
            .entries()
            .chain(letters)
            .chain(self.special.kept.entries())
            .chain(self.ready.aside())
            .chain(&self.special.damaged)
    }

    /// Entries that are not at hand to be handed out, except those on their way in.
    pub(crate) fn away(&self) -> impl Iterator<Item = &Entry> {
        self.out().chain(self.special.delayed.values()).chain(self.special.behind.entries())
    }

    /// Memory that the queue's messages take, except those on their way in.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let known = self.deduplication.as_ref().map_or(0, |known| known.memory_bytes());
        let stream = self.stream.as_ref().map_or(0, |stream| {
            stream.memory_bytes() + self.consumers.cursors().map(Cursor::memory_bytes).sum::<u64>()
        });
        self.ready.memory_bytes() + self.unsettled.memory_bytes() + self.special.delayed_bytes + known + stream
    }

    /// Something is on its way in.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.awaiting.count() > 0 || !self.special.behind.is_empty()
    }

    /// Something that is on its way in cannot be read back from the log.
    pub(crate) fn has_unstored(&self) -> bool {
        self.awaiting.unstored > 0 || self.special.behind.has_unstored()
    }
}
