//! STOMP frames: what the bytes say, before anyone asks whether it is allowed.

mod decode;
mod encode;
mod escape;
mod headers;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use decode::{Decoder, FrameError, Rules};
pub(crate) use encode::escape;
pub use encode::{Line, ServerFrame};
pub use escape::{Escaping, canonical, is_canonical, percent_decode, percent_encode, unescape};
pub use headers::Headers;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.0: headers are not escaped.
    V1_0,
    /// 1.1: `\n`, `\c` and `\\`.
    V1_1,
    /// 1.2: also `\r`, and `ack` headers.
    V1_2,
}

impl Version {
    /// All of them, as ERROR frames say it.
    pub const SUPPORTED: &'static str = "1.0,1.1,1.2";

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The highest of the versions that `accept-version` names and we speak.
    pub fn negotiate(accept_version: &str) -> Option<Self> {
        let known = [Self::V1_2, Self::V1_1, Self::V1_0];
        known.into_iter().find(|version| accept_version.split(',').any(|name| name.trim() == version.name()))
    }
}

/// What a client's frame asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Log in; `STOMP` since 1.1.
    Connect,
    /// Publish.
    Send,
    /// Start a consumer.
    Subscribe,
    /// End a consumer.
    Unsubscribe,
    /// Accept deliveries.
    Ack,
    /// Refuse deliveries.
    Nack,
    /// Open a transaction.
    Begin,
    /// Carry out a transaction.
    Commit,
    /// Forget a transaction.
    Abort,
    /// Say goodbye.
    Disconnect,
}

impl Verb {
    /// Longest name.
    pub const NAME_BYTES_MAX: usize = 11;

    /// The verb of that name. Names are in capitals (1.2: "clients and servers must use upper case").
    pub fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"CONNECT" | b"STOMP" => Self::Connect,
            b"SEND" => Self::Send,
            b"SUBSCRIBE" => Self::Subscribe,
            b"UNSUBSCRIBE" => Self::Unsubscribe,
            b"ACK" => Self::Ack,
            b"NACK" => Self::Nack,
            b"BEGIN" => Self::Begin,
            b"COMMIT" => Self::Commit,
            b"ABORT" => Self::Abort,
            b"DISCONNECT" => Self::Disconnect,
            _ => return None,
        })
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Disconnect => "DISCONNECT",
        }
    }
}

/// A frame from a client.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it asks for.
    pub verb: Verb,
    /// The command and header lines with the empty line, as they came.
    pub head: Bytes,
    /// Its headers.
    pub headers: Headers,
    /// Its body: a slice of the read buffer.
    pub body: Bytes,
}
