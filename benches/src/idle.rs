//! What idle connections weigh.

use anyhow::Result;

use crate::amqp::Amqp;
use crate::cpu;
use crate::mqtt::Mqtt;
use crate::server::{Server, pause};

use std::time::Duration;

/// Resident memory follows when buffers are given back.
const SETTLE: Duration = Duration::from_secs(2);
/// Before it is measured, so many come and go: what a broker keeps for all connections is not each one's.
const FIRST: usize = 10;

/// What was found.
pub struct Finding {
    what: &'static str,
    broker: String,
    kib_each: f64,
}

/// Opens so many connections, and tells how much more memory the broker has resident.
///
/// # Errors
/// The broker refuses one.
pub fn measure(server: &Server, connections: usize, findings: &mut Vec<Finding>) -> Result<()> {
    let mut add = |what, kib_each| {
        eprintln!("{what}: {} {kib_each:.1} KiB each", server.name);
        findings.push(Finding { what, broker: server.name.clone(), kib_each });
    };
    if let Some(port) = server.ports.amqp {
        add("AMQP connection with one channel", each(server, connections, |_| Amqp::open(port))?);
    }
    if let Some(port) = server.ports.mqtt {
        let open = |number| {
            let mut mqtt = Mqtt::open(port, &format!("idle{number}"))?;
            mqtt.subscribe(&format!("idle/{number}"), 1)?;
            Ok(mqtt)
        };
        add("MQTT connection with one subscription", each(server, connections, open)?);
    }
    Ok(())
}

/// KiB for each.
fn each<T>(server: &Server, connections: usize, open: impl Fn(usize) -> Result<T>) -> Result<f64> {
    drop((0..FIRST).map(&open).collect::<Result<Vec<_>>>()?);
    pause(SETTLE);
    let before = cpu::resident_kib(server.process());
    let open = (FIRST..FIRST + connections).map(&open).collect::<Result<Vec<_>>>()?;
    pause(SETTLE);
    let after = cpu::resident_kib(server.process());
    drop(open);
    pause(SETTLE);
    Ok(after.saturating_sub(before) as f64 / connections as f64)
}

/// Prints Markdown, with ratios to ours.
pub fn print(findings: &[Finding], connections: usize) {
    println!("\n| {connections} idle | broker | KiB each | × ours |\n|---|---|---|---|");
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.what);
    for Finding { what, broker, kib_each } in sorted {
        let ours = findings.iter().find(|other| other.what == *what && other.broker == "crossdock");
        let ratio = ours.map_or("–".to_owned(), |ours| format!("{:.1}", kib_each / ours.kib_each));
        println!("| {what} | {broker} | {kib_each:.1} | {ratio} |");
    }
}
