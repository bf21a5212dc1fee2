//! Writes snapshots beside the journal: temporary file, sync, rename, sync of the folder. Only then may the batches it
//! covers go. A crash at any point leaves either the old snapshot with its batches or the new one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::batch::Snapshot;
use crate::disk::{Disk, DiskFile, is_full, write_all_at};
use crate::format::Role;
use crate::frames::{Frames, Framing};
use crate::names::{self, Listing};
use crate::shared::{Shared, SnapshotOutcome};
use crate::types::{BatchSequence, Epoch, Options};
use crate::writer::Step;

/// Chunks per write: bounds how long one step holds the disk.
const CHUNKS_PER_STEP: usize = 4;

/// Writes one snapshot at a time, a few MiB per step. It has no thread of its own, like [`Writer`](crate::Writer).
pub struct SnapshotWriter {
    pub(crate) shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    identity: u64,
    epoch: Epoch,
    reserve_bytes: u64,
    /// A snapshot that recovery found damaged: kept when a better one replaces it.
    damaged: Option<BatchSequence>,
    job: Option<Job>,
}

struct Job {
    at: BatchSequence,
    snapshot: Snapshot,
    file: Arc<dyn DiskFile>,
    chunks_done: usize,
    offset: u64,
    previous_crc: u32,
}

/// Why a snapshot did not come about.
enum GiveUp {
    Harmless(String),
    Fatal(String),
}

impl SnapshotWriter {
    pub(crate) fn new(
        shared: Arc<Shared>,
        (disk, folder): (Arc<dyn Disk>, PathBuf),
        (identity, epoch): (u64, Epoch),
        options: &Options,
        damaged: Option<BatchSequence>,
    ) -> SnapshotWriter {
        let reserve_bytes = options.reserve_bytes;
        SnapshotWriter { shared, disk, folder, identity, epoch, reserve_bytes, damaged, job: None }
    }

    /// Starts the snapshot that waits, or writes the next part of the one under way.
    pub fn step(&mut self) -> Step {
        if let Some(job) = self.job.take() {
            self.advance(job);
            return Step::Progress;
        }
        match self.shared.take_snapshot() {
            Some((at, snapshot)) => {
                self.start(at, snapshot);
                Step::Progress
            }
            None => Step::Idle,
        }
    }

    /// Takes a snapshot on. Its parts are written by [`SnapshotWriter::step`].
    pub(crate) fn start(&mut self, at: BatchSequence, snapshot: Snapshot) {
        self.refill_reserve();
        match self.disk.create(&self.temporary()) {
            Ok(file) => self.job = Some(Job { at, snapshot, file, chunks_done: 0, offset: 0, previous_crc: 0 }),
            Err(error) => self.give_up(GiveUp::Harmless(format!("create the snapshot: {error}"))),
        }
    }

    /// True while parts remain to be written.
    pub(crate) fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    fn advance(&mut self, mut job: Job) {
        if job.chunks_done < job.snapshot.chunks.len() {
            match self.write(&mut job) {
                Ok(()) => self.job = Some(job),
                // The same part again, now that there is space.
                Err(error) if is_full(&error) && self.spend_reserve() => self.job = Some(job),
                Err(error) => self.give_up(GiveUp::Harmless(format!("write the snapshot: {error}"))),
            }
            return;
        }
        match self.complete(&job) {
            Ok(()) => self.shared.end_snapshot(SnapshotOutcome::Done { at: job.at, len_bytes: job.offset }),
            Err(reason) => self.give_up(reason),
        }
    }

    fn write(&self, job: &mut Job) -> io::Result<()> {
        let rest = &job.snapshot.chunks[job.chunks_done..];
        let chunks = &rest[..rest.len().min(CHUNKS_PER_STEP)];
        let framing = Framing {
            role: Role::Chunk,
            identity: self.identity,
            epoch: self.epoch,
            durable: job.at,
            previous_crc: job.previous_crc,
        };
        let mut frames = Frames::default();
        frames.rebuild(chunks.iter(), framing, job.offset);
        write_all_at(job.file.as_ref(), job.offset, &mut frames.parts(chunks.iter()))?;
        job.offset += frames.length_bytes;
        job.previous_crc = frames.last_crc;
        job.chunks_done += chunks.len();
        Ok(())
    }

    fn complete(&mut self, job: &Job) -> Result<(), GiveUp> {
        // The file is thrown away after a failed sync, so that failure harms nothing else.
        job.file.sync_data().map_err(|error| GiveUp::Harmless(format!("sync the snapshot: {error}")))?;
        self.disk
            .rename(&self.temporary(), &self.folder.join(names::snapshot(job.at)))
            .map_err(|error| GiveUp::Harmless(format!("name the snapshot: {error}")))?;
        self.sync_folder()?;
        self.remove_older(job.at);
        self.sync_folder()
    }

    /// A file that stays behind is removed next time: the newest snapshot counts.
    fn remove_older(&mut self, at: BatchSequence) {
        let names = self.disk.list(&self.folder).unwrap_or_default();
        for older in Listing::new(names).snapshots.into_iter().filter(|snapshot| *snapshot < at) {
            let name = names::snapshot(older);
            let path = self.folder.join(&name);
            let _ = if self.damaged == Some(older) {
                self.disk.rename(&path, &names::quarantined(&self.folder, &name))
            } else {
                self.disk.remove(&path)
            };
        }
    }

    /// Best effort: a disk too full for the reserve may still take the snapshot.
    pub(crate) fn refill_reserve(&self) {
        let path = self.folder.join(names::RESERVE);
        if self.reserve_bytes == 0 || self.disk.open(&path).is_ok() {
            return;
        }
        if self.disk.create(&path).and_then(|file| file.allocate(self.reserve_bytes)).is_err() {
            let _ = self.disk.remove(&path);
        }
    }

    /// True if that freed space.
    fn spend_reserve(&self) -> bool {
        self.disk.remove(&self.folder.join(names::RESERVE)).is_ok()
    }

    fn sync_folder(&self) -> Result<(), GiveUp> {
        self.disk
            .sync_folder(&self.folder)
            .map_err(|error| GiveUp::Fatal(format!("sync the journal's folder: {error}")))
    }

    fn give_up(&mut self, reason: GiveUp) {
        // Gives the space back; if that fails, the next snapshot or the next open overwrites or removes the file.
        let _ = self.disk.remove(&self.temporary());
        self.shared.end_snapshot(match reason {
            GiveUp::Harmless(reason) => SnapshotOutcome::GaveUp(reason),
            GiveUp::Fatal(reason) => SnapshotOutcome::Fatal(reason),
        });
    }

    fn temporary(&self) -> PathBuf {
        self.folder.join(names::SNAPSHOT_TEMPORARY)
    }
}
