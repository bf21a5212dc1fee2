//! The journal in files: with its threads ([`FileJournal`]), or without, to be stepped ([`SteppedJournal`]).

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::batch::{Batch, Snapshot};
use crate::clean::Survivors;
use crate::disk::{Disk, DiskLock};
use crate::housekeeper::Housekeeper;
use crate::journal::{AppendError, CleanError, CloseError, Journal, JournalStatus, Listener, SnapshotError};
use crate::reader::Reader;
use crate::recovery::{self, OpenError, RecoveryReport, Visitor};
use crate::sealed::Vault;
use crate::shared::{Shared, Wake};
use crate::types::{BatchPlace, BatchSequence, Epoch, Options, SegmentInfo};
use crate::writer::{Step, Writer};

/// How often a full disk is asked again; a finished snapshot asks at once.
const FULL_RETRY: Duration = Duration::from_millis(100);
/// How long the journal is idle before it writes its seal.
const IDLE_BEFORE_SEAL: Duration = Duration::from_millis(100);

/// How long the journal is idle after its seal before it gives up spare segments.
const IDLE_BEFORE_SHRINKING: Duration = Duration::from_secs(5);
/// How long a written batch may stay without a sync; the idle seal syncs too.
const SYNC_DELAY: Duration = Duration::from_millis(200);

/// A journal without threads: the owner calls [`Writer::step`] and [`Housekeeper::step`]. For simulations.
pub struct SteppedJournal {
    shared: Arc<Shared>,
    /// Writes batches.
    pub writer: Writer,
    /// Writes snapshots and cleans segments.
    pub housekeeper: Housekeeper,
    lock: Box<dyn DiskLock>,
}

impl SteppedJournal {
    /// Recovers the journal in `folder`, or starts a new one. See [`FileJournal::open`].
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: Options,
        listener: Listener,
        visitor: &mut Visitor<'_>,
    ) -> Result<(SteppedJournal, RecoveryReport), OpenError> {
        let disk = Arc::new(Vault::new(disk, options.keys.clone()));
        let options = options.normalized(disk.block_bytes());
        let recovered = recovery::recover(&disk, folder, &options, visitor)?;
        let report = recovered.report;
        let shared = Arc::new(Shared::new(recovered.start, (Arc::clone(&disk), folder.to_path_buf())));
        let housekeeper = Housekeeper::new(
            Arc::clone(&shared),
            (disk, folder.to_path_buf()),
            (recovered.continuation.meta.identity(), report.epoch),
            &options,
            recovered.damaged_snapshot,
        );
        housekeeper.refill_reserve();
        let writer = Writer::new(Arc::clone(&shared), listener, options, recovered.continuation);
        Ok((SteppedJournal { shared, writer, housekeeper, lock: recovered.lock }, report))
    }

    /// The journal as its users see it. Its `close` refuses further appends; the rest of an orderly end is stepping until idle
    /// and [`Writer::finish`].
    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.shared) as Arc<dyn Journal>
    }
}

/// The journal with its two threads: `journal` writes batches, `housekeeping` writes snapshots and cleans segments.
pub struct FileJournal {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

struct Running {
    writer: JoinHandle<()>,
    housekeeping: JoinHandle<()>,
    _lock: Box<dyn DiskLock>,
}

impl FileJournal {
    /// Locks `folder`, recovers the journal in it (or starts a new one) and begins a new epoch. `visitor` gets the
    /// snapshot's records, then those of the batches behind it, in order, with damage in its place.
    ///
    /// Damage never prevents opening. Errors: folder in use, a newer format, or a disk that refuses to work.
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: Options,
        listener: Listener,
        visitor: &mut Visitor<'_>,
    ) -> Result<(FileJournal, RecoveryReport), OpenError> {
        let (stepped, report) = SteppedJournal::open(disk, folder, options, listener, visitor)?;
        let SteppedJournal { shared, writer, housekeeper, lock } = stepped;
        let writer = spawn("journal", move || run_writer(writer))?;
        let housekeeping = spawn("housekeeping", move || run_housekeeping(housekeeper)).inspect_err(|_| {
            shared.start_closing();
        })?;
        let running = Mutex::new(Some(Running { writer, housekeeping, _lock: lock }));
        Ok((FileJournal { shared, running }, report))
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    thread::Builder::new().name(name.to_owned()).spawn(body).map_err(OpenError::Thread)
}

fn run_writer(mut writer: Writer) {
    let shared = Arc::clone(&writer.shared);
    let mut rest = Rest::Awake;
    let mut behind_since = None;
    let mut pace = Pace::default();
    loop {
        let (began, synced) = (Instant::now(), writer.synced());
        let step = writer.step();
        if writer.synced() > synced {
            pace.synced(began);
        }
        sync_in_time(&mut writer, &mut behind_since);
        let wake = match step {
            Step::Progress => {
                rest = Rest::Awake;
                continue;
            }
            Step::Idle => pace.wait(&shared, rest.lasts()),
            Step::Full => shared.wait_for_space(FULL_RETRY),
            Step::Failed => return,
        };
        match wake {
            Wake::Work => {}
            Wake::TimedOut => rest = rest.deepen(&mut writer),
            Wake::Closing => break,
        }
    }
    writer.finish();
}

/// Whether syncs are wanted in such quick succession that it is quicker to look for the next than to be woken.
#[derive(Default)]
struct Pace {
    is_brisk: bool,
    synced: Option<Instant>,
}

/// A sync that is wanted sooner than this after the last one is waited for without sleep, and for no longer.
const BRISK: Duration = Duration::from_micros(200);

impl Pace {
    /// A step that began then has made something durable. What nobody waits for says nothing about the pace.
    fn synced(&mut self, began: Instant) {
        self.is_brisk = self.synced.is_some_and(|last| began.duration_since(last) < BRISK);
        self.synced = Some(Instant::now());
    }

