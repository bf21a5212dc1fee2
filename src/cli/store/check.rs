//! `crossdock store check`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::anyhow;
use crossdock_common::{Format, Name};
use crossdock_core::{LostPage, RecordError, RecordKind, ShardReplay, describe};
use crossdock_store::{DAMAGES_LISTED_MAX, Damage, Inspected, Keyring, RecoveryReport, Sealing};

use super::journals::{DEFINITIONS, Journals, learn, queue_described};
use super::references::References;
use crate::broker::Faults;
use crate::cli::{Failure, print};
use crate::net::formats;

/// What there is to say about one journal.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) journal: String,
    pub(super) report: RecoveryReport,
    pub(super) damages: Damages,
    /// Messages that are referred to and cannot be read, by queue.
    pub(super) lost: BTreeMap<u64, Loss>,
    /// References that cannot be read, by queue.
    pub(super) pages: Vec<(String, LostPage)>,
    /// The snapshot is damaged: nobody knows what it referred to.
    pub(super) snapshot_damaged: bool,
    pub(super) faults: Faults,
}

/// Messages of a queue that cannot be read.
pub(super) struct Loss {
    pub(super) queue: String,
    pub(super) count: u64,
}

/// What is hurt, and by what, in the order in which it was found.
#[derive(Default)]
pub(super) struct Damages {
    /// The first [`DAMAGES_LISTED_MAX`].
    listed: Vec<String>,
    count: u64,
}

/// Prints a verdict for each journal.
pub(super) fn check(directory: &Path, keys: &Keyring) -> Result<(), Failure> {
    let verdicts = examine(directory, keys)?;
    print(&described(&verdicts))?;
    fail_if_damaged(&verdicts)
}

/// Damage is a failure, with the exit code for one.
pub(super) fn fail_if_damaged(verdicts: &[Verdict]) -> Result<(), Failure> {
    let damaged = verdicts.iter().filter(|verdict| verdict.is_damaged()).count();
    if damaged == 0 {
        return Ok(());
    }
    Err(anyhow!("{damaged} of {} journals are damaged", verdicts.len()).into())
}

/// Reads everything, and changes nothing.
pub(super) fn examine(directory: &Path, keys: &Keyring) -> Result<Vec<Verdict>, Failure> {
    let (journals, formats) = (Journals::open(directory, keys)?, formats());
    let mut recovery = journals.recovery(formats.clone());
    let mut definitions = Verdict { journal: DEFINITIONS.to_owned(), ..Verdict::default() };
    definitions.report = journals.inspect(DEFINITIONS, &mut |inspected| {
        definitions.note(&inspected, None, &formats);
        learn(&mut recovery, &inspected);
    })?;
    let shards = recovery.begin_shards().into_iter().zip(&journals.shards);
    let shards = shards.map(|(shard, name)| examine_shard(&journals, name, shard, &formats));
    std::iter::once(Ok(definitions)).chain(shards).collect()
}

fn examine_shard(
    journals: &Journals,
    name: &str,
    mut shard: ShardReplay<'_>,
    formats: &[&'static dyn Format],
) -> Result<Verdict, Failure> {
    let mut verdict = Verdict { journal: name.to_owned(), ..Verdict::default() };
    let mut references = References::default();
    verdict.report = journals.inspect(name, &mut |inspected| {
        verdict.note(&inspected, Some(&shard), formats);
        references.take(&mut shard, &inspected);
    })?;
    references.resolve(&mut shard, &mut verdict);
    Ok(verdict)
}

fn understand(kind: u8, stream: u64, payload: &[u8], formats: &[&'static dyn Format]) -> Result<(), RecordError> {
    let kind = RecordKind::from_number(kind).ok_or(RecordError("its kind is not known"))?;
    describe(kind, stream, payload, formats).map(drop)
}

pub(super) fn described(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        verdict.write(&mut text);
    }
    text
}

impl Damages {
    fn add(&mut self, describe: impl FnOnce() -> String) {
        self.count += 1;
        if self.listed.len() < DAMAGES_LISTED_MAX {
            self.listed.push(describe());
        }
    }

    /// A line for each, and one for those that are not listed.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let more = self.count - self.listed.len() as u64;
        self.listed.iter().cloned().chain((more > 0).then(|| format!("and {more} times more")))
    }
}

