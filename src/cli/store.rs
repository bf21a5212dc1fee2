//! `crossdock store`: looks into a data directory without a broker, repairs and encrypts it.

mod check;
mod dump;
mod encrypt;
mod journals;
mod references;
mod repair;

use std::path::PathBuf;

use clap::Subcommand;

use super::arguments::GlobalArguments;
use super::{Failure, keys};
use crate::config::load;
use encrypt::{Wanted, encrypt};

/// What to do with a data directory.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Say for each journal whether it is sound, and which queues are hurt; changes nothing
    ///
    /// A torn end is no damage: it is the rest of a write that was never finished or confirmed. Exit codes: 0 all are sound,
    /// 1 something is damaged, 2 the directory cannot be used (in use, written by a newer version, not readable).
    Check {
        /// The data directory; no broker may use it
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Cut torn ends, set damaged files aside, and write what is readable anew
    ///
    /// Without --yes it changes nothing and says what it would do. What is damaged is lost, but its files are kept in the
    /// quarantine folder of their journal. Copy the directory first. Exit codes: 0 nothing is to be done any more,
    /// 1 there is something to do, 2 the directory cannot be used.
    Repair {
        /// The data directory; no broker may use it
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
    /// Encrypt every file that is not encrypted with the key of store.encryption.key_file
    ///
    /// That is how a directory is encrypted at once, and how a key is rotated at once (the old one in store.encryption.old_key_files).
    /// Each file is written anew beside the old one and takes its place when it is durable, so there has to be room for one more, and an
    /// interruption loses nothing: the command goes on where it was. Exit codes: 0 done, 1 something is damaged or cannot be
    /// written, 2 there is no key, or the directory cannot be used.
    Encrypt {
        /// The data directory; no broker may use it
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Write every file in clear that is encrypted with a key of store.encryption.old_key_files
    ///
    /// Exit codes and interruptions are those of encrypt.
    Decrypt {
        /// The data directory; no broker may use it
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Print every record as a line of JSON; changes nothing
    ///
    /// Exit codes: 0 done, 2 the directory cannot be used.
    Dump {
        /// The data directory; no broker may use it
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Print messages' bodies, too, in base64
        #[arg(long)]
        bodies: bool,
    },
}

/// Carries out one of them.
pub(super) fn store(command: StoreCommand, global: &GlobalArguments) -> Result<(), Failure> {
    let settings = load(&global.sources(None))?;
    match command {
        StoreCommand::Check { directory } => check::check(&directory, &keys(&settings)?),
        StoreCommand::Repair { directory, yes } => repair::repair(&directory, yes, settings),
        StoreCommand::Encrypt { directory } => encrypt(&directory, &keys(&settings)?, Wanted::Encrypted),
        StoreCommand::Decrypt { directory } => encrypt(&directory, &keys(&settings)?, Wanted::Clear),
        StoreCommand::Dump { directory, bodies } => dump::dump(&directory, &keys(&settings)?, bodies),
    }
}
