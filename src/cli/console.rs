//! The two streams of a command: results on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use crate::cli::exit::{Failure, Outcome};
use crate::config::diagnostic::Colours;

/// What a stream leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stream {
    /// A terminal.
    Terminal,
    /// A file, a pipe or nothing.
    Other,
}

impl Stream {
    fn of(stream: &impl IsTerminal) -> Self {
        match stream.is_terminal() {
            true => Self::Terminal,
            false => Self::Other,
        }
    }

    /// What stdout leads to.
    pub(super) fn of_stdout() -> Self {
        Self::of(&io::stdout())
    }
}

/// Colours are for terminals whose owner has not switched them off.
///
/// Source: decided (2.5): `NO_COLOR` counts only when it is not empty.
fn colours(stream: Stream, no_color: Option<&str>) -> Colours {
    match (stream, no_color) {
        (Stream::Terminal, None | Some("")) => Colours::Always,
        _ => Colours::Never,
    }
}

/// Whether the steps of a command are reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Steps {
    /// Silent when all goes well.
    Silent,
    /// One line a step on stderr (`-v`).
    Reported,
}

/// Where a command writes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Console {
    steps: Steps,
    results: Colours,
    messages: Colours,
}

impl Console {
    /// The streams of this process, given the value of `NO_COLOR`.
    pub(super) fn of_process(no_color: Option<&str>) -> Self {
        Self {
            steps: Steps::Silent,
            results: colours(Stream::of_stdout(), no_color),
            messages: colours(Stream::of(&io::stderr()), no_color),
        }
    }

    /// The same streams, with steps reported or not.
    pub(super) fn with_steps(self, steps: Steps) -> Self {
        Self { steps, ..self }
    }

    /// Whether stdout shows colours.
    pub(super) fn results(&self) -> Colours {
        self.results
    }

    /// Whether stderr shows colours.
    pub(super) fn messages(&self) -> Colours {
        self.messages
    }

    /// Writes a result to stdout, as it is.
    ///
    /// # Errors
    ///
    /// [`Failure::Output`] when stdout does not take all of it.
    pub(super) fn print(&self, result: impl AsRef<[u8]>) -> Outcome {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(result.as_ref())
            .and_then(|()| stdout.flush())
            .map_err(Failure::Output)
    }

    /// Writes `crossroads: TEXT` to stderr.
    pub(super) fn error(&self, text: impl Display) {
        self.write_message(&format!("crossroads: {text}\n"));
    }

    /// Writes a step to stderr if steps are reported.
    pub(super) fn step(&self, text: impl Display) {
        if self.steps == Steps::Reported {
            self.error(text);
        }
    }

    /// Writes diagnostics, which have a layout of their own, to stderr.
    pub(super) fn write_message(&self, text: &str) {
        // A stderr that takes nothing leaves no one to tell; the exit code
        // still does.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_whose_owner_wants_them() {
        for (stream, no_color, expected) in [
            (Stream::Terminal, None, Colours::Always),
            (Stream::Terminal, Some(""), Colours::Always),
            (Stream::Terminal, Some("1"), Colours::Never),
            (Stream::Other, None, Colours::Never),
            (Stream::Other, Some(""), Colours::Never),
        ] {
            assert_eq!(colours(stream, no_color), expected);
        }
    }
}
