//! The memory alarm: stops publishers before the kernel kills the broker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::allocator::give_back;
use super::{Alarms, Reason};
use crate::config::MemoryLimit;
use crate::telemetry::events::{MemoryEnough, MemoryHigh};
use crate::telemetry::{Metrics, anonymous_bytes};

/// How often memory is measured: at a GB/s, what comes in between is a tenth of one.
const CHECKED_EVERY: Duration = Duration::from_millis(100);
/// How often, at most, the allocator is asked to give back what is free while the alarm is on.
const GIVEN_BACK_EVERY: Duration = Duration::from_millis(500);
/// When so many connections have ended, their memory is given back.
const LEAVERS_MIN: i64 = 1_000;
/// So many checks without a message are a lull.
const LULL_CHECKS: u32 = 50;
/// What has to have come since the last lull for another look through the heap.
const LULL_BYTES_MIN: u64 = 8 << 20;
/// Of what there is, "auto" takes so much: the rest is for the page cache, and for what comes before publishers have stopped.
const AUTO_PERCENT: u64 = 60;

/// "auto" gives messages an eighth of what there is, and not more than this: reading them back is cheap.
const MESSAGES_BYTES: u64 = 128 << 20;

/// Raises and lifts the alarm for ever. Without a limit it only measures.
pub(in crate::broker) async fn watch_memory(alarms: Arc<Alarms>, metrics: Arc<Metrics>, limit: MemoryLimit) {
    let max_bytes = limit_bytes(limit);
    metrics.set_memory_max(max_bytes.unwrap_or(0));
    let mut ticks = tokio::time::interval(CHECKED_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut high = false;
    let mut give_back_at = Instant::now();
    let (mut leavers, mut lull) = (Leavers::default(), Lull::default());
    loop {
        ticks.tick().await;
        // Where there is no /proc there is no alarm.
        let Some(used_bytes) = anonymous_bytes() else { return };
        metrics.set_memory_used(used_bytes);
        let have_gone = leavers.have_gone(metrics.connections_open());
        if lull.is_due(metrics.messages_passed(), used_bytes) || have_gone {
            let _ = tokio::task::spawn_blocking(give_back).await;
        }
        let Some(max_bytes) = max_bytes else { continue };
        high = is_high(high, used_bytes, max_bytes);
        match (alarms.set(Reason::MemoryHigh, high), high) {
            (true, true) => MemoryHigh { used_bytes, max_bytes }.emit(),
            (true, false) => MemoryEnough { used_bytes, max_bytes }.emit(),
            (false, _) => {}
        }
        if high && Instant::now() >= give_back_at {
            let begun = Instant::now();
            let _ = tokio::task::spawn_blocking(give_back).await;
            // Consumers need the allocator, too: a large heap, through which it takes long to look, is looked through less often.
            give_back_at = Instant::now() + (begun.elapsed() * 10).max(GIVEN_BACK_EVERY);
        }
    }
}

/// Connections that have ended, and left holes between what others allocated.
#[derive(Default)]
struct Leavers {
    open: i64,
    most_open: i64,
}

impl Leavers {
    /// Many have gone since this was true last, and no more are going at the moment.
    fn have_gone(&mut self, open: i64) -> bool {
        let is_steady = std::mem::replace(&mut self.open, open) == open;
        self.most_open = self.most_open.max(open);
        let have_gone = is_steady && self.most_open - open >= LEAVERS_MIN;
        if have_gone {
            self.most_open = open;
        }
        have_gone
    }
}

/// Nobody sends or gets anything: what was needed for that is free, and the allocator keeps it.
#[derive(Default)]
struct Lull {
    messages: u64,
    checks: u32,
    /// Used when the last one had been made use of.
    left_bytes: u64,
}

impl Lull {
    /// It is time to give memory back: once in a lull, if much was used since the one before.
    fn is_due(&mut self, messages: u64, used_bytes: u64) -> bool {
        let is_quiet = std::mem::replace(&mut self.messages, messages) == messages;
        self.checks = if is_quiet { self.checks.saturating_add(1) } else { 0 };
        if self.checks == LULL_CHECKS + 1 {
            self.left_bytes = used_bytes;
        }
        self.checks == LULL_CHECKS && used_bytes >= self.left_bytes + LULL_BYTES_MIN
    }
}

/// Lifted only a tenth below the limit, or it would flap.
fn is_high(was_high: bool, used_bytes: u64, max_bytes: u64) -> bool {
    used_bytes > if was_high { max_bytes - max_bytes / 10 } else { max_bytes }
}

fn limit_bytes(limit: MemoryLimit) -> Option<u64> {
    match limit {
        MemoryLimit::Auto => available_bytes(Path::new("/")).map(|bytes| bytes / 100 * AUTO_PERCENT),
        MemoryLimit::Bytes(bytes) => Some(bytes.0).filter(|&bytes| bytes > 0),
    }
}

/// What messages in queues may take, all shards together.
pub(in crate::broker) fn messages_memory_bytes(limit: MemoryLimit) -> u64 {
    match limit {
        MemoryLimit::Auto => {
            available_bytes(Path::new("/")).map_or(MESSAGES_BYTES, |bytes| (bytes / 8).min(MESSAGES_BYTES))
        }
        MemoryLimit::Bytes(bytes) if bytes.0 == 0 => u64::MAX,
        MemoryLimit::Bytes(bytes) => bytes.0,
    }
}

/// The least of what the machine has and what the process's control groups allow. `root` is `/`, but in tests.
fn available_bytes(root: &Path) -> Option<u64> {
    let machine = std::fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| total_bytes_in(&text));
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| group_bytes(root, line));
    limits.chain(machine).min()
}

