//! A journal on the simulated disk, and the truth it is compared with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::simulated::{Random, SimulatedDisk};
use crate::*;

/// A record as the test knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) stream: u64,
    pub(super) payload: Vec<u8>,
}

/// Everything a recovery delivered.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) snapshot: Vec<Record>,
    pub(super) batches: Vec<(BatchSequence, Record)>,
    /// Of the records in `batches`.
    pub(super) locations: Vec<Location>,
    pub(super) damages: Vec<Damage>,
}

impl Heard {
    pub(super) fn hear(&mut self, recovered: Recovered<'_>) {
        match recovered {
            Recovered::SnapshotRecord { kind, stream, payload } => {
                self.snapshot.push(Record { kind, stream, payload: payload.to_vec() });
            }
            Recovered::Record { sequence, location, kind, stream, payload } => {
                self.locations.push(location);
                self.batches.push((sequence, Record { kind, stream, payload: payload.to_vec() }));
            }
            Recovered::Damaged(damage) => self.damages.push(damage.clone()),
        }
    }
}

pub(super) type Events = Arc<Mutex<Vec<JournalEvent>>>;

/// An open journal with everything around it.
pub(super) struct Opened {
    pub(super) stepped: SteppedJournal,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) report: RecoveryReport,
    pub(super) heard: Heard,
    pub(super) events: Events,
    pub(super) next: BatchSequence,
}

pub(super) fn folder() -> PathBuf {
    PathBuf::from("/journal")
}

pub(super) fn file(name: &str) -> PathBuf {
    folder().join(name)
}

pub(super) fn options() -> Options {
    Options {
        segment_bytes: 16 * 1024,
        group_bytes_max: 8 * 1024,
        spare_segments_max: 2,
        keep_segments: false,
        reserve_bytes: 0,
        identity: 0x1D,
        keys: Keyring::default(),
    }
}

/// The key of so many equal bytes.
pub(super) fn master(number: u8) -> MasterKey {
    MasterKey::new(&[number; KEY_BYTES]).unwrap()
}

pub(super) fn keys(sealing: Option<u8>, opening: &[u8]) -> Keyring {
    Keyring::new(sealing.map(master), opening.iter().copied().map(master).collect())
}

/// What an operator may have configured who has keys 1 and 2: either, or none any more.
pub(super) fn any_keys(random: &mut Random) -> Keyring {
    match random.below(4) {
        0 => keys(None, &[1, 2]),
        1 => keys(Some(2), &[1]),
        _ => keys(Some(1), &[2]),
    }
}

pub(super) fn listener() -> (Listener, Events) {
    let events = Events::default();
    let heard = Arc::clone(&events);
    (Box::new(move |event| heard.lock().unwrap().push(event)), events)
}

pub(super) fn try_open(disk: &SimulatedDisk, options: Options) -> Result<Opened, OpenError> {
    let (listener, events) = listener();
    let mut heard = Heard::default();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let folder: &Path = &folder();
    let opened = SteppedJournal::open(disk, folder, options, listener, &mut |recovered| heard.hear(recovered));
    let (stepped, report) = opened?;
    let (journal, next) = (stepped.journal(), report.last.next());
    Ok(Opened { stepped, journal, report, heard, events, next })
}

pub(super) fn open(disk: &SimulatedDisk) -> Opened {
    try_open(disk, options()).expect("opens")
}

impl Opened {
    /// Appends a batch of `records`.
    pub(super) fn append(&mut self, records: &[Record]) -> Result<(), AppendError> {
        self.append_with(records, SyncMode::Needed)
    }

    pub(super) fn append_with(&mut self, records: &[Record], sync: SyncMode) -> Result<(), AppendError> {
        let batch = Batch { sync, ..batch(self.next, records) };
        self.journal.append(batch, self.next, self.report.epoch)?;
        self.next = self.next.next();
        Ok(())
    }

    /// Steps until nothing moves any more.
    pub(super) fn settle(&mut self) -> Step {
        loop {
            let step = self.stepped.writer.step();
            let snapshot = self.stepped.housekeeper.step();
            if step != Step::Progress && snapshot == Step::Idle {
                if !self.stepped.writer.is_behind() {
                    return step;
                }
                self.stepped.writer.sync();
            }
        }
    }

    /// An orderly end.
    pub(super) fn close(mut self) {
        let _ = self.journal.close();
        self.settle();
        self.stepped.writer.finish();
    }

    pub(super) fn drain_events(&self) -> Vec<JournalEvent> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

pub(super) fn batch(sequence: BatchSequence, records: &[Record]) -> Batch {
    let mut builder = BatchBuilder::new();
    for record in records {
        let (left, right) = record.payload.split_at(record.payload.len() / 2);
        builder.push(record.kind, record.stream, &[left, right]);
    }
    builder.finish(sequence, SyncMode::Needed)
}

pub(super) fn snapshot(records: &[Record]) -> Snapshot {
    let mut builder = SnapshotBuilder::new();
    for record in records {
        builder.push(record.kind, record.stream, &[&record.payload]);
    }
    builder.finish()
}

pub(super) fn record(stream: u64, payload: &[u8]) -> Record {
    Record { kind: 7, stream, payload: payload.to_vec() }
}

/// Records with arbitrary contents, mostly small.
pub(super) fn random_records(random: &mut Random) -> Vec<Record> {
    (0..random.below(4))
        .map(|_| {
            let limit = if random.chance(10) { 3000 } else { 200 };
            let payload = (0..random.below(limit)).map(|_| random.next_u64() as u8).collect();
            Record { kind: random.next_u64() as u8, stream: random.below(20), payload }
        })
        .collect()
}

/// Number of seeds to run: `CROSSDOCK_SEEDS`, default 2,000.
pub(super) fn seeds() -> u64 {
    std::env::var("CROSSDOCK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2_000)
}

/// Runs `body` for every seed and names the one that failed.
pub(super) fn for_each_seed(count: u64, body: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in 0..count {
        if let Err(panic) = std::panic::catch_unwind(|| body(seed)) {
            eprintln!("failing seed: {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
