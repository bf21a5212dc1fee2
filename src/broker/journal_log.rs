//! The core's log over a journal.

use std::sync::Arc;

use crossdock_core::{Log, RecordKind, Sequence};
use crossdock_store::{BatchBuilder, BatchSequence, Epoch, Journal, SnapshotBuilder};

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
        let batch = self.builder.finish(self.next);
        match self.journal.append(batch, self.next, self.epoch) {
            Ok(()) => self.next = self.next.next(),
            // The journal has said so through its listener already; nothing of this batch will ever be confirmed.
            Err(error) => tracing::debug!(%error, "a batch was not accepted"),
        }
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
