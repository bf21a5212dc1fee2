//! What became of a change.

use crossdock_core::Sequence;

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Created,
    /// It was there and was different.
    Updated,
    /// It was there just so.
    Unchanged,
    /// It is gone.
    Deleted,
}

/// A change that is made, and may not survive yet: see [`super::Administration::durable`].
#[derive(Clone, Copy, Debug)]
#[must_use = "answer a change after it is durable"]
pub struct Made {
    pub change: Change,
    pub(super) sequence: Sequence,
}

impl Made {
    /// Both changes; the later one's word.
    pub fn and(self, later: Self) -> Self {
        Self { change: later.change, sequence: self.sequence.max(later.sequence) }
    }

    /// Of a definition command that was carried out through the core.
    pub fn of_definition(change: Change, sequence: Sequence) -> Self {
        Self { change, sequence }
    }
}

/// Who declared something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file: it cannot be changed while the broker runs.
    Configuration,
    /// An operator, while the broker ran.
    Runtime,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdministrationError {
    /// There is no such thing (HTTP 404).
    #[error("{0}")]
    NotFound(String),
    /// A value that no rule allows, in RabbitMQ's words (HTTP 400).
    #[error("{0}")]
    Invalid(String),
    /// The configuration file declares it (HTTP 409, or 403).
    #[error("{0} is declared in the configuration file and can only be changed there")]
    Declared(String),
    /// Somebody has said that it is to stay (HTTP 412), in RabbitMQ's words.
    #[error("{0}")]
    Protected(String),
    /// The broker cannot do it now (HTTP 503).
    #[error("{0}")]
    Unavailable(String),
}
