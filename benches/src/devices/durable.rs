//! A hundred devices publish with QoS 1 into a session that survives, against the bare disk.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::Arguments;
use crate::cpu;
use crate::findings::Findings;
use crate::journal::{BODY_BYTES, Bare, SLICE, Turns};
use crate::mqtt::{self, Mqtt, Packets};
use crate::server::Server;
use crate::usage::Usage;

const PUBLISHERS: usize = 100;
/// Unacknowledged messages of each.
const UNCONFIRMED_MAX: usize = 10;

/// # Errors
/// The broker or the disk fails.
pub fn measure(arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    for is_away in [true, false] {
        let server = Server::start_in("crossdock", &arguments.folder)?;
        let mut bare = Bare::in_folder(&arguments.folder)?;
        let mut turns = Turns::default();
        let Run { batch, broker_us } = publish(&server, is_away, &mut bare, &mut turns, 2 * arguments.time())?;
        let what = format!("100 publishers, QoS 1, 1 KiB, session {}", if is_away { "away" } else { "acknowledges" });
        let (rate, bare) = (turns.per_second(), turns.bare_per_second());
        let figure =
            format!("{rate:.0}/s, {broker_us:.2} µs CPU each; bare {bare:.0}/s with {batch:.0} in each fdatasync");
        findings.compare("durable", "crossdock", &what, figure, (turns.share(), "bare"), "≥ 0.5");
    }
    Ok(())
}

/// What one run gave.
struct Run {
    /// Messages with each sync.
    batch: f64,
    /// CPU time of the broker for each message.
    broker_us: f64,
}

/// Publishes and lets the bare disk do the same, in turns.
fn publish(server: &Server, is_away: bool, bare: &mut Bare, turns: &mut Turns, time: Duration) -> Result<Run> {
    let port = server.ports.mqtt.context("no MQTT")?;
    let mut session = Mqtt::open_session(port, "durable")?;
    session.subscribe("load/#", 1)?;
    let hang_up = session.stream.try_clone()?;
    let consumer = if is_away { None } else { Some(thread::spawn(move || consume(session))) };
    let names = (0..PUBLISHERS).map(|number| Publisher::open(port, number));
    let mut publishers = names.collect::<Result<Vec<_>>>()?;
    let (begun, used, mut messages, mut syncs) = (Instant::now(), Usage::of(server.process()), 0, 0);
    while begun.elapsed() < time {
        let (start, synced) = (Instant::now(), cpu::journal_writes(server.process()));
        let count = publish_for(&mut publishers, SLICE)?;
        let elapsed = start.elapsed();
        let writes = cpu::journal_writes(server.process()) - synced;
        (messages, syncs) = (messages + count, syncs + writes);
        turns.add(count, elapsed, bare, messages / syncs.max(1))?;
    }
    let used_us = Usage::of(server.process()).cpu_us_since(&used);
    hang_up.shutdown(Shutdown::Both)?;
    consumer.map_or(Ok(()), |consumer| consumer.join().map_err(|_| anyhow!("the consumer panicked"))?)?;
    Ok(Run { batch: messages as f64 / syncs.max(1) as f64, broker_us: used_us / messages.max(1) as f64 })
}

/// Keeps between half and all of the allowed messages on their way.
fn publish_for(publishers: &mut [Publisher], time: Duration) -> Result<u64> {
    let (half, begun, mut count) = (UNCONFIRMED_MAX / 2, Instant::now(), 0);
    publishers.iter_mut().try_for_each(|publisher| publisher.send(2 * half))?;
    while begun.elapsed() < time {
        for publisher in &mut *publishers {
            publisher.hear(half)?;
            publisher.send(half)?;
            count += half;
        }
    }
    publishers.iter_mut().try_for_each(|publisher| publisher.hear(2 * half))?;
    Ok((count + 2 * half * publishers.len()) as u64)
}

struct Publisher {
    stream: TcpStream,
    /// One message.
    packet: Vec<u8>,
}

impl Publisher {
    fn open(port: u16, number: usize) -> Result<Self> {
        let stream = Mqtt::open(port, &format!("publisher{number}"))?.stream;
        let packet = mqtt::publish(&format!("load/{number}"), 1, 1, &[b'x'; BODY_BYTES]);
        Ok(Self { stream, packet })
    }

    fn send(&mut self, count: usize) -> Result<()> {
        Ok(self.stream.write_all(&self.packet.repeat(count))?)
    }

    fn hear(&mut self, count: usize) -> Result<()> {
        Ok(self.stream.read_exact(&mut [0; 4 * UNCONFIRMED_MAX][..4 * count])?)
    }
}

/// Acknowledges each message until it is hung up.
fn consume(mut session: Mqtt) -> Result<()> {
    while session.packets.inbox.read(&mut session.stream)? != Some(0) {
        let mut acks = Vec::new();
        while let Some((first, body)) = session.packets.next() {
            if first & 0xf0 == 0x30 {
                acks.extend(mqtt::ack(mqtt::PUBACK, Packets::parts(first, body).0));
            }
        }
        if session.stream.write_all(&acks).is_err() {
            break;
        }
    }
    Ok(())
}
