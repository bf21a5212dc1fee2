//! The running broker.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::config::Settings;

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
    for listener in settings.active_listeners() {
        tracing::info!(listener = listener.kind.name(), address = %listener.address, "would listen");
    }
    tracing::info!(data_dir = %settings.data_dir.display(), ports_file = ?options.ports_file, "would serve");
    bail!("no listeners are built into this binary yet")
}
