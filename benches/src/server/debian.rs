//! Brokers that Debian packages.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::web::Place;

use super::{Ports, Started, free_port, spawn};

pub fn rabbitmq(folder: &Path) -> Result<Started> {
    let script = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if !script.exists() {
        bail!("not installed (apt-get install rabbitmq-server)");
    }
    let (amqp, stomp, web) = (free_port()?, free_port()?, free_port()?);
    let settings = format!(
        "loopback_users = none\nstomp.listeners.tcp.1 = 127.0.0.1:{stomp}\nweb_stomp.tcp.ip = 127.0.0.1\nweb_stomp.tcp.port = {web}\n"
    );
    std::fs::write(folder.join("rabbitmq.conf"), settings)?;
    std::fs::write(folder.join("enabled_plugins"), "[rabbitmq_stomp, rabbitmq_web_stomp].\n")?;
    let mut command = Command::new(script);
    command
        .env("RABBITMQ_NODENAME", format!("bench{amqp}@localhost"))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", amqp.to_string())
        .env("RABBITMQ_DIST_PORT", free_port()?.to_string())
        .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", folder.join("log"))
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
        // The script becomes the broker instead of waiting for it.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env("HOME", folder);
    let web_stomp = Some(Place { port: web, path: "/ws" });
    Ok((spawn(&command)?, Ports { amqp: Some(amqp), stomp: Some(stomp), web_stomp, ..Ports::default() }))
}

pub fn mosquitto(folder: &Path) -> Result<Started> {
    let binary = Path::new("/usr/sbin/mosquitto");
    if !binary.exists() {
        bail!("not installed (apt-get install mosquitto)");
    }
    let mqtt = free_port()?;
    let file = folder.join("mosquitto.conf");
    let queue = "max_queued_messages 0\nmax_inflight_messages 0\n";
    let place = folder.display();
    let text = format!(
        "listener {mqtt} 127.0.0.1\nallow_anonymous true\n{queue}persistence true\npersistence_location {place}/\n"
    );
    std::fs::write(&file, text)?;
    let mut command = Command::new(binary);
    command.arg("-c").arg(&file);
    Ok((spawn(&command)?, Ports { mqtt: Some(mqtt), ..Ports::default() }))
}
