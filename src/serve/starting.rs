//! The way from settings to listeners.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, interval_at};

use super::{login, seed};
use crate::auth::Authenticator;
use crate::bridges::sns::Office;
use crate::broker::{Engine, Startup};
use crate::config::{Listener, ListenerKind, Settings};
use crate::http::Management;
use crate::net::{Listening, Reception, Responder, Responders, Shutdown, Workers, formats, listen, listen_http};
use crate::telemetry::Metrics;
use crate::{auth, broker, http};

/// How often a long recovery is heard of in the log.
const PROGRESS_LOGGED_EVERY: Duration = Duration::from_secs(2);

/// A broker that does not run yet.
pub(super) struct Starting {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    authenticator: Arc<Authenticator>,
    reception: Arc<Reception>,
    workers: Arc<Workers>,
    /// What the management listener knows.
    pub(super) management: Arc<Management>,
    /// How far it is.
    pub(super) startup: Arc<Startup>,
}

impl Starting {
    pub(super) fn new(settings: Arc<Settings>) -> Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let workers = Workers::start().context("cannot start the threads of the broker")?;
        let tls = match settings.tls.certificate {
            Some(_) => Some(auth::tls::server_config(&settings.tls, &[])?),
            None => None,
        };
        let startup: Arc<Startup> = Arc::default();
        Ok(Self {
            management: Management::new(startup.clone(), metrics.clone(), &settings),
            authenticator: Arc::new(login::authenticator(&settings)?),
            reception: Reception::new(metrics.clone(), workers.clone(), &settings, tls, seed()?),
            startup,
            workers,
            metrics,
            settings,
        })
    }

    /// Health and metrics, which need no engine.
    pub(super) fn listen_to_management(&self, shutdown: &Shutdown) -> Result<Option<Listening>> {
        let is_management = |listener: &Listener| listener.kind == ListenerKind::Management;
        let Some(listener) = self.settings.active_listeners().into_iter().find(is_management) else { return Ok(None) };
        let responder = Arc::new(http::management_router(self.management.clone()));
        listen_http(&self.reception, listener, responder, shutdown.signal()).map(Some)
    }

    /// Replays the journals.
    pub(super) async fn recover(&self) -> Result<Arc<Engine>> {
        let (settings, startup) = (self.settings.clone(), self.startup.clone());
        let (authenticator, metrics, seed) = (self.authenticator.clone(), self.metrics.clone(), seed()?);
        let workers = self.workers.clone();
        let threads: broker::Threads = Arc::new(move |index| workers.of(index).clone());
        let mut recovery = tokio::task::spawn_blocking(move || {
            broker::start(&settings, formats(), authenticator, metrics, &startup, seed, &threads)
        });
        let mut ticks = interval_at(Instant::now() + PROGRESS_LOGGED_EVERY, PROGRESS_LOGGED_EVERY);
        loop {
            tokio::select! {
                engine = &mut recovery => return engine.context("a defect in recovery")?,
                _ = ticks.tick() => self.log_progress(),
            }
        }
    }

    fn aws_responder(&self, engine: &Arc<Engine>, office: &Arc<Office>) -> Result<Arc<dyn Responder>> {
        Ok(Arc::new(http::Aws::new(engine.clone(), office.clone(), &self.settings, seed()?)?))
    }

    /// What answers HTTP, at a listener of its own and at the one for everything: what the AWS APIs remember is the same at both.
    fn responders(&self, engine: &Arc<Engine>, office: &Arc<Office>) -> Result<Responders> {
        let is_active = |kind| self.settings.is_active(kind);
        let management = || -> Arc<dyn Responder> { Arc::new(http::management_router(self.management.clone())) };
        let management = is_active(ListenerKind::Management).then(management);
        let aws = is_active(ListenerKind::Aws).then(|| self.aws_responder(engine, office)).transpose()?;
        Ok(Responders { management, aws })
    }

    fn log_progress(&self) {
        let progress = self.startup.progress();
        tracing::info!(records = progress.sum.records, percent = progress.percent(), "recovering");
    }

    /// All listeners but that of the management, which listens already.
    pub(super) fn listen(
        &self,
        engine: &Arc<Engine>,
        office: &Arc<Office>,
        shutdown: &Shutdown,
    ) -> Result<Vec<Listening>> {
        let reception = &self.reception;
        let responders = self.responders(engine, office)?;
        let mut listening = Vec::new();
        for listener in self.settings.active_listeners() {
            listening.push(match listener.kind {
                ListenerKind::Management => continue,
                ListenerKind::Aws => {
                    let Some(responder) = responders.aws.clone() else { continue };
                    listen_http(reception, listener, responder, shutdown.signal())?
                }
                ListenerKind::Any => listen(reception, engine, listener, responders.clone(), shutdown.signal())?,
                _ => listen(reception, engine, listener, Responders::default(), shutdown.signal())?,
            });
        }
        Ok(listening)
    }
}
