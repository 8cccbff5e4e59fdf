//! What came back, and whether it is what was asked for.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// Why an exchange came to nothing.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("cannot open a connection")]
    Open(#[source] io::Error),
    #[error("the connection broke {during}")]
    Broken {
        during: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the connection was closed {0}")]
    Closed(&'static str),
    #[error("the reply is no HTTP")]
    Malformed(#[source] httparse::Error),
    #[error("the head of the reply has more than {HEAD_LIMIT} bytes")]
    TooLong,
    #[error("the reply has status {0}, expected 200")]
    Status(u16),
    #[error("the reply says no length")]
    NoLength,
    #[error("the reply has {found} bytes of body, expected {expected}")]
    Length { found: u64, expected: u64 },
    #[error("{0} bytes came after the reply")]
    Surplus(usize),
    #[error("nothing came for {0:?}")]
    Silence(Duration),
    #[error("{0} requests of the measured time had no reply {DRAIN:?} after it")]
    Overdue(u64),
}

/// How long replies are waited for after the measured time, at a fixed rate.
pub(super) const DRAIN: Duration = Duration::from_secs(1);

const HEAD_LIMIT: usize = 16 * 1024;
const HEADERS: usize = 64;

/// The head of a reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    /// Bytes of the head.
    pub(super) size: usize,
    /// Bytes of the body that follows.
    pub(super) body: u64,
    /// The peer closes the connection after the reply.
    pub(super) closes: bool,
}

/// The head of the reply in `bytes`, or none if it is not complete.
///
/// # Errors
///
/// [`Failure`] for everything but a 200 of known length.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut reply = httparse::Response::new(&mut headers);
    let size = match reply.parse(bytes) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_LIMIT => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Failure::TooLong),
        Err(error) => return Err(Failure::Malformed(error)),
    };
    let status = reply.code.unwrap_or_default();
    if status != 200 {
        return Err(Failure::Status(status));
    }
    let mut body = None;
    let mut closes = reply.version == Some(0);
    for header in reply.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = number(header.value);
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = closes_after(header.value).unwrap_or(closes);
        }
    }
    let body = body.ok_or(Failure::NoLength)?;
    Ok(Some(Head { size, body, closes }))
}

fn closes_after(value: &[u8]) -> Option<bool> {
    if value.eq_ignore_ascii_case(b"close") {
        Some(true)
    } else if value.eq_ignore_ascii_case(b"keep-alive") {
        Some(false)
    } else {
        None
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_end_are_read_from_the_head() {
        let bytes = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";

        let head = parse(bytes).unwrap().unwrap();

        let expected = Head {
            size: bytes.len() - 3,
            body: 3,
            closes: true,
        };
        assert_eq!(head, expected);
    }

    #[test]
    fn half_a_head_is_waited_for() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nConten").unwrap(), None);
    }

    #[test]
    fn other_status_is_a_failure() {
        let failure = parse(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").unwrap_err();

        assert!(matches!(failure, Failure::Status(503)));
    }

    #[test]
    fn reply_without_length_is_a_failure() {
        let failure = parse(b"HTTP/1.1 200 OK\r\n\r\n").unwrap_err();

        assert!(matches!(failure, Failure::NoLength));
    }

    #[test]
    fn garbage_is_a_failure() {
        assert!(matches!(parse(b"\x16\x03\x01"), Err(Failure::Malformed(_))));
    }

    #[test]
    fn endless_head_is_a_failure() {
        let mut bytes = b"HTTP/1.1 200 OK\r\nA: ".to_vec();
        bytes.resize(HEAD_LIMIT + 1, b'a');

        assert!(matches!(parse(&bytes), Err(Failure::TooLong)));
    }
}
