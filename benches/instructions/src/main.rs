//! What a message costs in each stage of its way, in instructions: steady on shared machines, as seconds are not.
//!
//! Without an argument, counts and compares with `baseline.tsv`; with `accept`, counts and writes it. `count SCENARIO STAGE` goes
//! one scenario's way, for callgrind.

mod callgrind;
mod conversation;
mod peer;
mod probe;
mod scenarios;
mod table;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crossdock_instructions::world;
use probe::Probe;
use scenarios::SCENARIOS;
use table::Table;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.tsv");
/// How often a row that seems too dear is counted again.
const RECOUNTS_MAX: usize = 2;
const ACCEPT: &str = "benches/instructions/check accept";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(),
        ["accept"] => accept(),
        ["count", scenario, stage] => count(scenario, stage),
        _ => bail!("usage: check [accept]"),
    }
}

/// Compares with the baseline.
fn check() -> Result<ExitCode> {
    let before = Table::read(&std::fs::read_to_string(BASELINE).context(BASELINE)?)?;
    let compiler = callgrind::compiler()?;
    if before.compiler != compiler {
        bail!(
            "the baseline was counted with {}, and this is {compiler}: counts would differ for no other reason. On a tree \
             without other changes, run `{ACCEPT}` and commit",
            before.compiler
        );
    }
    let comparison = count_until_steady(&before)?.compare(&before);
    print!("{:<44} {:>9} {:>9}\n{}", "instructions per message", "baseline", "now", comparison.text);
    if !comparison.gains.is_empty() {
        println!(
            "\nMuch cheaper than the baseline, which should be lowered (`{ACCEPT}`):\n{}",
            comparison.gains.join("\n")
        );
    }
    if comparison.failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nNot as the baseline says; if it has to be so, `{ACCEPT}`, and say why in the commit:");
    println!("{}", comparison.failures.join("\n"));
    Ok(ExitCode::FAILURE)
}

/// Counts again what seems too dear: a hash table's seed may have been unlucky, and a regression stays.
fn count_until_steady(before: &Table) -> Result<Table> {
    let mut counts = callgrind::count_all(&rows())?;
    for _ in 0..RECOUNTS_MAX {
        let dear: Vec<_> =
            rows().into_iter().filter(|(scenario, stage)| counts.is_too_dear(before, scenario, stage)).collect();
        if dear.is_empty() {
            break;
        }
        counts.keep_lower(&callgrind::count_all(&dear)?);
    }
    Ok(counts)
}

/// Makes today's counts the baseline.
fn accept() -> Result<ExitCode> {
    let table = callgrind::count_all(&rows())?;
    std::fs::write(BASELINE, table.to_text()).context(BASELINE)?;
    print!("{}", table.to_text());
    Ok(ExitCode::SUCCESS)
}

/// Goes a scenario's way, with one of its stages marked.
fn count(scenario: &str, stage: &str) -> Result<ExitCode> {
    let scenario = SCENARIOS.iter().find(|known| known.name == scenario).context("no such scenario")?;
    let stage = scenario.stages.iter().find(|known| known.word() == stage).context("no such stage")?;
    (scenario.run)(&mut Probe::new(*stage));
    Ok(ExitCode::SUCCESS)
}

fn rows() -> Vec<(&'static str, &'static str)> {
    SCENARIOS.iter().flat_map(|scenario| scenario.stages.iter().map(|stage| (scenario.name, stage.word()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_goes_its_way() {
        for scenario in SCENARIOS {
            (scenario.run)(&mut Probe::new(scenario.stages[0]));
        }
    }
}
