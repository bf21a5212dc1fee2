//! The journals of a data directory, read as a start would read them, and left as they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossdock_common::{Instant, Now, UnixMillis};
use crossdock_core::{Policies, RecordKind, Recovery};
use crossdock_store::{BatchSequence, Damage, Options, Recovered, RecoveryReport, SteppedJournal};

use super::read_only::ReadOnlyDisk;
use crate::cli::Failure;

/// The journals of a data directory.
pub(super) struct Journals {
    directory: PathBuf,
    /// The definitions, then the shards.
    names: Vec<String>,
    /// Knows the queues once the definitions are read.
    definitions: Recovery,
}

/// What is found in a journal.
pub(super) enum Find<'a> {
    /// A record; `batch` is `None` in a snapshot.
    Record { batch: Option<BatchSequence>, kind: u8, stream: u64, payload: &'a [u8] },
    /// Something that cannot be read any more.
    Damage(&'a Damage),
    /// The end of the journal.
    End(RecoveryReport),
}

impl Journals {
    /// # Errors
    /// The directory holds no journals.
    pub(super) fn open(directory: &Path) -> Result<Self, Failure> {
        let exists = |name: &String| directory.join(name).is_dir();
        let definitions = "definitions".to_owned();
        if !exists(&definitions) {
            let text = format!("crossdock: {} holds no journals of a broker", directory.display());
            return Err(Failure::Configuration(text));
        }
        let shards = (0..u8::MAX).map(|index| format!("shard-{index}")).filter(exists);
        let names = std::iter::once(definitions).chain(shards).collect();
        let now = Now { instant: Instant(0), unix: UnixMillis(0) };
        let definitions = Recovery::new(1, Vec::new(), Policies::default(), 0, now);
        Ok(Self { directory: directory.to_owned(), names, definitions })
    }

    /// Reads all journals, the definitions first. `visit` hears of everything, with the journal's name and the definitions as far
    /// as they are known.
    ///
    /// # Errors
    /// A journal is in use, was written by a newer version, or its files cannot be read.
    pub(super) fn read(mut self, mut visit: impl FnMut(&str, &Recovery, Find<'_>)) -> Result<(), Failure> {
        for (index, name) in self.names.iter().enumerate() {
            let definitions = &mut self.definitions;
            let mut visitor = |recovered: Recovered<'_>| {
                let find = find(&recovered);
                if let (0, Find::Record { kind, payload, .. }) = (index, &find)
                    && let Some(kind) = RecordKind::from_number(*kind)
                {
                    // What is not understood is told by whoever looks at the record.
                    let _ = definitions.replay_definition(kind, payload);
                }
                visit(name, definitions, find);
            };
            let report = inspect(&self.directory.join(name), &mut visitor)?;
            visit(name, &self.definitions, Find::End(report));
        }
        Ok(())
    }
}

fn find<'a>(recovered: &Recovered<'a>) -> Find<'a> {
    match *recovered {
        Recovered::SnapshotRecord { kind, stream, payload } => Find::Record { batch: None, kind, stream, payload },
        Recovered::Record { sequence, kind, stream, payload, .. } => {
            Find::Record { batch: Some(sequence), kind, stream, payload }
        }
        Recovered::Damaged(damage) => Find::Damage(damage),
    }
}

/// Recovers a journal from a disk that forgets what is written to it.
fn inspect(folder: &Path, visitor: &mut dyn FnMut(Recovered<'_>)) -> Result<RecoveryReport, Failure> {
    let opened =
        SteppedJournal::open(Arc::new(ReadOnlyDisk), folder, Options::default(), Box::new(|_| {}), &mut |recovered| {
            visitor(recovered);
        });
    let (_, report) = opened.map_err(|error| Failure::Configuration(format!("crossdock: {error}")))?;
    Ok(report)
}

/// For people: the queue that records of a stream concern.
pub(super) fn queue_described(definitions: &Recovery, stream: Option<u64>) -> String {
    match stream.map(|stream| (stream, definitions.queue(stream))) {
        Some((_, Some((vhost, name)))) => format!("queue {name} in vhost {vhost}"),
        Some((stream, None)) if stream != 0 => format!("queue number {stream}, which is not defined"),
        _ => "any queue of this journal".to_owned(),
    }
}
