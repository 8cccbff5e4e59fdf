//! The command line: flags in front of or behind the command, and what they
//! mean (2.2, 2.3).
//!
//! The parser library only takes the line apart. Everything it finds wrong is
//! said in our own words, so that no other layout appears (2.5).

pub(super) mod flags;
mod logs;
mod values;
mod words;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::OsStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use crate::base::limits::Limits;
use crate::cli::exit::Failure;
use crate::config::diagnostic::Code;
use crate::daemon::Records;
use crate::telemetry::level::Facility;

pub(super) use logs::{Manner, Throughput, TrafficLog, Until};
pub(super) use words::{Command, Migrate, Order, Rewrite};

/// The key of everything that is no flag.
const WORDS: &str = "words";

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct Invocation {
    /// Its flags.
    pub(super) options: Options,
    /// What is to be done.
    pub(super) action: Action,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    /// `-h`: print the help.
    Help,
    /// `-V`: print the version.
    Version,
    /// `-C`: print the compile-time settings.
    Settings,
    /// `-b`: print the configuration in binary form.
    Binary,
    /// Run a command.
    Run(Command),
    /// Neither a command nor a flag that needs none.
    Nothing,
}

/// The form of `status` and `services`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Form {
    /// For people.
    #[default]
    Text,
    /// Tab-separated lines (`-t`).
    Terse,
    /// JSON (`-j`).
    Json,
    /// XML (`-x`).
    Xml,
}

/// The values of all flags but those that name an action.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// `-c`.
    pub(super) config: Option<PathBuf>,
    /// `-a`.
    pub(super) activity: bool,
    /// `-A`.
    pub(super) records: Records,
    /// `-B`, in bytes.
    pub(super) buffer_size: usize,
    /// `-d`.
    pub(super) dns_ttl: Duration,
    /// `-f`.
    pub(super) foreground: bool,
    /// `-t`, `-j`, `-x`.
    pub(super) form: Form,
    /// `-l`.
    pub(super) facility: Facility,
    /// `--limit`, and `-g` as the limit `grace`.
    pub(super) limits: Limits,
    /// `-W`.
    pub(super) silenced: Vec<Code>,
    /// `-v`.
    pub(super) verbose: bool,
    /// `-w`; without it as many as the machine runs in parallel.
    pub(super) workers: usize,
}

/// Takes the command line apart; its first word is the program's own name.
///
/// # Errors
///
/// [`Failure::Usage`] for everything that does not belong there, and
/// [`Failure::Message`] for a faulty address of `tell ... server`.
pub(super) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Invocation, Failure> {
    let matches = definition()
        .try_get_matches_from(line)
        .map_err(|error| Failure::Usage(say(&error)))?;
    let options = options(&matches)?;
    let action = action(&matches)?;
    Ok(Invocation { options, action })
}

fn definition() -> clap::Command {
    let words = Arg::new(WORDS)
        .num_args(0..)
        .action(ArgAction::Append)
        .value_parser(OsStringValueParser::new());
    clap::Command::new("crossroads")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(true)
        .args(flags::FLAGS.iter().map(flags::Flag::argument))
        .arg(words)
}

/// One of our lines for an error of the parser library.
fn say(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // The library names a flag with its argument and its long name.
    let named = text(ContextKind::InvalidArg).unwrap_or("?");
    let long = named.trim_start_matches('-').split([' ', '=']).next();
    let flag = long.and_then(flags::by_long);
    let spelled = flag.map_or_else(|| named.to_owned(), flags::Flag::spelling);
    match error.kind() {
        ErrorKind::UnknownArgument => format!("unknown flag '{named}'"),
        ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::TooFewValues => {
            format!("argument of '{spelled}' missing")
        }
        ErrorKind::TooManyValues => format!("'{spelled}' takes no argument"),
        ErrorKind::InvalidUtf8 => "argument is not UTF-8".to_owned(),
        _ => format!("cannot understand '{spelled}'"),
    }
}

fn action(matches: &ArgMatches) -> Result<Action, Failure> {
    let first = [
        ("help", Action::Help),
        ("version", Action::Version),
        ("settings", Action::Settings),
        ("binary", Action::Binary),
    ];
    for (flag, action) in first {
        if matches.get_flag(flag) {
            return Ok(action);
        }
    }
    let words: Vec<&OsString> = matches.get_many(WORDS).into_iter().flatten().collect();
    let Some((command, arguments)) = words.split_first() else {
        return Ok(Action::Nothing);
    };
    check_owners(command, matches)?;
    let arguments = Arguments {
        words: arguments,
        flags: matches,
    };
    Command::of_words(command, &arguments).map(Action::Run)
}

