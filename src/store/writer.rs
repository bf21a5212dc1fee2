//! The write loop: everything that waits becomes one write and one sync. It has no thread and no clock of its own,
//! so a simulation can step it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::batch::Batch;
use crate::disk::write_all_at;
use crate::format::{HEADER_BYTES, Role};
use crate::frames::{Frames, Framing};
use crate::jobs::Outcome;
use crate::journal::{Journal, JournalEvent, Listener};
use crate::meta::MetaFile;
use crate::segments::{Segments, Trouble};
use crate::shared::Shared;
use crate::types::{BatchPlace, BatchSequence, Options, SyncMode};

/// What [`Writer::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do.
    Idle,
    /// Something was done, there may be more.
    Progress,
    /// The disk is full: step again when there may be space.
    Full,
    /// The journal is dead: further steps do nothing.
    Failed,
}

/// The only one who writes segments.
pub struct Writer {
    pub(crate) shared: Arc<Shared>,
    listener: Listener,
    options: Options,
    segments: Segments,
    meta: MetaFile,
    snapshot_bytes: u64,
    /// Taken from the queue, not yet durable. Kept as it is while the disk is full.
    group: VecDeque<Batch>,
    frames: Frames,
    previous_crc: u32,
    written: BatchSequence,
    synced: BatchSequence,
    failed: bool,
}

