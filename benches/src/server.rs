//! The brokers under load, each started for the run with a data directory of its own.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// How long a broker may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A running broker.
pub struct Server {
    pub name: String,
    child: Child,
    /// Removed with the broker.
    folder: TempDir,
    /// AMQP, if it speaks it.
    pub amqp: Option<u16>,
    /// MQTT, if it speaks it.
    pub mqtt: Option<u16>,
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
        let (child, amqp, mqtt) = match name {
            "crossdock" => crossdock(folder.path(), (free_port()?, free_port()?))?,
            "rabbitmq" => rabbitmq(folder.path())?,
            "mosquitto" => mosquitto(folder.path())?,
            "rumqttd" => rumqttd()?,
            other => bail!("unknown broker '{other}'"),
        };
        let mut server = Self { name: name.to_owned(), child, folder, amqp, mqtt };
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
        let (Some(amqp), Some(mqtt)) = (self.amqp, self.mqtt) else { bail!("only Crossdock is started again") };
        self.child = crossdock(self.folder.path(), (amqp, mqtt))?.0;
        Ok(())
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let start = Instant::now();
        for port in [self.amqp, self.mqtt].into_iter().flatten() {
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

type Started = (Child, Option<u16>, Option<u16>);

fn crossdock(folder: &Path, (amqp, mqtt): (u16, u16)) -> Result<Started> {
    let binary = beside_me("crossdock")?;
    let mut command = Command::new(binary);
    command.args(["--dev", "--data-dir"]).arg(folder.join("data"));
    for setting in [
        format!("listeners.amqp.port={amqp}"),
        format!("listeners.mqtt.port={mqtt}"),
        "listeners.stomp.port=0".to_owned(),
        "listeners.aws.port=0".to_owned(),
        "listeners.management.port=0".to_owned(),
        "log.level=\"warn\"".to_owned(),
    ] {
        command.arg("--set").arg(setting);
    }
    Ok((spawn(&mut command)?, Some(amqp), Some(mqtt)))
}

fn rabbitmq(folder: &Path) -> Result<Started> {
    let script = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if !script.exists() {
        bail!("not installed (apt-get install rabbitmq-server)");
    }
    let amqp = free_port()?;
    std::fs::write(folder.join("rabbitmq.conf"), "loopback_users = none\n")?;
    std::fs::write(folder.join("enabled_plugins"), "[].\n")?;
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
        .env("HOME", folder);
    Ok((spawn(&mut command)?, Some(amqp), None))
}

fn mosquitto(folder: &Path) -> Result<Started> {
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
    Ok((spawn(&mut command)?, None, Some(mqtt)))
}

fn rumqttd() -> Result<Started> {
    if !cfg!(feature = "rumqttd") {
        bail!("not built in (cargo run --release -p crossdock-benches --features rumqttd)");
    }
    let mqtt = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--rumqttd-port").arg(mqtt.to_string());
    Ok((spawn(&mut command)?, None, Some(mqtt)))
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

fn spawn(command: &mut Command) -> Result<Child> {
    command.process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start it")
}

fn beside_me(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let binary = own.parent().context("no folder")?.join(name);
    if !binary.exists() {
        bail!("{} is missing: cargo build --release", binary.display());
    }
    Ok(binary)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Waits, outside of what is measured.
#[allow(clippy::disallowed_methods)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
