//! From a data directory to a running core.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use crossdock_common::{Format, Name};
use crossdock_core::{Broker, BrokerOptions, Log, Partition, Policies, RecordError, RecordKind, Recovery, ShardReplay};
use crossdock_store::{BatchSequence, Disk, FileJournal, Journal, Options, RealDisk, Recovered, RecoveryReport};

use super::alarms::{Alarms, watch_disk, watch_memory};
use super::clock::Clock;
use super::engine::Engine;
use super::journal_log::JournalLog;
use super::partition::{PartitionTask, Signals};
use super::startup::{JournalProgress, Startup};
use crate::auth::Authenticator;
use crate::config::Settings;
use crate::telemetry::Metrics;
use crate::telemetry::events::RecoveryFinished;

/// Most shards: a queue's number holds its shard in one byte.
const SHARDS_MAX: usize = 255;

/// A journal that was opened and replayed.
pub(super) struct Opened {
    pub name: String,
    pub journal: Arc<dyn Journal>,
    last: BatchSequence,
    pub signals: Arc<Signals>,
}

/// Opens the data directory, replays it, and starts the partitions' tasks. Blocks as long as that takes, and tells `startup` how
/// far it is. Must be called on a thread of the runtime that may block.
///
/// # Errors
/// The directory cannot be used, another process uses it, or a newer version wrote it.
pub fn start(
    settings: &Settings,
    formats: Vec<&'static dyn Format>,
    authenticator: Arc<Authenticator>,
    metrics: Arc<Metrics>,
    startup: &Startup,
    seed: u64,
) -> Result<Arc<Engine>> {
    let clock = Clock::start();
    let (broker, opened) = recover(settings, formats, clock, startup, seed)?;
    RecoveryFinished { records: startup.records(), elapsed_ms: clock.uptime_ms() }.emit(&metrics);
    settings.vhosts.names().for_each(|vhost| broker.add_vhost(&Name::from(vhost)));
    let alarms = Alarms::new(broker.clone(), metrics.clone());
    watch_resources(settings, &alarms, &metrics);
    let journals: Arc<Vec<Arc<dyn Journal>>> = Arc::new(opened.iter().map(|one| one.journal.clone()).collect());
    for (index, one) in opened.into_iter().enumerate() {
        let task = PartitionTask {
            partition: partition(index),
            name: one.name,
            broker: broker.clone(),
            last_snapshot_bytes: one.journal.disk_bytes(),
            journal: one.journal,
            signals: one.signals,
            clock,
            metrics: metrics.clone(),
            alarms: alarms.clone(),
        };
        tokio::spawn(watch(task));
    }
    Ok(Arc::new(Engine { broker, clock, authenticator, metrics, alarms, journals }))
}

/// Opens and replays the journals.
pub(super) fn recover(
    settings: &Settings,
    formats: Vec<&'static dyn Format>,
    clock: Clock,
    startup: &Startup,
    seed: u64,
) -> Result<(Arc<Broker>, Vec<Opened>)> {
    let shards = shard_count(&settings.data_dir, usize::from(settings.core.shards))?;
    let policies = policies(settings)?;
    let mut recovery = Recovery::new(u8::try_from(shards).unwrap_or(u8::MAX), formats, policies, seed, clock.now());
    let opener = Opener { settings, disk: Arc::new(RealDisk) };
    let opened = replay(&opener, &mut recovery, startup.begin(&settings.data_dir, shards))?;
    Ok((finish(settings, recovery, &opened), opened))
}

/// What the operator sets for queues. It is looked at again at each start, and never stored.
fn policies(settings: &Settings) -> Result<Policies> {
    let mut policies = Policies::new(settings.durability.into());
    for vhost in settings.vhosts.iter() {
        if let Some(durability) = vhost.durability {
            policies.set_vhost(Name::from(vhost.name.as_str()), durability.into());
        }
    }
    for policy in &settings.policies {
        policies.add(policy.to_core().with_context(|| format!("the policy for {:?}", policy.pattern))?);
    }
    Ok(policies)
}

/// Disk and memory are watched from now on.
fn watch_resources(settings: &Settings, alarms: &Arc<Alarms>, metrics: &Arc<Metrics>) {
    let (folder, min_bytes) = (settings.data_dir.clone(), settings.store.disk_free_bytes_min.0);
    tokio::spawn(watch_disk(alarms.clone(), metrics.clone(), folder, min_bytes));
    tokio::spawn(watch_memory(alarms.clone(), metrics.clone(), settings.limits.memory_bytes_max));
}

/// A partition whose task has panicked would never confirm anything again, and nobody would know why: the process ends, and
/// starts again from its journals.
async fn watch(task: PartitionTask) {
    let name = task.name.clone();
    if let Err(error) = tokio::spawn(task.run()).await
        && error.is_panic()
    {
        tracing::error!(partition = name, "a defect in the core: the process ends so that it can recover");
        std::process::abort();
    }
}

/// Reads the definitions' journal, then those of all shards at the same time, each on a thread of its own.
fn replay(opener: &Opener<'_>, recovery: &mut Recovery, journals: &[JournalProgress]) -> Result<Vec<Opened>> {
    let (definitions, shards) = journals.split_first().context("no journal")?;
    let opened = opener.open(definitions, recovery)?;
    definitions.finish();
    let shards = thread::scope(|scope| {
        let replays = recovery.begin_shards().into_iter().zip(shards);
        let threads = replays.map(|(shard, progress)| {
            let thread = thread::Builder::new().name("recovery".to_owned());
            thread.spawn_scoped(scope, move || replay_shard(opener, shard, progress)).context("cannot start a thread")
        });
        let threads = threads.collect::<Result<Vec<_>>>()?;
        let opened = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        opened.collect::<Result<Vec<_>>>()
    })?;
    Ok(std::iter::once(opened).chain(shards).collect())
}

