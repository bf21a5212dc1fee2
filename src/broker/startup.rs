//! How far the start has come, for whoever asks while it goes on.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::engine::Engine;

/// What a record takes in a journal beside its payload: its entry in the batch's table.
const RECORD_OVERHEAD_BYTES: u64 = 28;

/// The broker while it starts: first its journals are replayed, then there is an engine, then everything listens.
#[derive(Default)]
pub struct Startup {
    journals: OnceLock<Box<[JournalProgress]>>,
    engine: OnceLock<Arc<Engine>>,
}

/// How far the replay of one journal is.
pub struct JournalProgress {
    name: String,
    records: AtomicU64,
    done_bytes: AtomicU64,
    total_bytes: u64,
}

/// How far the start is, as `/readyz` shows it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct StartProgress {
    /// `recovering`, or `starting` once all journals are replayed.
    pub state: &'static str,
    #[serde(flatten)]
    pub sum: Replayed,
    pub partitions: Vec<PartitionProgress>,
}

/// How far one partition is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct PartitionProgress {
    /// The folder's name.
    pub name: String,
    #[serde(flatten)]
    pub replayed: Replayed,
}

/// What was replayed, and how much there is. Bytes are those of the journal's files: spare room in the last of them counts as
/// done only at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    pub records: u64,
    pub done_bytes: u64,
    pub total_bytes: u64,
}

impl Startup {
    /// Looks how much there is to replay. Gives the definitions' progress, then one for each shard.
    pub(crate) fn begin(&self, data_dir: &Path, shards: usize) -> &[JournalProgress] {
        let names = (0..=shards).map(journal_name);
        self.journals.get_or_init(|| names.map(|name| JournalProgress::of_folder(data_dir, name)).collect())
    }

    /// Everything runs: from now on the engine is asked.
    pub fn finish(&self, engine: Arc<Engine>) {
        // There is one start only; a second one would have no effect.
        let _ = self.engine.set(engine);
    }

    /// The engine, once everything runs.
    pub fn engine(&self) -> Option<&Arc<Engine>> {
        self.engine.get()
    }

    /// Records replayed so far.
    pub fn records(&self) -> u64 {
        self.progress().sum.records
    }

    /// How far the start is.
    pub fn progress(&self) -> StartProgress {
        let journals = self.journals.get().map(|journals| &**journals).unwrap_or_default();
        let one =
            |journal: &JournalProgress| PartitionProgress { name: journal.name.clone(), replayed: journal.replayed() };
        let partitions: Vec<_> = journals.iter().map(one).collect();
        let sum = partitions.iter().fold(Replayed::default(), |sum, one| sum.plus(one.replayed));
        let replayed = !partitions.is_empty() && sum.done_bytes == sum.total_bytes;
        StartProgress { state: if replayed { "starting" } else { "recovering" }, sum, partitions }
    }
}

/// The folder of a journal: the definitions', then those of the shards.
pub(super) fn journal_name(index: usize) -> String {
    index.checked_sub(1).map_or_else(|| "definitions".to_owned(), |shard| format!("shard-{shard}"))
}

impl StartProgress {
    /// For people: a percentage, rounded down.
    pub fn percent(&self) -> u64 {
        let total = u128::from(self.sum.total_bytes.max(1));
        u64::try_from(u128::from(self.sum.done_bytes) * 100 / total).unwrap_or(100)
    }
}

impl Replayed {
    fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            done_bytes: self.done_bytes + other.done_bytes,
            total_bytes: self.total_bytes + other.total_bytes,
        }
    }
}

impl JournalProgress {
    fn of_folder(data_dir: &Path, name: String) -> Self {
        // A journal counts at least one byte, so that an empty one too is seen to begin and to end.
        let total_bytes = files_bytes(&data_dir.join(&name)).max(1);
        Self { name, records: AtomicU64::new(0), done_bytes: AtomicU64::new(0), total_bytes }
    }

    /// The folder's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A record was replayed.
    pub(super) fn record(&self, payload_bytes: usize) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.done_bytes.fetch_add(payload_bytes as u64 + RECORD_OVERHEAD_BYTES, Ordering::Relaxed);
    }

    /// The whole journal is replayed.
    pub(super) fn finish(&self) {
        self.done_bytes.store(u64::MAX, Ordering::Relaxed);
    }

    fn replayed(&self) -> Replayed {
        let done_bytes = match self.done_bytes.load(Ordering::Relaxed) {
            u64::MAX => self.total_bytes,
            // Files are more than their records; whatever the sum says, the end is the end.
            bytes => bytes.min(self.total_bytes - 1),
        };
        Replayed { records: self.records.load(Ordering::Relaxed), done_bytes, total_bytes: self.total_bytes }
    }
}

/// The bytes of the files that recovery reads: segments and snapshots, not what is kept for later use. A folder that cannot be
/// read has none; opening it will tell why.
fn files_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_read = |name: &str| name.starts_with("segment-") || name.starts_with("snapshot-");
    let read = files.filter(|file| file.file_name().to_str().is_some_and(is_read));
    read.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup_of(segment_bytes: usize) -> (tempfile::TempDir, Startup) {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("shard-0");
        std::fs::create_dir(&journal).unwrap();
        std::fs::write(journal.join("segment-00000000000000000001"), vec![0; segment_bytes]).unwrap();
        std::fs::write(journal.join("spare-00000000000000000001"), vec![0; 10_000]).unwrap();
        (folder, Startup::default())
    }

    #[test]
    fn progress_is_told_for_each_journal_and_in_sum() {
        let (folder, startup) = startup_of(1000);
        assert_eq!(startup.progress().state, "recovering");
        let journals = startup.begin(folder.path(), 1);
        journals[0].record(0);
        journals[0].finish();
        journals[1].record(472);
        let progress = startup.progress();
        assert_eq!((progress.state, progress.percent()), ("recovering", 50));
        assert_eq!(progress.sum, Replayed { records: 2, done_bytes: 501, total_bytes: 1001 });
        let shard = &progress.partitions[1];
        assert_eq!(shard.name, "shard-0");
        assert_eq!(shard.replayed, Replayed { records: 1, done_bytes: 500, total_bytes: 1000 });
    }

    #[test]
    fn only_the_end_of_a_journal_makes_it_complete() {
        let (folder, startup) = startup_of(100);
        let journals = startup.begin(folder.path(), 1);
        journals[0].finish();
        journals[1].record(5000);
        let progress = startup.progress();
        assert_eq!((progress.state, progress.percent()), ("recovering", 99));
        journals[1].finish();
        let progress = startup.progress();
        assert_eq!((progress.state, progress.percent()), ("starting", 100));
    }
}
