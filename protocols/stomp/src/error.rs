//! What becomes an ERROR frame. STOMP knows one kind of error: it is told, and the connection ends.

use crossdock_common::output::Close;
use crossdock_common::{Refusal, Text};

/// AMQP's error for what does not fit what is there.
pub(crate) const PRECONDITION: &str = "precondition_failed";
/// Most bytes of the peer's own text that an error quotes.
const QUOTE_BYTES_MAX: usize = 200;

/// Why a connection ends with an ERROR frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The `message` header: short, RabbitMQ's words where it has some.
    pub message: &'static str,
    /// The body: for the person who has to find the mistake.
    pub detail: String,
    /// The receipt that the offending frame had asked for.
    pub receipt: Option<Text>,
    /// The subscription it is about.
    pub subscription: Option<Text>,
    /// Not a broken rule but a lacking right or a wrong password.
    pub refused: bool,
}

impl Fault {
    /// The peer broke a rule.
    pub fn violation(message: &'static str, detail: impl Into<String>) -> Self {
        Self { message, detail: detail.into(), receipt: None, subscription: None, refused: false }
    }

    /// The peer may not do that.
    pub fn refused(message: &'static str, detail: impl Into<String>) -> Self {
        Self { refused: true, ..Self::violation(message, detail) }
    }

    /// A frame lacks a header it must have.
    pub fn missing(message: &'static str, verb: &str, header: &str) -> Self {
        Self::violation(message, format!("\"{verb}\" must include a '{header}' header"))
    }

    /// The frame had asked for this receipt.
    pub fn with_receipt(self, receipt: Option<Text>) -> Self {
        Self { receipt: self.receipt.or(receipt), ..self }
    }

    /// How the connection is closed because of it.
    pub fn into_close(self) -> Close {
        if self.refused {
            return Close::Refused(format!("{}: {}", self.message, self.detail));
        }
        Close::Violation { rule: self.message, detail: self.detail }
    }
}

/// The text of an AMQP error, as RabbitMQ passes it on.
pub(crate) fn in_code(message: &str, text: impl std::fmt::Display) -> String {
    format!("{} - {text}", message.to_uppercase())
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let message = match &refusal {
            Refusal::NotFound { .. } | Refusal::VhostNotFound { .. } => "not_found",
            Refusal::VhostRefused { .. } => "not_allowed",
            Refusal::AccessRefused { .. }
            | Refusal::TopicRefused { .. }
            | Refusal::Forbidden(_)
            | Refusal::ExclusiveUse { .. } => "access_refused",
            Refusal::PreconditionFailed(_) | Refusal::Invalid(_) | Refusal::Changed | Refusal::UnknownDelivery(_) => {
                PRECONDITION
            }
            Refusal::ResourceLocked { .. } => "resource_locked",
            Refusal::LimitReached(_) => "resource_error",
            Refusal::NotImplemented(_) => "not_implemented",
            Refusal::InvalidCredentials => "access_refused",
            Refusal::Unavailable(_) => "internal_error",
        };
        Self::refused(message, in_code(message, &refusal))
    }
}

/// The peer's own text for an error: bounded, without control characters.
pub(crate) fn quote(text: &str) -> String {
    let mut end = text.len().min(QUOTE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut quoted: String = text
        .chars()
        .scan(0, |taken, c| {
            *taken += c.len_utf8();
            (*taken <= end).then_some(if c.is_control() { '?' } else { c })
        })
        .collect();
    if end < text.len() {
        quoted.push('…');
    }
    quoted
}
