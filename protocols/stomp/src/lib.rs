//! The broker side of STOMP 1.0, 1.1 and 1.2, in the dialect of RabbitMQ's STOMP plugin: bytes and
//! [`Now`](crossdock_common::Now) in, [`Command`](crossdock_common::Command)s and bytes out.
//!
//! There is no networking code here, no clock and no queue: whether a queue exists or a message is routed is the core's
//! business. [`Connection`] is the machine; [`FORMAT`] explains stored STOMP messages to the other protocols.
//!
//! The path of a byte: `frame` (what it says) → `connection` (whether it may) → `session` (what it asks for) →
//! [`Command`](crossdock_common::Command).

mod connection;
mod convert;
mod destination;
mod error;
pub mod frame;
mod options;
mod session;
#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use convert::{FORMAT, StompFormat, from_hub};
pub use destination::Destination;
pub use error::Fault;
pub use options::{ConnectionOptions, Nack};
