//! Streams: how fast confirmed messages come in, and how fast one consumer reads them from the first on.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::amqp::{self, Amqp, Heard, Value};
use crate::confirms::Confirms;
use crate::cpu;
use crate::findings::Findings;
use crate::server::Server;

const STREAM: &str = "stream";
/// Messages that are written together.
const BATCH: u64 = 100;

/// How much of it.
#[derive(Args)]
pub struct Arguments {
    /// Brokers, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "crossdock,rabbitmq")]
    brokers: Vec<String>,
    /// Messages.
    #[arg(long, default_value_t = 400_000)]
    messages: u64,
    /// Bytes of a body.
    #[arg(long, default_value_t = 1_024)]
    body_bytes: usize,
    /// Messages that may be unconfirmed.
    #[arg(long, default_value_t = 2_000)]
    unconfirmed_max: u64,
    /// Deliveries that the consumer may not have acknowledged.
    #[arg(long, default_value_t = 1_000)]
    prefetch: u16,
    /// Times that the stream is read.
    #[arg(long, default_value_t = 3)]
    reads: usize,
}

/// Measures, and prints a table at the end.
///
/// # Errors
/// A broker fails: it did something unexpected.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut findings = Findings::default();
    for name in &arguments.brokers {
        match Server::start(name) {
            Ok(server) => measure(&server, arguments, &mut findings)?,
            Err(error) => findings.note(format!("{name} left out: {error:#}")),
        }
    }
    findings.print();
    Ok(())
}

fn measure(server: &Server, arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let port = server.ports.amqp.context("no AMQP")?;
    Amqp::open(port)?.declare(STREAM, true, &[("x-queue-type", Value::Text("stream"))])?;
    let mut time = |what: &str, work: &dyn Fn() -> Result<()>| -> Result<()> {
        let (start, before) = (Instant::now(), cpu::used_us(server.process()));
        work()?;
        let rate = arguments.messages as f64 / start.elapsed().as_secs_f64();
        let each = (cpu::used_us(server.process()) - before) as f64 / arguments.messages as f64;
        findings.add("stream", &server.name, what, format!("{rate:.0}/s, {each:.2} µs CPU each"));
        Ok(())
    };
    time("published and confirmed", &|| publish(port, arguments))?;
    (0..arguments.reads).try_for_each(|_| time("read from the first on", &|| read(port, arguments)))
}

fn publish(port: u16, arguments: &Arguments) -> Result<()> {
    let mut amqp = Amqp::open(port)?;
    amqp.select_confirms()?;
    let batch = amqp::publish("", STREAM, true, &vec![b'x'; arguments.body_bytes]).repeat(BATCH as usize);
    let (mut sent, mut confirms) = (0, Confirms::default());
    while confirms.count() < arguments.messages {
        while sent < arguments.messages && sent - confirms.count() + BATCH <= arguments.unconfirmed_max {
            amqp.stream.write_all(&batch)?;
            sent += BATCH;
        }
        hear(&mut amqp, |heard| {
            if let Heard::Ack { tag, multiple } = heard {
                confirms.add(tag, multiple);
            }
        })?;
    }
    amqp.close()
}

fn read(port: u16, arguments: &Arguments) -> Result<()> {
    let mut amqp = Amqp::open(port)?;
    amqp.qos(arguments.prefetch)?;
    amqp.consume_with(STREAM, &[("x-stream-offset", Value::Text("first"))])?;
    let (mut count, mut acknowledged) = (0, 0);
    while count < arguments.messages {
        hear(&mut amqp, |heard| {
            if let Heard::Deliver { tag } = heard {
                count = tag;
            }
        })?;
        // What one read brought is acknowledged together.
        if count > acknowledged {
            amqp.stream.write_all(&amqp::ack(count, true))?;
            acknowledged = count;
        }
    }
    amqp.close()
}

/// Waits for something, and hears all of it.
fn hear(amqp: &mut Amqp, mut each: impl FnMut(Heard<'_>)) -> Result<()> {
    if amqp.frames.inbox.read(&mut amqp.stream)? == Some(0) {
        bail!("hung up");
    }
    while let Some(heard) = amqp.frames.hear() {
        each(heard);
    }
    Ok(())
}
