//! `crossdock serve`: logging and runtime, then the broker.

use anyhow::Context;

use super::arguments::GlobalArguments;
use super::{Failure, check_files};
use crate::config::{Note, Settings};
use crate::serve::ServeOptions;
use crate::telemetry;

/// Runs the broker until it is told to stop.
pub fn serve(settings: Settings, notes: &[Note], arguments: &GlobalArguments) -> Result<(), Failure> {
    check_files(&settings)?;
    start_logging(&settings)?;
    notes.iter().for_each(|note| tracing::warn!("{note}"));
    let options = ServeOptions { ports_file: arguments.ports_file.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the threads of the broker")?;
    Ok(runtime.block_on(crate::serve::run(settings, options))?)
}

fn start_logging(settings: &Settings) -> Result<(), Failure> {
    let directives = std::env::var("RUST_LOG").ok();
    telemetry::start(&settings.log, directives.as_deref()).map_err(|error| Failure::Configuration(error.to_string()))
}
