//! The workloads: one publisher, one consumer, both in threads of this process.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::amqp::{self, Amqp, Heard};
use crate::cpu;
use crate::latency::{Histogram, age, stamp};
use crate::mqtt::{self, Mqtt, Packets};
use crate::report::{Report, Row};
use crate::server::{Server, pause};

/// Published and not yet consumed: enough to keep everybody busy, little enough that no queue grows.
const AHEAD_MAX: u64 = 20_000;
/// Published and not yet confirmed.
const UNCONFIRMED_MAX: u64 = 500;
/// Prefetch of consumers that acknowledge.
const PREFETCH: u16 = 500;
/// Messages in one write of an unpaced publisher.
const BATCH: usize = 64;

/// One way to load a broker.
#[derive(Clone, Copy)]
struct Workload {
    name: &'static str,
    kind: Kind,
    body_bytes: usize,
    /// Messages per second; 0 is as fast as it goes.
    rate: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Transient, automatic acknowledgement.
    AmqpTransient,
    /// Persistent, confirms, acknowledged one by one.
    AmqpDurable,
    /// The same on a quorum queue, where there is such a thing.
    AmqpQuorum,
    Mqtt(u8),
}

const WORKLOADS: [Workload; 9] = [
    Workload { name: "AMQP transient 16 B, auto-ack", kind: Kind::AmqpTransient, body_bytes: 16, rate: 0 },
    Workload { name: "AMQP transient 1 KiB, auto-ack", kind: Kind::AmqpTransient, body_bytes: 1024, rate: 0 },
    Workload { name: "AMQP durable 1 KiB, 500 unconfirmed", kind: Kind::AmqpDurable, body_bytes: 1024, rate: 0 },
    Workload { name: "AMQP quorum 1 KiB, 500 unconfirmed", kind: Kind::AmqpQuorum, body_bytes: 1024, rate: 0 },
    Workload { name: "AMQP transient 1 KiB at 1,000/s", kind: Kind::AmqpTransient, body_bytes: 1024, rate: 1_000 },
    Workload { name: "MQTT QoS 0, 64 B", kind: Kind::Mqtt(0), body_bytes: 64, rate: 0 },
    Workload { name: "MQTT QoS 1, 64 B", kind: Kind::Mqtt(1), body_bytes: 64, rate: 0 },
    Workload { name: "MQTT QoS 0, 64 B at 1,000/s", kind: Kind::Mqtt(0), body_bytes: 64, rate: 1_000 },
    Workload { name: "MQTT QoS 1, 64 B at 1,000/s", kind: Kind::Mqtt(1), body_bytes: 64, rate: 1_000 },
];

/// What publisher and consumer share.
#[derive(Clone)]
struct Shared {
    start: Instant,
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
    consumed: Arc<AtomicU64>,
    confirmed: Arc<AtomicU64>,
}

/// Runs every workload that the broker can do, and reports the median run of each.
///
/// # Errors
/// A client fails: the broker did something unexpected.
pub fn all(server: &Server, only: &str, time: Duration, runs: usize, report: &mut Report) -> Result<()> {
    for workload in WORKLOADS.iter().filter(|workload| workload.name.contains(only)) {
        let speaks = match workload.kind {
            Kind::Mqtt(_) => server.mqtt.is_some(),
            // Only RabbitMQ has a queue type that syncs before it confirms; ours always does.
            Kind::AmqpQuorum => server.name == "rabbitmq",
            _ => server.amqp.is_some(),
        };
        if !speaks {
            continue;
        }
        let mut rows = (0..runs.max(1)).map(|_| one(server, *workload, time)).collect::<Result<Vec<Row>>>()?;
        rows.sort_by(|a, b| a.broker_us.total_cmp(&b.broker_us));
        report.add(rows.swap_remove(rows.len() / 2));
    }
    Ok(())
}

