//! Commands and their output.
//!
//! One file a command; what they share:
//!
//! | file | what it knows |
//! |---|---|
//! | `arguments` | the command line |
//! | `console`, `exit` | where text goes, and how a command ends |
//! | `session` | flags, streams, and how the configuration is read |
//! | `locate` | where the configuration file is |
//! | `find`, `watch` | which daemons run, and when one has ended |
//! | `input` | the log files that a command reads |
//! | `render` | what `status` and `services` look like |

mod arguments;
mod configtest;
mod console;
mod demo;
mod exit;
mod find;
mod input;
mod locate;
mod migrate;
mod nearest;
pub mod render;
mod restart;
mod sampleconf;
mod services;
mod session;
mod settings;
mod start;
mod status;
mod stop;
mod tell;
mod throughput;
mod trafficlog;
mod usage;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::arguments::{Action, Command, Options};
use crate::cli::console::{Console, Steps};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::session::Session;
use crate::control::rundir::RunDir;
use crate::process::{identity, signals};

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
    // `killall -1 crossroads` is meant for the daemon and reaches us too (15).
    if let Err(error) = signals::ignore_hangup() {
        console.step(format_args!("cannot ignore SIGHUP: {error}"));
    }
    let session = session(invocation.options, console);
    match invocation.action {
        Action::Help => console.print(usage::text()),
        Action::Version => console.print(format!("crossroads {}\n", crate::VERSION)),
        Action::Settings => console.print(settings::text(&session.options, session.run_dir.path())),
        Action::Binary => services::binary(&session),
        Action::Run(command) => perform(&session, command),
        Action::Nothing => {
            console.write_message(&usage::text());
            Err(Failure::Told)
        }
    }
}

fn session(options: Options, console: Console) -> Session {
    Session {
        options,
        console,
        run_dir: RunDir::locate(|name| std::env::var_os(name), identity::effective_uid()),
    }
}

fn perform(session: &Session, command: Command) -> Outcome {
    match command {
        Command::ConfigTest => configtest::run(session),
        Command::SampleConf => sampleconf::run(session),
        Command::Services => services::run(session),
        Command::Status => status::run(session),
        Command::Stop => stop::run(session),
        Command::Tell(order) => tell::run(session, &order),
        Command::Reload => Err(Failure::message("reload: not in this version")),
        Command::Start => start::run(session),
        Command::Restart => restart::run(session),
        Command::Demo => demo::run(session),
        Command::Migrate(order) => migrate::run(session, &order),
        Command::TrafficLog(order) => trafficlog::run(session, &order),
        Command::Throughput(order) => throughput::run(session, &order),
    }
}
