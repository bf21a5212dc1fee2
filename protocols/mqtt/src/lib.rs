//! The broker side of MQTT 3.1, 3.1.1 and 5.0 on one port: bytes and [`Now`](crossdock_common::Now) in,
//! [`Command`](crossdock_common::Command)s and bytes out.
//!
//! There is no networking code here, no clock and no queue. [`Connection`] is the machine; [`FORMAT`] explains stored
//! MQTT messages to the other protocols, [`from_hub`] says theirs in MQTT's words.
//!
//! The path of a byte: `packet` (what it says) → `connection` (whether it may be said now) → `inbound`, `outbound`,
//! `subscribing` (what it asks for) → [`Command`](crossdock_common::Command). `LIFECYCLE.md` has the long version.

mod announcement;
mod authentication;
mod connecting;
mod connection;
mod convert;
mod inbound;
mod options;
mod outbound;
pub mod packet;
mod reason;
mod requests;
mod session;
mod subscribing;
mod subscriptions;
#[cfg(test)]
mod tests;
pub mod topic;

pub use announcement::announcement;
pub use connection::Connection;
pub use convert::{FORMAT, MqttFormat, from_hub};
pub use options::{ConnectionOptions, Offer, Origin};
pub use packet::Qos;
pub use reason::{Fault, Reason};
