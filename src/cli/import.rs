//! `crossdock import`: brings the definitions of another broker into a data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Subcommand;

use super::arguments::GlobalArguments;
use super::{Failure, print};
use crate::auth::{Authenticator, AuthenticatorOptions, Users};
use crate::broker::{Engine, Startup};
use crate::config::{Settings, load};
use crate::definitions::{Definitions, Plan, apply, plan};
use crate::net::formats;
use crate::telemetry::Metrics;
use crate::{broker, telemetry};

/// What is imported.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Import a definitions file of RabbitMQ 3 or 4, into the data directory of a broker that does not run
    ///
    /// Prints what would be kept, changed and dropped, and why. Nothing is changed without --apply. While the broker runs, POST
    /// the file to /api/definitions of its management API instead.
    Rabbitmq {
        /// The file, from `rabbitmqctl export_definitions` or /api/definitions
        file: PathBuf,
        /// Do it
        #[arg(long)]
        apply: bool,
        /// Import what belongs to this vhost; a file of one vhost is imported into it
        #[arg(long, value_name = "VHOST")]
        vhost: Option<String>,
    },
}

/// Prints the plan, and carries it out if that was asked for.
pub fn import(command: ImportCommand, arguments: &GlobalArguments) -> Result<(), Failure> {
    let ImportCommand::Rabbitmq { file, apply, vhost } = command;
    let settings = load(&arguments.sources(None))?;
    telemetry::start(&settings.log, Some("warn")).map_err(|error| Failure::Configuration(error.to_string()))?;
    let definitions = read(&file, vhost.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the threads of the import")?;
    let plan = runtime.block_on(run(settings, definitions, apply))?;
    let outcome = match (apply, plan.is_empty()) {
        (true, _) => "\nDone.\n",
        (false, true) => "",
        (false, false) => "\nThis is a plan: nothing was changed. Add --apply to carry it out.\n",
    };
    Ok(print(&format!("{plan}{outcome}"))?)
}

fn read(file: &Path, vhost: Option<&str>) -> Result<Definitions, Failure> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let named = |error| Failure::Configuration(format!("{}: {error}", file.display()));
    Definitions::parse(&text, vhost).map_err(named)
}

async fn run(mut settings: Settings, definitions: Definitions, apply_it: bool) -> Result<Plan> {
    // A plan leaves no trace: where there is no data directory yet, it is made for one elsewhere.
    let elsewhere = if apply_it || settings.data_dir.exists() { None } else { Some(TemporaryFolder::make()?) };
    if let Some(elsewhere) = &elsewhere {
        settings.data_dir = elsewhere.0.clone();
    }
    let engine = tokio::task::spawn_blocking(move || open(&settings)).await.context("a defect in recovery")??;
    let now = engine.clock.now();
    let mut plan = plan(definitions, &engine.administration, now);
    if apply_it {
        plan = apply(plan, &engine.administration, now).await?;
    }
    engine.finish().await;
    let closing = engine.clone();
    tokio::task::spawn_blocking(move || closing.close()).await?.context("not everything could be made durable")?;
    Ok(plan)
}

/// The broker of that directory, without listeners.
fn open(settings: &Settings) -> Result<Arc<Engine>> {
    let users = Users::from_settings(&settings.users).context("a password cannot be hashed")?;
    let authenticator = Arc::new(Authenticator::new(users, AuthenticatorOptions::from(settings))?);
    let runtime = tokio::runtime::Handle::current();
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).context("the operating system gives no random numbers")?;
    let (metrics, startup) = (Arc::new(Metrics::new()), Startup::default());
    let workers: broker::Threads = Arc::new(move |_| runtime.clone());
    broker::start(settings, formats(), authenticator, metrics, &startup, u64::from_le_bytes(seed), &workers)
        .context("cannot open the data directory; while the broker runs, POST the file to /api/definitions instead")
}

/// A folder that goes when it is dropped.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn make() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("crossdock-import-{}", std::process::id()));
        std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What is left lies in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
