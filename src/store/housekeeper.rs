//! What is done beside the journal: snapshots and cleaning, one at a time.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clean::{CleanJob, Place, Progress, Survivors};
use crate::disk::is_full;
use crate::filling::FillJob;
use crate::jobs::{Job, Outcome, Replacement};
use crate::names::{self, Listing};
use crate::sealed::Vault;
use crate::shared::Shared;
use crate::snapshot::SnapshotJob;
use crate::table::ClosedSegment;
use crate::types::{BatchSequence, Epoch, FilePlace, Options};
use crate::writer::Step;

/// Writes snapshots and cleans segments, a few MiB per step. It has no thread of its own, like [`Writer`](crate::Writer).
pub struct Housekeeper {
    pub(crate) shared: Arc<Shared>,
    disk: Arc<Vault>,
    folder: PathBuf,
    identity: u64,
    epoch: Epoch,
    reserve_bytes: u64,
    segment_bytes: u64,
    /// A snapshot that recovery found damaged: kept when a better one replaces it.
    damaged: Option<BatchSequence>,
    work: Option<Work>,
}

/// What is under way.
enum Work {
    Snapshot(SnapshotJob),
    Clean(Box<CleanJob>),
    Fill(FillJob),
}

/// Why a job did not come about.
pub(crate) enum GiveUp {
    Harmless(String),
    /// What was to be worked on is not as it was written there.
    Damaged(FilePlace),
    Fatal(String),
}

impl Housekeeper {
    pub(crate) fn new(
        shared: Arc<Shared>,
        (disk, folder): (Arc<Vault>, PathBuf),
        (identity, epoch): (u64, Epoch),
        options: &Options,
        damaged: Option<BatchSequence>,
    ) -> Housekeeper {
        let Options { reserve_bytes, segment_bytes, .. } = *options;
        Housekeeper { shared, disk, folder, identity, epoch, reserve_bytes, segment_bytes, damaged, work: None }
    }

    /// Starts the job that waits, or does the next part of the one under way.
    pub fn step(&mut self) -> Step {
        match self.work.take() {
            Some(Work::Snapshot(job)) => self.advance_snapshot(job),
            Some(Work::Clean(job)) => self.advance_clean(job),
            Some(Work::Fill(job)) => self.advance_fill(job),
            None => match self.shared.take_job() {
                Some(job) => self.start(job),
                None => return Step::Idle,
            },
        }
        Step::Progress
    }

    /// Takes a job on. Its parts are done by [`Housekeeper::step`].
    pub(crate) fn start(&mut self, job: Job) {
        match job {
            Job::Remove(file) => drop(self.disk.remove(&file)),
            Job::Snapshot(at, snapshot) => {
                self.refill_reserve();
                match self.disk.create(&self.folder.join(names::SNAPSHOT_TEMPORARY)) {
                    Ok(file) => self.work = Some(Work::Snapshot(SnapshotJob::new(at, snapshot, file))),
                    Err(error) => self.end_snapshot(GiveUp::Harmless(format!("create the snapshot: {error}"))),
                }
            }
            Job::Clean(segment, survivors) => self.start_clean(segment, survivors),
            Job::Replace(replacement) => self.replace(replacement),
            Job::Fill(spare) => self.start_fill(spare),
            Job::Discard(segment, reason) => self.end_clean(segment, GiveUp::Harmless(reason)),
        }
    }

    /// True while parts remain to be done.
    pub(crate) fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    // ---- snapshots ----

    fn advance_snapshot(&mut self, mut job: SnapshotJob) {
        if !job.is_written() {
            match job.write((self.identity, self.epoch), self.disk.block_bytes()) {
                Ok(()) => self.work = Some(Work::Snapshot(job)),
                // The same part again, now that there is space.
                Err(error) if is_full(&error) && self.spend_reserve() => self.work = Some(Work::Snapshot(job)),
                Err(error) => self.end_snapshot(GiveUp::Harmless(format!("write the snapshot: {error}"))),
            }
            return;
        }
        match self.complete_snapshot(&job) {
            Ok(()) => self.shared.end_job(Outcome::SnapshotDone { at: job.at, len_bytes: job.offset }),
            Err(reason) => self.end_snapshot(reason),
        }
    }

