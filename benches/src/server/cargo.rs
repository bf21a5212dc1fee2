//! What cargo builds: ours, rumqttd, and the relay that is no broker.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::web::Place;

use super::{Ports, Started, free_port, spawn};

/// Ours, on these ports for AMQP, MQTT, STOMP and WebSocket.
///
/// # Errors
/// It is not built beside this tool.
pub fn crossdock(folder: &Path, [amqp, mqtt, stomp, web]: [u16; 4]) -> Result<Started> {
    let binary = beside_me("crossdock")?;
    let mut command = Command::new(binary);
    command.args(["--dev", "--data-dir"]).arg(folder.join("data"));
    for setting in [
        format!("listeners.amqp.port={amqp}"),
        format!("listeners.mqtt.port={mqtt}"),
        format!("listeners.stomp.port={stomp}"),
        "listeners.ws.enabled=true".to_owned(),
        format!("listeners.ws.port={web}"),
        "listeners.aws.port=0".to_owned(),
        "listeners.management.port=0".to_owned(),
        "log.level=\"warn\"".to_owned(),
    ] {
        command.arg("--set").arg(setting);
    }
    let ports = Ports {
        amqp: Some(amqp),
        mqtt: Some(mqtt),
        stomp: Some(stomp),
        web_mqtt: Some(Place { port: web, path: "/mqtt" }),
        web_stomp: Some(Place { port: web, path: "/stomp" }),
        ..Ports::default()
    };
    Ok((spawn(&command)?, ports))
}

/// The relay: this program once more.
pub fn relay() -> Result<Started> {
    let (ins, outs) = (free_port()?, free_port()?);
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--relay-ports").arg(format!("{ins},{outs}"));
    Ok((spawn(&command)?, Ports { relay: Some((ins, outs)), ..Ports::default() }))
}

/// rumqttd, which is a library: this program once more.
pub fn rumqttd() -> Result<Started> {
    if !cfg!(feature = "rumqttd") {
        bail!("not built in (cargo run --release -p crossdock-benches --features rumqttd)");
    }
    let mqtt = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--rumqttd-port").arg(mqtt.to_string());
    Ok((spawn(&command)?, Ports { mqtt: Some(mqtt), ..Ports::default() }))
}

/// Becomes a rumqttd, in a process of its own so that its CPU time can be told from the client's.
///
/// # Errors
/// It does not start.
#[cfg(feature = "rumqttd")]
pub fn be_rumqttd(port: u16) -> Result<()> {
    let config = serde_json::json!({
        "id": 0,
        "router": {
            "id": 0, "max_connections": 1000, "max_outgoing_packet_count": 200,
            "max_segment_size": 104_857_600, "max_segment_count": 10
        },
        "v4": { "1": {
            "name": "v4", "listen": format!("127.0.0.1:{port}"), "next_connection_delay_ms": 1,
            "connections": {
                "connection_timeout_ms": 60_000, "max_payload_size": 1_048_576, "max_inflight_count": 100, "dynamic_filters": true
            }
        } }
    });
    rumqttd::Broker::new(serde_json::from_value(config)?).start().context("rumqttd ended")
}

/// Not in this build.
///
/// # Errors
/// Always.
#[cfg(not(feature = "rumqttd"))]
pub fn be_rumqttd(_: u16) -> Result<()> {
    bail!("built without the feature rumqttd")
}

pub(super) fn beside_me(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let binary = own.parent().context("no folder")?.join(name);
    if !binary.exists() {
        bail!("{} is missing: cargo build --release", binary.display());
    }
    Ok(binary)
}
