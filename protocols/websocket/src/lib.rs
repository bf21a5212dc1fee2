//! WebSocket (RFC 6455), as a server sees it: what is in the frames of a client, and the frames that a server writes.
//!
//! No sockets, no HTTP (`src/net` has both), no allocation: [`Decoder`] takes frames apart in the buffer that they were read into, and
//! [`header()`] gives the few bytes that stand before what is written.

#![forbid(unsafe_code)]

mod close;
mod decoder;
mod handshake;
mod header;
mod mask;
mod stomp;
mod utf8;

pub use close::{CloseCode, Violation, close_frame};
pub use decoder::{Decoder, End, Limits};
pub use handshake::{accept_key, is_key};
pub use header::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Opcode, header};
pub use stomp::{StompFrame, StompFrames};
