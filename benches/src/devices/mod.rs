//! Many devices: what each connection costs, how fast durable sessions are against the bare disk, and what a million retained topics do to
//! everybody else.

mod connect;
mod durable;
mod retained;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::findings::Findings;
use crate::server::Server;

/// How much of it.
#[derive(Args)]
pub struct Arguments {
    /// Only these, separated by commas: connect, durable, retained.
    #[arg(long, value_delimiter = ',', default_values_t = WORKLOADS.map(str::to_owned))]
    only: Vec<String>,
    /// Brokers, separated by commas; durable sessions are measured of Crossdock only.
    #[arg(long, value_delimiter = ',', default_value = "crossdock,mosquitto,rumqttd")]
    brokers: Vec<String>,
    /// Connections that are open at the same time. Both processes need as many open files.
    #[arg(long, default_value_t = 19_000)]
    connections: usize,
    /// Retained topics.
    #[arg(long, default_value_t = 1_000_000)]
    topics: usize,
    /// Seconds of each measurement that runs for a time.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// The brokers' data and the bare program's file come into new folders in here.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
}

const WORKLOADS: [&str; 3] = ["connect", "durable", "retained"];

impl Arguments {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Does something with each broker that is there.
    fn each(&self, findings: &mut Findings, measure: impl Fn(&mut Server, &mut Findings) -> Result<()>) {
        for name in &self.brokers {
            let result = Server::start_in(name, &self.folder).and_then(|mut server| measure(&mut server, findings));
            if let Err(error) = result {
                findings.note(format!("{name} left out: {error:#}"));
            }
        }
    }
}

/// Measures, and prints a table at the end.
///
/// # Errors
/// An unknown workload is asked for, or Crossdock fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut findings = Findings::default();
    for workload in &arguments.only {
        match workload.as_str() {
            "connect" => {
                arguments.each(&mut findings, |server, findings| connect::measure(server, arguments, findings));
            }
            "durable" => durable::measure(arguments, &mut findings)?,
            "retained" => {
                arguments.each(&mut findings, |server, findings| retained::measure(server, arguments, findings));
            }
            other => bail!("unknown workload '{other}': {}", WORKLOADS.join(", ")),
        }
    }
    findings.print();
    Ok(())
}
