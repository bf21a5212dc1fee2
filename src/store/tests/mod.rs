//! Tests of the crate, one binary.

mod crashes;
mod support;