fn replay_shard(opener: &Opener<'_>, mut shard: ShardReplay<'_>, progress: &JournalProgress) -> Result<Opened> {
    let opened = opener.open(progress, &mut shard)?;
    shard.finish();
    progress.finish();
    Ok(opened)
}

fn finish(settings: &Settings, recovery: Recovery, opened: &[Opened]) -> Arc<Broker> {
    let signals: Vec<Arc<Signals>> = opened.iter().map(|one| one.signals.clone()).collect();
    let options = BrokerOptions {
        outgoing_bytes_max: settings.limits.connection_outgoing_bytes_max.as_usize(),
        deadline_changed: Box::new(move |partition| signals[journal_index(partition)].deadline_changed()),
    };
    let log = |one: &Opened| Box::new(JournalLog::new(one.journal.clone(), one.last)) as Box<dyn Log>;
    let mut logs: Vec<Box<dyn Log>> = opened.iter().map(log).collect();
    let definitions_log = logs.remove(0);
    recovery.finish(definitions_log, logs, options)
}

pub(super) fn partition(journal_index: usize) -> Partition {
    match journal_index.checked_sub(1) {
        None => Partition::Definitions,
        Some(shard) => Partition::Shard(shard),
    }
}

fn journal_index(partition: Partition) -> usize {
    match partition {
        Partition::Definitions => 0,
        Partition::Shard(index) => index + 1,
    }
}

struct Opener<'a> {
    settings: &'a Settings,
    disk: Arc<dyn Disk>,
}

/// What takes the records of a journal.
trait Replay {
    fn apply(&mut self, kind: RecordKind, stream: u64, payload: &[u8]) -> Result<(), RecordError>;

    /// Vhost and name of the queue that records of that stream concern.
    fn queue(&self, stream: u64) -> Option<&(Name, Name)>;
}

impl Replay for Recovery {
    fn apply(&mut self, kind: RecordKind, _: u64, payload: &[u8]) -> Result<(), RecordError> {
        self.replay_definition(kind, payload)
    }

    fn queue(&self, stream: u64) -> Option<&(Name, Name)> {
        Self::queue(self, stream)
    }
}

impl Replay for ShardReplay<'_> {
    fn apply(&mut self, kind: RecordKind, stream: u64, payload: &[u8]) -> Result<(), RecordError> {
        self.replay(kind, stream, payload)
    }

    fn queue(&self, stream: u64) -> Option<&(Name, Name)> {
        Self::queue(self, stream)
    }
}

impl Opener<'_> {
    fn open(&self, progress: &JournalProgress, replay: &mut dyn Replay) -> Result<Opened> {
        let signals: Arc<Signals> = Arc::default();
        let of_listener = signals.clone();
        let listener = Box::new(move |event| of_listener.journal_said(event));
        let mut visit = |recovered: Recovered<'_>| visit(progress, replay, &recovered);
        let folder = self.settings.data_dir.join(progress.name());
        let (journal, report) = FileJournal::open(self.disk.clone(), &folder, self.options(), listener, &mut visit)
            .with_context(|| format!("cannot open the journal in {}", folder.display()))?;
        log_report(progress.name(), &report);
        Ok(Opened { name: progress.name().to_owned(), journal: Arc::new(journal), last: report.last, signals })
    }

    fn options(&self) -> Options {
        Options { segment_bytes: self.settings.store.segment_bytes.0, ..Options::default() }
    }
}

fn visit(progress: &JournalProgress, replay: &mut dyn Replay, recovered: &Recovered<'_>) {
    let journal = progress.name();
    match *recovered {
        Recovered::SnapshotRecord { kind, stream, payload } | Recovered::Record { kind, stream, payload, .. } => {
            progress.record(payload.len());
            let result = match RecordKind::from_number(kind) {
                Some(kind) => replay.apply(kind, stream, payload),
                None => Err(RecordError("unknown kind")),
            };
            if let Err(error) = result {
                tracing::error!(journal, stream, %error, "a record is passed over");
            }
        }
        Recovered::Damaged(damage) => {
            let queue = damage.stream.and_then(|stream| replay.queue(stream));
            let queue = queue.map(|(vhost, name)| format!("{name} in vhost {vhost}"));
            let batches = format_args!("{}..={}", damage.first, damage.last);
            tracing::error!(
                journal,
                stream = ?damage.stream,
                ?queue,
                %batches,
                what = damage.what,
                "damaged records: what they held is lost, everything else is served"
            );
        }
    }
}

fn log_report(journal: &str, report: &RecoveryReport) {
    for note in &report.notes {
        tracing::info!(journal, note, "recovery");
    }
    if report.torn_bytes > 0 {
        tracing::info!(journal, bytes = report.torn_bytes, "the torn end of the last write was cut off");
    }
}

/// The number of shards is fixed when the data directory is made: queues know their shard by it.
fn shard_count(folder: &Path, wanted: usize) -> Result<usize> {
    let exists = |index: usize| folder.join(format!("shard-{index}")).is_dir();
    let existing = (0..SHARDS_MAX).take_while(|&index| exists(index)).count();
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = if wanted == 0 { cores.min(SHARDS_MAX) } else { wanted };
    if wanted > SHARDS_MAX {
        bail!("core.shards is {wanted}; at most {SHARDS_MAX} are possible");
    }
    if existing != 0 && existing != wanted {
        tracing::info!(existing, wanted, "the data directory keeps its number of shards");
    }
    Ok(if existing == 0 { wanted } else { existing })
}
