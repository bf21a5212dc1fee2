//! A loopback load tool for AMQP 0-9-1 and MQTT brokers.
//!
//! Every workload runs against every broker that is there, in the same run, with the same client code. Besides messages/s
//! and latency it reports **broker CPU per message**, read from the broker's own accounting in `/proc`, which is steady on
//! a noisy machine where seconds are not.

mod amqp;
mod cpu;
mod disk;
mod journal;
mod latency;
mod mqtt;
mod report;
mod run;
mod server;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// What to measure. Without a command: throughput and latency of everything that speaks AMQP or MQTT.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Commands>,
    /// Seconds of each workload.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Brokers, separated by commas; those that are not installed are left out with a note.
    #[arg(long, value_delimiter = ',', default_value = "crossdock,rabbitmq,mosquitto,rumqttd")]
    brokers: Vec<String>,
    /// Only workloads whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Times that each workload is run; the median is shown.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Used by the tool itself: be a rumqttd on this port.
    #[arg(long, hide = true)]
    rumqttd_port: Option<u16>,
}

#[derive(Subcommand)]
enum Commands {
    /// What durability costs and a backlog weighs: the journal against the bare disk, long queues, restarts, many queues.
    Journal(journal::Arguments),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Commands::Journal(arguments)) = &arguments.command {
        return journal::run(arguments);
    }
    if let Some(port) = arguments.rumqttd_port {
        return server::be_rumqttd(port);
    }
    let mut report = report::Report::new();
    for name in &arguments.brokers {
        match server::Server::start(name) {
            Ok(server) => {
                run::all(
                    &server,
                    &arguments.only,
                    Duration::from_secs(arguments.seconds),
                    arguments.runs,
                    &mut report,
                )?;
            }
            Err(error) => report.note(format!("{name} left out: {error:#}")),
        }
    }
    report.print();
    Ok(())
}
