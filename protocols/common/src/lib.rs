//! What every wire protocol shares: the message model, the commands and events that pass between a protocol machine
//! and the core, the [`Machine`] trait, limits, and the test kit.
//!
//! There is no networking code here, no clock, no randomness from outside and no queue: bytes and [`Now`] go in;
//! commands, bytes and the next deadline come out.

pub mod address;
pub mod command;
pub mod definition;
pub mod description;
pub mod envelope;
pub mod event;
pub mod filter;
pub mod hub;
pub mod json;
pub mod lane_quota;
pub mod limits;
pub mod machine;
pub mod message;
pub mod moves;
pub mod names;
pub mod output;
pub mod random;
pub mod refusal;
pub mod shared;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod time;
pub mod value;
pub mod value_text;
pub mod warrant;

pub use bytestring::ByteString as Text;
pub use command::Command;
pub use description::Description;
pub use event::Event;
pub use filter::{Filter, Sight};
pub use hub::Hub;
pub use limits::Limits;
pub use machine::Machine;
pub use message::{Arrived, Format, FormatTag, Message, Run};
pub use names::{ConsumerId, Lane, Name, RequestId};
pub use output::{DropReason, Output};
pub use refusal::Refusal;
pub use shared::Shared;
pub use time::{Instant, Now, UnixMillis};
pub use value::{Table, Value};
pub use warrant::Warrant;
