//! The program `crossroads`: hands its arguments to [`crossroads::cli::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    crossroads::cli::run(std::env::args_os())
}
