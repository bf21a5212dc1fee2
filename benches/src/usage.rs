//! What the threads of a process use: more exactly than the process's own ticks of 10 ms.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::cpu;

/// A moment's counts of a process and its children, thread by thread.
pub struct Usage {
    ticks_us: u64,
    threads: BTreeMap<u32, Thread>,
}

#[derive(Clone, Copy)]
struct Thread {
    cpu_ns: u64,
    context_switches: u64,
}

impl Usage {
    /// Of a process and its children.
    pub fn of(process: u32) -> Self {
        let processes = [process].into_iter().chain(cpu::descendants(process));
        Self { ticks_us: cpu::used_us(process), threads: processes.flat_map(threads).collect() }
    }

    /// Of this process alone: its children are the brokers.
    pub fn of_client() -> Self {
        Self { ticks_us: 0, threads: threads(std::process::id()).into_iter().collect() }
    }

    /// CPU time since an earlier moment, in microseconds. A thread that has ended since takes its count along: then ticks are all there is.
    pub fn cpu_us_since(&self, before: &Self) -> f64 {
        let has_lost = before.threads.keys().any(|thread| !self.threads.contains_key(thread));
        if has_lost && self.ticks_us > 0 {
            return (self.ticks_us - before.ticks_us) as f64;
        }
        self.since(before, |thread| thread.cpu_ns) as f64 / 1_000.0
    }

    pub fn context_switches_since(&self, before: &Self) -> u64 {
        self.since(before, |thread| thread.context_switches)
    }

    fn since(&self, before: &Self, count: impl Fn(&Thread) -> u64) -> u64 {
        let earlier = |id| before.threads.get(id).map_or(0, &count);
        self.threads.iter().map(|(id, thread)| count(thread).saturating_sub(earlier(id))).sum()
    }
}

fn threads(process: u32) -> Vec<(u32, Thread)> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    tasks.flatten().filter_map(|task| Some((task.file_name().to_str()?.parse().ok()?, thread(&task.path())?))).collect()
}

fn thread(task: &Path) -> Option<Thread> {
    let cpu_ns = fs::read_to_string(task.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()?;
    let status = fs::read_to_string(task.join("status")).ok()?;
    let switches = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
    let context_switches = switches.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum();
    Some(Thread { cpu_ns, context_switches })
}