/// Where recovery ended and writing goes on.
pub(crate) struct Continuation {
    pub(crate) segments: Segments,
    pub(crate) meta: MetaFile,
    pub(crate) last: BatchSequence,
    pub(crate) previous_crc: u32,
    pub(crate) snapshot_bytes: u64,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, listener: Listener, options: Options, start: Continuation) -> Writer {
        let writer = Writer {
            shared,
            listener,
            options,
            segments: start.segments,
            meta: start.meta,
            snapshot_bytes: start.snapshot_bytes,
            group: VecDeque::new(),
            frames: Frames::default(),
            previous_crc: start.previous_crc,
            written: start.last,
            synced: start.last,
            failed: false,
        };
        writer.publish_disk_bytes();
        writer
    }

    /// Writes one group of batches, or moves a job on.
    pub fn step(&mut self) -> Step {
        if self.failed {
            return Step::Failed;
        }
        match self.try_step() {
            Ok(step) => step,
            Err(Trouble::Full) => self.announce_full(),
            Err(Trouble::Fatal(reason)) => self.fail(reason),
        }
    }

    /// The last batch that is durable.
    pub(crate) fn synced(&self) -> BatchSequence {
        self.synced
    }

    /// True while batches are written and not synced. If nothing else syncs them, [`Writer::sync`] has to, soon.
    pub fn is_behind(&self) -> bool {
        !self.failed && self.synced < self.written
    }

    /// Makes everything that is written durable.
    pub fn sync(&mut self) -> Step {
        match self.sync_active() {
            _ if self.failed => Step::Failed,
            Ok(()) | Err(Trouble::Full) => Step::Idle,
            Err(Trouble::Fatal(reason)) => self.fail(reason),
        }
    }

    /// Syncs what is not, and notes on disk how far that is. Call it when the journal is idle; costs one small write.
    pub fn seal(&mut self) -> Step {
        if self.failed || self.sync() == Step::Failed {
            return Step::Failed;
        }
        match self.meta.seal(self.synced).map_err(|error| Trouble::new("write the seal", &error)) {
            // Without space there is no seal: recovery then knows less about damage, nothing else.
            Ok(()) | Err(Trouble::Full) => Step::Idle,
            Err(Trouble::Fatal(reason)) => self.fail(reason),
        }
    }

    /// Gives up spare segments. Call it when the journal has been idle for long.
    pub fn shrink(&mut self) {
        self.take_filled();
        self.segments.shrink();
        self.publish_disk_bytes();
    }

    /// The last act of an orderly end: syncs whatever is not, and the seal.
    pub fn finish(&mut self) -> Step {
        if self.seal() == Step::Failed {
            return Step::Failed;
        }
        match self.meta.sync() {
            Ok(()) => Step::Idle,
            Err(error) => self.fail(format!("sync the seal: {error}")),
        }
    }

    fn try_step(&mut self) -> Result<Step, Trouble> {
        let outcome = self.shared.poll_job();
        let moved = outcome.is_some();
        if let Some(outcome) = outcome {
            self.end_job(outcome)?;
        }
        self.free()?;
        self.shared.take(&mut self.group, self.options.group_bytes_max);
        if self.group.is_empty() {
            if let Some(reason) = self.shared.given_up() {
                self.sync_active()?;
                return Err(Trouble::Fatal(reason));
            }
            if self.shared.take_sync_wanted(self.written) {
                self.sync_active()?;
                return Ok(Step::Progress);
            }
            return Ok(if moved { Step::Progress } else { Step::Idle });
        }
        self.commit()?;
        if self.shared.set_full(false) {
            (self.listener)(JournalEvent::Writable);
        }
        Ok(Step::Progress)
    }

    fn commit(&mut self) -> Result<(), Trouble> {
        let count = self.fit()?;
        self.write(count)?;
        let is_lazy = |batch: &Batch| batch.sync == SyncMode::Lazy;
        let lazy = self.group.range(..count).filter(|batch| is_lazy(batch)).count();
        let bytes = self.group.drain(..count).map(|batch| batch.len_bytes()).sum();
        self.shared.publish_written(self.written);
        if lazy > 0 {
            (self.listener)(JournalEvent::Written(self.written));
        }
        let wanted = self.shared.take_sync_wanted(self.written);
        if lazy == count && !wanted {
            self.shared.settle_pending(bytes);
            return Ok(());
        }
        self.sync_file()?;
        self.shared.settle_pending(bytes);
        self.announce_durable();
        self.look_ahead();
        Ok(())
    }

    /// Has the next segment filled beforehand where that pays.
    fn look_ahead(&mut self) {
        self.take_filled();
        if let Some(spare) = self.segments.spare_to_fill() {
            self.shared.want_filled(spare);
        }
    }

    /// Takes the spare over whose filling has ended: as a spare, or to be removed.
    fn take_filled(&mut self) {
        if self.segments.is_filling()
            && let Some(end) = self.shared.take_filled()
        {
            let garbage = self.segments.end_filling(end);
            self.shared.discard(garbage);
            self.publish_disk_bytes();
        }
    }

    /// How many batches of the group go into the active segment; rotates if none does.
    fn fit(&mut self) -> Result<usize, Trouble> {
        let count = self.count_within(self.segments.room_bytes());
        if count > 0 {
            return Ok(count);
        }
        // The name of the next segment proves the previous one durable.
        self.sync_active()?;
        let first = self.written.next();
        // On a full disk there may be no other.
        self.take_filled();
        self.segments.rotate(first)?;
        self.shared.rotated(first, self.options.segment_bytes);
        self.publish_disk_bytes();
        Ok(self.count_within(self.segments.room_bytes()))
    }

    fn count_within(&self, room_bytes: u64) -> usize {
        let mut bytes = 0;
        let fits = |batch: &&Batch| {
            bytes += batch.len_bytes();
            bytes <= room_bytes
        };
        self.group.iter().take_while(fits).count()
    }

    /// Writes the first `count` batches. After a partial write nothing has moved: the next try starts at the same place.
    fn write(&mut self, count: usize) -> Result<(), Trouble> {
        let framing = Framing {
            role: Role::Batch,
            identity: self.meta.identity(),
            epoch: self.meta.epoch(),
            durable: self.synced,
            previous_crc: self.previous_crc,
            block_bytes: self.segments.block_bytes(),
        };
        let Some(active) = &mut self.segments.active else {
            return Err(Trouble::Fatal("no segment to write to".to_owned()));
        };
        self.frames.rebuild(self.group.range(..count), framing, active.offset);
        let mut parts = self.frames.parts(self.group.range(..count));
        write_all_at(active.file.as_ref(), active.offset, &mut parts)
            .map_err(|error| Trouble::new("write to a segment", &error))?;
        active.offset += self.frames.length_bytes;
        self.previous_crc = self.frames.last_crc;
        self.written = BatchSequence(self.written.0 + count as u64);
        let segment = active.first;
        let places = self.group.range(..count).zip(&self.frames.starts).map(|(batch, start)| BatchPlace {
            sequence: batch.sequence,
            segment,
            payload_offset: (start + (HEADER_BYTES + batch.table.len()) as u64) as u32,
        });
        self.shared.add_places(places);
        Ok(())
    }

    fn sync_active(&mut self) -> Result<(), Trouble> {
        self.sync_file()?;
        self.announce_durable();
        Ok(())
    }

    fn sync_file(&mut self) -> Result<(), Trouble> {
        let is_behind = self.is_behind();
        if let Some(active) = &mut self.segments.active
            && is_behind
        {
            active.file.sync_data().map_err(|error| Trouble::fatal("sync a segment", &error))?;
            active.syncs += 1;
            self.synced = self.written;
        }
        Ok(())
    }

    fn announce_durable(&mut self) {
        if self.shared.durable() < self.synced {
            self.shared.publish_durable(self.synced);
            (self.listener)(JournalEvent::Durable(self.synced));
        }
    }

    fn end_job(&mut self, outcome: Outcome) -> Result<(), Trouble> {
        let event = match outcome {
            Outcome::SnapshotDone { at, len_bytes } => {
                self.snapshot_bytes = len_bytes;
                JournalEvent::SnapshotDone(at)
            }
            Outcome::SnapshotFailed(reason) => JournalEvent::SnapshotFailed(reason),
            Outcome::Cleaned { segment, len_bytes } => JournalEvent::Cleaned { segment, len_bytes },
            Outcome::CleanFailed { segment, reason, damage } => JournalEvent::CleanFailed { segment, reason, damage },
            Outcome::Fatal(reason) => return Err(Trouble::Fatal(reason)),
        };
        self.free()?;
        self.publish_disk_bytes();
        (self.listener)(event);
        Ok(())
    }

    /// Frees the segments that nobody needs any more.
    fn free(&mut self) -> Result<(), Trouble> {
        let freeable = self.shared.take_freeable();
        if freeable.is_empty() {
            return Ok(());
        }
        for segment in &freeable {
            let garbage = self.segments.free(segment);
            self.shared.files.forget(segment.first);
            self.shared.discard(garbage);
        }
        self.publish_disk_bytes();
        self.segments.sync_folder()
    }

    fn publish_disk_bytes(&self) {
        self.shared.publish_disk_bytes(self.segments.spare_bytes() + self.snapshot_bytes);
    }

    fn announce_full(&mut self) -> Step {
        if self.count_within(self.segments.room_bytes()) > 0 {
            // The file system reserves nothing: the spares may have what the active segment is short of.
            self.shrink();
        }
        self.shared.cancel_replacement();
        if self.shared.set_full(true) {
            (self.listener)(JournalEvent::Full);
        }
        Step::Full
    }

    /// Nothing that is not durable now ever will be.
    fn fail(&mut self, reason: String) -> Step {
        self.failed = true;
        self.group.clear();
        self.shared.fail(&reason);
        (self.listener)(JournalEvent::Failed(reason));
        Step::Failed
    }
}

impl Drop for Writer {
    /// A journal thread that panics must not leave producers waiting for a watermark that never comes.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.fail(&io::Error::other("the journal thread panicked").to_string());
        }
    }
}
