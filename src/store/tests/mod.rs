//! Tests of the crate, one binary.

mod crashes;
mod damage;
mod faults;
mod limits;
mod support;
