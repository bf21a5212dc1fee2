//! What a process has used, by its own accounting.

use std::fs;

/// CPU time of a process and its children that are still alive, in microseconds.
pub fn used_us(process: u32) -> u64 {
    let own = fs::read_to_string(format!("/proc/{process}/stat")).map(|stat| ticks(&stat)).unwrap_or(0);
    // The kernel counts in ticks of 10 ms.
    own * 10_000 + children(process).into_iter().map(used_us).sum::<u64>()
}

/// Resident memory of a process and its children, in KiB.
pub fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let own = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    own + children(process).into_iter().map(resident_kib).sum::<u64>()
}

fn ticks(stat: &str) -> u64 {
    // The name in parentheses may hold spaces: count from its end. Fields 14 and 15 are user and system time.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn children(process: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}
