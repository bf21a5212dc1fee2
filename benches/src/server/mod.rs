//! The brokers under load, each started for the run with a data directory of its own.

mod cargo;
mod debian;
mod fetched;
mod queues;

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::web::Place;
use crate::wire::Wire;

pub use cargo::be_rumqttd;

/// How long a broker may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A running broker.
pub struct Server {
    pub name: String,
    child: Child,
    /// Removed with the broker.
    folder: TempDir,
    pub ports: Ports,
}

/// What a broker speaks, and where.
#[derive(Clone, Default)]
pub struct Ports {
    pub amqp: Option<u16>,
    pub mqtt: Option<u16>,
    pub stomp: Option<u16>,
    pub nats: Option<u16>,
    pub sqs: Option<u16>,
    pub web_mqtt: Option<Place>,
    pub web_stomp: Option<Place>,
    /// No broker: bytes come in at the first and go out at the second.
    pub relay: Option<(u16, u16)>,
}

impl Ports {
    /// Where the broker speaks that over WebSocket.
    pub fn web(&self, wire: Wire) -> Option<Place> {
        match wire {
            Wire::Mqtt => self.web_mqtt,
            Wire::Stomp => self.web_stomp,
            Wire::Amqp | Wire::Nats => None,
        }
    }

    /// The broker speaks that.
    pub fn speak(&self, wire: Wire) -> bool {
        match wire {
            Wire::Amqp => self.amqp.is_some(),
            Wire::Mqtt => self.mqtt.is_some(),
            Wire::Stomp => self.stomp.is_some(),
            Wire::Nats => self.nats.is_some(),
        }
    }
}

impl Server {
    /// Starts the broker of that name with its data in the system's folder for temporary files.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_in(name, &std::env::temp_dir())
    }

    /// Starts the broker of that name with its data in a new folder within this one.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start_in(name: &str, parent: &Path) -> Result<Self> {
        let folder = tempfile::tempdir_in(parent)?;
        let (child, ports) = match name {
            "relay" => cargo::relay()?,
            "crossdock" => cargo::crossdock(folder.path(), [free_port()?, free_port()?, free_port()?, free_port()?])?,
            "rabbitmq" => debian::rabbitmq(folder.path())?,
            "mosquitto" => debian::mosquitto(folder.path())?,
            "rumqttd" => cargo::rumqttd()?,
            "nats" => fetched::nats(folder.path())?,
            "artemis" => fetched::artemis(folder.path())?,
            "crossdock-sqs" => queues::crossdock(folder.path(), "fsync", true)?,
            "crossdock-sqs-unsigned" => queues::crossdock(folder.path(), "fsync", false)?,
            "crossdock-sqs-os" => queues::crossdock(folder.path(), "os", true)?,
            "elasticmq" => queues::elasticmq(folder.path(), false)?,
            "elasticmq-files" => queues::elasticmq(folder.path(), true)?,
            "moto" => queues::moto()?,
            other => bail!("unknown broker '{other}'"),
        };
        let mut server = Self { name: name.to_owned(), child, folder, ports };
        server.wait_until_up()?;
        Ok(server)
    }

    /// The process whose CPU time counts.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where its data are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// The system does not say how it ended.
    pub fn kill(&mut self) -> Result<()> {
        // Scripts have children: the whole group goes.
        let group = format!("-{}", self.child.id());
        Command::new("kill").args(["-9", "--", &group]).status()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts a killed Crossdock again, on its data and ports, and does not wait for it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_again(&mut self) -> Result<()> {
        let Ports { amqp: Some(amqp), mqtt: Some(mqtt), stomp: Some(stomp), web_mqtt: Some(web), .. } = self.ports
        else {
            bail!("only Crossdock is started again")
        };
        self.child = cargo::crossdock(self.folder.path(), [amqp, mqtt, stomp, web.port])?.0;
        Ok(())
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let start = Instant::now();
        let Ports { amqp, mqtt, stomp, nats, sqs, web_mqtt, web_stomp, relay: _ } = self.ports;
        let web = [web_mqtt, web_stomp].map(|place| place.map(|place| place.port));
        // A connection to the relay would take part in the relaying: its listeners are there at once.
        for port in [amqp, mqtt, stomp, nats, sqs].into_iter().chain(web).flatten() {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if let Some(status) = self.child.try_wait()? {
                    bail!("it ended at once ({status})");
                }
                if start.elapsed() > START_PATIENCE {
                    bail!("it does not listen on port {port}");
                }
                pause(Duration::from_millis(50));
            }
        }
        // Start-up work of the broker is not the workload's.
        pause(Duration::from_secs(2));
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

type Started = (Child, Ports);

/// Starts it in a process group of its own. If this program is killed, the broker goes too: `setpriv` sees to it and becomes the broker.
fn spawn(command: &Command) -> Result<Child> {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    tied.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    tied.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    tied.spawn().context("cannot start it (with setpriv)")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Waits, outside of what is measured.
#[allow(clippy::disallowed_methods)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
