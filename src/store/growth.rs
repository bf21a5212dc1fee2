//! How much the journal has grown since the last snapshot.

use std::collections::VecDeque;

use crate::types::BatchSequence;

/// A mark is set about this often: nobody needs to know it to the byte.
const MARK_BYTES: u64 = 64 * 1024;

/// Counts the bytes of batches behind a position that is only known later.
#[derive(Debug)]
pub(crate) struct Growth {
    /// Since the journal was opened, with what was replayed then.
    appended_bytes: u64,
    /// `appended_bytes` at the last snapshot's position.
    start_bytes: u64,
    /// Some batches, each with `appended_bytes` behind it.
    marks: VecDeque<(BatchSequence, u64)>,
}

impl Growth {
    /// After a recovery up to `last` that replayed so much.
    pub(crate) fn new(last: BatchSequence, replayed_bytes: u64) -> Growth {
        let marks = VecDeque::from([(last, replayed_bytes)]);
        Growth { appended_bytes: replayed_bytes, start_bytes: 0, marks }
    }

    /// Counts a batch.
    pub(crate) fn append(&mut self, sequence: BatchSequence, batch_bytes: u64) {
        self.appended_bytes += batch_bytes;
        let marked = self.marks.back().map_or(self.start_bytes, |(_, bytes)| *bytes);
        if self.appended_bytes - marked >= MARK_BYTES {
            self.marks.push_back((sequence, self.appended_bytes));
        }
    }

    /// A snapshot will stand for the batches up to `at`: if that is the last one, the count will be exact.
    pub(crate) fn mark(&mut self, at: BatchSequence, newest: BatchSequence) {
        if at == newest {
            self.marks.push_back((at, self.appended_bytes));
        }
    }

    /// The snapshot at `at` is durable.
    pub(crate) fn restart(&mut self, at: BatchSequence) {
        while let Some((_, bytes)) = self.marks.pop_front_if(|(sequence, _)| *sequence <= at) {
            self.start_bytes = bytes;
        }
    }

    /// Bytes behind the last snapshot.
    pub(crate) fn bytes(&self) -> u64 {
        self.appended_bytes - self.start_bytes
    }
}
