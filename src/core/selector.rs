//! Selectors: conditions on a message's headers in the syntax of JMS, which is a part of SQL-92.
//!
//! A selector comes from a peer, so it is bounded: its length, its depth, and the steps that one message may cost. It is read once into a
//! small program without jumps (`program`), and evaluated with three truths: what compares something unknown is unknown, and a message
//! is selected only if the whole is true.

mod field;
mod like;
mod parse;
mod program;
#[cfg(test)]
mod tests;
mod token;

use crossdock_common::value::lookup;
use crossdock_common::{Message, Refusal, Table, Text};

use program::Program;

/// The argument of a consumer or binding that holds its selector.
pub(crate) const ARGUMENT: &str = "x-selector";
/// Longest selector, in bytes.
pub const SELECTOR_BYTES_MAX: usize = 4096;
/// Deepest nesting of parentheses, `NOT` and signs.
pub const SELECTOR_DEPTH_MAX: usize = 32;

/// A condition on messages.
#[derive(Debug)]
pub struct Selector {
    text: Text,
    program: Program,
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct SelectorError {
    /// What is wrong.
    pub reason: String,
    /// Where, counted from 0.
    pub at: usize,
}

impl SelectorError {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), at }
    }
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// It is longer or deeper than a selector may be, or breaks the grammar.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > SELECTOR_BYTES_MAX {
            let reason = format!("a selector may have {SELECTOR_BYTES_MAX} bytes, and this has {}", text.len());
            return Err(SelectorError::new(SELECTOR_BYTES_MAX, reason));
        }
        Ok(Self { text: Text::from(text), program: parse::parse(text)? })
    }

    /// Whether the message is selected.
    pub fn matches(&self, message: &Message) -> bool {
        self.program.is_true(message)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The selector among the arguments of a consumer or binding; an empty one selects everything.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn of(arguments: &Table) -> Result<Option<Self>, Refusal> {
        let Some(value) = lookup(arguments, ARGUMENT) else { return Ok(None) };
        let Some(text) = value.as_str() else {
            return Err(Refusal::PreconditionFailed(format!("invalid arg '{ARGUMENT}': a selector is a text")));
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        let selector = Self::parse(text);
        selector.map(Some).map_err(|error| Refusal::PreconditionFailed(format!("invalid selector: {error}")))
    }
}
