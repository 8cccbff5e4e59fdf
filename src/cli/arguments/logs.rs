//! The arguments of the commands that read logs.

use std::path::PathBuf;

use super::{Arguments, values};
use crate::base::id::ConnectionId;
use crate::base::tap::Origin;
use crate::cli::exit::Failure;
use crate::cli::nearest;

/// What `trafficlog` shows of which file.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct TrafficLog {
    /// The file; `-` for stdin.
    pub(in crate::cli) file: PathBuf,
    /// The only connection that is shown.
    pub(in crate::cli) connection: Option<u64>,
    /// How it is shown.
    pub(in crate::cli) manner: Manner,
    /// When it ends.
    pub(in crate::cli) until: Until,
}

/// How `trafficlog` shows bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Manner {
    /// In the hex layout.
    Hex,
    /// Those that one side sent, as they are.
    Raw(Origin),
}

/// When `trafficlog` ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Until {
    /// At the end of the file.
    EndOfFile,
    /// When it is told so by a signal.
    Signal,
}

/// What `throughput` does with which files.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Throughput {
    /// The files; `-` for stdin.
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Where a picture goes.
    pub(in crate::cli) plot: Option<PathBuf>,
}

impl TrafficLog {
    pub(super) fn of_words(arguments: &Arguments<'_>) -> Result<Self, Failure> {
        let [file] = arguments.words else {
            return Err(Failure::Usage(
                "'trafficlog' needs one file, or '-' for standard input".to_owned(),
            ));
        };
        let range = 1..=ConnectionId::MAX as usize;
        let connection = arguments
            .value("connection")
            .map(|value| values::number("connection", value, range))
            .transpose()?;
        let manner = match arguments.value("raw") {
            Some(value) => Manner::Raw(side(values::text("raw", value)?)?),
            None => Manner::Hex,
        };
        Ok(Self {
            file: PathBuf::from(file),
            connection: connection.map(|number| number as u64),
            manner,
            until: match arguments.has("follow") {
                true => Until::Signal,
                false => Until::EndOfFile,
            },
        })
    }
}

fn side(word: &str) -> Result<Origin, Failure> {
    match word {
        "client" => Ok(Origin::Client),
        "backend" => Ok(Origin::Backend),
        _ => {
            let hint = nearest::hint(word, ["client", "backend"]);
            Err(Failure::Usage(format!(
                "argument '{word}' of '--raw' is neither 'client' nor 'backend'{hint}"
            )))
        }
    }
}

impl Throughput {
    pub(super) fn of_words(arguments: &Arguments<'_>) -> Result<Self, Failure> {
        if arguments.words.is_empty() {
            return Err(Failure::Usage(
                "'throughput' needs a file, or '-' for standard input".to_owned(),
            ));
        }
        Ok(Self {
            files: arguments.words.iter().map(PathBuf::from).collect(),
            plot: arguments.value("plot").map(PathBuf::from),
        })
    }
}
