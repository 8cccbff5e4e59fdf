//! The copy of every line on stderr, with `-f`.

use std::io::Write;

use crate::base::clock::Clock;
use crate::telemetry::queue::{Line, Queue};

/// Whether lines also go to stderr, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Console {
    /// They do not.
    Off,
    /// `YYYY-MM-DD/hh:mm:ss LEVEL TEXT`.
    Dated,
    /// `LEVEL TEXT`, for a reader that dates lines itself.
    Plain,
}

impl Console {
    /// How `-f` writes: without date where the journal reads stderr, as
    /// `JOURNAL_STREAM` in the environment says.
    ///
    /// Source: shape decided (13.3); the exception decided here.
    pub fn foreground(env: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        match env("JOURNAL_STREAM") {
            Some(stream) if !stream.is_empty() => Self::Plain,
            _ => Self::Dated,
        }
    }
}

/// Writes what comes out of `queue` until it is closed and empty. A stream
/// that cannot be written to is no reason to end.
pub(crate) fn write_lines(queue: &Queue, form: Console, clock: &Clock, stream: &mut impl Write) {
    while let Some(line) = queue.first() {
        // Nobody is left who could be told that stderr is gone.
        let _ = stream.write_all(compose(&line, form, clock).as_bytes());
        queue.written();
    }
    queue.finish();
}

fn compose(line: &Line, form: Console, clock: &Clock) -> String {
    match form {
        Console::Dated => format!("{} {} {}\n", clock.date(line.unix), line.level, line.text),
        Console::Plain | Console::Off => format!("{} {}\n", line.level, line.text),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::telemetry::level::Level;

    #[test]
    fn lines_are_dated_unless_the_journal_reads_them() {
        let journal = |name: &str| (name == "JOURNAL_STREAM").then(|| OsString::from("8:4711"));

        assert_eq!(Console::foreground(|_| None), Console::Dated);
        assert_eq!(Console::foreground(journal), Console::Plain);
    }

    #[test]
    fn line_has_date_level_and_text() {
        let mut line = Line::new(Level::Warning, "www: a".into());
        line.unix = 1_772_528_700;
        let mut dated = Vec::new();
        let mut plain = Vec::new();

        for (form, stream) in [(Console::Dated, &mut dated), (Console::Plain, &mut plain)] {
            let queue = Queue::new(1);
            queue.push(line.clone());
            queue.close();
            write_lines(&queue, form, &Clock::gmt(), stream);
        }

        assert_eq!(
            String::from_utf8(dated).unwrap(),
            "2026-03-03/09:05:00 warning www: a\n"
        );
        assert_eq!(String::from_utf8(plain).unwrap(), "warning www: a\n");
    }
}
