//! Brokers from registries of other languages, fetched once into `peers` beside the build.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Ports, Started, free_port, spawn};

const NATS: &str = "github.com/nats-io/nats-server/v2@v2.15.2";
const ARTEMIS_VERSION: &str = "2.40.0";

/// nats-server with its defaults, but for pings in the middle of a run.
///
/// # Errors
/// It cannot be built: no Go, or no proxy.
pub fn nats(folder: &Path) -> Result<Started> {
    let peers = peers()?;
    let binary = peers.join("nats-server");
    if !binary.exists() {
        eprintln!("building nats-server, once");
        quietly(Command::new("go").args(["install", NATS]).env("GOBIN", &peers))?;
    }
    let nats = free_port()?;
    let file = folder.join("nats.conf");
    std::fs::write(&file, format!("listen: 127.0.0.1:{nats}\nping_interval: \"1h\"\n"))?;
    let mut command = Command::new(binary);
    command.arg("-c").arg(&file);
    Ok((spawn(&command)?, Ports { nats: Some(nats), ..Ports::default() }))
}

/// ActiveMQ Artemis with the settings of its own `create`, of which only the MQTT and STOMP acceptors' ports are changed.
///
/// # Errors
/// It cannot be fetched: no Maven, no repository; or there is no Java.
pub fn artemis(folder: &Path) -> Result<Started> {
    let program = artemis_program()?;
    let instance = folder.join("artemis");
    let without = ["--no-amqp-acceptor", "--no-hornetq-acceptor", "--no-web"];
    quietly(
        Command::new(program)
            .args(["create", "--silent", "--user", "guest", "--password", "guest", "--allow-anonymous"])
            .args(without)
            .arg(&instance),
    )?;
    let (file, mqtt, stomp) = (instance.join("etc/broker.xml"), free_port()?, free_port()?);
    let settings = std::fs::read_to_string(&file)?;
    let settings = settings.replace("0.0.0.0:1883", &format!("127.0.0.1:{mqtt}"));
    let settings = settings.replace("0.0.0.0:61613", &format!("127.0.0.1:{stomp}"));
    std::fs::write(&file, settings.replace("0.0.0.0:61616", &format!("127.0.0.1:{}", free_port()?)))?;
    let mut command = Command::new(instance.join("bin/artemis"));
    command.arg("run");
    Ok((spawn(&command)?, Ports { mqtt: Some(mqtt), stomp: Some(stomp), ..Ports::default() }))
}

fn artemis_program() -> Result<PathBuf> {
    let (peers, name) = (peers()?, format!("apache-artemis-{ARTEMIS_VERSION}"));
    let program = peers.join(&name).join("bin/artemis");
    if !program.exists() {
        eprintln!("fetching Artemis, once");
        let artifact = format!("-Dartifact=org.apache.activemq:apache-artemis:{ARTEMIS_VERSION}:tar.gz:bin");
        let place = format!("-DoutputDirectory={}", peers.display());
        quietly(Command::new("mvn").args(["--batch-mode", "dependency:copy", &artifact, &place]))?;
        quietly(Command::new("tar").arg("-xzf").arg(peers.join(format!("{name}-bin.tar.gz"))).arg("-C").arg(&peers))?;
    }
    Ok(program)
}

/// `target/peers`
pub(super) fn peers() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let peers = own.ancestors().nth(2).context("no folder")?.join("peers");
    std::fs::create_dir_all(&peers)?;
    Ok(peers)
}

pub(super) fn quietly(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| name.clone())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        bail!("{name}: {}", text.lines().last().unwrap_or_default());
    }
    Ok(())
}
