//! How much of what the log's segments hold is still needed.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

use crossdock_common::names::QueueId;
use hashbrown::HashMap;

use super::stored::{PageRef, Tally};
use crate::log::{Location, Log};

/// What is needed of one segment: messages once for each place in a queue, and pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentUse {
    /// Its number.
    pub segment: NonZeroU64,
    /// What is needed of it.
    pub live: Tally,
    /// The log has been told that nothing of it is needed.
    released: bool,
}

/// All segments of the shard's log, oldest first.
#[derive(Default)]
pub(crate) struct Segments {
    uses: VecDeque<SegmentUse>,
    /// Some segment, except the newest, may have become free.
    freed: bool,
    /// Where the pieces of large bodies are, by queue and place.
    parts: HashMap<(QueueId, u64), Arc<[Location]>>,
}

impl Segments {
    /// Something was written to this segment: it is the newest.
    pub(crate) fn saw(&mut self, segment: NonZeroU64) {
        if self.uses.back().is_none_or(|last| last.segment < segment) {
            self.freed |= self.uses.back().is_some_and(|last| last.live.count == 0);
            self.uses.push_back(SegmentUse { segment, live: Tally::default(), released: false });
        }
    }

    pub(crate) fn add(&mut self, location: &Location) {
        self.add_tally(location.segment, Tally { count: 1, bytes: u64::from(location.length_bytes) });
    }

    pub(crate) fn remove(&mut self, location: &Location) {
        self.remove_tally(location.segment, Tally { count: 1, bytes: u64::from(location.length_bytes) });
    }

    /// A message is not needed any more, nor the pieces of its body.
    pub(crate) fn remove_message(&mut self, queue: QueueId, position: u64, location: &Location) {
        self.remove(location);
        if !self.parts.is_empty()
            && let Some(parts) = self.parts.remove(&(queue, position))
        {
            parts.iter().for_each(|part| self.remove(part));
        }
    }

    /// A message whose body is in pieces. The pieces are counted already.
    pub(crate) fn add_parts(&mut self, queue: QueueId, position: u64, parts: Arc<[Location]>) {
        self.parts.insert((queue, position), parts);
    }

    pub(crate) fn parts_of(&self, queue: QueueId, position: u64) -> Option<Arc<[Location]>> {
        if self.parts.is_empty() { None } else { self.parts.get(&(queue, position)).cloned() }
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = (&(QueueId, u64), &Arc<[Location]>)> {
        self.parts.iter()
    }

    /// Only these messages of the queue are left.
    pub(crate) fn retain_parts(&mut self, queue: QueueId, stays: impl Fn(u64) -> bool) {
        let gone = self.parts.extract_if(|(of, position), _| *of == queue && !stays(*position));
        let gone: Vec<_> = gone.collect();
        gone.iter().flat_map(|(_, parts)| parts.iter()).for_each(|part| self.remove(part));
    }

    /// The messages of a page, without the page itself.
    pub(crate) fn add_page(&mut self, page: &PageRef) {
        page.segments.iter().for_each(|(segment, tally)| self.add_tally(*segment, *tally));
    }

    /// The messages of a page, without the page itself.
    pub(crate) fn remove_page(&mut self, page: &PageRef) {
        page.segments.iter().for_each(|(segment, tally)| self.remove_tally(*segment, *tally));
    }

    fn add_tally(&mut self, segment: NonZeroU64, tally: Tally) {
        let index = match self.index(segment) {
            Ok(index) => index,
            Err(index) => {
                self.uses.insert(index, SegmentUse { segment, live: Tally::default(), released: false });
                index
            }
        };
        let live = &mut self.uses[index].live;
        live.count += tally.count;
        live.bytes += tally.bytes;
    }

    fn remove_tally(&mut self, segment: NonZeroU64, tally: Tally) {
        let Ok(index) = self.index(segment) else { return };
        let live = &mut self.uses[index].live;
        live.count = live.count.saturating_sub(tally.count);
        live.bytes = live.bytes.saturating_sub(tally.bytes);
        self.freed |= live.count == 0;
    }

    /// The newest segment is nearly always the one.
    fn index(&self, segment: NonZeroU64) -> Result<usize, usize> {
        match self.uses.back() {
            Some(last) if last.segment == segment => Ok(self.uses.len() - 1),
            _ => self.uses.binary_search_by_key(&segment, |one| one.segment),
        }
    }

    /// Segments before `limit` that nothing lives in any more, each told once. The newest is never among them: more is written
    /// to it.
    pub(crate) fn take_free(&mut self, limit: Option<NonZeroU64>) -> Vec<NonZeroU64> {
        let Some(newest) = self.uses.back().map(|one| one.segment) else { return Vec::new() };
        if !std::mem::take(&mut self.freed) {
            return Vec::new();
        }
        let limit = limit.map_or(newest, |limit| limit.min(newest));
        let mut free = Vec::new();
        for one in self.uses.iter_mut().filter(|one| one.live.count == 0 && !one.released) {
            if one.segment < limit {
                one.released = true;
                free.push(one.segment);
            } else if one.segment < newest {
                // Asked again next time.
                self.freed = true;
            }
        }
        free
    }

    /// Forgets the segments before `log`'s oldest, and those it has dropped.
    pub(crate) fn forget_dropped(&mut self, log: &dyn Log) {
        let existing = log.segments();
        self.uses.retain(|one| !one.released || existing.binary_search(&one.segment).is_ok());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SegmentUse> {
        self.uses.iter()
    }

    /// Bytes that are needed.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.uses.iter().map(|one| one.live.bytes).sum()
    }
}
