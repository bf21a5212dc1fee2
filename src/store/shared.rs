//! What producers, the journal thread and the housekeeping thread share.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::batch::{Batch, Snapshot};
use crate::clean::Survivors;
use crate::filling::Filling;
use crate::growth::Growth;
use crate::jobs::{Job, Outcome, Replacement, Stage};
use crate::journal::{AppendError, CleanError, CloseError, Journal, JournalStatus, SnapshotError};
use crate::reader::{FileReader, OpenFiles, Reader};
use crate::sealed::Vault;
use crate::table::{ClosedSegment, SegmentTable};
use crate::types::{BatchPlace, BatchSequence, Epoch, SegmentInfo};

struct State {
    batches: VecDeque<Batch>,
    next: BatchSequence,
    /// Everything up to here is to be synced now.
    sync_to: Option<BatchSequence>,
    /// The journal thread waits for work: only then an append costs a wake-up.
    sleeping: bool,
    closing: bool,
    full: bool,
    failure: Option<String>,
    /// Why the owner cannot go on: the failure as soon as everything is written.
    given_up: Option<String>,
    stage: Stage,
    filling: Filling,
    /// Files that nobody needs, for the housekeeper.
    garbage: Vec<PathBuf>,
    snapshot_at: BatchSequence,
    segments: SegmentTable,
    growth: Growth,
}

/// What recovery found out for those who share the journal.
pub(crate) struct Start {
    pub(crate) epoch: Epoch,
    pub(crate) last: BatchSequence,
    pub(crate) snapshot_at: BatchSequence,
    pub(crate) replayed_bytes: u64,
    pub(crate) segments: SegmentTable,
    pub(crate) batch_bytes_max: u64,
    pub(crate) keep_segments: bool,
    pub(crate) identity: u64,
}

impl Start {
    fn state(self) -> State {
        State {
            batches: VecDeque::new(),
            sync_to: None,
            next: self.last.next(),
            sleeping: false,
            closing: false,
            full: false,
            failure: None,
            given_up: None,
            stage: Stage::None,
            filling: Filling::None,
            garbage: Vec::new(),
            snapshot_at: self.snapshot_at,
            segments: self.segments,
            growth: Growth::new(self.last, self.replayed_bytes),
        }
    }
}

/// The journal as its users see it, without the threads that make it move.
pub(crate) struct Shared {
    epoch: Epoch,
    batch_bytes_max: u64,
    durable: AtomicU64,
    written: AtomicU64,
    pending_bytes: AtomicU64,
    /// More is about to be appended.
    goes_on: AtomicBool,
    /// The last batch came from somebody who says when it is to be written.
    is_called: AtomicBool,
    disk_bytes: AtomicU64,
    /// Size of the reserve file.
    reserve_bytes: AtomicU64,
    state: Mutex<State>,
    /// Of batches that were written; `None` if nobody wants to know.
    places: Option<Mutex<VecDeque<BatchPlace>>>,
    pub(crate) files: Arc<OpenFiles>,
    work: Condvar,
    jobs: Condvar,
}

/// Why the journal thread woke up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    Work,
    TimedOut,
    Closing,
}

impl Shared {
    pub(crate) fn new(start: Start, (disk, folder): (Arc<Vault>, PathBuf)) -> Shared {
        Shared {
            epoch: start.epoch,
            batch_bytes_max: start.batch_bytes_max,
            durable: AtomicU64::new(start.last.0),
            written: AtomicU64::new(start.last.0),
            pending_bytes: AtomicU64::new(0),
            goes_on: AtomicBool::new(false),
            is_called: AtomicBool::new(false),
            disk_bytes: AtomicU64::new(0),
            reserve_bytes: AtomicU64::new(0),
            places: start.keep_segments.then(Mutex::default),
            files: Arc::new(OpenFiles::new(disk, folder, start.identity)),
            state: Mutex::new(start.state()),
            work: Condvar::new(),
            jobs: Condvar::new(),
        }
    }

    /// A panic elsewhere leaves the state whole: every change under the lock is a plain assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the journal thread if it sleeps; not before it can have the lock.
    fn rouse(&self, mut state: MutexGuard<'_, State>) {
        let sleeping = std::mem::take(&mut state.sleeping);
        drop(state);
        if sleeping {
            self.work.notify_one();
        }
    }

    // ---- journal thread ----

