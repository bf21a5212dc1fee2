//! The broker side of AMQP 0-9-1, as RabbitMQ 3.13 and 4.x speak it: bytes and [`Now`](crossdock_common::Now) in,
//! [`Command`](crossdock_common::Command)s and bytes out.
//!
//! There is no networking code here, no clock, and no queue: whether an exchange exists or a message is routed is the
//! core's business. [`Connection`] is the machine; [`FORMAT`] explains stored AMQP messages to the other protocols.
//!
//! The path of a byte: `frame` (what it says) → `connection` (who it is for) → `channel` (what it asks for) →
//! [`Command`](crossdock_common::Command).

mod channel;
mod connection;
mod convert;
mod error;
pub mod frame;
mod options;
pub mod outside;

pub use connection::Connection;
pub use convert::{AmqpFormat, FORMAT, from_hub};
pub use error::{Fault, ReplyCode, Scope};
pub use options::{ConnectionOptions, Mechanism};
