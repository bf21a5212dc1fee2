//! Many durable queues: making them, carrying them, finding them again.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::backlog::wait_for;
use super::bare::{Bare, SLICE};
use super::{Arguments, mib};
use crate::amqp::{self, Amqp, Heard};
use crate::findings::Findings;
use crate::latency::Histogram;
use crate::server::pause;
use crate::{cpu, disk};

/// Queues that are declared one by one, each after the answer to the last.
const ALONE: u64 = 1_000;
/// Connections that declare the others.
const CONNECTIONS: u64 = 4;
/// Declarations of one connection that may be unanswered.
const UNANSWERED_MAX: u64 = 500;

/// # Errors
/// A broker fails, or a queue is missing.
pub fn measure(arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let mut server = arguments.crossdock()?;
    let (port, count) = (server.ports.amqp.unwrap_or(0), arguments.queues);
    let empty_kib = cpu::resident_kib(server.process());
    let (floor, each_ms) = declare_alone(port, arguments)?;
    let ratio = (each_ms / floor, "bare p50");
    findings.compare("queues", "crossdock", "declared one by one, p50", format!("{each_ms:.3} ms"), ratio, "");
    let used = cpu::used_us(server.process());
    let seconds = declare_together(port, ALONE.min(count), count)?.as_secs_f64();
    let others = count.saturating_sub(ALONE).max(1) as f64;
    let cpu_us = (cpu::used_us(server.process()) - used) as f64 / others;
    let figure = format!("{:.0}/s ({seconds:.2} s), {cpu_us:.1} µs CPU each", others / seconds);
    findings.add("queues", "crossdock", &format!("declared over {CONNECTIONS} connections, pipelined"), figure);
    pause(Duration::from_secs(3));
    let kib = cpu::resident_kib(server.process());
    let each = kib.saturating_sub(empty_kib) * 1024 / count.max(1);
    let figure = format!("{:.0} MiB, {each} B each", mib(kib));
    findings.judge("queues", "crossdock", &format!("resident with {count} idle queues"), figure, "≤ 400 MiB");
    let on_disk = disk::allocated_bytes(server.folder()) >> 20;
    findings.add("queues", "crossdock", "on disk", format!("{on_disk} MiB"));
    server.kill()?;
    let start = Instant::now();
    server.start_again()?;
    wait_for(&server, &name(count - 1), 0, start)?;
    let figure = format!("{:.2} s", start.elapsed().as_secs_f64());
    findings.judge("queues", "crossdock", "kill -9, until the last one answers", figure, "≤ 3 s");
    findings.add(
        "queues",
        "crossdock",
        "resident then",
        format!("{:.0} MiB", mib(cpu::resident_kib(server.process()))),
    );
    Ok(())
}

fn name(number: u64) -> String {
    format!("queue-{number}")
}

/// Milliseconds of the bare disk and of a declaration at the median, in turns.
fn declare_alone(port: u16, arguments: &Arguments) -> Result<(f64, f64)> {
    let mut bare = Bare::in_folder(&arguments.folder)?;
    let (mut floor, mut each) = (Histogram::default(), Histogram::default());
    let mut amqp = Amqp::open(port)?;
    for number in 0..ALONE.min(arguments.queues) {
        if number % 100 == 0 {
            floor.merge(&bare.latencies(SLICE)?);
        }
        let start = Instant::now();
        amqp.declare(&name(number), true, &[])?;
        each.add(start.elapsed());
    }
    let p50 = |it: &Histogram| it.percentile_ms(0.5).unwrap_or(f64::NAN);
    Ok((p50(&floor), p50(&each)))
}

fn declare_together(port: u16, from: u64, to: u64) -> Result<Duration> {
    let start = Instant::now();
    let share = (to - from).div_ceil(CONNECTIONS).max(1);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|at| (from + at * share).min(to)..(from + (at + 1) * share).min(to))
        .map(|range| std::thread::spawn(move || declare(port, range)))
        .collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow!("a declaring thread panicked"))??;
    }
    Ok(start.elapsed())
}

/// Declares the queues of these numbers on one connection.
fn declare(port: u16, mut numbers: std::ops::Range<u64>) -> Result<()> {
    let mut amqp = Amqp::open(port)?;
    let mut unanswered = 0;
    while !numbers.is_empty() || unanswered > 0 {
        let room = (UNANSWERED_MAX - unanswered) as usize;
        let frames: Vec<Vec<u8>> =
            numbers.by_ref().take(room).map(|number| amqp::declare_durable(&name(number))).collect();
        unanswered += frames.len() as u64;
        amqp.stream.write_all(&frames.concat())?;
        if amqp.frames.inbox.read(&mut amqp.stream)? == Some(0) {
            bail!("the broker hung up on a declaration");
        }
        while let Some(heard) = amqp.frames.hear() {
            unanswered -= u64::from(matches!(heard, Heard::Declared));
        }
    }
    Ok(())
}