    /// Whether somebody waits for what is written; told once.
    pub(crate) fn take_sync_wanted(&self, written: BatchSequence) -> bool {
        let mut state = self.state();
        let wanted = state.sync_to.is_some_and(|sync_to| sync_to <= written);
        if wanted {
            state.sync_to = None;
        }
        wanted
    }

    /// Moves waiting batches into `group` until it has `bytes_max`, but always at least one.
    pub(crate) fn take(&self, group: &mut VecDeque<Batch>, bytes_max: u64) {
        let mut bytes: u64 = group.iter().map(Batch::len_bytes).sum();
        let mut state = self.state();
        while let Some(batch) = state.batches.pop_front_if(|next| bytes == 0 || bytes + next.len_bytes() <= bytes_max) {
            bytes += batch.len_bytes();
            group.push_back(batch);
        }
    }

    /// Publishes the watermark.
    pub(crate) fn publish_durable(&self, durable: BatchSequence) {
        self.durable.store(durable.0, Ordering::Release);
    }

    /// Publishes the watermark of what is written.
    pub(crate) fn publish_written(&self, written: BatchSequence) {
        self.written.store(written.0, Ordering::Release);
    }

    /// So many bytes need not be kept back any more.
    pub(crate) fn settle_pending(&self, bytes: u64) {
        self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn publish_reserve_bytes(&self, bytes: u64) {
        self.reserve_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Notes the space of the segments and of everything else.
    pub(crate) fn publish_disk_bytes(&self, others_bytes: u64) {
        let bytes = self.state().segments.len_bytes() + others_bytes;
        self.disk_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Makes places known.
    pub(crate) fn add_places(&self, places: impl Iterator<Item = BatchPlace>) {
        if let Some(known) = &self.places {
            known.lock().unwrap_or_else(PoisonError::into_inner).extend(places);
        }
    }

    pub(crate) fn rotated(&self, first: BatchSequence, len_bytes: u64) {
        self.state().segments.rotate(first, len_bytes);
    }

    /// Takes the segments to free out of the table: from then on they don't exist.
    pub(crate) fn take_freeable(&self) -> Vec<ClosedSegment> {
        self.state().segments.take_freeable(self.durable())
    }

    /// Lets the housekeeper remove a file.
    pub(crate) fn discard(&self, file: Option<PathBuf>) {
        if let Some(file) = file {
            self.state().garbage.push(file);
            self.jobs.notify_all();
        }
    }

    /// Notes whether the disk is full; true if that is news.
    pub(crate) fn set_full(&self, full: bool) -> bool {
        std::mem::replace(&mut self.state().full, full) != full
    }

    /// Why the owner cannot go on, once it has nothing waiting.
    pub(crate) fn given_up(&self) -> Option<String> {
        let state = self.state();
        state.given_up.clone().filter(|_| state.batches.is_empty())
    }

    pub(crate) fn fail(&self, reason: &str) {
        let mut state = self.state();
        state.failure.get_or_insert_with(|| reason.to_owned());
        state.batches.clear();
        self.jobs.notify_all();
    }

    /// Lets the housekeeper fill a spare.
    pub(crate) fn want_filled(&self, spare: u64) {
        self.state().filling = Filling::Wanted(spare);
        self.jobs.notify_all();
    }

    /// The spare that was to be filled, and whether it can be used.
    pub(crate) fn take_filled(&self) -> Option<(u64, bool)> {
        self.state().filling.take_end()
    }

    /// Hands a waiting job on once its batch is durable, and fetches the end of a finished one.
    pub(crate) fn poll_job(&self) -> Option<Outcome> {
        let mut state = self.state();
        if state.stage.advance(self.durable()) {
            self.jobs.notify_all();
        }
        let outcome = state.stage.take_outcome()?;
        state.note(&outcome);
        Some(outcome)
    }

    /// A cleaning that waits for batches to become durable would wait for ever on a full disk, and hold space meanwhile.
    pub(crate) fn cancel_replacement(&self) {
        if self.state().stage.cancel_replacement("the disk is full") {
            self.jobs.notify_all();
        }
    }

    /// Sleeps until there is work, for at most `timeout`.
    pub(crate) fn wait_for_work(&self, timeout: Option<Duration>) -> Wake {
        let mut state = self.state();
        loop {
            if state.has_work(self.durable()) {
                return Wake::Work;
            }
            if state.closing {
                return Wake::Closing;
            }
            state.sleeping = true;
            let Some(timeout) = timeout else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (woken, result) = self.work.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if result.timed_out() {
                state.sleeping = false;
                return Wake::TimedOut;
            }
        }
    }

    /// Sleeps while the disk is full: until a snapshot ended, the journal is closed, or `timeout`.
    pub(crate) fn wait_for_space(&self, timeout: Duration) -> Wake {
        let state = self.state();
        if state.closing {
            return Wake::Closing;
        }
        let blocked = |state: &mut State| {
            !state.closing && !state.stage.has_ended() && !state.segments.has_freeable(self.durable())
        };
        let result = self.work.wait_timeout_while(state, timeout, blocked);
        let (state, _) = result.unwrap_or_else(PoisonError::into_inner);
        if state.closing { Wake::Closing } else { Wake::Work }
    }

    // ---- housekeeping thread ----

    pub(crate) fn take_job(&self) -> Option<Job> {
        self.state().take_job()
    }

    /// Blocks until there is something to do; `None` when the journal ends.
    pub(crate) fn wait_for_job(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            let is_ending = state.closing || state.failure.is_some();
            if is_ending && state.garbage.is_empty() {
                return None;
            }
            if let Some(job) = state.take_job() {
                return Some(job);
            }
            state = self.jobs.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The last batch that was appended.
    pub(crate) fn newest(&self) -> BatchSequence {
        self.state().next.previous()
    }

    /// Comes back as a job when `at` is durable.
    pub(crate) fn wait_to_replace(&self, at: BatchSequence, replacement: Replacement) {
        let mut state = self.state();
        state.stage = Stage::Waiting(at, Job::Replace(replacement));
        self.rouse(state);
    }

    pub(crate) fn end_job(&self, outcome: Outcome) {
        let mut state = self.state();
        state.stage = Stage::Ended(outcome);
        state.sleeping = false;
        self.work.notify_one();
    }

    pub(crate) fn end_filling(&self, is_filled: bool) {
        self.state().filling.end(is_filled);
    }

    /// True once a job under way should be given up.
    pub(crate) fn is_ending(&self) -> bool {
        let state = self.state();
        state.closing || state.failure.is_some()
    }

    // ---- producers ----

    fn put(&self, batch: Batch, expected: BatchSequence, epoch: Epoch) -> Result<MutexGuard<'_, State>, AppendError> {
        let batch_bytes = batch.len_bytes();
        if batch_bytes > self.batch_bytes_max {
            return Err(AppendError::TooLarge { batch_bytes, limit_bytes: self.batch_bytes_max });
        }
        if epoch != self.epoch {
            return Err(AppendError::WrongEpoch { offered: epoch, current: self.epoch });
        }
        let mut state = self.state();
        if let Some(reason) = state.failure.as_ref().or(state.given_up.as_ref()) {
            return Err(AppendError::Failed(reason.clone()));
        }
        if state.closing {
            return Err(AppendError::Closed);
        }
        if batch.sequence != expected || expected != state.next {
            return Err(AppendError::WrongSequence { offered: batch.sequence, expected, next: state.next });
        }
        state.next = expected.next();
        state.growth.append(expected, batch_bytes);
        self.pending_bytes.fetch_add(batch_bytes, Ordering::Relaxed);
        state.batches.push_back(batch);
        Ok(state)
    }

    /// Whoever appends says when to write: nobody needs to look for it.
    pub(crate) fn is_called(&self) -> bool {
        self.is_called.load(Ordering::Relaxed)
    }

    // ---- closing ----

    pub(crate) fn start_closing(&self) {
        let mut state = self.state();
        state.closing = true;
        state.sleeping = false;
        self.work.notify_all();
        self.jobs.notify_all();
    }

    pub(crate) fn closed(&self) -> Result<(), CloseError> {
        if let Some(reason) = &self.state().failure {
            return Err(CloseError::Failed(reason.clone()));
        }
        match self.pending_bytes() {
            0 => Ok(()),
            pending_bytes => Err(CloseError::Full { pending_bytes }),
        }
    }
}

impl State {
    /// What the housekeeper is to do next. Files are removed first: somebody may wait for the space.
    fn take_job(&mut self) -> Option<Job> {
        let asked = self.garbage.pop().map(Job::Remove).or_else(|| self.stage.take_job());
        asked.or_else(|| self.filling.take_job())
    }

    fn has_work(&self, durable: BatchSequence) -> bool {
        let job = self.stage.has_work(durable) || self.given_up.is_some();
        job || self.sync_to.is_some() || !self.batches.is_empty() || self.segments.has_freeable(durable)
    }

    fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::SnapshotDone { at, .. } => {
                self.snapshot_at = *at;
                self.growth.restart(*at);
                self.segments.cover(*at);
            }
            Outcome::Cleaned { segment, len_bytes } => self.segments.end_cleaning(*segment, Some(*len_bytes)),
            Outcome::CleanFailed { segment, .. } => self.segments.end_cleaning(*segment, None),
            Outcome::SnapshotFailed(_) | Outcome::Fatal(_) => {}
        }
    }
}

impl Journal for Shared {
    fn append(&self, batch: Batch, expected: BatchSequence, epoch: Epoch) -> Result<(), AppendError> {
        self.is_called.store(false, Ordering::Relaxed);
        self.put(batch, expected, epoch).map(|state| self.rouse(state))
    }

