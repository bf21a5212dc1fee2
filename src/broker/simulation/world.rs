//! A data directory on a simulated disk, and a broker in it that moves step by step.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, LazyLock};

use crossdock_common::random::Random;
use crossdock_common::testkit::plain_format;
use crossdock_common::{Format, Instant, Name, Now, UnixMillis};
use crossdock_core::{Broker, Location, Paging, Permissions, Policies, ReadRequest, RecordError, RecordKind, Recovery};
use crossdock_store::simulated::SimulatedDisk;
use crossdock_store::{
    JournalStatus, KEY_BYTES, Keyring, Listener, MasterKey, OpenError, Options, Step, SteppedJournal,
};

use super::super::alarms::Alarms;
use super::super::clock::Clock;
use super::super::housekeeping::{Housekeeping, Thresholds};
use super::super::partition::{PartitionTask, Signals, Told};
use super::super::reading::{Answer, Reading, requests};
use super::super::replay::{Opened, Replay, finish_shard, read_pages, visit};
use super::super::start::{finish, partition};
use super::super::startup::{JournalProgress, Startup};
use crate::config::Settings;
use crate::telemetry::Metrics;

pub(super) const SHARDS: usize = 2;
/// More steps than that without coming to rest are a defect.
const STEPS_MAX: usize = 20_000;

static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::new()));

/// What outlives the process.
pub(super) struct World {
    pub disk: SimulatedDisk,
    pub now: Now,
    options: Options,
    paging: Paging,
    thresholds: Thresholds,
    settings: Settings,
}

/// One life of the process.
pub(super) struct Life {
    pub broker: Arc<Broker>,
    /// What the start has to say: damage, and records that were not understood.
    pub damages: Vec<String>,
    /// Messages that were wanted and could not be read.
    pub lost_reads: u64,
    running: Vec<Running>,
}

/// One partition.
struct Running {
    stepped: SteppedJournal,
    signals: Arc<Signals>,
    task: PartitionTask,
    reads: Option<Reads>,
}

/// The reading thread of a shard, stopped between any two of its acts.
struct Reads {
    requests: Receiver<ReadRequest>,
    reading: Reading,
    answers: VecDeque<Answer>,
}

/// Notes what is not understood.
struct Strict<'a> {
    replay: &'a mut dyn Replay,
    troubles: Vec<String>,
}

impl Replay for Strict<'_> {
    fn apply(
        &mut self,
        kind: RecordKind,
        stream: u64,
        payload: &[u8],
        location: Option<Location>,
    ) -> Result<(), RecordError> {
        let result = self.replay.apply(kind, stream, payload, location);
        if let Err(error) = &result {
            self.troubles.push(format!("{kind:?} of {stream}: {error}"));
        }
        result
    }

    fn reads_again(&self) -> bool {
        self.replay.reads_again()
    }

    fn queue(&self, stream: u64) -> Option<&(Name, Name)> {
        self.replay.queue(stream)
    }
}

/// Every other world is encrypted.
fn keys(seed: u64) -> Keyring {
    Keyring::new((seed % 2 == 1).then(|| MasterKey::new(&[7; KEY_BYTES]).expect("makes a key")), Vec::new())
}

impl World {
    /// Small segments and little memory, so that everything happens all the time.
    pub(super) fn new(seed: u64, random: &mut Random) -> Self {
        let options = Options {
            segment_bytes: 8_192 << random.below(3),
            group_bytes_max: 1 << random.below(15),
            spare_segments_max: random.below(3) as usize,
            reserve_bytes: random.below(2) * 4_096,
            identity: seed,
            keys: keys(seed),
            ..Options::default()
        };
        let paging = if random.below(6) == 0 {
            Paging::default()
        } else {
            Paging {
                memory_bytes_max: random.below(6_000),
                read_ahead_bytes: 1 + random.below(4_000),
                page_references: 1 + random.below(6) as usize,
                part_bytes: 200 << random.below(4),
            }
        };
        let thresholds = Thresholds {
            snapshot_bytes: 4_096 << random.below(5),
            snapshot_keys: 1 + random.below(4) as usize,
            waste_bytes: 2_048 << random.below(4),
            clean_bytes: 256 << random.below(5),
        };
        let now = Now { instant: Instant(1_000_000), unix: UnixMillis(1_700_000_000_000) };
        let disk = SimulatedDisk::new(seed);
        Self { disk, now, options, paging, thresholds, settings: Settings::default() }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.options.keys.seals()
    }

