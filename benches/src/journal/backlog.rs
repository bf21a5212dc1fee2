//! A queue that nobody empties: filling it, carrying it, emptying it, finding it again.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::bare::{Bare, SLICE, Turns};
use super::client::{Acknowledge, Drainer, Publisher, drain};
use super::{Arguments, median, mib};
use crate::amqp::{Amqp, Argument};
use crate::findings::Findings;
use crate::server::{Server, pause};
use crate::workload::{CLASSIC, QUORUM};
use crate::{cpu, disk};

const QUEUE: &str = "backlog";
/// Messages that may be unconfirmed.
const UNCONFIRMED_MAX: u64 = 500;
/// Parts in which a queue is filled, with a turn of the bare disk after each.
const PARTS: u64 = 20;
/// Messages with each sync of the bare disk: half of those in flight, while the other half is on its way.
const BARE_BATCH: u64 = 250;
/// How long a broker may take to come back.
const RESTART_PATIENCE: Duration = Duration::from_secs(120);

const WAYS: [(Acknowledge, &str); 2] = [
    (Acknowledge::Automatic, "drained by one consumer, auto-ack"),
    (Acknowledge::Multiple { every: 100, prefetch: 2_000 }, "drained by one consumer, ack of 100, prefetch 2,000"),
];

/// Fills a queue without a consumer and empties it, in two ways.
///
/// # Errors
/// A broker fails.
pub fn fill_and_drain(arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let mut bare = Bare::in_folder(&arguments.folder)?;
    let server = arguments.crossdock()?;
    let empty = publish_while_drained(&server, &mut bare, arguments.time())?;
    let figure = format!("{:.0}/s", empty.per_second());
    let what = "500 unconfirmed into a queue that a consumer keeps empty";
    findings.compare("backlog", "crossdock", what, figure, (empty.share(), "bare at 250"), "");
    for way in WAYS {
        own_backlog(&server, &mut bare, arguments.messages, &empty, way, findings)?;
    }
    drop(server);
    let Some(peer) = arguments.rabbitmq(findings) else { return Ok(()) };
    for (name, kind) in [("classic", CLASSIC), ("quorum", QUORUM)] {
        peers_backlog(&peer, (name, kind), &mut bare, arguments.peer_messages, findings)?;
    }
    Ok(())
}

fn own_backlog(
    server: &Server,
    bare: &mut Bare,
    count: u64,
    empty: &Turns,
    (acknowledge, how): (Acknowledge, &str),
    findings: &mut Findings,
) -> Result<()> {
    let share = report_fill(findings, "crossdock", count, &fill(server, &[], count, bare)?);
    let ratio = (share / empty.share(), "the share while drained");
    findings.compare("backlog", "crossdock", "a backlog against none", format!("{share:.2}"), ratio, "≥ 0.80");
    let memory = if count > 5_000_000 { "≤ 200 MiB" } else { "≤ 100 MiB" };
    findings.judge("backlog", "crossdock", "resident afterwards", resident(server), memory);
    let on_disk = disk::allocated_bytes(server.folder()) >> 20;
    findings.add("backlog", "crossdock", "on disk afterwards", format!("{on_disk} MiB"));
    let before = cpu::used_us(server.process());
    let time = drain(server.ports.amqp.unwrap_or(0), QUEUE, count, acknowledge)?;
    let cpu_us = (cpu::used_us(server.process()) - before) as f64 / count as f64;
    let figure = format!("{:.0}/s, {cpu_us:.2} µs CPU each", count as f64 / time.as_secs_f64());
    findings.judge("backlog", "crossdock", how, figure, "≥ 500,000/s");
    findings.add("backlog", "crossdock", "resident when drained", resident(server));
    delete(server)
}

fn peers_backlog(
    server: &Server,
    (name, kind): (&str, &[Argument]),
    bare: &mut Bare,
    count: u64,
    findings: &mut Findings,
) -> Result<()> {
    let who = format!("rabbitmq {name}");
    for (acknowledge, how) in WAYS {
        report_fill(findings, &who, count, &fill(server, kind, count, bare)?);
        findings.add("backlog", &who, "resident afterwards", resident(server));
        let time = drain(server.ports.amqp.unwrap_or(0), QUEUE, count, acknowledge)?;
        findings.add("backlog", &who, how, format!("{:.0}/s", count as f64 / time.as_secs_f64()));
        delete(server)?;
    }
    Ok(())
}

