//! A loopback load tool for AMQP 0-9-1, MQTT, STOMP and NATS brokers.
//!
//! Every workload (`workload`) runs against every broker that is there (`server`), in the same run, with the same client code: one
//! thread for all publishers (`send`), one for all consumers (`receive`), frames encoded before the run (`block`). Besides messages/s
//! and latency it reports **broker CPU per message**, system calls and context switches, read from the kernel's accounting, which is
//! steady on a noisy machine where seconds are not; and everything as a ratio to a program that only passes bytes on (`relay`).

mod amqp;
mod block;
mod breadth;
mod calls;
mod confirms;
mod cpu;
mod devices;
mod disk;
mod findings;
mod idle;
mod inbox;
mod journal;
mod latency;
mod mqtt;
mod nats;
mod plan;
mod ready;
mod receive;
mod relay;
mod report;
mod run;
mod send;
mod server;
mod shared;
mod sqs;
mod stomp;
mod streams;
mod usage;
mod web;
mod wire;
mod workload;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// What to measure. Without a command: throughput, latency and what a message costs, of everything that speaks AMQP, MQTT, STOMP or NATS.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Commands>,
    /// Seconds of each workload.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Brokers, separated by commas; those that are not installed and cannot be fetched are left out with a note.
    #[arg(long, value_delimiter = ',', default_value = "relay,crossdock,rabbitmq,mosquitto,rumqttd,nats,artemis")]
    brokers: Vec<String>,
    /// Only workloads whose name contains one of these, separated by semicolons.
    #[arg(long, value_delimiter = ';')]
    only: Vec<String>,
    /// Times that each workload is run; the median is shown.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Idle connections that are weighed; 0 leaves that out.
    #[arg(long, default_value_t = 1_000)]
    idle: usize,
    /// Used by the tool itself: be a rumqttd on this port.
    #[arg(long, hide = true)]
    rumqttd_port: Option<u16>,
    /// Used by the tool itself: be a relay from the first of two ports to the second.
    #[arg(long, hide = true, value_delimiter = ',')]
    relay_ports: Vec<u16>,
}

#[derive(Subcommand)]
enum Commands {
    /// What durability costs and a backlog weighs: the journal against the bare disk, long queues, restarts, many queues.
    Journal(journal::Arguments),
    /// How much of everything AMQP allows: bindings, channels, queues, connections.
    Breadth(breadth::Arguments),
    /// Streams: publishing with confirms, and reading from the first message on.
    Streams(streams::Arguments),
    /// Many devices over MQTT: connections, durable sessions, retained topics.
    Devices(devices::Arguments),
    /// SQS over HTTP: sends, batches, receives and deletions, and receives from long queues.
    Sqs(sqs::Arguments),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Commands::Journal(arguments)) => return journal::run(arguments),
        Some(Commands::Breadth(arguments)) => return breadth::run(arguments),
        Some(Commands::Streams(arguments)) => return streams::run(arguments),
        Some(Commands::Devices(arguments)) => return devices::run(arguments),
        Some(Commands::Sqs(arguments)) => return sqs::run(arguments),
        None => {}
    }
    if let Some(port) = arguments.rumqttd_port {
        return server::be_rumqttd(port);
    }
    if let [ins, outs] = arguments.relay_ports[..] {
        return relay::be_relay(ins, outs);
    }
    compare(&arguments);
    Ok(())
}

/// One broker after the other, and one table of all.
fn compare(arguments: &Arguments) {
    let (mut report, mut findings) = (report::Report::default(), Vec::new());
    let time = Duration::from_secs_f64(arguments.seconds);
    let extent = run::Extent { only: &arguments.only, time, runs: arguments.runs };
    for name in &arguments.brokers {
        match server::Server::start(name) {
            Ok(server) => {
                if arguments.idle > 0
                    && let Err(error) = idle::measure(&server, arguments.idle, &mut findings)
                {
                    report.note(format!("{name}: idle connections left out: {error:#}"));
                }
                run::all(&server, &extent, &mut report);
            }
            Err(error) => report.note(format!("{name} left out: {error:#}")),
        }
    }
    report.print();
    if arguments.idle > 0 {
        idle::print(&findings, arguments.idle);
    }
}
