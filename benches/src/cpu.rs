//! What a process has used, by its own accounting.

use std::fs;
use std::path::Path;

/// CPU time of a process and its children that are still alive, in microseconds.
pub fn used_us(process: u32) -> u64 {
    let own = fs::read_to_string(format!("/proc/{process}/stat")).map(|stat| ticks(&stat)).unwrap_or(0);
    // The kernel counts in ticks of 10 ms.
    own * 10_000 + children(process).into_iter().map(used_us).sum::<u64>()
}

/// Resident memory of a process and its children, in KiB.
pub fn resident_kib(process: u32) -> u64 {
    status_kib(process, "VmRSS:")
}

/// The most memory that a process and its children ever had resident, in KiB.
pub fn resident_peak_kib(process: u32) -> u64 {
    status_kib(process, "VmHWM:")
}

fn status_kib(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let own = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    own + children(process).into_iter().map(|child| status_kib(child, field)).sum::<u64>()
}

/// Bytes that a process and its children that are still alive have sent to the disk.
pub fn written_bytes(process: u32) -> u64 {
    let own = io_count(Path::new(&format!("/proc/{process}/io")), "write_bytes: ");
    own + children(process).into_iter().map(written_bytes).sum::<u64>()
}

/// How often the threads of Crossdock's journals have written, each time followed by one sync. 0 for other brokers.
pub fn journal_writes(process: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    let journals = tasks
        .flatten()
        .map(|task| task.path())
        .filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "journal"));
    journals.map(|task| io_count(&task.join("io"), "syscw: ")).sum()
}

fn io_count(file: &Path, field: &str) -> u64 {
    let counts = fs::read_to_string(file).unwrap_or_default();
    counts.lines().find_map(|line| line.strip_prefix(field)?.parse::<u64>().ok()).unwrap_or(0)
}

fn ticks(stat: &str) -> u64 {
    // The name in parentheses may hold spaces: count from its end. Fields 14 and 15 are user and system time.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// The children of a process, and theirs.
pub fn descendants(process: u32) -> Vec<u32> {
    children(process).into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

fn children(process: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}
