//! The copy of every line on stderr, with `-f`.

use std::fmt::Write as _;
use std::io::Write;

use crate::base::clock::Clock;
use crate::telemetry::batch::{Batch, Line};
use crate::telemetry::queue::Queue;

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

/// The most bytes that are written at once. What is no longer than `PIPE_BUF`
/// goes into a pipe as a whole, so lines of several writers do not mix.
const TOGETHER: usize = rustix::pipe::PIPE_BUF;

/// Writes what comes out of `queue` until it is closed and empty. A stream
/// that cannot be written to is no reason to end.
pub(crate) fn write_lines(queue: &Queue, form: Console, clock: &Clock, stream: &mut impl Write) {
    let (mut batch, mut page) = (Batch::default(), Page::default());
    while queue.take(&mut batch) {
        for line in batch.lines() {
            let begin = page.text.len();
            compose(&line, form, clock, &mut page.text);
            if page.text.len() > TOGETHER && begin > 0 {
                let late = page.text.split_off(begin);
                page.write(queue, stream);
                page.text.push_str(&late);
            }
            page.lines += 1;
        }
        page.write(queue, stream);
    }
    queue.finish();
}

/// Whole lines that are written together.
#[derive(Default)]
struct Page {
    text: String,
    lines: usize,
}

impl Page {
    fn write(&mut self, queue: &Queue, stream: &mut impl Write) {
        // Nobody is left who could be told that stderr is gone.
        let _ = stream.write_all(self.text.as_bytes());
        queue.written(self.lines);
        self.text.clear();
        self.lines = 0;
    }
}

fn compose(line: &Line<'_>, form: Console, clock: &Clock, text: &mut String) {
    // Infallible: a String takes everything.
    let _ = match form {
        Console::Dated => {
            let date = clock.calendar(line.unix);
            writeln!(text, "{date} {} {}", line.level, line.text)
        }
        Console::Plain | Console::Off => writeln!(text, "{} {}", line.level, line.text),
    };
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::telemetry::level::Level;

    #[test]
    fn lines_are_dated_unless_the_journal_reads_them() {
        let journal = |name: &str| (name == "JOURNAL_STREAM").then(|| OsString::from("8:4711"));

        assert_eq!(Console::foreground(|_| None), Console::Dated);
        assert_eq!(Console::foreground(journal), Console::Plain);
    }

    fn written(form: Console, lines: &[&str], stream: &mut impl Write) {
        let queue = Queue::new(lines.len());
        for text in lines {
            queue.push(Level::Warning, 1_772_528_700, text);
        }
        queue.close();
        write_lines(&queue, form, &Clock::gmt(), stream);
        assert!(queue.finished_within(Duration::ZERO));
    }

    #[test]
    fn line_has_date_level_and_text() {
        let (mut dated, mut plain) = (Vec::new(), Vec::new());

        written(Console::Dated, &["www: a"], &mut dated);
        written(Console::Plain, &["www: a"], &mut plain);

        assert_eq!(dated, b"2026-03-03/09:05:00 warning www: a\n");
        assert_eq!(plain, b"warning www: a\n");
    }

    /// Keeps what each write brings.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn many_lines_are_one_write_and_no_line_is_torn() {
        let long = "y".repeat(2 * TOGETHER);
        let mut lines = vec!["x"; 1_000];
        lines.push(&long);
        lines.push("z");
        let mut writes = Writes::default();

        written(Console::Plain, &lines, &mut writes);

        let each = "warning x\n".len();
        assert_eq!(writes.0.len(), 1_000_usize.div_ceil(TOGETHER / each) + 2);
        assert!(writes.0.iter().all(|bytes| bytes.ends_with(b"\n")));
        let all = writes.0.concat();
        let expected: String = lines
            .iter()
            .map(|line| format!("warning {line}\n"))
            .collect();
        assert_eq!(all, expected.as_bytes());
    }
}
