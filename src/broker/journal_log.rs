//! The core's log over a journal.

use std::cell::Cell;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::partition::Signals;
use super::worker::{Vote, this_worker};
use crossdock_core::{Location, Log, Place, Placed, RecordKind, Sequence, Urgency};
use crossdock_store::{AppendError, BatchBuilder, BatchSequence, Epoch, Journal, SnapshotBuilder, SyncMode};

thread_local! {
    /// What this thread appends is not all that it is about to append.
    static GOES_ON: Cell<bool> = const { Cell::new(false) };
}

/// Does something whose batches need not be written before more have come: the caller wakes the journals
/// ([`Engine::wake_journals`](super::Engine::wake_journals)) when that is so.
pub fn going_on<T>(work: impl FnOnce() -> T) -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            GOES_ON.set(false);
        }
    }
    GOES_ON.set(true);
    let _end = End;
    work()
}

/// Builds batches and hands them to a journal.
pub(super) struct JournalLog {
    journal: Arc<dyn Journal>,
    epoch: Epoch,
    builder: BatchBuilder,
    next: BatchSequence,
    places: Vec<crossdock_store::BatchPlace>,
    vote: Vote,
    signals: Arc<Signals>,
}

impl JournalLog {
    /// Goes on after `last`, the last batch of the journal, and tells `signals` who writes.
    pub(super) fn new(journal: Arc<dyn Journal>, last: BatchSequence, signals: Arc<Signals>) -> Self {
        let (epoch, next) = (journal.epoch(), last.next());
        Self { journal, epoch, builder: BatchBuilder::new(), next, places: Vec::new(), vote: Vote::default(), signals }
    }
}

/// The segment as the core numbers it. Batches are counted from 1, so no segment is called 0.
fn segment(first: BatchSequence) -> NonZeroU64 {
    NonZeroU64::new(first.0).unwrap_or(NonZeroU64::MIN)
}

/// A location as the core has it.
pub fn to_core(location: crossdock_store::Location) -> Location {
    let crossdock_store::Location { segment: first, offset, length_bytes, crc } = location;
    Location { segment: segment(first), offset, length_bytes, crc }
}

/// A location as the journal has it.
pub(super) fn to_store(location: Location) -> crossdock_store::Location {
    let Location { segment, offset, length_bytes, crc } = location;
    crossdock_store::Location { segment: BatchSequence(segment.get()), offset, length_bytes, crc }
}

impl Log for JournalLog {
    fn push(&mut self, kind: RecordKind, stream: u64, parts: &[&[u8]]) -> Placed {
        let crossdock_store::Placed { start, length_bytes, crc } = self.builder.push(kind as u8, stream, parts);
        Placed { start, length_bytes, crc }
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(self.next.0)
    }

    fn len_bytes(&self) -> u64 {
        if self.builder.is_empty() { 0 } else { self.builder.len_bytes() }
    }

    fn commit(&mut self, urgency: Urgency) {
        if self.builder.is_empty() {
            return;
        }
        if let Some(worker) = this_worker().filter(|worker| self.vote.cast(*worker)) {
            self.signals.written_by(worker);
        }
        let sync = match urgency {
            Urgency::Sync => SyncMode::Needed,
            Urgency::Write => SyncMode::Lazy,
        };
        let batch = self.builder.finish(self.next, sync);
        let appended = match GOES_ON.get() {
            true => self.journal.append_on(batch, self.next, self.epoch),
            false => self.journal.append(batch, self.next, self.epoch),
        };
        match appended {
            Ok(()) => {}
            // The journal has said so through its listener already; nothing of this batch will ever be confirmed.
            Err(error @ (AppendError::Failed(_) | AppendError::Closed)) => {
                tracing::debug!(%error, "a batch was not accepted");
            }
            // Nothing after it could be accepted: better a journal that has failed, and says so, than one that is waited for.
            Err(error) => self.journal.give_up(&error.to_string()),
        }
        // Also when it was not accepted: its number is never durable, so whoever waits for it is never told that it is.
        self.next = self.next.next();
    }

    fn sync(&mut self) {
        self.journal.sync();
    }

    fn take_places(&mut self, up_to: Sequence, places: &mut VecDeque<Place>) {
        self.journal.take_places(BatchSequence(up_to.0), &mut self.places);
        places.extend(self.places.drain(..).map(|place| Place {
            sequence: Sequence(place.sequence.0),
            segment: segment(place.segment),
            offset: place.payload_offset,
        }));
    }

