//! Durable publishing: as fast as it goes, and one at a time.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Arguments;
use super::bare::{Bare, SLICE, Turns};
use super::client::{Drainer, Publisher};
use crate::amqp::{Amqp, Argument};
use crate::cpu;
use crate::findings::Findings;
use crate::latency::Histogram;
use crate::server::{Server, pause};
use crate::workload::{CLASSIC, QUORUM};

const QUEUE: &str = "journal";
/// Messages that may be unconfirmed.
const UNCONFIRMED_MAX: u64 = 256;
/// A turn of those that wait for each sync.
const WAIT_SLICE: Duration = Duration::from_millis(10);

/// What one run gave, for each message.
struct Run {
    turns: Turns,
    broker_us: f64,
    disk_bytes: f64,
    /// Messages with each sync.
    batch: f64,
}

/// 256 in flight, against the bare disk with as much in each sync, and against RabbitMQ.
///
/// # Errors
/// A broker or the disk fails.
pub fn throughput(arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let mut bare = Bare::in_folder(&arguments.folder)?;
    let server = arguments.crossdock()?;
    let own = measure(&server, &[], false, &mut bare, arguments)?;
    let figure = |it: &Turns| format!("{:.0}/s", it.bare_per_second());
    findings.add("publish", "no broker", &format!("{:.0} × 1 KiB with each fdatasync", own.batch), figure(&own.turns));
    report(findings, "crossdock", "256 unconfirmed, no consumer", &own, None, "≥ 0.70");
    let drained = measure(&server, &[], true, &mut bare, arguments)?;
    report(findings, "crossdock", "256 unconfirmed, auto-ack consumer", &drained, None, "");
    drop(server);
    let Some(peer) = arguments.rabbitmq(findings) else { return Ok(()) };
    for (kind, who) in [(CLASSIC, "rabbitmq classic (no sync)"), (QUORUM, "rabbitmq quorum")] {
        let run = measure(&peer, kind, false, &mut bare, arguments)?;
        report(findings, who, "256 unconfirmed, no consumer", &run, Some(&own), "");
    }
    Ok(())
}

fn report(findings: &mut Findings, who: &str, what: &str, run: &Run, against: Option<&Run>, target: &str) {
    let Run { turns, broker_us, disk_bytes, .. } = run;
    let rate = turns.per_second();
    let bare = turns.bare_per_second();
    let figure =
        format!("{rate:.0}/s, {broker_us:.2} µs CPU and {disk_bytes:.0} B of disk each; bare {bare:.0}/s in its turns");
    let ratio = match against {
        None => (turns.share(), "bare"),
        // Classic queues do not sync: what the disk does meanwhile would say nothing.
        Some(own) => (rate / own.turns.per_second(), "crossdock"),
    };
    findings.compare("publish", who, what, figure, ratio, target);
}

/// The run whose share of the disk is the median.
fn measure(server: &Server, kind: &[Argument], drained: bool, bare: &mut Bare, arguments: &Arguments) -> Result<Run> {
    let runs = (0..arguments.runs.max(1)).map(|_| publish(server, kind, drained, bare, arguments.time()));
    let mut runs = runs.collect::<Result<Vec<_>>>()?;
    runs.sort_by(|a, b| a.turns.share().total_cmp(&b.turns.share()));
    Ok(runs.swap_remove(runs.len() / 2))
}

fn publish(server: &Server, kind: &[Argument], drained: bool, bare: &mut Bare, time: Duration) -> Result<Run> {
    let port = server.ports.amqp.unwrap_or(0);
    let mut admin = Amqp::open(port)?;
    admin.declare(QUEUE, true, kind)?;
    let drainer = drained.then(|| Drainer::open(port, QUEUE)).transpose()?;
    let mut publisher = Publisher::open(port, QUEUE)?;
    let used = || (cpu::used_us(server.process()), cpu::written_bytes(server.process()));
    let (before, begun) = (used(), Instant::now());
    let (mut turns, mut messages, mut syncs) = (Turns::default(), 0, 0);
    while begun.elapsed() < 2 * time {
        let (start, synced) = (Instant::now(), cpu::journal_writes(server.process()));
        let count = publisher.publish_for(SLICE, UNCONFIRMED_MAX, drainer.as_ref())?;
        let elapsed = start.elapsed();
        messages += count;
        syncs += match cpu::journal_writes(server.process()) - synced {
            // Who does not tell: half of what is in flight with each, while the other half is on its way.
            0 => 2 * count / UNCONFIRMED_MAX,
            syncs => syncs,
        };
        turns.add(count, elapsed, bare, messages / syncs.max(1))?;
    }
    let after = used();
    drainer.map(Drainer::end).transpose()?;
    admin.delete(QUEUE)?;
    let each = |total: u64| total as f64 / messages.max(1) as f64;
    let (broker_us, disk_bytes) = (each(after.0 - before.0), each(after.1 - before.1));
    Ok(Run { turns, broker_us, disk_bytes, batch: messages as f64 / syncs.max(1) as f64 })
}

