//! Which publications have come to this shard's queues, and may not be held by their sessions yet: their sessions may be in other
//! shards, whose logs say so later. A start asks the sessions about all of them ([`super::publications`]).
//!
//! Each message says which publications were settled when it was published, so little is remembered of each session.

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};
use crossdock_common::Instant;
use crossdock_common::message::Publication;
use crossdock_common::names::QueueId;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::log::{Log, RecordKind};
use crate::record::{RecordError, take_u16, take_u32, take_u64};

/// A session that has published nothing here for so long has nothing under way: no log that works stays behind for so long.
const SILENCE_MS_MAX: u64 = 600_000;

/// A publication that is in queues of this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Landing {
    pub id: u16,
    pub queues: SmallVec<[QueueId; 2]>,
}

/// By session and number.
#[derive(Default)]
pub(crate) struct Landings(HashMap<QueueId, OfSession, foldhash::fast::RandomState>);

#[derive(Default)]
struct OfSession {
    landings: BTreeMap<u64, Landing>,
    /// When a snapshot was taken that found nothing new since the one before it.
    silent_since: Option<Instant>,
}

impl Landings {
    /// The message's record is written with these places.
    pub(crate) fn note(&mut self, publication: &Publication, queues: impl Iterator<Item = QueueId>) {
        let of_session = self.0.entry(publication.session).or_default();
        of_session.silent_since = None;
        let settled = |(number, _): (&u64, &Landing)| *number < publication.settled_below;
        while of_session.landings.first_key_value().is_some_and(settled) {
            of_session.landings.pop_first();
        }
        let new = || Landing { id: publication.id, queues: SmallVec::new() };
        of_session.landings.entry(publication.number).or_insert_with(new).queues.extend(queues);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (QueueId, u64, &Landing)> {
        self.0.iter().flat_map(|(session, of_session)| {
            of_session.landings.iter().map(|(number, landing)| (*session, *number, landing))
        })
    }

    /// Writes everything, for a snapshot, and forgets sessions that have been silent for long.
    pub(crate) fn write(&mut self, now: Instant, log: &mut dyn Log, scratch: &mut BytesMut) {
        self.0.retain(|_, of_session| {
            let since = *of_session.silent_since.get_or_insert(now);
            now.ms_since(since) < SILENCE_MS_MAX
        });
        for (session, of_session) in &self.0 {
            scratch.clear();
            for (number, landing) in &of_session.landings {
                scratch.put_u64_le(*number);
                scratch.put_u16_le(landing.id);
                scratch.put_u32_le(u32::try_from(landing.queues.len()).unwrap_or(u32::MAX));
                landing.queues.iter().for_each(|queue| scratch.put_u64_le(queue.0));
            }
            log.push(RecordKind::Landings, session.0, &[scratch]);
        }
    }

    /// Reads what [`write`](Self::write) wrote of a session.
    pub(crate) fn read(&mut self, session: QueueId, mut payload: &[u8]) -> Result<(), RecordError> {
        let of_session = self.0.entry(session).or_default();
        while !payload.is_empty() {
            let (number, id) = (take_u64(&mut payload)?, take_u16(&mut payload)?);
            let count = take_u32(&mut payload)?;
            let queues = (0..count).map(|_| take_u64(&mut payload).map(QueueId)).collect::<Result<_, _>>()?;
            of_session.landings.insert(number, Landing { id, queues });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::memory_log::SnapshotLog;

    fn note(landings: &mut Landings, number: u64, settled_below: u64) {
        let publication = Publication { session: QueueId(7), id: number as u16, number, settled_below };
        landings.note(&publication, [QueueId(1), QueueId(257)].into_iter());
    }

    #[test]
    fn little_is_remembered_of_a_session_and_nothing_of_a_silent_one() {
        let mut landings = Landings::default();
        (1..=100_000).for_each(|number| note(&mut landings, number, number.saturating_sub(9)));
        assert_eq!(
            landings.iter().map(|(_, number, _)| number).collect::<Vec<_>>(),
            (99_991..=100_000).collect::<Vec<_>>()
        );
        let mut snapshot = |now: Instant| {
            landings.write(now, &mut SnapshotLog::default(), &mut BytesMut::new());
            landings.iter().count()
        };
        let now = Instant(1);
        assert_eq!((snapshot(now), snapshot(now.after_ms(SILENCE_MS_MAX - 1))), (10, 10));
        assert_eq!(snapshot(now.after_ms(SILENCE_MS_MAX)), 0);
    }

    #[test]
    fn a_snapshot_says_the_same() {
        let mut landings = Landings::default();
        (1..=3).for_each(|number| note(&mut landings, number, 1));
        let mut log = SnapshotLog::default();
        landings.write(Instant(1), &mut log, &mut BytesMut::new());
        let mut read = Landings::default();
        for (kind, stream, payload) in &log.0 {
            assert_eq!(*kind, RecordKind::Landings);
            assert_eq!(read.read(QueueId(*stream), payload), Ok(()));
            assert!(Landings::default().read(QueueId(*stream), &payload[..payload.len() - 1]).is_err());
        }
        assert!(read.iter().eq(landings.iter()));
    }
}
