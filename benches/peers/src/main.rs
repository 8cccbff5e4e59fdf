//! Compares crossroads with other load balancers: the same clients and the
//! same back ends for all of them.

mod backend;
mod client;
mod compare;
mod failure;
mod hold;
mod interrupt;
mod limits;
mod lines;
mod machine;
mod peer;
mod poll;
mod proc;
mod process;
mod report;
mod stats;
mod stream;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Compares crossroads with other load balancers.
#[derive(Debug, Parser)]
#[command(name = "peers", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Serves small and large replies, until its standard input ends.
    Backend(backend::Options),
    /// Puts load on one address and reports it as a line of JSON.
    Client(client::Options),
    /// Measures all balancers that are installed, and reports.
    Compare(compare::Options),
    /// Becomes another program that ends when the one that started it does.
    #[command(hide = true)]
    Hold(hold::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().part {
        Part::Backend(options) => backend::run(&options).map_err(|error| failure::text(&error)),
        Part::Client(options) => client::run(&options).map_err(|error| failure::text(&error)),
        Part::Compare(options) => compare::run(&options).map_err(|error| format!("{error:#}")),
        Part::Hold(options) => hold::run(&options).map_err(|error| format!("{error:#}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("peers: {text}");
            ExitCode::FAILURE
        }
    }
}
