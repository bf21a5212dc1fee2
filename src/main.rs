//! The program `crossdock`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    crossdock::cli::run(std::env::args_os())
}
