//! The command line: parses it, runs one command, and turns what went wrong into an exit code.

mod arguments;
mod check_config;
pub mod dev_certs;
mod documents;
mod hash_password;
mod import;
mod serve;
mod store;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use crossdock_store::{Keyring, OpenError};

use arguments::{Arguments, Command};

use crate::broker::keyring;
use crate::config::{ConfigurationError, Settings, load, mosquitto_notes};

/// Why a command did not succeed.
#[derive(Debug)]
enum Failure {
    /// The operator has to change something: exit code 2.
    Configuration(String),
    /// It went wrong while running: exit code 1.
    Run(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let is_sealed =
            |cause: &(dyn std::error::Error + 'static)| matches!(cause.downcast_ref(), Some(OpenError::Sealed { .. }));
        if error.chain().any(is_sealed) {
            return Self::Configuration(format!("crossdock: {error:#}"));
        }
        Self::Run(error)
    }
}

impl From<ConfigurationError> for Failure {
    fn from(error: ConfigurationError) -> Self {
        let count = error.problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        Self::Configuration(format!("{error}\n{count} {noun} in the configuration; nothing was started"))
    }
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Run(_) => 1,
            Self::Configuration(_) => 2,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Run(error) => format!("crossdock: {error:#}"),
            Self::Configuration(message) => message.clone(),
        }
    }
}

/// Runs the program with `arguments` (the first is its name) and gives its exit code: 0 done, 1 failure while running,
/// 2 wrong usage or configuration.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return print_usage(&error),
    };
    match execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If standard error is gone there is nobody left to tell; the exit code still says it.
            let _ = writeln!(std::io::stderr(), "{}", failure.message());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version are "errors" of the parser too, with exit code 0.
fn print_usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { global, command } = arguments;
    match command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let sources = global.sources(None);
            serve::serve(load(&sources)?, &mosquitto_notes(&sources), &global)
        }
        Command::CheckConfig { file } => {
            let sources = global.sources(file);
            check_config::check_config(&sources)
        }
        Command::DevCerts { directory, force } => {
            let paths = dev_certs::write_dev_certificates(&directory, host_name().as_deref(), force)?;
            Ok(print(&dev_certs::summary(&paths))?)
        }
        Command::HashPassword => hash_password::hash_password(),
        Command::Import { command } => import::import(command, &global),
        Command::Store { command } => store::store(command, &global),
        Command::Completions { shell } => Ok(print(&documents::completions(shell))?),
        Command::Man => Ok(print(&documents::manual_page()?)?),
    }
}

/// The name of this machine, if it can stand in a certificate.
fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (!name.is_empty() && name.bytes().all(valid)).then_some(name)
}

fn print(text: &str) -> anyhow::Result<()> {
    use anyhow::Context;
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

/// Problems that only the files named in the settings can show.
fn check_files(settings: &Settings) -> Result<(), Failure> {
    if settings.active_listeners().iter().any(|listener| listener.kind.is_tls()) {
        crate::auth::tls::server_config(&settings.tls, &[])
            .map_err(|error| Failure::Configuration(error.to_string()))?;
    }
    keys(settings).map(drop)
}

/// The keys of the journal's files.
fn keys(settings: &Settings) -> Result<Keyring, Failure> {
    keyring(&settings.store.encryption).map_err(|error| Failure::Configuration(error.to_string()))
}