    fn formats() -> Vec<&'static dyn Format> {
        vec![plain_format()]
    }

    /// The process starts.
    pub(super) fn start(&self) -> Result<Life, OpenError> {
        let startup = Startup::default();
        let (definitions, shards) = startup.begin(Path::new("/nowhere"), SHARDS).split_first().expect("journals");
        let mut damages = Vec::new();
        let mut recovery = Recovery::new(SHARDS as u8, Self::formats(), Policies::default(), 7, self.now);
        let mut journals = vec![self.open(definitions, &mut recovery, &mut damages)?];
        for (mut shard, progress) in recovery.begin_shards().into_iter().zip(shards) {
            let (opened, stepped) = self.open(progress, &mut shard, &mut damages)?;
            finish_shard(shard, &opened, self.paging, &read_pages);
            journals.push((opened, stepped));
        }
        Ok(self.run(recovery, journals, damages))
    }

    fn open(
        &self,
        progress: &JournalProgress,
        replay: &mut dyn Replay,
        damages: &mut Vec<String>,
    ) -> Result<(Opened, SteppedJournal), OpenError> {
        let signals: Arc<Signals> = Arc::default();
        let of_listener = signals.clone();
        let listener: Listener = Box::new(move |event| of_listener.journal_said(event));
        let options = Options { keep_segments: replay.reads_again(), ..self.options.clone() };
        let folder = PathBuf::from("/data").join(progress.name());
        let mut strict = Strict { replay, troubles: Vec::new() };
        let visitor = &mut |recovered: crossdock_store::Recovered<'_>| visit(progress, &mut strict, &recovered);
        let (stepped, report) = SteppedJournal::open(Arc::new(self.disk.clone()), &folder, options, listener, visitor)?;
        damages.append(&mut strict.troubles);
        damages.extend(report.damaged.iter().map(|damage| format!("{}: {damage:?}", progress.name())));
        let name = progress.name().to_owned();
        Ok((Opened { name, journal: stepped.journal(), last: report.last, signals }, stepped))
    }

    fn run(&self, recovery: Recovery, journals: Vec<(Opened, SteppedJournal)>, damages: Vec<String>) -> Life {
        let (opened, stepped): (Vec<_>, Vec<_>) = journals.into_iter().unzip();
        let (requests, queues) = requests(SHARDS);
        let broker = finish(&self.settings, recovery, &opened, requests);
        broker.set_permissions(Permissions::everything());
        broker.add_vhost(&"/".into());
        let alarms = Alarms::new(broker.clone(), METRICS.clone());
        let mut queues = queues.0.into_iter();
        let running = opened.into_iter().zip(stepped).enumerate().map(|(index, (one, stepped))| {
            let reads = (index > 0).then(|| Reads {
                requests: queues.next().expect("one for each shard"),
                reading: Reading::new(index - 1, one.journal.clone(), Arc::new(Self::formats())),
                answers: VecDeque::new(),
            });
            let housekeeping = Housekeeping::new(partition(index), broker.clone(), one.journal, self.thresholds);
            let task = PartitionTask {
                partition: partition(index),
                name: one.name,
                broker: broker.clone(),
                signals: one.signals.clone(),
                clock: Clock::start(),
                alarms: alarms.clone(),
                housekeeping,
                told: Told::default(),
            };
            Running { stepped, signals: one.signals, task, reads }
        });
        let running = running.collect();
        Life { broker, damages, lost_reads: 0, running }
    }
}

impl Life {
    /// One of the threads gets on.
    pub(super) fn step(&mut self, now: Now, random: &mut Random) {
        let index = random.below(self.running.len() as u64) as usize;
        let running = &mut self.running[index];
        match random.below(16) {
            0..=3 => drop(running.stepped.writer.step()),
            4..=6 => drop(running.stepped.housekeeper.step()),
            7 => running.task.tell_written(now),
            8 | 9 => running.task.tell_durable(now),
            10 => running.task.tell_changes(now),
            11 => running.task.housekeep(now),
            12 | 13 => running.read(),
            14 => self.lost_reads += running.tell_read(now),
            _ => match random.below(4) {
                0 => drop(running.stepped.writer.sync()),
                1 => drop(running.stepped.writer.seal()),
                2 => running.stepped.writer.shrink(),
                _ => self.broker.tick(running.task.partition, now),
            },
        }
    }

    /// Everybody gets on until nothing is left to do.
    pub(super) fn rest(&mut self, now: Now) {
        let mut quiet = 0;
        for _ in 0..STEPS_MAX {
            let mut moved = false;
            for running in &mut self.running {
                let (still, lost) = running.advance(now);
                moved |= still;
                self.lost_reads += lost;
            }
            // What the core is told last may give the journals work.
            quiet = if moved { 0 } else { quiet + 1 };
            if quiet == 3 {
                return;
            }
        }
        panic!("the broker does not come to rest");
    }

    /// Timers.
    pub(super) fn tick(&mut self, now: Now) {
        for running in &self.running {
            self.broker.tick(running.task.partition, now);
        }
    }

    /// A journal has failed: nothing more will be confirmed.
    pub(super) fn has_failed(&self) -> bool {
        self.running.iter().any(|running| matches!(running.stepped.journal().status(), JournalStatus::Failed(_)))
    }

    /// The orderly end: last snapshots, then everything is synced and sealed.
    pub(super) fn close(&mut self, now: Now) {
        self.rest(now);
        for running in &self.running {
            running.signals.begin_end();
        }
        self.rest(now);
        for running in &mut self.running {
            let _ = running.stepped.journal().close();
            while running.stepped.writer.step() == Step::Progress {}
            running.stepped.writer.finish();
        }
    }
}

impl Running {
    fn read(&mut self) {
        if let Some(reads) = &mut self.reads
            && let Ok(request) = reads.requests.try_recv()
        {
            let answer = reads.reading.read(request);
            reads.answers.push_back(answer);
        }
    }

    fn tell_read(&mut self, now: Now) -> u64 {
        let Some(reads) = &mut self.reads else { return 0 };
        let Some(answer) = reads.answers.pop_front() else { return 0 };
        reads.reading.tell(&self.task.broker, answer, now)
    }

    /// Does something of everything; false if there was nothing to do. With it, how many messages could not be read.
    fn advance(&mut self, now: Now) -> (bool, u64) {
        let mut moved = self.stepped.writer.step() == Step::Progress;
        moved |= self.stepped.housekeeper.step() == Step::Progress;
        if !moved && self.stepped.writer.is_behind() {
            self.stepped.writer.sync();
            moved = true;
        }
        self.task.tell_written(now);
        self.task.tell_durable(now);
        self.task.tell_changes(now);
        self.task.housekeep(now);
        let before = self.reads.as_ref().map_or(0, |reads| reads.answers.len());
        self.read();
        moved |= before > 0 || self.reads.as_ref().is_some_and(|reads| !reads.answers.is_empty());
        (moved, self.tell_read(now))
    }
}
