//! What goes wrong, whom it concerns, and how RabbitMQ says it.

use crossdock_common::Refusal;

use crate::frame::wire::Malformed;
use crate::frame::{FrameError, MethodId};

/// How much of a connection an error ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The channel on which it happened.
    Channel,
    /// The connection.
    Connection,
}

/// AMQP 0-9-1 reply codes (specification section 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyCode {
    /// 311
    ContentTooLarge,
    /// 312, only in `basic.return`
    NoRoute,
    /// 320
    ConnectionForced,
    /// 403
    AccessRefused,
    /// 404
    NotFound,
    /// 405
    ResourceLocked,
    /// 406
    PreconditionFailed,
    /// 501
    FrameError,
    /// 502
    SyntaxError,
    /// 503
    CommandInvalid,
    /// 504
    ChannelError,
    /// 505
    UnexpectedFrame,
    /// 530
    NotAllowed,
    /// 540
    NotImplemented,
    /// 541
    InternalError,
}

impl ReplyCode {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        match self {
            Self::ContentTooLarge => 311,
            Self::NoRoute => 312,
            Self::ConnectionForced => 320,
            Self::AccessRefused => 403,
            Self::NotFound => 404,
            Self::ResourceLocked => 405,
            Self::PreconditionFailed => 406,
            Self::FrameError => 501,
            Self::SyntaxError => 502,
            Self::CommandInvalid => 503,
            Self::ChannelError => 504,
            Self::UnexpectedFrame => 505,
            Self::NotAllowed => 530,
            Self::NotImplemented => 540,
            Self::InternalError => 541,
        }
    }

    /// The word that begins the reply text.
    pub fn word(self) -> &'static str {
        match self {
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Soft errors end the channel, hard ones the connection.
    pub fn scope(self) -> Scope {
        match self {
            Self::ContentTooLarge
            | Self::NoRoute
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => Scope::Channel,
            _ => Scope::Connection,
        }
    }
}

/// An error that is told to the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} - {text}", code.word())]
pub struct Fault {
    /// What kind of error.
    pub code: ReplyCode,
    /// RabbitMQ's words for it, without the leading code.
    pub text: String,
    /// The method that failed; 0/0 if none did.
    pub method: MethodId,
}

impl Fault {
    /// An error that no method is to blame for, yet.
    pub fn new(code: ReplyCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), method: MethodId::NONE }
    }

    /// Names the failing method.
    pub fn at(self, method: MethodId) -> Self {
        Self { method, ..self }
    }

    /// The reply text, cut to the 255 bytes that a short string holds.
    pub fn reply_text(&self) -> String {
        let mut text = self.to_string();
        let mut end = text.len().min(255);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text
    }

    pub(crate) fn precondition(text: impl Into<String>) -> Self {
        Self::new(ReplyCode::PreconditionFailed, text)
    }

    pub(crate) fn unexpected(text: impl Into<String>) -> Self {
        Self::new(ReplyCode::UnexpectedFrame, text)
    }

    pub(crate) fn not_implemented(text: impl Into<String>) -> Self {
        Self::new(ReplyCode::NotImplemented, text)
    }

    pub(crate) fn not_allowed(text: impl Into<String>) -> Self {
        Self::new(ReplyCode::NotAllowed, text)
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::new(ReplyCode::SyntaxError, malformed.0)
    }
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Self {
        Self::new(ReplyCode::FrameError, error.to_string())
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NotFound { .. } => ReplyCode::NotFound,
            Refusal::VhostNotFound { .. } | Refusal::VhostRefused { .. } => ReplyCode::NotAllowed,
            Refusal::AccessRefused { .. }
            | Refusal::TopicRefused { .. }
            | Refusal::Forbidden(_)
            | Refusal::ExclusiveUse { .. }
            | Refusal::InvalidCredentials => ReplyCode::AccessRefused,
            Refusal::ResourceLocked { .. } => ReplyCode::ResourceLocked,
            Refusal::PreconditionFailed(_)
            | Refusal::Invalid(_)
            | Refusal::LimitReached(_)
            | Refusal::Changed
            | Refusal::UnknownDelivery(_) => ReplyCode::PreconditionFailed,
            Refusal::NotImplemented(_) => ReplyCode::NotImplemented,
            Refusal::Unavailable(_) => ReplyCode::InternalError,
        };
        Self::new(code, refusal.to_string())
    }
}

/// Why a frame was not dealt with.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// It is wrong.
    Fault(Fault),
    /// An answer of the core is needed first: the frame stays in the input.
    Stall,
}

impl Interrupt {
    /// Names the failing method.
    pub(crate) fn at(self, method: MethodId) -> Self {
        match self {
            Self::Fault(fault) => Self::Fault(fault.at(method)),
            Self::Stall => Self::Stall,
        }
    }
}

impl<E: Into<Fault>> From<E> for Interrupt {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}
