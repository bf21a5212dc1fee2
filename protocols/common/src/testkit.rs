//! What every protocol's tests share.

pub mod allocation;
mod capture;
mod link;
mod values;

pub use capture::{assert_cut_anywhere, assert_survives_random_bytes, outcome_of};
pub use link::{Link, Peer};
pub use values::{CLOSED, STANDING, any_message, any_value, plain_format};