    fn release(&mut self, segment: NonZeroU64) {
        self.journal.release(BatchSequence(segment.get()));
    }

    fn segments(&self) -> Vec<NonZeroU64> {
        self.journal.segments().into_iter().map(|info| segment(info.first)).collect()
    }
}

/// Collects the records of a snapshot.
#[derive(Default)]
pub(super) struct SnapshotLog {
    pub(super) builder: SnapshotBuilder,
}

impl Log for SnapshotLog {
    fn push(&mut self, kind: RecordKind, stream: u64, parts: &[&[u8]]) -> Placed {
        self.builder.push(kind as u8, stream, parts);
        Placed { start: 0, length_bytes: 0, crc: 0 }
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(0)
    }

    fn len_bytes(&self) -> u64 {
        0
    }

    fn commit(&mut self, _: Urgency) {}
}

#[cfg(test)]
mod tests {
    use crossdock_store::{
        Batch, BatchPlace, CleanError, CloseError, JournalStatus, Reader, SegmentInfo, Snapshot, SnapshotError,
        Survivors,
    };

    use std::sync::Mutex;

    use super::*;

    /// A journal that accepts nothing, and notes why it is given up.
    struct Refusing {
        error: AppendError,
        given_up: Mutex<Option<String>>,
    }

    impl Refusing {
        fn new(error: AppendError) -> Arc<Self> {
            Arc::new(Self { error, given_up: Mutex::default() })
        }
    }

    impl Journal for Refusing {
        fn append(&self, _: Batch, _: BatchSequence, _: Epoch) -> Result<(), AppendError> {
            Err(self.error.clone())
        }

        fn give_up(&self, reason: &str) {
            *self.given_up.lock().unwrap() = Some(reason.to_owned());
        }

        fn sync(&self) {}

        fn durable(&self) -> BatchSequence {
            BatchSequence(7)
        }

        fn written(&self) -> BatchSequence {
            BatchSequence(7)
        }

        fn pending_bytes(&self) -> u64 {
            0
        }

        fn status(&self) -> JournalStatus {
            JournalStatus::Failed("broken".to_owned())
        }

        fn snapshot(&self, _: BatchSequence, _: Snapshot) -> Result<(), SnapshotError> {
            Err(SnapshotError::Failed("broken".to_owned()))
        }

        fn take_places(&self, _: BatchSequence, _: &mut Vec<BatchPlace>) {}

        fn reader(&self) -> Box<dyn Reader> {
            unreachable!("a failed journal is not read here")
        }

        fn release(&self, _: BatchSequence) {}

        fn clean(&self, _: BatchSequence, _: Box<dyn Survivors>) -> Result<(), CleanError> {
            Err(CleanError::Failed("broken".to_owned()))
        }

        fn segments(&self) -> Vec<SegmentInfo> {
            Vec::new()
        }

        fn bytes_since_snapshot(&self) -> u64 {
            0
        }

        fn disk_bytes(&self) -> u64 {
            0
        }

        fn epoch(&self) -> Epoch {
            Epoch(1)
        }

        fn close(&self) -> Result<(), CloseError> {
            Ok(())
        }
    }

    #[test]
    fn a_batch_that_is_not_accepted_keeps_its_number() {
        let journal = Refusing::new(AppendError::Failed("broken".to_owned()));
        let mut log = JournalLog::new(Arc::clone(&journal) as Arc<dyn Journal>, BatchSequence(7), Arc::default());
        let number = log.next_sequence();
        log.push(RecordKind::Document, 0, &[b"x"]);
        log.commit(Urgency::Sync);
        assert!(log.next_sequence() > number, "whoever waits for it must not be told that nothing was written");
        assert_eq!(*journal.given_up.lock().unwrap(), None, "it has failed already");
    }

    #[test]
    fn a_journal_that_refuses_a_batch_is_given_up() {
        let journal = Refusing::new(AppendError::TooLarge { batch_bytes: 5_000, limit_bytes: 4_096 });
        let mut log = JournalLog::new(Arc::clone(&journal) as Arc<dyn Journal>, BatchSequence(7), Arc::default());
        log.push(RecordKind::Document, 0, &[b"x"]);
        log.commit(Urgency::Sync);
        assert_eq!(
            *journal.given_up.lock().unwrap(),
            Some("batch of 5000 bytes exceeds the segment of 4096 bytes".to_owned())
        );
    }
}
