//! Tests of the whole program. They spawn the binary beside their own executable, so build the workspace first:
//! `tests/run` does, and installs what the client libraries need.

mod architecture;
mod clients;
mod disk;
mod hostile;
mod kill;
mod program;
mod support;
mod wire;
