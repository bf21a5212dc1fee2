//! The running broker: everything is started here, and stopped in the opposite order.

mod banner;
mod login;
mod ports;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::broker::Engine;
use crate::config::{ListenerKind, Settings};
use crate::net::{Listening, Reception, Shutdown, formats, listen, listen_http};
use crate::telemetry::Metrics;
use crate::{auth, broker, http};

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
    let metrics = Arc::new(Metrics::new());
    let authenticator = Arc::new(login::authenticator(&settings)?);
    let engine = broker::start(&settings, formats(), authenticator, metrics, seed()?)?;
    login::apply(&engine, &settings).await?;
    let shutdown = Shutdown::default();
    let listening = start_listeners(&settings, &engine, &shutdown).await?;
    if let Some(file) = &options.ports_file {
        ports::write(file, &listening)?;
    }
    let user = engine.authenticator.users().iter().next().map(|user| user.name.clone()).unwrap_or_default();
    banner::print(&settings, &user, &listening);
    wait_for_the_end().await?;
    drain(&settings, &engine, shutdown).await;
    let closing = engine.clone();
    tokio::task::spawn_blocking(move || closing.close()).await?.context("not everything could be made durable")?;
    tracing::info!("stopped");
    Ok(())
}

async fn start_listeners(settings: &Settings, engine: &Arc<Engine>, shutdown: &Shutdown) -> Result<Vec<Listening>> {
    let tls = match settings.tls.certificate {
        Some(_) => Some(auth::tls::server_config(&settings.tls, &[])?),
        None => None,
    };
    let reception = Reception::new(engine.clone(), settings, tls, seed()?);
    let mut listening = Vec::new();
    for listener in settings.active_listeners() {
        listening.push(match listener.kind {
            ListenerKind::Management => {
                listen_http(&reception, listener, http::management_router(engine.clone()), shutdown.signal()).await?
            }
            ListenerKind::Aws => {
                let router = http::aws_router(engine.clone(), settings, seed()?)?;
                listen_http(&reception, listener, router, shutdown.signal()).await?
            }
            _ => listen(&reception, listener, shutdown.signal()).await?,
        });
    }
    Ok(listening)
}

/// Waits for SIGTERM or SIGINT; a second one then ends the process at once.
async fn wait_for_the_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining: connections say goodbye; a second signal ends at once");
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        end_at_once();
    });
    Ok(())
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
