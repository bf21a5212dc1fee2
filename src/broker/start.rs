//! From a data directory to a running core.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Result, bail};
use crossdock_common::Format;
use crossdock_core::{Broker, BrokerOptions, Partition, Policies, Recovery, SessionLimits};
use crossdock_store::Journal;

use super::alarms::{Alarms, messages_memory_bytes, watch_disk, watch_memory};
use super::clock::Clock;
use super::connections::Connections;
use super::engine::Engine;
use super::housekeeping::{Housekeeping, Thresholds};
use super::journal_log::JournalLog;
use super::partition::{PartitionTask, Signals, Told};
use super::reading::{Requests, requests};
use super::replay::{Complete, Opened, read_pages, replay};
use super::startup::Startup;
use super::vigil::Vigil;
use crate::administration::Administration;
use crate::auth::Authenticator;
use crate::config::Settings;
use crate::telemetry::Metrics;
use crate::telemetry::events::RecoveryFinished;

/// Most shards: a queue's number holds its shard in one byte.
const SHARDS_MAX: usize = 255;

/// The threads that serve connections, by number.
pub type Threads = Arc<dyn Fn(usize) -> tokio::runtime::Handle + Send + Sync>;

/// Opens the data directory, replays it, and starts the partitions' tasks, each on one of `workers`. Blocks as long as that takes,
/// and tells `startup` how far it is. Must be called on a thread of the runtime that may block.
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
    workers: &Threads,
) -> Result<Arc<Engine>> {
    let clock = Clock::start();
    let (broker, opened) = recover(settings, formats, clock, (startup, seed), &read_pages)?;
    RecoveryFinished { records: startup.records(), elapsed_ms: clock.uptime_ms() }.emit(&metrics);
    metrics.set_messages_memory_max(messages_memory_bytes(settings.core.messages_memory_bytes_max));
    let alarms = Alarms::new(broker.clone(), metrics.clone());
    watch_resources(settings, &alarms, &metrics);
    let journals: Arc<Vec<Arc<dyn Journal>>> = Arc::new(opened.iter().map(|one| one.journal.clone()).collect());
    let signals = opened.iter().map(|one| one.signals.clone()).collect();
    for (index, one) in opened.into_iter().enumerate() {
        let task = PartitionTask {
            partition: partition(index),
            name: one.name,
            broker: broker.clone(),
            housekeeping: Housekeeping::new(partition(index), broker.clone(), one.journal, Thresholds::default()),
            signals: one.signals,
            clock,
            alarms: alarms.clone(),
            told: Told::default(),
        };
        workers(index).spawn(watch(task, workers.clone()));
    }
    let (connections, vigil) = (Connections::default(), Vigil::default());
    let (users, definitions) = (authenticator.clone(), journals[0].clone());
    let administration = Administration::new(settings, broker.clone(), users, definitions, clock);
    Ok(Arc::new(Engine {
        broker,
        clock,
        authenticator,
        administration,
        metrics,
        connections,
        alarms,
        journals,
        signals,
        vigil,
    }))
}

/// Opens and replays the journals.
pub(super) fn recover(
    settings: &Settings,
    formats: Vec<&'static dyn Format>,
    clock: Clock,
    (startup, seed): (&Startup, u64),
    complete: Complete<'_>,
) -> Result<(Arc<Broker>, Vec<Opened>)> {
    let shards = shard_count(&settings.data_dir, usize::from(settings.core.shards))?;
    let count = u8::try_from(shards).unwrap_or(u8::MAX);
    let mut recovery = Recovery::new(count, formats.clone(), Policies::default(), seed, clock.now());
    let opened = replay(settings, &mut recovery, startup.begin(&settings.data_dir, shards), complete)?;
    let (requests, queues) = requests(shards);
    let broker = finish(settings, recovery, &opened, requests);
    queues.serve(&broker, opened.iter().skip(1).map(|one| &one.journal), &Arc::new(formats), clock)?;
    Ok((broker, opened))
}

/// Disk and memory are watched from now on.
fn watch_resources(settings: &Settings, alarms: &Arc<Alarms>, metrics: &Arc<Metrics>) {
    let (folder, min_bytes) = (settings.data_dir.clone(), settings.store.disk_free_bytes_min.0);
    tokio::spawn(watch_disk(alarms.clone(), metrics.clone(), folder, min_bytes));
    tokio::spawn(watch_memory(alarms.clone(), metrics.clone(), settings.limits.memory_bytes_max));
}

