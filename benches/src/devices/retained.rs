//! Very many retained topics: what others notice when somebody subscribes to all of them, and how long a restart takes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::Arguments;
use crate::cpu;
use crate::findings::Findings;
use crate::latency::Histogram;
use crate::mqtt::{self, Mqtt, Packets};
use crate::server::{Server, pause};

/// Messages that are written before their acknowledgements are read.
const AT_ONCE: usize = 500;
const PAYLOAD: [u8; 32] = [b'x'; 32];
/// Between two messages of somebody else.
const EVERY: Duration = Duration::from_millis(1);
/// How long nothing may come before all has come.
const PATIENCE: Duration = Duration::from_secs(20);

/// # Errors
/// The broker fails.
pub fn measure(server: &mut Server, arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let (name, count) = (server.name.clone(), arguments.topics);
    let port = server.ports.mqtt.context("no MQTT")?;
    let mut add = |what: &str, figure: String, target: &str| {
        findings.judge(&format!("{count} retained topics"), &name, what, figure, target);
    };
    retain(port, count)?;
    pause(2 * EVERY);
    add("resident", format!("{} MiB", cpu::resident_kib(server.process()) / 1024), "");
    let quiet = others(port, || {
        pause(arguments.time());
        Ok(())
    })?;
    add("somebody else's messages, p50 / p99 / most, before", figure(&quiet.0), "");
    let (noticed, taken) = others(port, || take_all(port, count))?;
    let (first, all) = taken;
    add("subscribing to #: first, all", format!("{:.1} ms, {:.2} s", ms(first), all.as_secs_f64()), "");
    add("somebody else's messages meanwhile", figure(&noticed), "no pause");
    if server.name == "crossdock" {
        server.kill()?;
        let begun = Instant::now();
        server.start_again()?;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            pause(EVERY);
        }
        let started = begun.elapsed();
        take_all(port, count)?;
        add("restart after kill -9", format!("{:.2} s", started.as_secs_f64()), "≤ 10 s");
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn figure(histogram: &Histogram) -> String {
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| histogram.percentile_ms(share).unwrap_or(f64::NAN));
    format!("{p50:.2} / {p99:.2} / {most:.2} ms")
}

/// Publishes the topics, each acknowledged.
fn retain(port: u16, count: usize) -> Result<()> {
    let mut stream = Mqtt::open(port, "retainer")?.stream;
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(AT_ONCE) {
        let packet = |number: &usize| {
            let topic = format!("device/{}/sensor/{number}", number % 1_000);
            let mut packet = mqtt::publish(&topic, 1, 1 + (number % AT_ONCE) as u16, &PAYLOAD);
            packet[0] |= 1;
            packet
        };
        stream.write_all(&batch.iter().flat_map(packet).collect::<Vec<u8>>())?;
        stream.read_exact(&mut vec![0; 4 * batch.len()])?;
    }
    Ok(())
}

/// Subscribes to everything; says when the first and when the last came.
fn take_all(port: u16, count: usize) -> Result<(Duration, Duration)> {
    let mut all = Mqtt::open(port, "all")?;
    all.stream.set_read_timeout(Some(PATIENCE))?;
    let begun = Instant::now();
    all.stream.write_all(&mqtt::subscribe("device/#", 0))?;
    let (mut came, mut first) = (0, None);
    while came < count {
        match all.packets.inbox.read(&mut all.stream)? {
            Some(0) => bail!("hung up after {came}"),
            None => bail!("only {came} came"),
            Some(_) => {}
        }
        while let Some((kind, _)) = all.packets.next() {
            came += usize::from(kind & 0xf0 == 0x30);
        }
        first = first.or((came > 0).then(|| begun.elapsed()));
    }
    Ok((first.unwrap_or_default(), begun.elapsed()))
}

/// How long the messages of somebody else take while something is done.
fn others<T: Send>(port: u16, what: impl FnOnce() -> Result<T> + Send) -> Result<(Histogram, T)> {
    let mut listener = Mqtt::open(port, "listener")?;
    listener.subscribe("other", 0)?;
    let mut speaker = Mqtt::open(port, "speaker")?;
    thread::scope(|scope| {
        let busy = scope.spawn(what);
        let mut latencies = Histogram::default();
        while !busy.is_finished() {
            let sent = Instant::now();
            speaker.stream.write_all(&mqtt::publish("other", 0, 0, &PAYLOAD))?;
            hear(&mut listener)?;
            latencies.add(sent.elapsed());
            pause(EVERY);
        }
        Ok((latencies, busy.join().map_err(|_| anyhow!("a thread panicked"))??))
    })
}

fn hear(listener: &mut Mqtt) -> Result<()> {
    loop {
        if let Some((first, body)) = listener.packets.next() {
            if first & 0xf0 == 0x30 && Packets::parts(first, body).1 == PAYLOAD {
                return Ok(());
            }
            continue;
        }
        if listener.packets.inbox.read(&mut listener.stream)? == Some(0) {
            bail!("hung up");
        }
    }
}
