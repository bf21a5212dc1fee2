//! What a binding lets through, where a protocol decides it.

use std::fmt::Debug;

use crate::Message;

/// A rule over messages, read once and asked for every message of a binding's exchange. It knows nothing but the message.
pub trait Filter: Send + Sync + Debug {
    /// Whether the message follows the binding.
    fn matches(&self, message: &Message) -> bool;
}