/// Tells what share of the bare disk it was.
fn report_fill(findings: &mut Findings, who: &str, count: u64, parts: &[Turns]) -> f64 {
    let mean =
        |figure: fn(&Turns) -> f64| parts.len() as f64 / parts.iter().map(|part| 1.0 / figure(part)).sum::<f64>();
    let (rate, share) = (mean(Turns::per_second), mean(Turns::per_second) / mean(Turns::bare_per_second));
    let what = format!("{count} × 1 KiB without a consumer, 500 unconfirmed");
    findings.compare("backlog", who, &what, format!("{rate:.0}/s"), (share, "bare at 250"), "");
    let list = |figure: fn(&Turns) -> String| parts.iter().map(figure).collect::<Vec<_>>().join(" ");
    let rates = list(|part| format!("{:.0}", part.per_second() / 1000.0));
    findings.add("backlog", who, "each twentieth, 1,000/s", rates);
    findings.add("backlog", who, "each twentieth × bare at 250", list(|part| format!("{:.2}", part.share())));
    let of = |parts: &[Turns]| median(parts.iter().map(Turns::share).collect());
    let (early, late) = (of(&parts[..parts.len() / 4]), of(&parts[parts.len() / 2..]));
    let ratio = (late / early, "that of the first quarter");
    findings.compare("backlog", who, "median of the last half's × bare", format!("{late:.2}"), ratio, "");
    share
}

/// Kills a broker that has a backlog and waits until it shows it again.
///
/// # Errors
/// A broker fails, or messages are missing.
pub fn restart(arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let mut server = arguments.crossdock()?;
    let count = arguments.messages;
    fill(&server, &[], count, &mut Bare::in_folder(&arguments.folder)?)?;
    server.kill()?;
    let start = Instant::now();
    server.start_again()?;
    wait_for(&server, QUEUE, count, start)?;
    let seconds = start.elapsed().as_secs_f64();
    let target = if count > 5_000_000 { "< 5 s" } else { "< 1 s" };
    let what = format!("kill -9 with {count} × 1 KiB, until all are shown as ready");
    findings.judge("restart", "crossdock", &what, format!("{seconds:.2} s"), target);
    findings.add("restart", "crossdock", "resident then", resident(&server));
    let (acknowledge, how) = WAYS[0];
    let time = drain(server.ports.amqp.unwrap_or(0), QUEUE, count, acknowledge)?;
    findings.add("restart", "crossdock", how, format!("{:.0}/s", count as f64 / time.as_secs_f64()));
    Ok(())
}

/// Waits until a broker that was just started shows so many ready messages in the queue.
///
/// # Errors
/// It shows another number, or nothing for too long.
pub fn wait_for(server: &Server, queue: &str, count: u64, start: Instant) -> Result<()> {
    loop {
        if let Ok(mut amqp) = Amqp::open(server.ports.amqp.unwrap_or(0)) {
            match amqp.ready(queue)? {
                ready if ready == count => return Ok(()),
                ready => bail!("{ready} messages are ready in '{queue}' after the restart, not {count}"),
            }
        }
        if start.elapsed() > RESTART_PATIENCE {
            bail!("it does not come back");
        }
        pause(Duration::from_millis(2));
    }
}

/// Fills the queue in parts, each followed by a turn of the bare disk.
fn fill(server: &Server, kind: &[Argument], count: u64, bare: &mut Bare) -> Result<Vec<Turns>> {
    let port = server.ports.amqp.unwrap_or(0);
    Amqp::open(port)?.declare(QUEUE, true, kind)?;
    let mut publisher = Publisher::open(port, QUEUE)?;
    let part = |at: u64| {
        let messages = count * (at + 1) / PARTS - count * at / PARTS;
        let (mut turns, start) = (Turns::default(), Instant::now());
        publisher.publish_count(messages, UNCONFIRMED_MAX)?;
        turns.add(messages, start.elapsed(), bare, BARE_BATCH)?;
        Ok(turns)
    };
    (0..PARTS).map(part).collect()
}

fn publish_while_drained(server: &Server, bare: &mut Bare, time: Duration) -> Result<Turns> {
    let port = server.ports.amqp.unwrap_or(0);
    Amqp::open(port)?.declare(QUEUE, true, &[])?;
    let drainer = Drainer::open(port, QUEUE)?;
    let mut publisher = Publisher::open(port, QUEUE)?;
    let (begun, mut turns) = (Instant::now(), Turns::default());
    while begun.elapsed() < 2 * time {
        let start = Instant::now();
        let messages = publisher.publish_for(SLICE, UNCONFIRMED_MAX, Some(&drainer))?;
        turns.add(messages, start.elapsed(), bare, BARE_BATCH)?;
    }
    drainer.end()?;
    delete(server)?;
    Ok(turns)
}

/// Memory now, and the most since the start of the process.
fn resident(server: &Server) -> String {
    let (now, peak) = (cpu::resident_kib(server.process()), cpu::resident_peak_kib(server.process()));
    format!("{:.0} MiB, peak {:.0} MiB", mib(now), mib(peak))
}

fn delete(server: &Server) -> Result<()> {
    Amqp::open(server.ports.amqp.unwrap_or(0))?.delete(QUEUE)
}
