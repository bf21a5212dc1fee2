//! The running broker: everything is started here, and stopped in the opposite order.

mod banner;
mod login;
mod ports;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::broker::Engine;
use crate::config::{Listener, ListenerKind, Settings};
use crate::net::{Listening, Reception, Shutdown, ShutdownSignal, formats, listen};
use crate::telemetry::Metrics;
use crate::telemetry::events::ListenerStarted;
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
    login::apply(&engine, &settings)?;
    let shutdown = Shutdown::default();
    let listening = start_listeners(&settings, &engine, &shutdown).await?;
    if let Some(file) = &options.ports_file {
        ports::write(file, &listening)?;
    }
    banner::print(&settings, &listening);
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
                serve_http(engine, listener, http::management_router(engine.clone()), shutdown.signal()).await?
            }
            ListenerKind::Aws => {
                let router = http::aws_router(engine.clone(), settings, seed()?)?;
                serve_http(engine, listener, router, shutdown.signal()).await?
            }
            _ => listen(&reception, listener, shutdown.signal()).await?,
        });
    }
    Ok(listening)
}

async fn serve_http(
    engine: &Arc<Engine>,
    listener: Listener,
    router: axum::Router,
    mut shutdown: ShutdownSignal,
) -> Result<Listening> {
    let kind = listener.kind;
    let socket = TcpListener::bind(listener.address)
        .await
        .with_context(|| format!("cannot listen on {} (listeners.{kind}); is the port taken?", listener.address))?;
    let address = socket.local_addr().context("a listener without an address")?;
    ListenerStarted { listener: kind.name(), address }.emit(&engine.metrics);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        let end = async move { shutdown.begun().await };
        if let Err(error) = axum::serve(socket, service).with_graceful_shutdown(end).await {
            tracing::error!(listener = kind.name(), %error, "the listener ended");
        }
    });
    Ok(Listening { kind, address })
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
    // What the last connections gave back is on its way to the journals.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn seed() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the operating system gives no random numbers")?;
    Ok(u64::from_le_bytes(bytes))
}
