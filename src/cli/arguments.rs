//! The command line, declared once: from this follow parser, help, man page and completions.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::import::ImportCommand;
use super::store::StoreCommand;
use crate::config::Sources;

/// One broker for AMQP 0-9-1, MQTT, STOMP, SQS and SNS.
///
/// Without a command it serves. Exit codes: 0 done, 1 failure while running, 2 wrong usage or configuration.
#[derive(Debug, Parser)]
#[command(name = "crossdock", version)]
pub struct Arguments {
    #[command(flatten)]
    pub global: GlobalArguments,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct GlobalArguments {
    /// Configuration file (TOML); without it the defaults hold
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Configuration file of Mosquitto; what it does not say is in --config, which wins
    #[arg(long, global = true, value_name = "FILE")]
    pub mosquitto_conf: Option<PathBuf>,

    /// Set one setting, such as listeners.mqtt.port=1884; wins over file and environment; repeatable
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Directory of the journal
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Development mode: accept every name and password, on loopback addresses only
    #[arg(long, global = true)]
    pub dev: bool,

    /// Write the ports that were really taken to this file once all listeners run
    #[arg(long, global = true, value_name = "FILE")]
    pub ports_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the broker (the default)
    Serve,
    /// Find everything that is wrong with a configuration, without starting
    CheckConfig {
        /// The file to check; the same as --config
        file: Option<PathBuf>,
    },
    /// Make an authority, a server and a client certificate for development
    DevCerts {
        /// Where to write the PEM files
        #[arg(default_value = "certs")]
        directory: PathBuf,
        /// Replace files that exist
        #[arg(long)]
        force: bool,
    },
    /// Hash a password for `password_hash`; asks for it, or reads one line from standard input
    HashPassword,
    /// Bring the definitions of another broker along
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Look into the data directory of a broker that does not run, repair and encrypt it
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Print a completion script for a shell
    Completions { shell: Shell },
    /// Print the manual page (roff)
    Man,
}

impl GlobalArguments {
    /// The sources of the configuration; `file` wins over `--config`.
    pub fn sources(&self, file: Option<PathBuf>) -> Sources {
        Sources {
            mosquitto_conf: self.mosquitto_conf.clone(),
            file: file.or_else(|| self.config.clone()),
            environment: std::env::vars_os().collect(),
            assignments: self.set.clone(),
            data_dir: self.data_dir.clone(),
            dev: self.dev,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_declaration_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_are_accepted_before_and_after_the_command() {
        let before = ["crossdock", "--set", "a=1", "--dev", "serve"];
        let after = ["crossdock", "serve", "--set", "a=1", "--dev"];
        for line in [before, after] {
            let arguments = Arguments::try_parse_from(line).unwrap();
            assert_eq!((arguments.global.set.as_slice(), arguments.global.dev), (&["a=1".to_owned()][..], true));
        }
    }
}