impl Verdict {
    pub(super) fn is_damaged(&self) -> bool {
        self.damages.count > 0 || !self.lost.is_empty() || !self.pages.is_empty()
    }

    /// Takes what is wrong with a find.
    fn note(&mut self, inspected: &Inspected<'_>, shard: Option<&ShardReplay<'_>>, formats: &[&'static dyn Format]) {
        let queue = |stream: Option<u64>| stream.and_then(|stream| shard?.queue(stream));
        let (place, kind, stream, payload) = match *inspected {
            Inspected::Damaged(damage) => return self.note_damage(damage, queue(damage.stream)),
            Inspected::SnapshotRecord { kind, stream, payload } => ("the snapshot".to_owned(), kind, stream, payload),
            Inspected::Record { sequence, kind, stream, payload, .. } => {
                (format!("batch {sequence}"), kind, stream, payload)
            }
        };
        if let Err(what) = understand(kind, stream, payload, formats) {
            let queue = queue(Some(stream));
            self.damages.add(|| format!("{}: {what}, in {place}", queue_described(queue, Some(stream))));
        }
    }

    fn note_damage(&mut self, damage: &Damage, queue: Option<&(Name, Name)>) {
        self.damages.add(|| format!("{}: {}", queue_described(queue, damage.stream), damage.what));
        if damage.in_snapshot {
            self.snapshot_damaged = true;
        } else {
            self.faults.batches.push((damage.first, damage.last));
        }
    }

    fn write(&self, text: &mut String) {
        let records = self.report.records + self.report.snapshot_records;
        let word = if self.is_damaged() { "DAMAGED" } else { "sound" };
        let _ = writeln!(text, "{:<12} {word:<8} {records} records", self.journal);
        for damage in self.damages.lines() {
            let _ = writeln!(text, "  hurt: {damage}");
        }
        for Loss { queue, count } in self.lost.values() {
            let _ = writeln!(text, "  lost: {queue}: {count} messages that should be there cannot be read");
        }
        for (queue, page) in &self.pages {
            let _ = writeln!(text, "  hurt: {queue}: references to {} messages cannot be read", page.count);
        }
        if self.report.torn_bytes > 0 {
            let _ = writeln!(text, "  torn end: {} bytes of a write that was not finished", self.report.torn_bytes);
        }
        write_sealing(&self.report.sealing, text);
        for note in &self.report.notes {
            let _ = writeln!(text, "  note: {note}");
        }
    }
}

/// Which keys are needed, if any.
fn write_sealing(Sealing { bare, sealed }: &Sealing, text: &mut String) {
    for (key, files) in sealed {
        let _ = writeln!(text, "  encrypted with key {key}: {files} files");
    }
    if !sealed.is_empty() && *bare > 0 {
        let _ = writeln!(text, "  not encrypted: {bare} files");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<String> {
        let mut damages = Damages::default();
        (1..=count).for_each(|number| damages.add(|| number.to_string()));
        damages.lines().collect()
    }

    #[test]
    fn so_many_damages_are_listed_and_all_are_counted() {
        for count in [DAMAGES_LISTED_MAX - 1, DAMAGES_LISTED_MAX] {
            assert_eq!(lines(count).last(), Some(&count.to_string()));
        }
        let more = lines(DAMAGES_LISTED_MAX + 1);
        assert_eq!((more.len(), more.last().map(String::as_str)), (DAMAGES_LISTED_MAX + 1, Some("and 1 times more")));
    }
}