    /// Waits for work. Somebody who publishes the next message when the last one was confirmed is spared a wake-up, which takes as
    /// long as a third of a sync.
    fn wait(&mut self, shared: &Shared, timeout: Option<Duration>) -> Wake {
        while self.is_brisk && !shared.is_called() && self.synced.is_some_and(|synced| synced.elapsed() < BRISK) {
            if shared.pending_bytes() > 0 {
                return Wake::Work;
            }
            thread::yield_now();
        }
        self.is_brisk = false;
        shared.wait_for_work(timeout)
    }
}

/// How deep an idle journal sleeps.
#[derive(Clone, Copy)]
enum Rest {
    Awake,
    Sealed,
    Shrunk,
}

impl Rest {
    /// Until the next depth; `None` if there is none.
    fn lasts(self) -> Option<Duration> {
        match self {
            Rest::Awake => Some(IDLE_BEFORE_SEAL),
            Rest::Sealed => Some(IDLE_BEFORE_SHRINKING),
            Rest::Shrunk => None,
        }
    }

    fn deepen(self, writer: &mut Writer) -> Rest {
        match self {
            Rest::Awake => {
                writer.seal();
                Rest::Sealed
            }
            Rest::Sealed | Rest::Shrunk => {
                writer.shrink();
                Rest::Shrunk
            }
        }
    }
}

/// Batches that need no sync are synced after [`SYNC_DELAY`] if nothing else did it.
fn sync_in_time(writer: &mut Writer, behind_since: &mut Option<Instant>) {
    if !writer.is_behind() {
        *behind_since = None;
    } else if behind_since.get_or_insert_with(Instant::now).elapsed() >= SYNC_DELAY {
        writer.sync();
        *behind_since = None;
    }
}

fn run_housekeeping(mut housekeeper: Housekeeper) {
    let shared = Arc::clone(&housekeeper.shared);
    while let Some(job) = shared.wait_for_job() {
        housekeeper.start(job);
        while housekeeper.is_busy() && !shared.is_ending() {
            housekeeper.step();
        }
    }
}

impl Journal for FileJournal {
    fn append(&self, batch: Batch, expected: BatchSequence, epoch: Epoch) -> Result<(), AppendError> {
        self.shared.append(batch, expected, epoch)
    }

    fn append_on(&self, batch: Batch, expected: BatchSequence, epoch: Epoch) -> Result<(), AppendError> {
        self.shared.append_on(batch, expected, epoch)
    }

    fn wake(&self) {
        self.shared.wake();
    }

    fn sync(&self) {
        self.shared.sync();
    }

    fn durable(&self) -> BatchSequence {
        self.shared.durable()
    }

    fn written(&self) -> BatchSequence {
        self.shared.written()
    }

    fn pending_bytes(&self) -> u64 {
        self.shared.pending_bytes()
    }

    fn status(&self) -> JournalStatus {
        self.shared.status()
    }

    fn snapshot(&self, at: BatchSequence, state: Snapshot) -> Result<(), SnapshotError> {
        self.shared.snapshot(at, state)
    }

    fn take_places(&self, up_to: BatchSequence, out: &mut Vec<BatchPlace>) {
        self.shared.take_places(up_to, out);
    }

    fn reader(&self) -> Box<dyn Reader> {
        self.shared.reader()
    }

    fn release(&self, segment: BatchSequence) {
        self.shared.release(segment);
    }

    fn condemn(&self, segment: BatchSequence) {
        self.shared.condemn(segment);
    }

    fn clean(&self, segment: BatchSequence, survivors: Box<dyn Survivors>) -> Result<(), CleanError> {
        self.shared.clean(segment, survivors)
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.segments()
    }

    fn bytes_since_snapshot(&self) -> u64 {
        self.shared.bytes_since_snapshot()
    }

    fn disk_bytes(&self) -> u64 {
        self.shared.disk_bytes()
    }

    fn epoch(&self) -> Epoch {
        self.shared.epoch()
    }

    fn give_up(&self, reason: &str) {
        self.shared.give_up(reason);
    }

    fn close(&self) -> Result<(), CloseError> {
        self.shared.start_closing();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            // A panic of the thread has been noted as the journal's failure.
            let _ = running.writer.join();
            let _ = running.housekeeping.join();
        }
        self.shared.closed()
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        let _ = self.close();
    }
}
