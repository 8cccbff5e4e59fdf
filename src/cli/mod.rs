//! Commands and their output.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with its arguments (the first is its own name).
pub fn run(_arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::FAILURE
}
