//! The configuration: one typed [`Settings`], read from a TOML file, the environment and the command line.
//!
//! - [`settings`] declares every setting once; adding one is adding it there (and running
//!   `CROSSDOCK_WRITE_EXAMPLE=1 cargo test --lib example` for the example file).
//! - [`load`] merges the sources and reports *everything* that is wrong, each with file, line and column.
//! - [`rules`] holds what must be true of single values and between settings.
//!
//! Invariant: a broken configuration never leads to defaults. Either all of it is understood or nothing runs.

mod endpoints;
mod example;
mod listener;
mod load;
mod mosquitto;
mod network;
mod policies;
mod problem;
mod rules;
mod scalar;
mod secret;
mod section;
mod settings;
mod tree;
mod units;
mod vhosts;

pub use endpoints::AllowedEndpoints;
pub use example::example_file;
pub use listener::{Listener, ListenerKind, WebProtocol};
pub use load::{Sources, load, mosquitto_notes, warnings};
pub use mosquitto::Note;
pub use network::Networks;
pub use problem::{ConfigurationError, Problem};
pub use secret::Secret;
pub use settings::*;
pub use tree::Origin;
pub use units::{ByteSize, GIB, KIB, MIB, MemoryLimit, Milliseconds};
pub use vhosts::Vhosts;
