//! The core's log over a journal.

use std::sync::Arc;

use crossdock_core::{Log, RecordKind, Sequence};
use crossdock_store::{AppendError, BatchBuilder, BatchSequence, Epoch, Journal, SnapshotBuilder, SyncMode};

/// Builds batches and hands them to a journal.
pub(super) struct JournalLog {
    journal: Arc<dyn Journal>,
    epoch: Epoch,
    builder: BatchBuilder,
    next: BatchSequence,
}

impl JournalLog {
    /// Goes on after `last`, the last batch of the journal.
    pub(super) fn new(journal: Arc<dyn Journal>, last: BatchSequence) -> Self {
        let epoch = journal.epoch();
        Self { journal, epoch, builder: BatchBuilder::new(), next: last.next() }
    }
}

impl Log for JournalLog {
    fn push(&mut self, kind: RecordKind, stream: u64, parts: &[&[u8]]) {
        self.builder.push(kind as u8, stream, parts);
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(self.next.0)
    }

    fn len_bytes(&self) -> u64 {
        if self.builder.is_empty() { 0 } else { self.builder.len_bytes() }
    }

    fn commit(&mut self) {
        if self.builder.is_empty() {
            return;
        }
        let batch = self.builder.finish(self.next, SyncMode::Needed);
        match self.journal.append(batch, self.next, self.epoch) {
            Ok(()) => {}
            // The journal has said so through its listener already; nothing of this batch will ever be confirmed.
            Err(error @ (AppendError::Failed(_) | AppendError::Closed)) => {
                tracing::debug!(%error, "a batch was not accepted");
            }
            Err(error) => tracing::error!(%error, "a batch was not accepted: nothing after it will be confirmed"),
        }
        // Also when it was not accepted: its number is never durable, so whoever waits for it is never told that it is.
        self.next = self.next.next();
    }
}

/// Collects the records of a snapshot.
#[derive(Default)]
pub(super) struct SnapshotLog {
    pub(super) builder: SnapshotBuilder,
}

impl Log for SnapshotLog {
    fn push(&mut self, kind: RecordKind, stream: u64, parts: &[&[u8]]) {
        self.builder.push(kind as u8, stream, parts);
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(0)
    }

    fn len_bytes(&self) -> u64 {
        0
    }

    fn commit(&mut self) {}
}

#[cfg(test)]
mod tests {
    use crossdock_store::{
        Batch, BatchPlace, CleanError, CloseError, JournalStatus, Reader, SegmentInfo, Snapshot, SnapshotError,
        Survivors,
    };

    use super::*;

    /// A journal that has failed.
    struct Failed;

    impl Journal for Failed {
        fn append(&self, _: Batch, _: BatchSequence, _: Epoch) -> Result<(), AppendError> {
            Err(AppendError::Failed("broken".to_owned()))
        }

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
        let mut log = JournalLog::new(Arc::new(Failed), BatchSequence(7));
        let number = log.next_sequence();
        log.push(RecordKind::Document, 0, &[b"x"]);
        log.commit();
        assert!(log.next_sequence() > number, "whoever waits for it must not be told that nothing was written");
    }
}