/// A partition whose task has panicked would never confirm anything again, and nobody would know why: the process ends, and
/// starts again from its journals.
fn watch(task: PartitionTask, workers: Threads) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let name = task.name.clone();
    Box::pin(async move {
        match tokio::spawn(task.run()).await {
            Ok((task, worker)) => drop(workers(worker).spawn(watch(task, workers.clone()))),
            Err(error) if error.is_panic() => {
                tracing::error!(partition = name, "a defect in the core: the process ends so that it can recover");
                std::process::abort();
            }
            Err(_) => {}
        }
    })
}

pub(super) fn finish(settings: &Settings, recovery: Recovery, opened: &[Opened], requests: Requests) -> Arc<Broker> {
    let signals: Vec<Arc<Signals>> = opened.iter().map(|one| one.signals.clone()).collect();
    let options = BrokerOptions {
        outgoing_bytes_max: settings.limits.connection_outgoing_bytes_max.as_usize(),
        dead_letter_copies_max: settings.limits.dead_letter_copies_max,
        sessions_max: session_limits(settings),
        deadline_changed: Box::new(move |partition| signals[journal_index(partition)].deadline_changed()),
        read: Box::new(move |shard, request| requests.ask(shard, request)),
    };
    let Opened { journal, last, signals, .. } = &opened[0];
    let log = JournalLog::new(journal.clone(), *last, signals.clone());
    recovery.finish(Box::new(log), options)
}

fn session_limits(settings: &Settings) -> SessionLimits {
    let limits = &settings.limits;
    let per_user = Some(limits.sessions_per_user_max).filter(|max| *max > 0);
    SessionLimits { all: limits.sessions_max as usize, per_user: per_user.map_or(usize::MAX, |max| max as usize) }
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use crossdock_common::definition::{Definition, Durability, QueueSpec};
    use crossdock_common::event::{Principal, Reply};
    use crossdock_common::{Command, Event, Name, RequestId};
    use crossdock_core::{Client, Permissions, Sequence};

    use super::*;
    use crate::config::{PolicySettings, Vhosts};

    fn settings(data_dir: &Path) -> Settings {
        let policy = PolicySettings {
            pattern: "^logs".to_owned(),
            durability: Some(crate::config::Durability::Memory),
            ..PolicySettings::default()
        };
        Settings {
            data_dir: data_dir.to_owned(),
            durability: crate::config::Durability::Os,
            vhosts: Vhosts::named(&["/", "other"]),
            policies: vec![policy],
            ..Settings::default()
        }
    }

    fn ask(broker: &Arc<Broker>, client: &mut Client, now: crossdock_common::Now, command: Command) -> Reply {
        let mut events = VecDeque::new();
        client.execute(now, &mut VecDeque::from([command]));
        broker.durable(Partition::Definitions, Sequence(u64::MAX), now);
        client.take_events(now, &mut events);
        let answers = events.into_iter().filter_map(|event| match event {
            Event::Reply { result, .. } => Some(result.expect("granted")),
            _ => None,
        });
        answers.last().expect("an answer")
    }

    fn durability_of(broker: &Arc<Broker>, clock: Clock, queue: &str) -> Durability {
        let (now, request) = (clock.now(), RequestId(1));
        let mut client = broker.connect(std::task::Waker::noop().clone());
        client.authenticated(request, Principal { name: "u".into(), tags: vec![] });
        ask(broker, &mut client, now, Command::Open { request, vhost: "/".into() });
        let spec = QueueSpec { name: queue.into(), durable: true, ..QueueSpec::default() };
        let declare = Box::new(Definition::DeclareQueue { spec, passive: false });
        ask(broker, &mut client, now, Command::Define { request, definition: declare });
        let inspect = Box::new(Definition::InspectQueue { name: queue.into() });
        match ask(broker, &mut client, now, Command::Define { request, definition: inspect }) {
            Reply::QueueInfo(info) => info.durability,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn queues_follow_the_policies_and_vhosts_of_the_configuration_of_this_start() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let start = |settings: &Settings| {
            let (broker, opened) =
                recover(settings, Vec::new(), clock, (&Startup::default(), 0), &|_, _, _| {}).unwrap();
            broker.set_permissions(Permissions::everything());
            settings.vhosts.names().for_each(|vhost| broker.add_vhost(&Name::from(vhost)));
            let found = ["orders", "logs.a"].map(|queue| durability_of(&broker, clock, queue));
            opened.iter().for_each(|one| one.journal.close().unwrap());
            found
        };
        let mut settings = settings(folder.path());
        assert_eq!(start(&settings), [Durability::Os, Durability::Memory]);
        settings.policies.clear();
        let with_durability = "[{name = '/', durability = 'fsync'}]";
        let sources =
            crate::config::Sources { assignments: vec![format!("vhosts={with_durability}")], ..Default::default() };
        settings.vhosts = crate::config::load(&sources).unwrap().vhosts;
        assert_eq!(start(&settings), [Durability::Fsync, Durability::Fsync]);
    }
}
