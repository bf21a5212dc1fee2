//! Messages of runs that are ready.

use super::Ready;
use crate::shard::part::Part;

impl Ready {
    /// Runs of that level may be kept as they are.
    pub(crate) fn takes_parts(&self, level: u8) -> bool {
        self.groups.is_none() && !self.is_storing(level)
    }

    /// Puts new messages at the end of their level.
    pub(crate) fn append_part(&mut self, part: Part) {
        self.body_bytes += part.body_bytes();
        self.length += part.len();
        let index = self.index(part.level);
        self.levels[index].append_part(part);
    }

    /// Messages of a run that would be handed out next, where they need not be looked at one by one.
    #[inline]
    pub(crate) fn next_part(&self) -> Option<&Part> {
        self.top()?.next_part().filter(|_| self.groups.is_none())
    }

    /// Takes up to so many of those that [`next_part`](Self::next_part) has shown.
    pub(crate) fn take_part(&mut self, count: u64) -> Option<Part> {
        let part = self.top_mut()?.take_part(count)?;
        self.body_bytes -= part.body_bytes();
        self.length -= part.len();
        Some(part)
    }
}
