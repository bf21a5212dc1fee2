//! Log lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

use crate::config::{LogFormat, LogSettings};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("RUST_LOG: {0}; expected a level or directives such as \"info,crossdock::net=debug\"")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging was started twice")]
    StartedTwice(#[from] TryInitError),
}

/// Starts logging for the whole process, once.
///
/// `directives` is the value of `RUST_LOG`; if it is there, it replaces the level of the settings.
///
/// # Errors
/// See [`TelemetryError`].
pub fn start(settings: &LogSettings, directives: Option<&str>) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt;
    let filter = filter(settings, directives)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

fn filter(settings: &LogSettings, directives: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let directives = directives.filter(|text| !text.is_empty()).unwrap_or(settings.level.word());
    Ok(EnvFilter::builder().parse(directives)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;

    #[test]
    fn rust_log_replaces_the_level_of_the_settings() {
        let settings = LogSettings { level: LogLevel::Warn, ..LogSettings::default() };
        assert_eq!(filter(&settings, None).unwrap().to_string(), "warn");
        assert_eq!(filter(&settings, Some("")).unwrap().to_string(), "warn");
        assert_eq!(filter(&settings, Some("debug")).unwrap().to_string(), "debug");
        assert!(filter(&settings, Some("a=b=c")).unwrap_err().to_string().starts_with("RUST_LOG: "));
    }
}
