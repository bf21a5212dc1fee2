//! A million deliveries settled in random order: what the disk gives back, and what that costs.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::backlog::wait_for;
use super::client::Publisher;
use super::{Arguments, mib};
use crate::amqp::{self, Amqp, Heard};
use crate::findings::Findings;
use crate::server::{Server, pause};
use crate::{cpu, disk};

const QUEUE: &str = "settle";
/// Acknowledgements in one write.
const BATCH: usize = 1_000;
/// Of a thousand deliveries, so many are acknowledged.
const SETTLED_PER_MILLE: u64 = 950;
/// When the disk must have given back what is settled.
const QUIET: Duration = Duration::from_secs(10);

/// # Errors
/// A broker fails, or what was not acknowledged is missing.
pub fn measure(arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let mut server = arguments.crossdock()?;
    let idle_us = idle_us_per_second(&server);
    let count = arguments.messages;
    let port = server.ports.amqp.unwrap_or(0);
    Amqp::open(port)?.declare(QUEUE, true, &[])?;
    let before_bytes = disk::allocated_bytes(server.folder());
    let watch = disk::Watch::over(server.folder());
    Publisher::open(port, QUEUE)?.publish_count(count, 500)?;
    let (consumer, tags) = fetch(port, count)?;
    let resident = format!("{:.0} MiB", mib(cpu::resident_kib(server.process())));
    findings.add("settle", "crossdock", &format!("resident with {count} × 1 KiB unsettled"), resident);
    let settled = count * SETTLED_PER_MILLE / 1000;
    let consumer = settle(&server, consumer, &tags[..settled as usize], findings)?;
    report_quiet(&server, idle_us, watch, before_bytes, findings);
    drop(consumer);
    report_rest(&mut server, count - settled, findings)
}

/// Takes all messages and gives their tags in random order.
fn fetch(port: u16, count: u64) -> Result<(Amqp, Vec<u64>)> {
    let mut amqp = Amqp::open(port)?;
    amqp.consume(QUEUE, false)?;
    let mut tags = Vec::new();
    while (tags.len() as u64) < count {
        while let Some(heard) = amqp.frames.hear() {
            if let Heard::Deliver { tag } = heard {
                tags.push(tag);
            }
        }
        if (tags.len() as u64) < count && amqp.frames.inbox.read(&mut amqp.stream)? == Some(0) {
            bail!("the broker hung up after {} deliveries", tags.len());
        }
    }
    shuffle(&mut tags);
    Ok((amqp, tags))
}

/// The same disorder in each run.
fn shuffle(tags: &mut [u64]) {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for last in (1..tags.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tags.swap(last, (random % (last as u64 + 1)) as usize);
    }
}

fn settle(server: &Server, mut consumer: Amqp, tags: &[u64], findings: &mut Findings) -> Result<Amqp> {
    let (start, used) = (Instant::now(), cpu::used_us(server.process()));
    for some in tags.chunks(BATCH) {
        let acks: Vec<u8> = some.iter().flat_map(|tag| amqp::ack(*tag, false)).collect();
        consumer.stream.write_all(&acks)?;
    }
    // Answered after all of them.
    consumer.ready(QUEUE)?;
    let (per_second, cpu_us) =
        (tags.len() as f64 / start.elapsed().as_secs_f64(), cpu::used_us(server.process()) - used);
    let figure = format!("{per_second:.0}/s, {:.2} µs CPU each", cpu_us as f64 / tags.len() as f64);
    findings.add("settle", "crossdock", &format!("{} acknowledged one by one in random order", tags.len()), figure);
    Ok(consumer)
}

fn report_quiet(server: &Server, idle_us: f64, watch: disk::Watch, before: u64, findings: &mut Findings) {
    let (start, used) = (Instant::now(), cpu::used_us(server.process()));
    let mut quiet_after = None;
    while start.elapsed() < QUIET {
        let second = cpu::used_us(server.process());
        pause(Duration::from_secs(1));
        let spent = (cpu::used_us(server.process()) - second) as f64;
        // The kernel counts in ticks of 10 ms: less than three is nothing.
        if spent < idle_us + 30_000.0 {
            quiet_after.get_or_insert(start.elapsed().as_secs() - 1);
        } else {
            quiet_after = None;
        }
    }
    let spent = (cpu::used_us(server.process()) - used) as f64 - idle_us * start.elapsed().as_secs_f64();
    let quiet = quiet_after.map_or("not quiet".to_owned(), |seconds| format!("quiet after {seconds} s"));
    findings.add("settle", "crossdock", "CPU in the 10 s after the last one", format!("{:.2} s, {quiet}", spent / 1e6));
    let (after, peak) = (disk::allocated_bytes(server.folder()), watch.end());
    let figure = format!("{} MiB of {} MiB ({} MiB before)", after >> 20, peak >> 20, before >> 20);
    let ratio = (after as f64 / peak as f64, "the peak");
    findings.compare("settle", "crossdock", "on disk 10 s after the last one", figure, ratio, "< 0.10");
}

/// Nothing of what was not acknowledged is lost, now and after a crash.
fn report_rest(server: &mut Server, rest: u64, findings: &mut Findings) -> Result<()> {
    let port = server.ports.amqp.unwrap_or(0);
    let start = Instant::now();
    while Amqp::open(port)?.ready(QUEUE)? != rest {
        if start.elapsed() > QUIET {
            bail!("{} messages came back, not {rest}", Amqp::open(port)?.ready(QUEUE)?);
        }
        pause(Duration::from_millis(10));
    }
    server.kill()?;
    let start = Instant::now();
    server.start_again()?;
    wait_for(server, QUEUE, rest, start)?;
    let figure = format!("{:.2} s", start.elapsed().as_secs_f64());
    findings.add("settle", "crossdock", &format!("kill -9, until the other {rest} are ready"), figure);
    Ok(())
}

fn idle_us_per_second(server: &Server) -> f64 {
    let (start, used) = (Instant::now(), cpu::used_us(server.process()));
    pause(Duration::from_secs(3));
    (cpu::used_us(server.process()) - used) as f64 / start.elapsed().as_secs_f64()
}
