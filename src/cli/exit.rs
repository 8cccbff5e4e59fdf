//! How a command ends: 0, or 1 with its reason on stderr (2.4, 2.5).

use std::error::Error;
use std::io;
use std::process::ExitCode;

use rustix::io::Errno;

use crate::cli::console::Console;

/// What stands below every usage error.
const POINTER: &str = "'crossroads -h' lists flags and commands";

/// Why a command ends with exit code 1.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line itself is wrong; a pointer to `-h` follows the text.
    Usage(String),
    /// One line that says what went wrong.
    Message(String),
    /// Everything that is to be said stands on stderr already.
    Told,
    /// A result could not be written to stdout.
    Output(io::Error),
}

/// What every command gives.
pub(super) type Outcome = Result<(), Failure>;

impl Failure {
    /// A failure of one line.
    pub(super) fn message(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    /// The lines for stderr, without `crossroads: ` in front of each.
    ///
    /// A reader that went away (`| head`) is told nothing: it asked for that.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Usage(text) => vec![text.clone(), POINTER.to_owned()],
            Self::Message(text) => vec![text.clone()],
            Self::Told => Vec::new(),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Vec::new(),
            Self::Output(error) => vec![format!("cannot write the result: {error}")],
        }
    }
}

/// Writes the reason of a failure and gives the exit code.
///
/// Source: decided (2.4): there is no other code than 0 and 1.
pub(super) fn conclude(outcome: Outcome, console: &Console) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.lines() {
                console.error(&line);
            }
            ExitCode::FAILURE
        }
    }
}

/// What helps against [`is_out_of_descriptors`], with a blank in front.
pub(super) const MORE_DESCRIPTORS: &str =
    " (raise the limit of open files: 'ulimit -n', LimitNOFILE= of systemd)";

/// Whether an error came about because this process or the machine has no
/// descriptor left.
pub(super) fn is_out_of_descriptors(error: &(dyn Error + 'static)) -> bool {
    let has_none = |error: &(dyn Error + 'static)| {
        let number = error.downcast_ref().and_then(io::Error::raw_os_error);
        [Errno::MFILE, Errno::NFILE]
            .iter()
            .any(|errno| number == Some(errno.raw_os_error()))
    };
    std::iter::successors(Some(error), |&error| error.source()).any(has_none)
}

/// An error with its causes on one line: `TEXT: CAUSE: CAUSE OF THAT`.
///
/// A cause that the text before it ends in already is not said twice.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("cannot go")]
    struct Going(#[source] Walking);

    #[derive(Debug, Error)]
    #[error("cannot walk: no legs")]
    struct Walking(#[source] io::Error);

    #[test]
    fn causes_follow_on_one_line_and_none_twice() {
        let error = Going(Walking(io::Error::other("no legs")));

        assert_eq!(causes(&error), "cannot go: cannot walk: no legs");
    }

    #[test]
    fn usage_error_points_to_the_help() {
        let lines = Failure::Usage("unknown command 'strat'".to_owned()).lines();

        assert_eq!(
            lines,
            [
                "unknown command 'strat'",
                "'crossroads -h' lists flags and commands"
            ]
        );
    }

    #[test]
    fn lack_of_descriptors_is_seen_behind_other_errors() {
        let going = |errno: Errno| Going(Walking(errno.into()));

        assert!(is_out_of_descriptors(&going(Errno::MFILE)));
        assert!(!is_out_of_descriptors(&going(Errno::ACCESS)));
    }

    #[test]
    fn reader_that_went_away_is_told_nothing() {
        let gone = Failure::Output(io::ErrorKind::BrokenPipe.into());
        let full = Failure::Output(io::ErrorKind::StorageFull.into());

        assert_eq!(gone.lines(), Vec::<String>::new());
        assert_eq!(full.lines().len(), 1);
    }
}
