//! Runs this program again under callgrind, which counts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::probe::Probe;
use crate::table::{Row, Table};

/// The compiler, without which counts mean nothing.
///
/// # Errors
/// There is no `rustc`.
pub fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc does not run")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("?");
    Ok(format!("{} {host}", text.lines().next().unwrap_or("?")))
}

/// Counts all these rows, each in a process of its own so that none changes another's memory; as many at once as there are cores.
///
/// # Errors
/// There is no valgrind, or a scenario does not go its way.
pub fn count_all(rows: &[(&'static str, &'static str)]) -> Result<Table> {
    let (next, table) = (Mutex::new(rows.iter()), Mutex::new(Vec::new()));
    let work = || -> Result<()> {
        while let Some((scenario, stage)) = lock(&next).next() {
            let instructions = count(scenario, stage)?;
            lock(&table).push(Row { scenario: (*scenario).into(), stage: (*stage).into(), instructions });
        }
        Ok(())
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })?;
    let counted = table.into_inner().unwrap_or_default();
    let place = |row: &Row| rows.iter().position(|(scenario, stage)| row.is(scenario, stage));
    let mut table = Table { compiler: compiler()?, rows: counted };
    table.rows.sort_by_key(place);
    Ok(table)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Instructions per message. What callgrind wrote stays for `callgrind_annotate`.
fn count(scenario: &str, stage: &str) -> Result<f64> {
    let program = std::env::current_exe()?;
    let profile = profile_path(&program, scenario, stage)?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted_by_callgrind*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(&program)
        .args(["count", scenario, stage])
        // The environment lies on the stack, and moves everything that is aligned there.
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .output()
        .context("valgrind does not run; Debian has it in the package `valgrind`")?;
    if !output.status.success() {
        bail!("{scenario} {stage}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let total = total(&std::fs::read_to_string(&profile)?).unwrap_or(0);
    if total == 0 {
        bail!("{scenario} {stage}: callgrind counted nothing: {}", profile.display());
    }
    Ok(total as f64 / Probe::messages_counted() as f64)
}

fn profile_path(program: &Path, scenario: &str, stage: &str) -> Result<PathBuf> {
    let folder = program.parent().context("a program is in a folder")?.join("callgrind");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{scenario}.{stage}")))
}

/// The sum at the end of callgrind's file.
fn total(profile: &str) -> Option<u64> {
    profile.lines().rev().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_last_of_the_file() {
        assert_eq!(total("events: Ir\nsummary: 7\n\n1 2\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("events: Ir\n"), None);
    }
}
