//! The running broker: everything is started here, and stopped in the opposite order.

mod banner;
mod login;
mod ports;
mod starting;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::bridges::sns::{self, Office};
use crate::broker::{Engine, announce_regularly, keep_large_blocks_apart};
use crate::config::Settings;
use crate::mosquitto::{self, Files};
use crate::net::Shutdown;
use starting::Starting;

/// What is asked of one run, beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// Where to write the ports that were really taken, once all listeners run.
    pub ports_file: Option<PathBuf>,
}

/// Runs the broker until it is told to stop. Logging and the runtime are up; files named by `settings.tls` were readable.
///
/// # Errors
/// Whatever keeps the broker from starting or going on.
pub async fn run(settings: Settings, options: ServeOptions) -> Result<()> {
    keep_large_blocks_apart();
    let settings = Arc::new(settings);
    let shutdown = Shutdown::default();
    let starting = Starting::new(settings.clone())?;
    // Recovery may take long: whoever asks how it goes is answered from the beginning.
    let management = starting.listen_to_management(&shutdown)?;
    let engine = starting.recover().await?;
    login::ensure_administrator(&engine).await?;
    if let Some(files) = Files::of(&settings) {
        engine.administration.set_mosquitto(files.read()?);
        mosquitto::keep_up_to_date(files, engine.administration.clone())?;
    }
    announce_regularly(engine.clone(), &settings.mqtt);
    // Before anybody is told that the broker is there; until then a signal ends the process at once, which loses nothing.
    let end = EndSignals::new()?;
    let office = Office::new(engine.clone(), &settings);
    let mut listening = starting.listen(&engine, &office, &shutdown)?;
    if let Some(url) = ports::aws_url(&listening) {
        office.set_listener(url);
    }
    sns::deliver(engine.clone(), office, &settings);
    listening.extend(management);
    starting.management.set_listeners(&listening);
    starting.startup.finish(engine.clone());
    if let Some(file) = &options.ports_file {
        ports::write(file, &listening)?;
    }
    let user = engine.authenticator.users().iter().next().map(|user| user.name.clone()).unwrap_or_default();
    banner::print(&settings, &user, &listening);
    end.begin().await;
    drain(&settings, &engine, shutdown).await;
    engine.finish().await;
    let closing = engine.clone();
    tokio::task::spawn_blocking(move || closing.close()).await?.context("not everything could be made durable")?;
    tracing::info!("stopped");
    Ok(())
}

/// SIGTERM and SIGINT.
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Takes them from now on.
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the first one; a second one then ends the process at once.
    async fn begin(mut self) {
        self.next().await;
        tracing::info!("draining: connections say goodbye; a second signal ends at once");
        tokio::spawn(async move {
            self.next().await;
            end_at_once();
        });
    }
}

/// Nothing that was confirmed is lost by this: it is as safe as after `kill -9`.
#[allow(clippy::disallowed_methods)]
fn end_at_once() {
    std::process::exit(1);
}

async fn drain(settings: &Settings, engine: &Engine, shutdown: Shutdown) {
    shutdown.begin();
    engine.broker.drain();
    let drain_max = settings.shutdown.drain_ms_max.duration();
    if tokio::time::timeout(drain_max, shutdown.drained()).await.is_err() {
        tracing::warn!(connections = engine.broker.connection_count(), "some connections did not say goodbye in time");
    }
}

fn seed() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the operating system gives no random numbers")?;
    Ok(u64::from_le_bytes(bytes))
}