fn one(server: &Server, workload: Workload, time: Duration) -> Result<Row> {
    let shared = Shared {
        start: Instant::now(),
        stop: Arc::default(),
        published: Arc::default(),
        consumed: Arc::default(),
        confirmed: Arc::default(),
    };
    let (consumer, publisher) = match workload.kind {
        Kind::Mqtt(qos) => mqtt_pair(server, workload, qos, &shared)?,
        _ => amqp_pair(server, workload, &shared)?,
    };
    pause(Duration::from_millis(300));
    let before = (cpu::used_us(server.process()), cpu::used_us(std::process::id()), count(&shared), Instant::now());
    pause(time);
    let after = (cpu::used_us(server.process()), cpu::used_us(std::process::id()), count(&shared), Instant::now());
    let resident_mib = cpu::resident_kib(server.process()) as f64 / 1024.0;
    shared.stop.store(true, Ordering::SeqCst);
    publisher.join().map_err(|_| anyhow!("the publisher panicked"))??;
    let histogram = consumer.join().map_err(|_| anyhow!("the consumer panicked"))??;
    clean_up(server, workload)?;
    let messages = (after.2 - before.2).max(1) as f64;
    // Child processes of this tool are the brokers: they are not the client.
    let client_us = (after.1 - before.1).saturating_sub(after.0 - before.0) as f64;
    let paced = workload.rate > 0;
    Ok(Row {
        workload: workload.name.to_owned(),
        broker: label(server, workload.kind),
        per_second: messages / (after.3 - before.3).as_secs_f64(),
        broker_us: (after.0 - before.0) as f64 / messages,
        client_us: client_us / messages,
        p50_ms: histogram.percentile_ms(0.5).filter(|_| paced),
        p99_ms: histogram.percentile_ms(0.99).filter(|_| paced),
        resident_mib,
    })
}

fn label(server: &Server, kind: Kind) -> String {
    match (server.name.as_str(), kind) {
        ("rabbitmq", Kind::AmqpDurable) => "rabbitmq classic (no sync)".to_owned(),
        ("rabbitmq", Kind::AmqpQuorum) => "rabbitmq quorum (syncs)".to_owned(),
        (name, _) => name.to_owned(),
    }
}

fn count(shared: &Shared) -> u64 {
    shared.consumed.load(Ordering::SeqCst)
}

fn clean_up(server: &Server, workload: Workload) -> Result<()> {
    if let (Some(port), false) = (server.amqp, matches!(workload.kind, Kind::Mqtt(_))) {
        Amqp::open(port)?.delete(QUEUE)?;
    }
    pause(Duration::from_millis(200));
    Ok(())
}

const QUEUE: &str = "load";
type Consumer = std::thread::JoinHandle<Result<Histogram>>;
type Publisher = std::thread::JoinHandle<Result<()>>;

fn amqp_pair(server: &Server, workload: Workload, shared: &Shared) -> Result<(Consumer, Publisher)> {
    let port = server.amqp.unwrap_or(0);
    let durable = workload.kind != Kind::AmqpTransient;
    let kind = (workload.kind == Kind::AmqpQuorum).then_some("quorum");
    let mut consumer = Amqp::open(port)?;
    consumer.declare(QUEUE, durable, kind)?;
    if durable {
        consumer.qos(PREFETCH)?;
    }
    consumer.consume(QUEUE, !durable)?;
    let mut publisher = Amqp::open(port)?;
    if durable {
        publisher.select_confirms()?;
    }
    let (of_consumer, of_publisher) = (shared.clone(), shared.clone());
    Ok((
        std::thread::spawn(move || amqp_consume(consumer, durable, &of_consumer)),
        std::thread::spawn(move || amqp_publish(publisher, workload, durable, &of_publisher)),
    ))
}

fn amqp_consume(mut amqp: Amqp, acknowledge: bool, shared: &Shared) -> Result<Histogram> {
    let mut histogram = Histogram::default();
    amqp.stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut acks = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        amqp.frames.read(&mut amqp.stream)?;
        let mut messages = 0;
        while let Some(heard) = amqp.frames.hear() {
            match heard {
                Heard::Deliver { tag } if acknowledge => acks.extend(amqp::ack(tag, false)),
                Heard::Body(body) => {
                    messages += 1;
                    histogram.add(age(shared.start, body).unwrap_or_default());
                }
                _ => {}
            }
        }
        shared.consumed.fetch_add(messages, Ordering::Relaxed);
        amqp.stream.write_all(&acks)?;
        acks.clear();
    }
    Ok(histogram)
}

fn amqp_publish(mut amqp: Amqp, workload: Workload, confirms: bool, shared: &Shared) -> Result<()> {
    let reader = confirms.then(|| listen_for_confirms(&amqp, shared)).transpose()?;
    let one = amqp::publish(QUEUE, confirms, &vec![b'x'; workload.body_bytes]);
    let stamp_at = one.len() - 1 - workload.body_bytes;
    publish_loop(workload, shared, confirms, &one, stamp_at, |bytes| Ok(amqp.stream.write_all(bytes)?))?;
    amqp.stream.shutdown(std::net::Shutdown::Both)?;
    if let Some(reader) = reader {
        // It ends with the connection.
        let _ = reader.join();
    }
    Ok(())
}

