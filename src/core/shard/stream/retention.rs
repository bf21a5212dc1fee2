//! Which messages of a stream go: the oldest, when it is too long or they are too old.
//!
//! A page of references goes as a whole, once all of it may: reading it back to take a part of it would cost more than it holds. One
//! record says for all of them that they are gone.

use crossdock_common::names::QueueId;
use crossdock_common::{Now, UnixMillis};

use crate::log::RecordKind;
use crate::shard::Shard;
use crate::shard::queue::Queue;
use crate::shard::timers::Timers;

/// Shortest time between two looks for messages that are too old, in milliseconds.
const LOOK_MS: u64 = 1_000;

impl Queue {
    /// All messages before this place are older than they may become.
    fn outdated_before(&self, now: Now) -> u64 {
        let max_age_ms = self.settings.stream.and_then(|stream| stream.max_age_ms);
        let (Some(stream), Some(max_age_ms)) = (&self.stream, max_age_ms) else { return 0 };
        match now.unix.0.checked_sub(max_age_ms) {
            Some(until) => stream.marks.until(UnixMillis(until), self.next_position),
            None => 0,
        }
    }

    /// All messages before this place have to go for the others to fit.
    fn overflowing_before(&self) -> u64 {
        self.settings.bytes_max.map_or(0, |bytes_max| self.ready.overflowing_before(bytes_max))
    }

    /// Looks again when the oldest message may be too old.
    pub(super) fn schedule_retention(&mut self, now: Now, timers: &mut Timers) {
        let max_age_ms = self.settings.stream.and_then(|stream| stream.max_age_ms);
        let (Some(max_age_ms), Some((first, _))) = (max_age_ms, self.ready.ends()) else { return };
        let Some(mark) = self.stream.as_ref().and_then(|stream| stream.marks.until_behind(first)) else { return };
        let in_ms = mark.0.saturating_add(max_age_ms).saturating_sub(now.unix.0);
        self.look_for_expiry(now.instant.after_ms(in_ms.max(LOOK_MS)), timers);
    }
}

impl Shard {
    /// Lets the messages go that are too many or too old.
    pub(super) fn drop_outdated(&mut self, now: Now, id: QueueId) {
        let Some(queue) = self.queues.get(&id) else { return };
        let outdated_before = queue.outdated_before(now);
        self.cut_stream(id, outdated_before, true);
        let overflowing_before = self.queues.get(&id).map_or(0, |queue| queue.overflowing_before());
        self.cut_stream(id, overflowing_before, false);
    }

    fn cut_stream(&mut self, id: QueueId, before: u64, is_age: bool) {
        let Some(queue) = self.queues.get_mut(&id).filter(|_| before > 0) else { return };
        let last = queue.ready.ends().map_or(0, |(_, last)| last);
        let drained = queue.ready.cut(before);
        if drained.count == 0 {
            return;
        }
        // What is on its way in is behind all that is there.
        let first = queue.ready.ends().map_or(last + 1, |(first, _)| first);
        let ledger = &mut queue.ledger;
        *(if is_age { &mut ledger.expired } else { &mut ledger.dropped }) += drained.count;
        queue.consumers.iter_mut().filter_map(|consumer| consumer.cursor.as_mut()).for_each(|cursor| {
            cursor.skip_to(first);
        });
        if let Some(stream) = &mut queue.stream {
            stream.marks.forget_before(first);
        }
        self.log.push(RecordKind::Purged, id.0, &[&first.to_le_bytes()]);
        self.segments.retain_parts(id, |position| position >= first);
        self.drop_stored(&drained);
    }
}
