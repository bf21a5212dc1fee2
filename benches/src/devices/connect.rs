//! Connections with one subscription: how many a second of the broker's CPU, and what each weighs while it is idle.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Arguments;
use crate::cpu;
use crate::findings::Findings;
use crate::mqtt;
use crate::server::{Server, pause};
use crate::usage::Usage;

/// Devices that come at the same time.
const AT_ONCE: usize = 100;
/// Before it is measured, so many come and go: what a broker keeps for all connections is not each one's.
const FIRST: usize = 200;
/// Resident memory follows when buffers are given back.
const SETTLE: Duration = Duration::from_secs(3);

/// # Errors
/// The broker refuses a connection.
pub fn measure(server: &mut Server, arguments: &Arguments, findings: &mut Findings) -> Result<()> {
    let (port, process) = (server.ports.mqtt.context("no MQTT")?, server.process());
    drop(open(port, 0..FIRST)?);
    pause(SETTLE);
    let count = arguments.connections;
    let (empty_kib, begun) = (cpu::resident_kib(process), Usage::of(process));
    let mut devices = open(port, FIRST..FIRST + count)?;
    let connected = Usage::of(process);
    subscribe(&mut devices)?;
    let subscribed = Usage::of(process);
    pause(SETTLE);
    let full_kib = cpu::resident_kib(process);
    let per_second = |us: f64| format!("{:.0} per CPU-second", count as f64 / us * 1e6);
    let mut add = |what: &str, figure, target: &str| findings.judge("connect", &server.name, what, figure, target);
    add("connects, CONNECT to CONNACK", per_second(connected.cpu_us_since(&begun)), "≥ 10,000");
    add("the same with SUBSCRIBE to SUBACK", per_second(subscribed.cpu_us_since(&begun)), "");
    let each_kib = full_kib.saturating_sub(empty_kib) as f64 / count as f64;
    add(&format!("idle, one subscription, {count} connections"), format!("{each_kib:.2} KiB each"), "≤ 4 KiB");
    add("resident before and with them", format!("{:.1}, {:.1} MiB", mib(empty_kib), mib(full_kib)), "");
    drop(devices);
    pause(SETTLE);
    add("resident after them", format!("{:.1} MiB", mib(cpu::resident_kib(process))), "");
    Ok(())
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Connects devices of these numbers.
fn open(port: u16, numbers: std::ops::Range<usize>) -> Result<Vec<TcpStream>> {
    let mut devices = Vec::new();
    let numbers: Vec<usize> = numbers.collect();
    for batch in numbers.chunks(AT_ONCE) {
        let begin = devices.len();
        for number in batch {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.write_all(&mqtt::connect(&format!("device{number}"), true))?;
            devices.push(stream);
        }
        devices[begin..].iter_mut().try_for_each(|device| expect(device, [0x20, 2, 0, 0]))?;
    }
    Ok(devices)
}

fn subscribe(devices: &mut [TcpStream]) -> Result<()> {
    for (batch_number, batch) in devices.chunks_mut(AT_ONCE).enumerate() {
        for (index, device) in batch.iter_mut().enumerate() {
            let filter = format!("device/{}/command", batch_number * AT_ONCE + index);
            device.write_all(&mqtt::subscribe(&filter, 1))?;
        }
        batch.iter_mut().try_for_each(|device| expect(device, [0x90, 3, 0, 1, 1]))?;
    }
    Ok(())
}

fn expect<const BYTES: usize>(device: &mut TcpStream, expected: [u8; BYTES]) -> Result<()> {
    let mut answer = [0; BYTES];
    device.read_exact(&mut answer)?;
    ensure!(answer == expected, "{answer:x?}");
    Ok(())
}