fn listen_for_confirms(amqp: &Amqp, shared: &Shared) -> Result<Publisher> {
    let mut stream = amqp.stream.try_clone()?;
    let shared = shared.clone();
    Ok(std::thread::spawn(move || {
        let mut frames = amqp::Frames::default();
        while frames.read(&mut stream)? > 0 {
            while let Some(heard) = frames.hear() {
                match heard {
                    Heard::Ack { tag, multiple: true } => {
                        shared.confirmed.fetch_max(tag, Ordering::Relaxed);
                    }
                    Heard::Ack { .. } => {
                        shared.confirmed.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }))
}

/// Writes batches, or single messages at a rate, until told to stop.
fn publish_loop(
    workload: Workload,
    shared: &Shared,
    confirms: bool,
    one: &[u8],
    stamp_at: usize,
    mut write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let batch = if workload.rate > 0 { 1 } else { BATCH };
    let mut bytes = one.repeat(batch);
    let mut due = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        let published = shared.published.load(Ordering::Relaxed);
        let ahead = published.saturating_sub(shared.consumed.load(Ordering::Relaxed)) >= AHEAD_MAX;
        let unconfirmed = published.saturating_sub(shared.confirmed.load(Ordering::Relaxed));
        if ahead || (confirms && unconfirmed + batch as u64 > UNCONFIRMED_MAX) {
            pause(Duration::from_micros(50));
            continue;
        }
        if let Some(gap_ns) = 1_000_000_000u64.checked_div(workload.rate) {
            due += Duration::from_nanos(gap_ns);
            pause(due.saturating_duration_since(Instant::now()));
        }
        let stamp = stamp(shared.start);
        for at in 0..batch {
            let place = at * one.len() + stamp_at;
            bytes[place..place + 8].copy_from_slice(&stamp);
        }
        write(&bytes)?;
        shared.published.fetch_add(batch as u64, Ordering::Relaxed);
    }
    Ok(())
}

fn mqtt_pair(server: &Server, workload: Workload, qos: u8, shared: &Shared) -> Result<(Consumer, Publisher)> {
    let port = server.mqtt.unwrap_or(0);
    let mut consumer = Mqtt::open(port, "consumer")?;
    consumer.subscribe("load", qos)?;
    let publisher = Mqtt::open(port, "publisher")?;
    let (of_consumer, of_publisher) = (shared.clone(), shared.clone());
    Ok((
        std::thread::spawn(move || mqtt_consume(consumer, &of_consumer)),
        std::thread::spawn(move || mqtt_publish(publisher, workload, qos, &of_publisher)),
    ))
}

fn mqtt_consume(mut mqtt: Mqtt, shared: &Shared) -> Result<Histogram> {
    let mut histogram = Histogram::default();
    mqtt.stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut acks = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        mqtt.packets.read(&mut mqtt.stream)?;
        let mut messages = 0;
        while let Some((first, body)) = mqtt.packets.next() {
            if first & 0xf0 != 0x30 {
                continue;
            }
            let (packet_id, payload) = Packets::parts(first, body);
            messages += 1;
            histogram.add(age(shared.start, payload).unwrap_or_default());
            if packet_id != 0 {
                acks.extend(mqtt::puback(packet_id));
            }
        }
        shared.consumed.fetch_add(messages, Ordering::Relaxed);
        mqtt.stream.write_all(&acks)?;
        acks.clear();
    }
    Ok(histogram)
}

fn mqtt_publish(mut mqtt: Mqtt, workload: Workload, qos: u8, shared: &Shared) -> Result<()> {
    let confirms = qos > 0;
    let mut reader_stream = mqtt.stream.try_clone()?;
    let confirmed = shared.confirmed.clone();
    let reader = std::thread::spawn(move || {
        let mut packets = Packets::default();
        while packets.read(&mut reader_stream).is_ok_and(|count| count > 0) {
            while let Some((first, _)) = packets.next() {
                confirmed.fetch_add(u64::from(first == 0x40), Ordering::Relaxed);
            }
        }
    });
    let one = mqtt::publish("load", qos, 1, &vec![b'x'; workload.body_bytes]);
    let stamp_at = one.len() - workload.body_bytes;
    let mut packet_id = 0u16;
    let length = one.len();
    publish_loop(workload, shared, confirms, &one, stamp_at, |bytes| {
        if !confirms {
            return Ok(mqtt.stream.write_all(bytes)?);
        }
        let mut bytes = bytes.to_vec();
        for message in bytes.chunks_mut(length) {
            packet_id = packet_id % u16::MAX + 1;
            message[stamp_at - 2..stamp_at].copy_from_slice(&packet_id.to_be_bytes());
        }
        Ok(mqtt.stream.write_all(&bytes)?)
    })?;
    mqtt.stream.shutdown(std::net::Shutdown::Both)?;
    let _ = reader.join();
    Ok(())
}
