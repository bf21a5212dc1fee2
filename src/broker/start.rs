//! From a data directory to a running core.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use crossdock_common::{Format, Name};
use crossdock_core::{Broker, BrokerOptions, Log, Partition, RecordError, RecordKind, Recovery};
use crossdock_store::{BatchSequence, Disk, FileJournal, Journal, Options, RealDisk, Recovered, RecoveryReport};

use super::clock::Clock;
use super::engine::Engine;
use super::journal_log::JournalLog;
use super::partition::{PartitionTask, Signals};
use crate::auth::Authenticator;
use crate::config::Settings;
use crate::telemetry::Metrics;
use crate::telemetry::events::RecoveryFinished;

/// Most shards: a queue's number holds its shard in one byte.
const SHARDS_MAX: usize = 255;

/// A journal that was opened and replayed.
struct Opened {
    name: String,
    journal: Arc<dyn Journal>,
    last: BatchSequence,
    signals: Arc<Signals>,
}

/// Opens the data directory, replays it, and starts the partitions' tasks. Must be called on the runtime.
///
/// # Errors
/// The directory cannot be used, another process uses it, or a newer version wrote it.
pub fn start(
    settings: &Settings,
    formats: Vec<&'static dyn Format>,
    authenticator: Arc<Authenticator>,
    metrics: Arc<Metrics>,
    seed: u64,
) -> Result<Arc<Engine>> {
    let clock = Clock::start();
    let shards = shard_count(&settings.data_dir, usize::from(settings.core.shards))?;
    let mut recovery = Recovery::new(u8::try_from(shards).unwrap_or(u8::MAX), formats, seed, clock.now());
    let (opened, records) = replay(settings, shards, &mut recovery)?;
    RecoveryFinished { records, elapsed_ms: clock.uptime_ms() }.emit(&metrics);
    let broker = finish(settings, recovery, &opened);
    for vhost in &settings.vhosts {
        broker.add_vhost(&Name::from(vhost.as_str()));
    }
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
            all_journals: journals.clone(),
        };
        tokio::spawn(watch(task));
    }
    Ok(Arc::new(Engine { broker, clock, authenticator, metrics, journals }))
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

/// Reads the definitions' journal, then every shard's; gives the journals and how many records there were.
fn replay(settings: &Settings, shards: usize, recovery: &mut Recovery) -> Result<(Vec<Opened>, u64)> {
    let opener = Opener { settings, disk: Arc::new(RealDisk) };
    let mut records = 0;
    let mut opened = vec![opener.open("definitions", &mut |kind, _, payload| {
        records += 1;
        recovery.replay_definition(kind, payload)
    })?];
    recovery.begin_shards();
    for index in 0..shards {
        opened.push(opener.open(&format!("shard-{index}"), &mut |kind, stream, payload| {
            records += 1;
            recovery.replay_shard(index, kind, stream, payload)
        })?);
    }
    Ok((opened, records))
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

fn partition(journal_index: usize) -> Partition {
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

/// What takes the records of a journal: kind, stream, payload.
type Apply<'a> = dyn FnMut(RecordKind, u64, &[u8]) -> Result<(), RecordError> + 'a;

impl Opener<'_> {
    fn open(&self, name: &str, apply: &mut Apply<'_>) -> Result<Opened> {
        let signals: Arc<Signals> = Arc::default();
        let of_listener = signals.clone();
        let listener = Box::new(move |event| of_listener.journal_said(event));
        let mut visit = |recovered: Recovered<'_>| visit(name, apply, &recovered);
        let folder = self.settings.data_dir.join(name);
        let (journal, report) = FileJournal::open(self.disk.clone(), &folder, self.options(), listener, &mut visit)
            .with_context(|| format!("cannot open the journal in {}", folder.display()))?;
        log_report(name, &report);
        Ok(Opened { name: name.to_owned(), journal: Arc::new(journal), last: report.last, signals })
    }

    fn options(&self) -> Options {
        Options { segment_bytes: self.settings.store.segment_bytes.0, ..Options::default() }
    }
}

fn visit(journal: &str, apply: &mut Apply<'_>, recovered: &Recovered<'_>) {
    match *recovered {
        Recovered::SnapshotRecord { kind, stream, payload } | Recovered::Record { kind, stream, payload, .. } => {
            let result = match RecordKind::from_number(kind) {
                Some(kind) => apply(kind, stream, payload),
                None => Err(RecordError("unknown kind")),
            };
            if let Err(error) = result {
                tracing::error!(journal, stream, %error, "a record is passed over");
            }
        }
        Recovered::Damaged(damage) => {
            let batches = format_args!("{}..={}", damage.first, damage.last);
            tracing::error!(
                journal,
                stream = ?damage.stream,
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
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = if wanted == 0 { cores.min(SHARDS_MAX) } else { wanted };
    if wanted > SHARDS_MAX {
        bail!("core.shards is {wanted}; at most {SHARDS_MAX} are possible");
    }
    if existing != 0 && existing != wanted {
        tracing::info!(existing, wanted, "the data directory keeps its number of shards");
    }
    Ok(if existing == 0 { wanted } else { existing })
}
