//! `crossdock store check`.

use std::fmt::Write;
use std::path::Path;

use anyhow::anyhow;
use crossdock_common::Format;
use crossdock_core::{RecordError, RecordKind, Recovery, describe};
use crossdock_store::{DAMAGES_LISTED_MAX, RecoveryReport};

use super::journals::{Find, Journals, queue_described};
use crate::cli::{Failure, print};
use crate::net::formats;

/// What there is to say about one journal.
pub(super) struct Verdict {
    pub(super) journal: String,
    pub(super) report: RecoveryReport,
    pub(super) damages: Damages,
}

/// What is hurt, and by what, in the order in which it was found.
#[derive(Default)]
pub(super) struct Damages {
    /// The first [`DAMAGES_LISTED_MAX`].
    listed: Vec<String>,
    count: u64,
}

/// Prints a verdict for each journal.
pub(super) fn check(directory: &Path) -> Result<(), Failure> {
    let verdicts = examine(directory)?;
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
pub(super) fn examine(directory: &Path) -> Result<Vec<Verdict>, Failure> {
    let (mut verdicts, mut damages) = (Vec::new(), Damages::default());
    let formats = formats();
    Journals::open(directory)?.read(|journal, definitions, find| match find {
        Find::Damage(damage) => damages.add(|| hurt(definitions, damage.stream, &damage.what)),
        Find::Record { batch, kind, stream, payload } => {
            if let Err(what) = understand(kind, stream, payload, &formats) {
                let place = batch.map_or_else(|| "in the snapshot".to_owned(), |batch| format!("in batch {batch}"));
                damages.add(|| hurt(definitions, Some(stream), &format!("{what}, {place}")));
            }
        }
        Find::End(report) => {
            let damages = std::mem::take(&mut damages);
            verdicts.push(Verdict { journal: journal.to_owned(), report, damages });
        }
    })?;
    Ok(verdicts)
}

fn hurt(definitions: &Recovery, stream: Option<u64>, what: &str) -> String {
    format!("{}: {what}", queue_described(definitions, stream))
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
        self.damages.count > 0
    }

    fn write(&self, text: &mut String) {
        let records = self.report.records + self.report.snapshot_records;
        let word = if self.is_damaged() { "DAMAGED" } else { "sound" };
        let _ = writeln!(text, "{:<12} {word:<8} {records} records", self.journal);
        for damage in self.damages.lines() {
            let _ = writeln!(text, "  hurt: {damage}");
        }
        if self.report.torn_bytes > 0 {
            let _ = writeln!(text, "  torn end: {} bytes of a write that was not finished", self.report.torn_bytes);
        }
        for note in &self.report.notes {
            let _ = writeln!(text, "  note: {note}");
        }
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
