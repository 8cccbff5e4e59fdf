//! Commands and their output.

mod arguments;
mod configtest;
mod console;
mod demo;
mod exit;
mod find;
mod locate;
mod migrate;
mod nearest;
pub mod render;
mod session;
mod settings;
mod stop;
mod tell;
mod usage;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::arguments::Action;
use crate::cli::console::{Console, Steps};
use crate::cli::exit::{Failure, Outcome};

/// Runs the program with its arguments (the first is its own name).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let console = Console::of_process(std::env::var("NO_COLOR").ok().as_deref());
    exit::conclude(act(arguments, console), &console)
}

fn act(arguments: impl IntoIterator<Item = OsString>, console: Console) -> Outcome {
    let invocation = arguments::parse(arguments)?;
    let console = match invocation.options.verbose {
        true => console.with_steps(Steps::Reported),
        false => console,
    };
    match invocation.action {
        Action::Help => console.print(usage::text()),
        Action::Version => console.print(format!("crossroads {}\n", crate::VERSION)),
        Action::Nothing => {
            console.write_message(&usage::text());
            Err(Failure::Told)
        }
        Action::Settings | Action::Binary | Action::Run(_) => Err(Failure::Told),
    }
}