fn total_bytes_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limit of one line of /proc/self/cgroup: `0::/path` (version 2) or `4:memory:/path` (version 1). Each group above has a
/// limit of its own. In a container the path may name groups of the host, which are not there: its own is at the top.
fn group_bytes(root: &Path, line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|one| one == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return None,
    };
    // What is not a number is "max": no limit. Version 1 says it with a number that is larger than any machine.
    let limit = |group: &Path| {
        let file = root.join(mount).join(group).join(file);
        std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()
    };
    Path::new(path.trim_start_matches('/')).ancestors().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;

    #[test]
    fn memory_is_given_back_once_in_a_lull_that_follows_much() {
        let mut lull = Lull::default();
        let due = |lull: &mut Lull, messages: u64, used_bytes: u64| -> usize {
            (0..2 * LULL_CHECKS).filter(|_| lull.is_due(messages, used_bytes)).count()
        };
        assert_eq!(due(&mut lull, 1, LULL_BYTES_MIN), 1);
        assert_eq!(due(&mut lull, 2, 2 * LULL_BYTES_MIN - 1), 0);
        assert_eq!(due(&mut lull, 3, 4 * LULL_BYTES_MIN), 1);
        assert!(!(4..400).any(|messages| lull.is_due(messages, 9 * LULL_BYTES_MIN)));
    }

    const KIB: u64 = 1024;

    #[test]
    fn memory_is_given_back_once_when_many_have_gone() {
        let mut leavers = Leavers::default();
        let asked = [0, 5_000, 5_000, 4_500, 3_000, 3_000, 3_000, 2_999, 1_900, 1_900, 1_900];
        let given_back = asked.map(|open| leavers.have_gone(open));
        let expected = [false, false, false, false, false, true, false, false, false, true, false];
        assert_eq!(given_back, expected);
    }

    /// A made-up machine of 1000 KiB.
    fn machine(cgroup: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let own = [("proc/meminfo", "MemTotal:   1000 kB\nMemFree: 1 kB\n"), ("proc/self/cgroup", cgroup)];
        for (path, text) in own.iter().chain(files) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn without_control_groups_it_is_the_machines_memory() {
        assert_eq!(available_bytes(machine("", &[]).path()), Some(1000 * KIB));
        let unlimited = [("sys/fs/cgroup/a/memory.max", "max\n")];
        assert_eq!(available_bytes(machine("0::/a\n", &unlimited).path()), Some(1000 * KIB));
        assert_eq!(available_bytes(Path::new("/nonexistent")), None);
    }

    #[test]
    fn the_tightest_group_above_the_process_counts() {
        let files = [("sys/fs/cgroup/a/b/memory.max", "max\n"), ("sys/fs/cgroup/a/memory.max", "5000\n")];
        assert_eq!(available_bytes(machine("0::/a/b\n", &files).path()), Some(5000));
    }

    #[test]
    fn version_1_is_understood_also_in_a_container_that_sees_only_its_own_group() {
        let cgroup = "9:pids:/docker/x\n4:cpu,memory:/docker/x\n0::/\n";
        let files = [("sys/fs/cgroup/memory/memory.limit_in_bytes", "7000\n")];
        assert_eq!(available_bytes(machine(cgroup, &files).path()), Some(7000));
        let unlimited = [("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(available_bytes(machine(cgroup, &unlimited).path()), Some(1000 * KIB));
    }

    #[test]
    fn it_is_raised_above_the_limit_and_lifted_a_tenth_below() {
        for (was_high, used_bytes, high) in
            [(false, 100, false), (false, 101, true), (true, 100, true), (true, 91, true), (true, 90, false)]
        {
            assert_eq!(is_high(was_high, used_bytes, 100), high, "{was_high} {used_bytes}");
        }
    }

    #[test]
    fn a_number_is_taken_as_it_is_and_zero_is_no_limit() {
        assert_eq!(limit_bytes(MemoryLimit::Bytes(ByteSize(5))), Some(5));
        assert_eq!(limit_bytes(MemoryLimit::Bytes(ByteSize(0))), None);
    }
}
