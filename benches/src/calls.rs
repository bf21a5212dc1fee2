//! System calls of a process, counted by `perf`: `/proc/PID/io` leaves out what is sent and received through sockets' own calls.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cpu;

const READS: &[&str] = &["read", "readv", "recvfrom", "recvmsg", "recvmmsg", "pread64", "preadv", "preadv2"];
const WRITES: &[&str] = &["write", "writev", "sendto", "sendmsg", "sendmmsg", "pwrite64", "pwritev", "pwritev2"];

/// System calls, first in a time, then for each message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    /// Reading from sockets and files.
    pub reads: f64,
    pub writes: f64,
    /// Of every kind.
    pub all: f64,
}

impl Calls {
    /// Counts for a time. The counting makes each call slower: no time is taken meanwhile.
    ///
    /// # Errors
    /// There is no `perf`, or it may not.
    pub fn count(process: u32, time: Duration) -> Result<Self> {
        let names = READS.iter().chain(WRITES).map(|call| format!("syscalls:sys_enter_{call}"));
        let events: Vec<String> = names.chain(["raw_syscalls:sys_enter".to_owned()]).collect();
        let processes: Vec<String> =
            [process].into_iter().chain(cpu::descendants(process)).map(|id| id.to_string()).collect();
        let output = Command::new("perf")
            .args(["stat", "-x", ",", "-e", &events.join(","), "-p", &processes.join(",")])
            .args(["--timeout", &time.as_millis().to_string()])
            .stdin(Stdio::null())
            .output()
            .context("perf")?;
        if !output.status.success() {
            bail!("perf: {}", String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default());
        }
        Ok(Self::parse(&String::from_utf8_lossy(&output.stderr)))
    }

    /// Lines of `count,unit,event,…`; what was never called is `<not counted>`.
    fn parse(text: &str) -> Self {
        let mut calls = Self::default();
        for line in text.lines() {
            let mut fields = line.split(',');
            let (count, event) = (fields.next().and_then(|count| count.parse().ok()), fields.nth(1));
            let (Some(count), Some(event)): (Option<f64>, _) = (count, event) else { continue };
            match event.strip_prefix("syscalls:sys_enter_") {
                Some(call) if READS.contains(&call) => calls.reads += count,
                Some(_) => calls.writes += count,
                None => calls.all += count,
            }
        }
        calls
    }

    pub fn per(self, messages: f64) -> Self {
        Self { reads: self.reads / messages, writes: self.writes / messages, all: self.all / messages }
    }
}