/// Refuses a flag that only another command takes.
fn check_owners(command: &OsStr, matches: &ArgMatches) -> Result<(), Failure> {
    let given = |long: &str| matches.value_source(long) == Some(ValueSource::CommandLine);
    match flags::OWNERS
        .iter()
        .find(|(long, owner)| given(long) && command != *owner)
    {
        None => Ok(()),
        Some((long, owner)) => Err(Failure::Usage(format!(
            "'{}' belongs to '{owner}', not to '{}'",
            flags::by_long(long).map_or_else(|| (*long).to_owned(), flags::Flag::spelling),
            command.to_string_lossy()
        ))),
    }
}

/// What stands behind a command, and the flags that it may take.
struct Arguments<'a> {
    words: &'a [&'a OsString],
    flags: &'a ArgMatches,
}

impl<'a> Arguments<'a> {
    /// Whether this flag without argument is given.
    fn has(&self, long: &str) -> bool {
        self.flags.get_flag(long)
    }

    /// The argument of this flag.
    fn value(&self, long: &str) -> Option<&'a OsString> {
        self.flags.get_one(long)
    }
}

fn options(matches: &ArgMatches) -> Result<Options, Failure> {
    let number = |flag, range, default| match matches.get_one::<OsString>(flag) {
        Some(value) => values::number(flag, value, range),
        None => Ok(default),
    };
    let in_parallel = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = in_parallel.min(values::MAX_WORKERS);
    Ok(Options {
        config: matches.get_one::<OsString>("config").map(PathBuf::from),
        activity: matches.get_flag("activity"),
        records: records(matches)?,
        buffer_size: number("buffer-size", 1_024..=16_777_216, 65_536)?,
        dns_ttl: Duration::from_secs(number("dns-ttl", 0..=2_147_483, 3_600)? as u64),
        foreground: matches.get_flag("foreground"),
        form: form(matches)?,
        facility: facility(matches)?,
        limits: limits(matches)?,
        silenced: silenced(matches)?,
        verbose: matches.get_flag("verbose"),
        workers: number("workers", 1..=values::MAX_WORKERS, workers)?,
    })
}

fn records(matches: &ArgMatches) -> Result<Records, Failure> {
    match matches.get_one::<OsString>("record") {
        None => Ok(Records::None),
        Some(form) if form == "json" => Ok(Records::Kept),
        Some(other) => {
            let shown = other.to_string_lossy();
            let text = format!("argument of '-A' is '{shown}', accepted: json");
            Err(Failure::Usage(text))
        }
    }
}

fn form(matches: &ArgMatches) -> Result<Form, Failure> {
    let mut given = [
        ("terse", Form::Terse),
        ("xml", Form::Xml),
        ("json", Form::Json),
    ]
    .into_iter()
    .filter(|(flag, _)| matches.get_flag(flag))
    .map(|(_, form)| form);
    match (given.next(), given.next()) {
        (None, _) => Ok(Form::Text),
        (Some(form), None) => Ok(form),
        _ => Err(Failure::Usage(
            "only one of '-t', '-x' and '-j' can be used".to_owned(),
        )),
    }
}

/// All limits: `--limit` in the order given, then `-g`, which overrules them.
fn limits(matches: &ArgMatches) -> Result<Limits, Failure> {
    let mut limits = Limits::default();
    for value in matches.get_many::<OsString>("limit").into_iter().flatten() {
        let (name, time) = values::limit(values::text("limit", value)?)?;
        if let Some(limit) = limits.by_name_mut(name) {
            *limit = time;
        }
    }
    if let Some(value) = matches.get_one::<OsString>("grace") {
        limits.grace = Duration::from_secs(values::number("grace", value, 0..=3_600)? as u64);
    }
    Ok(limits)
}

fn silenced(matches: &ArgMatches) -> Result<Vec<Code>, Failure> {
    let given = matches
        .get_many::<OsString>("warning")
        .into_iter()
        .flatten();
    given
        .map(|value| values::silenced(values::text("warning", value)?))
        .collect()
}

fn facility(matches: &ArgMatches) -> Result<Facility, Failure> {
    match matches.get_one::<OsString>("facility") {
        Some(value) => values::facility(values::text("facility", value)?),
        None => Ok(Facility::DAEMON),
    }
}

#[cfg(test)]
mod tests;
