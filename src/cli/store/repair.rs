//! `crossdock store repair`.

use std::path::Path;

use anyhow::{Context, anyhow};

use super::check::{Verdict, described, examine, fail_if_damaged};
use crate::broker;
use crate::cli::arguments::GlobalArguments;
use crate::cli::{Failure, print};
use crate::config::load;
use crate::net::formats;

/// Says what is to be done, and with `yes` does it.
pub(super) fn repair(directory: &Path, yes: bool, global: &GlobalArguments) -> Result<(), Failure> {
    let todo: Vec<String> = examine(directory)?.iter().flat_map(to_do).collect();
    if todo.is_empty() {
        return Ok(print("nothing to repair\n")?);
    }
    let did = if yes { "will" } else { "would" };
    print(&todo.iter().map(|line| format!("{did} {line}\n")).collect::<String>())?;
    if !yes {
        return Err(anyhow!("nothing was changed; --yes repairs").into());
    }
    rewrite(directory, global)?;
    let verdicts = examine(directory)?;
    print(&described(&verdicts))?;
    fail_if_damaged(&verdicts)
}

fn to_do(verdict: &Verdict) -> Vec<String> {
    let Verdict { journal, report, damages } = verdict;
    let mut todo = Vec::new();
    if report.torn_bytes > 0 {
        todo.push(format!("cut {} bytes of a write that was not finished from {journal}", report.torn_bytes));
    }
    if verdict.is_damaged() {
        let readable = report.records + report.snapshot_records;
        todo.push(format!(
            "keep the damaged files in {journal}/quarantine, and write its {readable} readable records anew"
        ));
        todo.extend(damages.lines().map(|damage| format!("give up what is unreadable of {damage}")));
    }
    todo.extend(report.notes.iter().map(|note| format!("rebuild: {note}")));
    todo
}

/// Opens everything as a start does, and writes snapshots.
fn rewrite(directory: &Path, global: &GlobalArguments) -> Result<(), Failure> {
    let mut settings = load(&global.sources(None))?;
    settings.data_dir = directory.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("cannot start a runtime")?;
    Ok(runtime.block_on(broker::rewrite(&settings, formats()))?)
}
