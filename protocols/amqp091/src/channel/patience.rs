//! How long a client may take to settle what it was given.

use std::collections::{BTreeMap, VecDeque};

use crossdock_common::Instant;
use crossdock_common::names::QueueId;

use super::unsettled::Unsettled;

/// A deadline is noticed such a part of its time too late at most, or a second.
const PRECISION: u64 = 64;
/// Queues with a time of their own that a channel remembers; of more, the oldest have the usual time again.
const OWN_MAX: usize = 4_096;
/// Where nothing has a time, a mark is made now and then all the same: a queue may come that says one.
const FOREVER_MS: u64 = 86_400_000;
/// Shortest time between two marks, in milliseconds.
const SPACING_MS_MIN: u64 = 1_000;

/// When deliveries were handed out: a mark now and then, since a time for each would cost every channel more.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// From this tag on, deliveries were handed out at this time or later.
    marks: VecDeque<(u64, Instant)>,
    /// Queues with a time of their own, in milliseconds.
    own_ms: BTreeMap<QueueId, u64>,
    spacing_ms: u64,
    /// Before this, there is no need for another mark.
    next_mark: Instant,
}

impl Patience {
    /// A delivery was handed out. Tells when [`overdue`](Self::overdue) has to be asked; `default_ms` 0 is for ever.
    #[inline]
    pub(super) fn note(&mut self, tag: u64, now: Instant, default_ms: u64) -> Option<Instant> {
        if now < self.next_mark { None } else { self.mark(tag, now, default_ms) }
    }

    #[cold]
    fn mark(&mut self, tag: u64, now: Instant, default_ms: u64) -> Option<Instant> {
        let shortest_ms = self.shortest_ms(default_ms);
        self.spacing_ms = (shortest_ms.unwrap_or(FOREVER_MS) / PRECISION).max(SPACING_MS_MIN);
        self.next_mark = now.after_ms(self.spacing_ms);
        self.marks.push_back((tag, now));
        shortest_ms.map(|shortest_ms| now.after_ms(shortest_ms + self.spacing_ms))
    }

    /// Deliveries of this queue have a time of their own.
    pub(super) fn set_own(&mut self, queue: QueueId, timeout_ms: u64) {
        self.own_ms.insert(queue, timeout_ms);
        if self.own_ms.len() > OWN_MAX {
            self.own_ms.pop_first();
        }
        // The marks may be too far apart for it.
        self.next_mark = Instant::default();
    }

    fn shortest_ms(&self, default_ms: u64) -> Option<u64> {
        self.own_ms.values().copied().chain([default_ms]).filter(|ms| *ms > 0).min()
    }

    /// The time in milliseconds that some delivery is beyond; else when to ask again, if anything is unsettled.
    pub(super) fn overdue(
        &mut self,
        unsettled: &Unsettled,
        now: Instant,
        default_ms: u64,
    ) -> Result<Option<Instant>, u64> {
        let Some(oldest) = unsettled.oldest() else {
            self.marks.clear();
            self.next_mark = Instant::default();
            return Ok(None);
        };
        while self.marks.get(1).is_some_and(|(tag, _)| *tag <= oldest.tag) {
            self.marks.pop_front();
        }
        let Some(shortest_ms) = self.shortest_ms(default_ms) else { return Ok(None) };
        let mut marks = self.marks.iter().peekable();
        let mut handed_out = now;
        for entry in unsettled.iter() {
            while let Some((_, at)) = marks.next_if(|(tag, _)| *tag <= entry.tag) {
                handed_out = *at;
            }
            let timeout_ms = self.own_ms.get(&entry.delivery.queue).copied().unwrap_or(default_ms);
            if timeout_ms > 0 && handed_out.after_ms(timeout_ms + self.spacing_ms) <= now {
                return Err(timeout_ms);
            }
            if handed_out.after_ms(shortest_ms) > now {
                break;
            }
        }
        Ok(Some(now.after_ms((shortest_ms / PRECISION).max(SPACING_MS_MIN))))
    }
}
