//! What durability costs and a backlog weighs.
//!
//! Every figure that depends on the disk stands beside the same work done by a program without a broker ([`bare`]), measured in
//! the same run; what depends on the broker stands beside the same work on RabbitMQ.

mod backlog;
mod bare;
mod client;
mod publish;
mod queues;
mod settle;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

pub use bare::{Bare, SLICE, Turns};

use crate::findings::Findings;
use crate::server::Server;

/// Bytes of a message's body.
pub const BODY_BYTES: usize = 1024;

/// How much of it.
#[derive(Args)]
pub struct Arguments {
    /// Only these, separated by commas: bare, publish, wait, backlog, restart, settle, queues.
    #[arg(long, value_delimiter = ',', default_values_t = WORKLOADS.map(str::to_owned))]
    only: Vec<String>,
    /// Messages of a backlog.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Messages of RabbitMQ's backlog, which is slower; 0 leaves RabbitMQ out of everything.
    #[arg(long, default_value_t = 200_000)]
    peer_messages: u64,
    /// Queues to declare.
    #[arg(long, default_value_t = 100_000)]
    queues: u64,
    /// Seconds of each measurement that runs for a time.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Times that those are done, in turn with what they are compared with; the median is shown.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The brokers' data and the bare program's file come into new folders in here.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
}

const WORKLOADS: [&str; 7] = ["bare", "publish", "wait", "backlog", "restart", "settle", "queues"];

impl Arguments {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn crossdock(&self) -> Result<Server> {
        Server::start_in("crossdock", &self.folder)
    }

    /// RabbitMQ, if it is wanted and there.
    fn rabbitmq(&self, findings: &mut Findings) -> Option<Server> {
        if self.peer_messages == 0 {
            return None;
        }
        let started = Server::start_in("rabbitmq", &self.folder);
        started.map_err(|error| findings.note(format!("rabbitmq left out: {error:#}"))).ok()
    }
}

/// Measures, and prints a table at the end.
///
/// # Errors
/// A broker does not start, or a client fails: it did something unexpected.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut findings = Findings::default();
    for workload in &arguments.only {
        eprintln!("# {workload}");
        match workload.as_str() {
            "bare" => bare::measure(arguments, &mut findings)?,
            "publish" => publish::throughput(arguments, &mut findings)?,
            "wait" => publish::latency(arguments, &mut findings)?,
            "backlog" => backlog::fill_and_drain(arguments, &mut findings)?,
            "restart" => backlog::restart(arguments, &mut findings)?,
            "settle" => settle::measure(arguments, &mut findings)?,
            "queues" => queues::measure(arguments, &mut findings)?,
            other => bail!("unknown workload '{other}': {}", WORKLOADS.join(", ")),
        }
    }
    findings.print();
    Ok(())
}

/// The middle one of some measurements.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