/// A publisher that waits for each confirm, against one write and one fdatasync.
///
/// # Errors
/// A broker or the disk fails.
pub fn latency(arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let server = arguments.crossdock()?;
    let mut bare = Bare::in_folder(&arguments.folder)?;
    let (floor, own) = wait_for_each(&server, &[], &mut bare, arguments)?;
    findings.add("wait", "no broker", "1 KiB and fdatasync, p50 / p99", figure(&floor));
    report_latency(findings, "crossdock", &own, &floor, "≤ 1.3");
    let without_disk = transient(&server, arguments.time())?;
    findings.add("wait", "crossdock", "1 unconfirmed, transient, p50 / p99", figure(&without_disk));
    drop(server);
    let Some(peer) = arguments.rabbitmq(findings) else { return Ok(()) };
    for (kind, who) in [(CLASSIC, "rabbitmq classic (no sync)"), (QUORUM, "rabbitmq quorum")] {
        let (floor, latencies) = wait_for_each(&peer, kind, &mut bare, arguments)?;
        report_latency(findings, who, &latencies, &floor, "");
    }
    Ok(())
}

fn report_latency(findings: &mut Findings, who: &str, own: &Histogram, floor: &Histogram, target: &str) {
    let p50 = |it: &Histogram| it.percentile_ms(0.5).unwrap_or(f64::NAN);
    let ratio = (p50(own) / p50(floor), "bare p50");
    findings.compare("wait", who, "1 unconfirmed, p50 / p99", figure(own), ratio, target);
}

fn figure(histogram: &Histogram) -> String {
    let [p50, p99] = [0.5, 0.99].map(|share| histogram.percentile_ms(share).unwrap_or(f64::NAN));
    format!("{p50:.3} / {p99:.3} ms")
}

/// Latencies of the bare disk and of confirms, in turns.
fn wait_for_each(
    server: &Server,
    kind: &[Argument],
    bare: &mut Bare,
    arguments: &Arguments,
) -> Result<(Histogram, Histogram)> {
    let port = server.ports.amqp.unwrap_or(0);
    let mut admin = Amqp::open(port)?;
    admin.declare(QUEUE, true, kind)?;
    let mut publisher = Publisher::open(port, QUEUE)?;
    let (mut floor, mut own, begun) = (Histogram::default(), Histogram::default(), Instant::now());
    while begun.elapsed() < 2 * arguments.time() {
        floor.merge(&bare.latencies(WAIT_SLICE)?);
        one_by_one(&mut publisher, WAIT_SLICE, &mut own)?;
        // A virtual disk may give a budget of operations: neither of the two may find it used up by the other.
        pause(2 * WAIT_SLICE);
    }
    admin.delete(QUEUE)?;
    Ok((floor, own))
}

/// What sockets, threads and the client cost without a disk.
fn transient(server: &Server, time: Duration) -> Result<Histogram> {
    let port = server.ports.amqp.unwrap_or(0);
    let mut admin = Amqp::open(port)?;
    admin.declare(QUEUE, true, &[])?;
    let mut latencies = Histogram::default();
    one_by_one(&mut Publisher::transient(port, QUEUE)?, time, &mut latencies)?;
    admin.delete(QUEUE)?;
    Ok(latencies)
}

fn one_by_one(publisher: &mut Publisher, time: Duration, latencies: &mut Histogram) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        let sent = Instant::now();
        publisher.publish_count(1, 1)?;
        latencies.add(sent.elapsed());
    }
    Ok(())
}
