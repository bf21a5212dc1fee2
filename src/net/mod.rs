//! The only place where sockets meet protocol machines.
//!
//! [`listener`] accepts (plain or TLS), [`door`] finds out what is spoken where that is not settled, [`websocket`] takes frames apart,
//! [`driver`] runs one connection: it reads, lets the machine decode, hands its commands
//! to the core as one batch, hands the core's events to the machine, and writes. There is one driver for all protocols.

mod admission;
mod balance;
mod door;
mod driver;
mod http;
mod listener;
mod machines;
mod outcome;
mod proxy;
mod scratch;
mod shutdown;
mod transport;
mod websocket;
mod workers;

pub use admission::NoEntry;
pub use door::Responders;
pub use http::{Answer, Responder, listen_http};
pub use listener::{Listening, Reception, listen};
pub use machines::{formats, limits as machine_limits};
pub use shutdown::{Shutdown, ShutdownSignal};
pub use workers::Workers;