    fn append_on(&self, batch: Batch, expected: BatchSequence, epoch: Epoch) -> Result<(), AppendError> {
        self.is_called.store(true, Ordering::Relaxed);
        let state = self.put(batch, expected, epoch)?;
        // Behind the batch and under the lock: whoever takes this back finds the batch.
        self.goes_on.store(true, Ordering::Relaxed);
        drop(state);
        Ok(())
    }

    fn wake(&self) {
        if self.goes_on.swap(false, Ordering::Relaxed) {
            self.rouse(self.state());
        }
    }

    fn sync(&self) {
        let mut state = self.state();
        state.sync_to = Some(state.next.previous());
        self.rouse(state);
    }

    fn durable(&self) -> BatchSequence {
        BatchSequence(self.durable.load(Ordering::Acquire))
    }

    fn written(&self) -> BatchSequence {
        BatchSequence(self.written.load(Ordering::Acquire))
    }

    fn pending_bytes(&self) -> u64 {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    fn status(&self) -> JournalStatus {
        let state = self.state();
        match &state.failure {
            Some(reason) => JournalStatus::Failed(reason.clone()),
            None if state.full => JournalStatus::Full,
            None => JournalStatus::Healthy,
        }
    }

    fn snapshot(&self, at: BatchSequence, snapshot: Snapshot) -> Result<(), SnapshotError> {
        let mut state = self.state();
        if let Some(reason) = &state.failure {
            return Err(SnapshotError::Failed(reason.clone()));
        }
        if state.closing {
            return Err(SnapshotError::Closed);
        }
        let (oldest, newest) = (state.snapshot_at.next(), state.next.previous());
        if at < oldest || at > newest {
            return Err(SnapshotError::OutOfRange { at, oldest, newest });
        }
        if !state.stage.is_free() {
            return Err(SnapshotError::Busy);
        }
        state.growth.mark(at, newest);
        state.stage = Stage::Waiting(at, Job::Snapshot(at, snapshot));
        self.rouse(state);
        Ok(())
    }

    fn take_places(&self, up_to: BatchSequence, out: &mut Vec<BatchPlace>) {
        let Some(known) = &self.places else { return };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(place) = known.pop_front_if(|place| place.sequence <= up_to) {
            out.push(place);
        }
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(FileReader::new(Arc::clone(&self.files)))
    }

    fn release(&self, segment: BatchSequence) {
        let mut state = self.state();
        let newest = state.next.previous();
        state.segments.release(segment, newest);
        if state.segments.has_freeable(self.durable()) {
            self.rouse(state);
        }
    }

    fn condemn(&self, segment: BatchSequence) {
        self.state().segments.condemn(segment);
    }

    fn clean(&self, segment: BatchSequence, survivors: Box<dyn Survivors>) -> Result<(), CleanError> {
        let mut state = self.state();
        if let Some(reason) = &state.failure {
            return Err(CleanError::Failed(reason.clone()));
        }
        if state.closing {
            return Err(CleanError::Closed);
        }
        if !state.stage.is_free() {
            return Err(CleanError::Busy);
        }
        let segment = state.segments.start_cleaning(segment)?;
        state.stage = Stage::Ready(Job::Clean(segment, survivors));
        self.jobs.notify_all();
        Ok(())
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.state().segments.list()
    }

    fn bytes_since_snapshot(&self) -> u64 {
        self.state().growth.bytes()
    }

    fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed) + self.reserve_bytes.load(Ordering::Relaxed)
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn give_up(&self, reason: &str) {
        let mut state = self.state();
        state.given_up.get_or_insert_with(|| reason.to_owned());
        self.rouse(state);
    }

    fn close(&self) -> Result<(), CloseError> {
        self.start_closing();
        self.closed()
    }
}
