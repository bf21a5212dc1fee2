//! `crossdock store repair`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, anyhow};
use crossdock_core::{RecordKind, Recovery, Repaired};
use crossdock_store::{Inspected, Keyring};

use super::check::{Loss, Verdict, described, examine, fail_if_damaged};
use super::journals::{DEFINITIONS, Journals, learn, queue_described};
use crate::broker::{self, Faults, Outcome, location_of};
use crate::cli::{Failure, keys, print};
use crate::config::Settings;
use crate::net::formats;

/// Says what is to be done, and with `yes` does it.
pub(super) fn repair(directory: &Path, yes: bool, settings: Settings) -> Result<(), Failure> {
    let keys = &keys(&settings)?;
    let verdicts = examine(directory, keys)?;
    let todo: Vec<String> = verdicts.iter().flat_map(to_do).collect();
    if todo.is_empty() {
        return Ok(print("nothing to repair\n")?);
    }
    let did = if yes { "will" } else { "would" };
    print(&todo.iter().map(|line| format!("{did} {line}\n")).collect::<String>())?;
    if !yes {
        return Err(anyhow!("nothing was changed; --yes repairs").into());
    }
    let outcome = rewrite(directory, verdicts, settings)?;
    print(&told(directory, keys, &outcome)?)?;
    let verdicts = examine(directory, keys)?;
    print(&described(&verdicts))?;
    fail_if_damaged(&verdicts)
}

fn to_do(verdict: &Verdict) -> Vec<String> {
    let Verdict { journal, report, damages, lost, pages, snapshot_damaged, .. } = verdict;
    let mut todo = Vec::new();
    if report.torn_bytes > 0 {
        todo.push(format!("cut {} bytes of a write that was not finished from {journal}", report.torn_bytes));
    }
    if verdict.is_damaged() {
        todo.push(format!("keep the damaged files in {journal}/quarantine, and write what is readable of them anew"));
        todo.extend(damages.lines().map(|damage| format!("give up what is unreadable of {damage}")));
    }
    todo.extend(lost.values().map(|Loss { queue, count }| format!("give up {count} messages of {queue}")));
    let look = |(queue, page): &(String, crossdock_core::LostPage)| {
        format!("look for {} messages of {queue} whose references cannot be read; {AGAIN}", page.count)
    };
    todo.extend(pages.iter().map(look));
    if *snapshot_damaged && journal != DEFINITIONS {
        todo.push(format!("look for all messages in {journal} that are not settled; {AGAIN}"));
    }
    todo.extend(report.notes.iter().map(|note| format!("rebuild: {note}")));
    todo
}

/// What the proof of a settlement may have gone with.
const AGAIN: &str = "some that were settled may come again";

/// Opens everything as a start does, moves what is readable, and writes snapshots.
fn rewrite(directory: &Path, verdicts: Vec<Verdict>, mut settings: Settings) -> Result<Outcome, Failure> {
    settings.data_dir = directory.to_owned();
    let journals = Journals::open(directory, &keys(&settings)?)?;
    let damaged = verdicts.into_iter().filter(Verdict::is_damaged);
    let faults = damaged.map(|verdict| Ok((verdict.journal.clone(), faults(&journals, verdict)?)));
    let faults = faults.collect::<Result<BTreeMap<_, _>, Failure>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.context("cannot start a runtime")?;
    Ok(runtime.block_on(broker::rewrite(&settings, formats(), &faults))?)
}

/// What a repair has to know; messages whose references are lost are looked for.
fn faults(journals: &Journals, verdict: Verdict) -> Result<Faults, Failure> {
    let Verdict { journal, mut faults, pages, snapshot_damaged, .. } = verdict;
    pages.iter().for_each(|(_, page)| faults.salvage.look_for(page));
    if snapshot_damaged {
        faults.salvage.look_for_everything();
    }
    if faults.salvage.is_needed() && journal != DEFINITIONS {
        journals.inspect(&journal, &mut |inspected| {
            if let Inspected::Record { location, kind, stream, payload, .. } = inspected
                && let Some(kind) = RecordKind::from_number(kind)
            {
                // What is not understood cannot be served either.
                let _ = faults.salvage.record(kind, stream, payload, location_of(location));
            }
        })?;
    }
    Ok(faults)
}

fn told(directory: &Path, keys: &Keyring, outcome: &Outcome) -> Result<String, Failure> {
    let journals = Journals::open(directory, keys)?;
    let mut definitions = journals.recovery(formats());
    journals.inspect(DEFINITIONS, &mut |inspected| learn(&mut definitions, &inspected))?;
    let mut text = String::new();
    tell(&mut text, &definitions, &outcome.found, "found again");
    tell(&mut text, &definitions, &outcome.given_up, "given up");
    Ok(text)
}

fn tell(text: &mut String, definitions: &Recovery, repaired: &[Repaired], how: &str) {
    for Repaired { queue, count } in repaired {
        let queue = queue_described(definitions.queue(*queue), Some(*queue));
        let _ = writeln!(text, "{how}: {count} messages of {queue}");
    }
}
