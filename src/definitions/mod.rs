//! RabbitMQ's definitions files: what they say is compared with what is there ([`plan`]), and carried out ([`apply`]); what is
//! there is written as such a file ([`export`]).
//!
//! No HTTP and no command line in here. Everything goes through [`Administration`](crate::administration::Administration) and
//! the core, so an import is as durable, and as restricted, as the same changes one by one.

mod apply;
mod arguments;
mod entries;
mod export;
mod file;
mod plan;
mod report;
#[cfg(test)]
mod tests;

pub use apply::apply;
pub use arguments::{to_json, to_table};
pub use entries::{BindingEntry, Entry, ExchangeEntry, QueueEntry, Section, UserEntry};
pub use export::{COMPATIBLE_VERSION, export};
pub use file::{Definitions, DefinitionsError};
pub use plan::{Fate, Plan, Step, plan};
