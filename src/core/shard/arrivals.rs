//! Which moved messages have come to this shard's queues, and may not have gone from where they were: their old queues may be in other
//! shards, whose logs say so later. A start tells the tasks that go on about all of them ([`super::move_task`]).

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use crossdock_common::Instant;
use crossdock_common::message::Moved;
use crossdock_common::names::QueueId;
use hashbrown::HashMap;

use crate::log::{Log, RecordKind};
use crate::record::{RecordError, take_u64};

/// Most places of one queue that are remembered: a task has 256 messages under way, and the log that says that they have gone may be
/// some batches behind.
const PLACES_MAX: usize = 4_096;
/// A queue from which nothing has come for so long has nothing under way: no log that works stays behind for so long.
const SILENCE_MS_MAX: u64 = 600_000;

/// The last places of each queue whose messages were moved here.
#[derive(Default)]
pub(crate) struct Arrivals(HashMap<QueueId, OfQueue, foldhash::fast::RandomState>);

#[derive(Default)]
struct OfQueue {
    places: VecDeque<u64>,
    /// When a snapshot was taken that found nothing new since the one before it.
    silent_since: Option<Instant>,
}

impl Arrivals {
    /// The message's record is written.
    pub(crate) fn note(&mut self, moved: Moved) {
        let of_queue = self.0.entry(moved.queue).or_default();
        of_queue.silent_since = None;
        if of_queue.places.len() == PLACES_MAX {
            of_queue.places.pop_front();
        }
        of_queue.places.push_back(moved.position);
    }

    /// Queues and places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (QueueId, u64)> {
        self.0.iter().flat_map(|(queue, of_queue)| of_queue.places.iter().map(|place| (*queue, *place)))
    }

    /// Writes everything, for a snapshot, and forgets queues that have been silent for long.
    pub(crate) fn write(&mut self, now: Instant, log: &mut dyn Log, scratch: &mut BytesMut) {
        self.0.retain(|_, of_queue| now.ms_since(*of_queue.silent_since.get_or_insert(now)) < SILENCE_MS_MAX);
        for (queue, of_queue) in &self.0 {
            scratch.clear();
            of_queue.places.iter().for_each(|place| scratch.put_u64_le(*place));
            log.push(RecordKind::Arrivals, queue.0, &[scratch]);
        }
    }

    /// Reads what [`write`](Self::write) wrote of a queue.
    pub(crate) fn read(&mut self, queue: QueueId, mut payload: &[u8]) -> Result<(), RecordError> {
        while !payload.is_empty() {
            self.note(Moved { queue, position: take_u64(&mut payload)? });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::memory_log::SnapshotLog;

    #[test]
    fn a_snapshot_says_the_last_places_until_there_is_silence() {
        let (mut arrivals, queue) = (Arrivals::default(), QueueId(7));
        (0..PLACES_MAX as u64 + 3).for_each(|position| arrivals.note(Moved { queue, position }));
        let known: Vec<_> = (3..PLACES_MAX as u64 + 3).map(|position| (queue, position)).collect();
        assert_eq!(arrivals.iter().collect::<Vec<_>>(), known);
        let mut log = SnapshotLog::default();
        let now = Instant(1);
        arrivals.write(now, &mut log, &mut BytesMut::new());
        let mut read = Arrivals::default();
        for (kind, stream, payload) in &log.0 {
            assert_eq!((*kind, read.read(QueueId(*stream), payload)), (RecordKind::Arrivals, Ok(())));
            assert!(Arrivals::default().read(queue, &payload[..payload.len() - 1]).is_err());
        }
        assert_eq!(read.iter().collect::<Vec<_>>(), known);
        arrivals.write(now.after_ms(SILENCE_MS_MAX), &mut SnapshotLog::default(), &mut BytesMut::new());
        assert_eq!(arrivals.iter().count(), 0);
    }
}
