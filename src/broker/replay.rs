//! Opens the journals and hands what they hold to the core.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use crossdock_common::Name;
use crossdock_core::{Location, PageToRead, Paging, RecordError, RecordKind, Recovery, ShardReplay};
use crossdock_store::{
    BatchSequence, Disk, FileJournal, Journal, Keyring, Options, ReadError, RealDisk, Recovered, RecoveryReport,
    Sealing,
};

use super::alarms::messages_memory_bytes;
use super::journal_log::{JournalLog, to_core, to_store};
use super::keys::keyring;
use super::partition::Signals;
use super::reading::put_aside;
use super::startup::JournalProgress;
use crate::administration::policies_at_start;
use crate::config::Settings;

/// Size of the files in which definitions are kept.
const DEFINITIONS_SEGMENT_BYTES: u64 = 4 << 20;

/// A journal that was opened and replayed.
pub(super) struct Opened {
    pub name: String,
    pub journal: Arc<dyn Journal>,
    pub last: BatchSequence,
    pub signals: Arc<Signals>,
}

/// Completes the replay of the shard with this journal's name.
pub(super) type Complete<'a> = &'a (dyn Fn(&str, &mut ShardReplay<'_>, &dyn Journal) + Sync);

/// Reads the definitions' journal, then those of all shards at the same time, each on a thread of its own.
pub(super) fn replay(
    settings: &Settings,
    recovery: &mut Recovery,
    journals: &[JournalProgress],
    complete: Complete<'_>,
) -> Result<Vec<Opened>> {
    let (definitions, shards) = journals.split_first().context("no journal")?;
    let (keys, paging) = (keyring(&settings.store.encryption)?, paging(settings, shards.len()));
    let opener = &Opener { settings, disk: Arc::new(RealDisk), keys, paging, complete };
    let opened = opener.open(definitions, recovery)?;
    definitions.finish();
    recovery.set_policies(policies_at_start(settings, &|kind| recovery.documents(kind)));
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
    finish_shard(shard, &opened, opener.paging, opener.complete);
    progress.finish();
    Ok(opened)
}

/// The journal was read to its end: the shard goes on with it.
pub(super) fn finish_shard(mut shard: ShardReplay<'_>, opened: &Opened, paging: Paging, complete: Complete<'_>) {
    complete(&opened.name, &mut shard, opened.journal.as_ref());
    shard.finish(Box::new(JournalLog::new(opened.journal.clone(), opened.last, opened.signals.clone())), paging);
}

/// What the log says about messages in pages can only be applied to the pages themselves.
pub(super) fn read_pages(name: &str, shard: &mut ShardReplay<'_>, journal: &dyn Journal) {
    let pages = shard.pages_to_read();
    read_those_pages(shard, (name, journal), &pages);
}

/// Applies pages to the replay that asked for them.
pub(super) fn read_those_pages(
    shard: &mut ShardReplay<'_>,
    (name, journal): (&str, &dyn Journal),
    pages: &[PageToRead],
) {
    let mut reader = journal.reader();
    for page in pages {
        let mut read = Vec::new();
        reader.read(&[to_store(page.location)], &mut read);
        let payload = read.pop().and_then(|payload| payload.inspect_err(|error| page_lost(name, journal, error)).ok());
        shard.page_read(page, payload);
    }
}

fn page_lost(name: &str, journal: &dyn Journal, error: &ReadError) {
    put_aside(journal, error);
    tracing::error!(
        journal = name,
        %error,
        "references to stored messages cannot be read: these messages are kept and not served; stop the broker and run `crossdock \
         store repair` on its data directory"
    );
}

fn paging(settings: &Settings, shards: usize) -> Paging {
    let memory_bytes_max = messages_memory_bytes(settings.core.messages_memory_bytes_max) / shards.max(1) as u64;
    Paging { memory_bytes_max, ..Paging::default() }
}

struct Opener<'a> {
    settings: &'a Settings,
    disk: Arc<dyn Disk>,
    keys: Keyring,
    paging: Paging,
    complete: Complete<'a>,
}

/// What takes the records of a journal.
pub(super) trait Replay {
    fn apply(
        &mut self,
        kind: RecordKind,
        stream: u64,
        payload: &[u8],
        location: Option<Location>,
    ) -> Result<(), RecordError>;

    /// Whether stored records are read again after the start.
    fn reads_again(&self) -> bool;

    /// Vhost and name of the queue that records of that stream concern.
    fn queue(&self, stream: u64) -> Option<&(Name, Name)>;
}

impl Replay for Recovery {
    fn apply(&mut self, kind: RecordKind, _: u64, payload: &[u8], _: Option<Location>) -> Result<(), RecordError> {
        self.replay_definition(kind, payload)
    }

    fn reads_again(&self) -> bool {
        false
    }

    fn queue(&self, stream: u64) -> Option<&(Name, Name)> {
        Self::queue(self, stream)
    }
}

impl Replay for ShardReplay<'_> {
    fn apply(
        &mut self,
        kind: RecordKind,
        stream: u64,
        payload: &[u8],
        location: Option<Location>,
    ) -> Result<(), RecordError> {
        self.replay(kind, stream, payload, location)
    }

    fn reads_again(&self) -> bool {
        true
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
        let options = self.options(replay.reads_again());
        let mut visit = |recovered: Recovered<'_>| visit(progress, replay, &recovered);
        let folder = self.settings.data_dir.join(progress.name());
        let (journal, report) = FileJournal::open(self.disk.clone(), &folder, options, listener, &mut visit)
            .with_context(|| format!("cannot open the journal in {}", folder.display()))?;
        log_report(progress.name(), &report);
        Ok(Opened { name: progress.name().to_owned(), journal: Arc::new(journal), last: report.last, signals })
    }

    fn options(&self, keep_segments: bool) -> Options {
        let segment_bytes = self.settings.store.segment_bytes.0;
        // Definitions are few and small.
        let segment_bytes = if keep_segments { segment_bytes } else { segment_bytes.min(DEFINITIONS_SEGMENT_BYTES) };
        Options { segment_bytes, keep_segments, keys: self.keys.clone(), ..Options::default() }
    }
}

/// Applies what a journal holds; says what cannot be.
pub(super) fn visit(progress: &JournalProgress, replay: &mut dyn Replay, recovered: &Recovered<'_>) {
    let journal = progress.name();
    let apply = |replay: &mut dyn Replay, kind, stream, payload: &[u8], location| {
        progress.record(payload.len());
        let result = match RecordKind::from_number(kind) {
            Some(kind) => replay.apply(kind, stream, payload, location),
            None => Err(RecordError("unknown kind")),
        };
        if let Err(error) = result {
            tracing::error!(journal, stream, %error, "a record is passed over");
        }
    };
    match *recovered {
        Recovered::SnapshotRecord { kind, stream, payload } => apply(replay, kind, stream, payload, None),
        Recovered::Record { kind, stream, payload, location, .. } => {
            apply(replay, kind, stream, payload, Some(to_core(location)));
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
    if !report.sealing.sealed.is_empty() {
        let Sealing { bare, sealed } = &report.sealing;
        tracing::info!(journal, keys = ?sealed, not_encrypted = bare, "files that are encrypted, by key, and that are not");
    }
    if report.torn_bytes > 0 {
        tracing::info!(journal, bytes = report.torn_bytes, "the torn end of the last write was cut off");
    }
}
