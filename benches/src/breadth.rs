//! How much of everything AMQP allows, and what it costs: bindings, channels, queues, connections.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::amqp::{self, Amqp};
use crate::cpu;
use crate::findings::Findings;
use crate::latency::Histogram;
use crate::server::{Server, pause};

const QUEUE: &str = "breadth";
/// Messages that are written together.
const BATCH: usize = 1_000;
/// Channels that a client may have on one connection (RabbitMQ's default).
const CHANNELS: u16 = 2_047;
/// Connections whose beginning is timed.
const OPENED: usize = 500;
/// Threads that connect and leave.
const CHURNERS: usize = 2;

/// How much of it.
#[derive(Args)]
pub struct Arguments {
    /// Brokers, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "crossdock,rabbitmq")]
    brokers: Vec<String>,
    /// Topic bindings.
    #[arg(long, default_value_t = 100_000)]
    bindings: usize,
    /// Messages through them.
    #[arg(long, default_value_t = 500_000)]
    messages: usize,
    /// Queues that one client declares, one after the other.
    #[arg(long, default_value_t = 10_000)]
    queues: usize,
    /// Seconds of connecting and leaving.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Measures, and prints a table at the end.
///
/// # Errors
/// A broker does not start, or a client fails: it did something unexpected.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut findings = Findings::default();
    for name in &arguments.brokers {
        let server = match Server::start(name) {
            Ok(server) => server,
            Err(error) => {
                findings.note(format!("{name} left out: {error:#}"));
                continue;
            }
        };
        let mut breadth = Breadth { port: server.ports.amqp.unwrap_or(0), server: &server, findings: &mut findings };
        breadth.topics(arguments)?;
        breadth.channels()?;
        breadth.queues(arguments.queues)?;
        breadth.openings()?;
        breadth.churn(Duration::from_secs(arguments.seconds))?;
    }
    findings.print();
    Ok(())
}

struct Breadth<'a> {
    server: &'a Server,
    port: u16,
    findings: &'a mut Findings,
}

impl Breadth<'_> {
    fn judge(&mut self, what: &str, figure: String, target: &str) {
        self.findings.judge("breadth", &self.server.name, what, figure, target);
    }

    /// Messages to keys that no binding fits to the end, so that nothing but routing costs.
    fn topics(&mut self, arguments: &Arguments) -> Result<()> {
        let mut amqp = Amqp::open(self.port)?;
        amqp.declare(QUEUE, true, &[])?;
        for number in 0..arguments.bindings {
            amqp.stream.write_all(&amqp::bind_topic(QUEUE, &format!("plant.{number}.line.*.temperature")))?;
        }
        amqp.ready(QUEUE)?;
        let bindings = arguments.bindings;
        let repeated = self.publish(&mut amqp, arguments.messages, |_| "plant.7.line.3.humidity".to_owned())?;
        self.judge(&format!("a repeated key among {bindings} bindings"), format!("{repeated:.2} µs CPU"), "≤ 1 µs");
        let new = |number| format!("plant.{}.line.{number}.humidity", number % bindings.max(1));
        let new = self.publish(&mut amqp, arguments.messages, new)?;
        self.judge(&format!("a new key among {bindings} bindings"), format!("{new:.2} µs CPU"), "≤ 5 µs");
        amqp.delete(QUEUE)
    }

    /// The broker's CPU for each message, in microseconds.
    fn publish(&self, amqp: &mut Amqp, count: usize, key: impl Fn(usize) -> String) -> Result<f64> {
        let before = cpu::used_us(self.server.process());
        for first in (0..count).step_by(BATCH) {
            let message = |number| amqp::publish("amq.topic", &key(number), false, b"sixteen bytes ok");
            let batch: Vec<u8> = (first..count.min(first + BATCH)).flat_map(message).collect();
            amqp.stream.write_all(&batch)?;
        }
        amqp.ready(QUEUE)?;
        Ok((cpu::used_us(self.server.process()) - before) as f64 / count as f64)
    }

    fn channels(&mut self) -> Result<()> {
        let mut amqp = Amqp::open(self.port)?;
        let (start, before) = (Instant::now(), cpu::resident_kib(self.server.process()));
        for number in 2..=CHANNELS {
            amqp.open_channel(number)?;
        }
        let (ms, kib) = (millis(start), cpu::resident_kib(self.server.process()).saturating_sub(before));
        self.judge(&format!("{CHANNELS} channels on a connection"), format!("{ms:.0} ms, {kib} KiB"), "open");
        amqp.close()
    }

    fn queues(&mut self, count: usize) -> Result<()> {
        let mut amqp = Amqp::open(self.port)?;
        let start = Instant::now();
        for number in 0..count {
            amqp.declare(&format!("breadth-{number}"), true, &[])?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let what = format!("{count} durable queues declared by one client, each after the answer to the last");
        self.judge(&what, format!("{seconds:.2} s"), "≤ 5 s for 10,000");
        (0..count).try_for_each(|number| amqp.delete(&format!("breadth-{number}")))
    }

    /// From connecting to the confirm of the first message.
    fn openings(&mut self) -> Result<()> {
        Amqp::open(self.port)?.declare(QUEUE, false, &[])?;
        let mut first = Histogram::default();
        for _ in 0..OPENED {
            let start = Instant::now();
            let mut amqp = Amqp::open(self.port)?;
            amqp.stream.write_all(&amqp::publish("", QUEUE, false, b"first"))?;
            amqp.ready(QUEUE)?;
            first.add(start.elapsed());
            amqp.close()?;
        }
        let ms = |share| first.percentile_ms(share).unwrap_or(f64::NAN);
        let figure = format!("{:.2} / {:.2} ms", ms(0.5), ms(0.99));
        self.judge("connect, until the first message is in its queue, p50 / p99", figure, "p50 ≤ 2 ms");
        Amqp::open(self.port)?.delete(QUEUE)
    }

    fn churn(&mut self, time: Duration) -> Result<()> {
        let port = self.port;
        let come_and_go = move |time: Duration| -> Result<usize> {
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < time {
                Amqp::open(port)?.close()?;
                count += 1;
            }
            Ok(count)
        };
        let both = |time| -> Result<usize> {
            let threads: Vec<_> = (0..CHURNERS).map(|_| std::thread::spawn(move || come_and_go(time))).collect();
            let counts = threads.into_iter().map(|thread| thread.join().expect("a churner panicked"));
            counts.sum()
        };
        both(time / 5)?;
        pause(Duration::from_secs(1));
        let before = cpu::resident_kib(self.server.process());
        let per_second = both(time)? as f64 / time.as_secs_f64();
        pause(Duration::from_secs(1));
        let more = cpu::resident_kib(self.server.process()) as i64 - before as i64;
        self.judge(
            "connections that come, open a channel, and go",
            format!("{per_second:.0}/s, {more:+} KiB"),
            "≥ 1,000/s, no growth",
        );
        Ok(())
    }
}

fn millis(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}
