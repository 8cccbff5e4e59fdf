//! A throughput log: one line for each block that was read (13.2).
//!
//! ```text
//! 0004021 0.000001 C PUT /a HTTP/1.1..Host: h....
//! 0004021 0.041877 B HTTP/1.1 204 No Content..Server: maple....
//! ```
//!
//! Lines of the original are read too: the number is then that of a process,
//! and has any number of digits.

use thiserror::Error;

use crate::base::tap::Origin;
use crate::telemetry::layout;

/// What one line says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ThroughputLine<'a> {
    /// The number of the connection, or of the process that served it.
    pub connection: u64,
    /// Time since the first block of the connection, in microseconds.
    pub time: u64,
    /// Who sent the block.
    pub from: Origin,
    /// How the block begins, unprintable bytes as `.`.
    pub text: &'a [u8],
}

/// Why a line is none of a throughput log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ThroughputLineError {
    /// The first field is no number.
    #[error("does not begin with a connection number")]
    Connection,
    /// The second field is no time.
    #[error("no time in seconds, such as 0.041877, behind the number")]
    Time,
    /// The third field is no side.
    #[error("neither ` C ` nor ` B ` behind the time")]
    Side,
}

impl<'a> ThroughputLine<'a> {
    /// Takes a line apart.
    ///
    /// # Errors
    ///
    /// [`ThroughputLineError`] says which field is wrong.
    ///
    /// Source: documented (13.2).
    pub fn parse(line: &'a [u8]) -> Result<Self, ThroughputLineError> {
        let (connection, rest) = digits(line.trim_ascii_start())
            .and_then(|(number, rest)| Some((number, rest.strip_prefix(b" ")?)))
            .ok_or(ThroughputLineError::Connection)?;
        let (time, rest) = time(rest.trim_ascii_start())
            .and_then(|(time, rest)| Some((time, rest.strip_prefix(b" ")?)))
            .ok_or(ThroughputLineError::Time)?;
        let (from, text) = match rest.trim_ascii_start() {
            [letter, b' ', text @ ..] => (layout::side(*letter), text),
            // An editor took away the blank that ended the line.
            [letter] => (layout::side(*letter), &[][..]),
            _ => (None, rest),
        };
        Ok(Self {
            connection,
            time,
            from: from.ok_or(ThroughputLineError::Side)?,
            text,
        })
    }
}

/// Digits as a number, and what follows.
fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    Some((number?, rest))
}

/// Seconds with a fraction, in microseconds, and what follows.
fn time(text: &[u8]) -> Option<(u64, &[u8])> {
    let (seconds, rest) = digits(text)?;
    let fraction = rest.strip_prefix(b".")?;
    let (_, rest) = digits(fraction)?;
    let given = &fraction[..fraction.len() - rest.len()];
    // What is finer than a microsecond is left out.
    let micros = (0..6).fold(0, |micros, place| {
        micros * 10 + given.get(place).map_or(0, |digit| u64::from(digit - b'0'))
    });
    Some((seconds.checked_mul(1_000_000)?.checked_add(micros)?, rest))
}

/// The first line of a request, out of the text of its first block.
///
/// Line ends are shown as `..` there, which a path may hold as well, so the
/// version of HTTP is looked for first.
pub fn first_line(text: &[u8]) -> &[u8] {
    const VERSION: &[u8] = b" HTTP/";
    let version = memchr::memmem::find(text, VERSION);
    let behind = version.map(|place| place + VERSION.len() + b"1.1".len());
    let end = behind
        .filter(|end| *end <= text.len())
        .or_else(|| memchr::memmem::find(text, b".."))
        .unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<ThroughputLine<'_>, ThroughputLineError> {
        ThroughputLine::parse(line.as_bytes())
    }

    #[test]
    fn lines_of_the_specification_are_taken_apart() {
        let request = parse("0004021 0.000001 C PUT /a HTTP/1.1..Host: h....").unwrap();
        let reply = parse("0004021 0.041877 B HTTP/1.1 204 No Content..").unwrap();

        assert_eq!((request.connection, request.time), (4_021, 1));
        assert_eq!(
            (request.from, reply.from),
            (Origin::Client, Origin::Backend)
        );
        assert_eq!(request.text, b"PUT /a HTTP/1.1..Host: h....");
        assert_eq!(reply.time, 41_877);
    }

    #[test]
    fn numbers_of_the_original_have_any_number_of_digits() {
        for (line, connection, time) in [
            ("7 0.000001 C x", 7, 1),
            ("  4194304 12.5 B x", 4_194_304, 12_500_000),
            ("31337  3.1234567 C x", 31_337, 3_123_456),
            ("1 0.000001 C", 1, 1),
        ] {
            let parsed = parse(line).unwrap();

            assert_eq!(
                (parsed.connection, parsed.time),
                (connection, time),
                "{line}"
            );
        }
    }

    #[test]
    fn faulty_lines_say_what_is_wrong() {
        for (line, expected) in [
            ("", ThroughputLineError::Connection),
            ("x 0.1 C x", ThroughputLineError::Connection),
            ("12", ThroughputLineError::Connection),
            (
                "99999999999999999999 0.1 C x",
                ThroughputLineError::Connection,
            ),
            ("12 C x", ThroughputLineError::Time),
            ("12 5 C x", ThroughputLineError::Time),
            ("12 0. C x", ThroughputLineError::Time),
            ("12 18446744073709.551616 C x", ThroughputLineError::Time),
            ("12 0.1 X x", ThroughputLineError::Side),
            ("12 0.1 ", ThroughputLineError::Side),
            ("12 0.1 Cx", ThroughputLineError::Side),
        ] {
            assert_eq!(parse(line), Err(expected), "{line}");
        }
    }

    #[test]
    fn first_line_ends_with_the_version_or_with_the_line() {
        for (text, expected) in [
            ("GET /a/../b HTTP/1.1..Host: h", "GET /a/../b HTTP/1.1"),
            ("EHLO here..", "EHLO here"),
            ("GET / HTTP/1", "GET / HTTP/1"),
            ("select 1;", "select 1;"),
            ("", ""),
        ] {
            assert_eq!(first_line(text.as_bytes()), expected.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(
            connection in 0_u64..10_000_000,
            time in 1_u64..10_000_000_000,
            text in "[ -~]{1,100}",
        ) {
            let (seconds, micros) = (time / 1_000_000, time % 1_000_000);
            let line = format!("{connection:07} {seconds}.{micros:06} B {text}");

            let parsed = parse(&line).unwrap();

            prop_assert_eq!((parsed.connection, parsed.time), (connection, time));
            prop_assert_eq!(parsed.text, text.as_bytes());
        }

        #[test]
        fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = ThroughputLine::parse(&line);
            first_line(&line);
        }
    }
}