    fn complete_snapshot(&mut self, job: &SnapshotJob) -> Result<(), GiveUp> {
        // The file is thrown away after a failed sync, so that failure harms nothing else.
        job.sync().map_err(|error| GiveUp::Harmless(format!("sync the snapshot: {error}")))?;
        self.disk
            .rename(&self.folder.join(names::SNAPSHOT_TEMPORARY), &self.folder.join(names::snapshot(job.at)))
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

    fn end_snapshot(&mut self, reason: GiveUp) {
        self.remove_temporary(names::SNAPSHOT_TEMPORARY);
        self.shared.end_job(match reason {
            GiveUp::Harmless(reason) => Outcome::SnapshotFailed(reason),
            GiveUp::Damaged(place) => Outcome::SnapshotFailed(format!("{place} is damaged")),
            GiveUp::Fatal(reason) => Outcome::Fatal(reason),
        });
    }

    /// Best effort: a disk too full for the reserve may still take the snapshot.
    pub(crate) fn refill_reserve(&self) {
        if self.reserve_bytes > 0 {
            self.shared.publish_reserve_bytes(self.reserve().unwrap_or(0));
        }
    }

    /// Size of the reserve, which is made if it does not exist.
    fn reserve(&self) -> io::Result<u64> {
        let path = self.folder.join(names::RESERVE);
        if let Ok(file) = self.disk.open_to_read(&path) {
            return file.len_bytes();
        }
        let file = self.disk.create_bare(&path)?;
        file.allocate(self.reserve_bytes).inspect_err(|_| drop(self.disk.remove(&path)))?;
        Ok(self.reserve_bytes)
    }

    /// True if that freed space.
    fn spend_reserve(&self) -> bool {
        self.shared.publish_reserve_bytes(0);
        self.disk.remove(&self.folder.join(names::RESERVE)).is_ok()
    }

    // ---- cleaning ----

    fn start_clean(&mut self, segment: ClosedSegment, survivors: Box<dyn Survivors>) {
        let first = segment.first;
        match CleanJob::new(&self.place(), segment, survivors) {
            Ok(job) => self.work = Some(Work::Clean(Box::new(job))),
            Err(reason) => self.end_clean(first, reason),
        }
    }

    fn advance_clean(&mut self, mut job: Box<CleanJob>) {
        match job.step(&self.place()) {
            Ok(Progress::Asked) => {
                // Whatever the answers were based on has been appended by now.
                job.asked_at = self.shared.newest();
                self.work = Some(Work::Clean(job));
            }
            Ok(Progress::Copied) => self.work = Some(Work::Clean(job)),
            Ok(Progress::Ready(len_bytes)) => {
                let (asked_at, segment) = (job.asked_at, job.segment);
                self.shared.wait_to_replace(asked_at, Replacement { segment, len_bytes });
            }
            Err(reason) => self.end_clean(job.segment.first, GiveUp::Harmless(reason)),
        }
    }

    /// The temporary file takes the segment's place.
    fn replace(&mut self, Replacement { segment, len_bytes }: Replacement) {
        let first = segment.first;
        if len_bytes > 0
            && let Err(reason) = self.name_compact(first)
        {
            return self.end_clean(first, reason);
        }
        if len_bytes == 0 || !segment.compact {
            // Removed, not recycled: readers may still have it open. If it stays, the next recovery removes it.
            let _ = self.disk.remove(&self.folder.join(segment.file_name()));
        }
        self.shared.files.forget(first);
        self.shared.end_job(Outcome::Cleaned { segment: first, len_bytes });
    }

    fn name_compact(&self, first: BatchSequence) -> Result<(), GiveUp> {
        self.disk
            .rename(&self.folder.join(names::COMPACT_TEMPORARY), &self.folder.join(names::compact(first)))
            .map_err(|error| GiveUp::Harmless(format!("name the compact file: {error}")))?;
        self.sync_folder()
    }

    fn end_clean(&mut self, segment: BatchSequence, reason: GiveUp) {
        self.remove_temporary(names::COMPACT_TEMPORARY);
        self.shared.end_job(match reason {
            GiveUp::Harmless(reason) => Outcome::CleanFailed { segment, reason, damage: None },
            GiveUp::Damaged(place) => {
                Outcome::CleanFailed { segment, reason: format!("{place} is damaged"), damage: Some(place) }
            }
            GiveUp::Fatal(reason) => Outcome::Fatal(reason),
        });
    }

    fn place(&self) -> Place<'_> {
        Place { disk: &self.disk, folder: &self.folder, identity: self.identity, epoch: self.epoch }
    }

    // ---- filling ----

    fn start_fill(&mut self, spare: u64) {
        match FillJob::new(&self.disk, &self.folder, spare, self.segment_bytes) {
            Ok(job) => self.work = Some(Work::Fill(job)),
            Err(_) => self.give_up_filling(spare),
        }
    }

    fn advance_fill(&mut self, mut job: FillJob) {
        match job.step() {
            Ok(true) => self.shared.end_filling(true),
            Ok(false) => self.work = Some(Work::Fill(job)),
            Err(_) => self.give_up_filling(job.spare),
        }
    }

    /// Whatever is wrong with the disk, the journal finds out for itself. If it is full, others need the space now.
    fn give_up_filling(&self, spare: u64) {
        let _ = self.disk.remove(&self.folder.join(names::spare(spare)));
        self.shared.end_filling(false);
    }

    // ---- all ----

    fn sync_folder(&self) -> Result<(), GiveUp> {
        self.disk
            .sync_folder(&self.folder)
            .map_err(|error| GiveUp::Fatal(format!("sync the journal's folder: {error}")))
    }

    /// Gives the space back; if that fails, the next job of the kind overwrites it, or the next open removes it.
    fn remove_temporary(&self, name: &str) {
        let _ = self.disk.remove(&self.folder.join(name));
    }
}

impl Drop for Housekeeper {
    /// A job that panics must not leave its caller waiting for an end that never comes.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.end_job(Outcome::Fatal("the housekeeping thread panicked".to_owned()));
        }
    }
}
