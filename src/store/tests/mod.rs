//! Tests of the crate, one binary.

mod cleaning;
mod crashes;
mod damage;
mod faults;
mod filling;
mod golden;
mod inspection;
mod lazy;
mod limits;
mod model;
mod resealing;
mod sealed;
mod stored;
mod support;
mod threads;
