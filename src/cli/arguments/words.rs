//! The words of the command line: the command and its arguments.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::Arguments;
use super::logs::{Throughput, TrafficLog};
use crate::base::endpoint::Endpoint;
use crate::base::state::{ShownState, Tell};
use crate::cli::exit::Failure;
use crate::cli::nearest;

/// A command with its arguments.
///
/// Source: documented (manual page); `sampleconf`, `demo`, `migrate` as in 2.3.
#[derive(Debug, PartialEq)]
pub(in crate::cli) enum Command {
    /// Start all services in the background.
    Start,
    /// Stop the running daemon.
    Stop,
    /// Stop, then start.
    Restart,
    /// Check the file.
    ConfigTest,
    /// List what is configured.
    Services,
    /// Print state and usage.
    Status,
    /// Set the state or the address of a back end.
    Tell(Order),
    /// Print a sample configuration.
    SampleConf,
    /// Show a running balancer.
    Demo,
    /// Rewrite retired spellings.
    Migrate(Migrate),
    /// Show a traffic log or a capture.
    TrafficLog(TrafficLog),
    /// Analyse throughput logs.
    Throughput(Throughput),
    /// Not in this version.
    Reload,
}

/// What `tell` is to say to whom, as the operator spelled it.
#[derive(Debug, PartialEq)]
pub(in crate::cli) struct Order {
    /// The service.
    pub(in crate::cli) service: String,
    /// The back end.
    pub(in crate::cli) backend: String,
    /// What it is told.
    pub(in crate::cli) tell: Tell,
}

/// What `migrate` does with which file.
#[derive(Debug, PartialEq)]
pub(in crate::cli) struct Migrate {
    /// The file; `None` for the configuration file.
    pub(in crate::cli) file: Option<PathBuf>,
    /// Where the result goes.
    pub(in crate::cli) rewrite: Rewrite,
}

/// Where the result of `migrate` goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Rewrite {
    /// To stdout, as a whole.
    Print,
    /// To stdout, as a unified diff.
    Diff,
    /// Into the place of the file.
    InPlace,
}

impl Rewrite {
    /// What `-i` and `--diff` mean together.
    pub(super) fn of_flags(in_place: bool, diff: bool) -> Result<Self, Failure> {
        match (in_place, diff) {
            (false, false) => Ok(Self::Print),
            (false, true) => Ok(Self::Diff),
            (true, false) => Ok(Self::InPlace),
            (true, true) => Err(Failure::Usage(
                "only one of '-i' and '--diff' can be used".to_owned(),
            )),
        }
    }
}

impl Command {
    /// The command that these words mean.
    pub(super) fn of_words(word: &OsStr, arguments: &Arguments<'_>) -> Result<Self, Failure> {
        let word = word.to_string_lossy();
        let command = match word.as_ref() {
            "tell" => return Order::of_words(arguments.words).map(Self::Tell),
            "migrate" => return Migrate::of_words(arguments).map(Self::Migrate),
            "trafficlog" => return TrafficLog::of_words(arguments).map(Self::TrafficLog),
            "throughput" => return Throughput::of_words(arguments).map(Self::Throughput),
            "start" => Self::Start,
            "stop" => Self::Stop,
            "restart" => Self::Restart,
            "configtest" => Self::ConfigTest,
            "services" => Self::Services,
            "status" => Self::Status,
            "sampleconf" => Self::SampleConf,
            "demo" => Self::Demo,
            "reload" => Self::Reload,
            _ => return Err(unknown_command(&word)),
        };
        if arguments.words.is_empty() {
            Ok(command)
        } else {
            Err(Failure::Usage(format!("'{word}' takes no arguments")))
        }
    }
}

fn unknown_command(word: &str) -> Failure {
    let commands = crate::cli::usage::COMMANDS.iter().map(|(word, _, _)| *word);
    let hint = nearest::hint(word, commands);
    Failure::Usage(format!("unknown command '{word}'{hint}"))
}

impl Migrate {
    fn of_words(arguments: &Arguments<'_>) -> Result<Self, Failure> {
        let file = match arguments.words {
            [] => None,
            [file] => Some(PathBuf::from(file)),
            _ => return Err(Failure::Usage("'migrate' takes one file".to_owned())),
        };
        let rewrite = Rewrite::of_flags(arguments.has("in-place"), arguments.has("diff"))?;
        Ok(Self { file, rewrite })
    }
}

impl Order {
    /// Both spellings of `tell`, and `server`.
    fn of_words(words: &[&OsString]) -> Result<Self, Failure> {
        let words = words
            .iter()
            .map(|word| word.to_str())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Failure::Usage("a name is not UTF-8".to_owned()))?;
        let (service, backend, tell) = match words.as_slice() {
            [service, backend, "state", state] => (service, backend, told_state(state)?),
            [service, backend, "server", server] => (service, backend, told_server(server)?),
            [_, _, what, _] => {
                let hint = nearest::hint(what, ["state", "server"]);
                return Err(Failure::Usage(format!("'tell' cannot set '{what}'{hint}")));
            }
            [service, backend, state] if !matches!(*state, "state" | "server") => {
                (service, backend, told_state(state)?)
            }
            _ => {
                return Err(Failure::Usage(
                    "'tell' needs SERVICE BACKEND state STATE or SERVICE BACKEND server HOST:PORT"
                        .to_owned(),
                ));
            }
        };
        Ok(Self {
            service: (*service).to_owned(),
            backend: (*backend).to_owned(),
            tell,
        })
    }
}

fn told_state(word: &str) -> Result<Tell, Failure> {
    ShownState::from_word(word).map(Tell::State).ok_or_else(|| {
        let words = ShownState::ALL.map(ShownState::word);
        let hint = nearest::hint(word, words.into_iter().chain(["up"]));
        let accepted = match hint.is_empty() {
            true => "; accepted: available, up, unavailable, down, waking",
            false => "",
        };
        Failure::Usage(format!("unknown state '{word}'{hint}{accepted}"))
    })
}

fn told_server(text: &str) -> Result<Tell, Failure> {
    Endpoint::parse(text)
        .map(Tell::Server)
        .map_err(|error| Failure::message(format!("bad server '{text}': {error}")))
}
