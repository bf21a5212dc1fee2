//! The journals of a data directory, looked through and left as they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossdock_common::{Format, Instant, Name, Now, UnixMillis};
use crossdock_core::{Policies, RecordKind, Recovery};
use crossdock_store::{Inspected, Keyring, RealDisk, RecoveryReport, inspect};

use crate::cli::Failure;

/// The folder of the definitions' journal.
pub(super) const DEFINITIONS: &str = "definitions";

/// The journals of a data directory.
pub(super) struct Journals {
    directory: PathBuf,
    keys: Keyring,
    /// The folders of the shards' journals.
    pub(super) shards: Vec<String>,
}

impl Journals {
    /// # Errors
    /// The directory holds no journals.
    pub(super) fn open(directory: &Path, keys: &Keyring) -> Result<Self, Failure> {
        let exists = |name: &String| directory.join(name).is_dir();
        if !exists(&DEFINITIONS.to_owned()) {
            let text = format!("crossdock: {} holds no journals of a broker", directory.display());
            return Err(Failure::Configuration(text));
        }
        let shards = (0..u8::MAX).map(|index| format!("shard-{index}")).filter(exists).collect();
        Ok(Self { directory: directory.to_owned(), keys: keys.clone(), shards })
    }

    /// The folders of all journals.
    pub(super) fn names(&self) -> Vec<String> {
        std::iter::once(DEFINITIONS.to_owned()).chain(self.shards.iter().cloned()).collect()
    }

    /// A broker that knows nothing yet.
    pub(super) fn recovery(&self, formats: Vec<&'static dyn Format>) -> Recovery {
        let shards = u8::try_from(self.shards.len()).unwrap_or(u8::MAX);
        let now = Now { instant: Instant(0), unix: UnixMillis(0) };
        Recovery::new(shards, formats, Policies::default(), 0, now)
    }

    /// Reads everything in a journal.
    ///
    /// # Errors
    /// It is in use, was written by a newer version, or its files cannot be read.
    pub(super) fn inspect(
        &self,
        name: &str,
        visitor: &mut dyn FnMut(Inspected<'_>),
    ) -> Result<RecoveryReport, Failure> {
        let report = inspect(Arc::new(RealDisk), &self.keys, &self.directory.join(name), visitor);
        report.map_err(|error| Failure::Configuration(format!("crossdock: {error}")))
    }
}

/// Takes what a start would take of the definitions.
pub(super) fn learn(definitions: &mut Recovery, inspected: &Inspected<'_>) {
    let (kind, payload) = match *inspected {
        Inspected::SnapshotRecord { kind, payload, .. } | Inspected::Record { covered: false, kind, payload, .. } => {
            (kind, payload)
        }
        _ => return,
    };
    if let Some(kind) = RecordKind::from_number(kind) {
        // What is not understood is told by whoever looks at the record.
        let _ = definitions.replay_definition(kind, payload);
    }
}

/// For people: the queue that records of a stream concern.
pub(super) fn queue_described(queue: Option<&(Name, Name)>, stream: Option<u64>) -> String {
    match (stream, queue) {
        (_, Some((vhost, name))) => format!("queue {name} in vhost {vhost}"),
        (Some(stream), None) if stream != 0 => format!("queue number {stream}, which is not defined"),
        _ => "any queue of this journal".to_owned(),
    }
}
