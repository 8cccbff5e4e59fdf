//! Chunked bodies, checked while they pass byte for byte.
//!
//! ```text
//!     ┌──────────────── data, CR LF ────────────────┐
//!     ▼                                             │
//! Size ─► Extension ─► SizeEnd ── size above 0 ─► Data
//!                         │ size 0
//!                         ▼
//!                       Line ─► Name ─► Value ─► LineEnd ─► Line …
//!                         └── CR ─► LastEnd ─► Done
//! ```
//!
//! Where the input is cut makes no difference: each byte is judged once, by what
//! came before it.

#[cfg(test)]
mod tests;

use crate::relay::http1::head::Fault;
use crate::relay::http1::syntax::{is_text, is_token};

/// The longest size line in bytes, extensions included, its end not.
const LONGEST_SIZE_LINE: u16 = 4_096;

/// The most bytes that trailers may have, line ends included, the empty line
/// behind them not.
const LONGEST_TRAILERS: u16 = 16_384;

/// Trailers that would contradict the framing that has just ended (RFC 9110
/// section 6.5.1). No two begin with the same letter.
const FRAMING_FIELDS: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];

/// How far a chunked body has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Chunked {
    /// Of the chunk, or the size as far as it has been read.
    left: u64,
    /// Bytes of this size line, or of all trailers.
    seen: u16,
    state: State,
    /// How many bytes of the name of this trailer are those of a framing field.
    alike: u8,
}

/// What of some input belongs to a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Taken {
    /// So many bytes, from the beginning.
    pub bytes: usize,
    /// Whether the body ends there.
    pub complete: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The first digit of a size.
    SizeStart,
    /// A digit of a size, or what ends it.
    Size,
    /// The rest of a size line.
    Extension,
    /// LF behind a size line.
    SizeEnd,
    /// Chunk data.
    Data,
    /// CR behind the data.
    DataCr,
    /// LF behind that.
    DataEnd,
    /// A trailer, or the end.
    Line,
    /// More of the name of a trailer; which of [`FRAMING_FIELDS`] it may be.
    Name(u8),
    /// More of its value.
    Value,
    /// LF behind a trailer.
    LineEnd,
    /// LF of the empty line.
    LastEnd,
    /// Nothing.
    Done,
}

impl Default for Chunked {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunked {
    /// A body that begins.
    pub fn new() -> Self {
        Self {
            left: 0,
            seen: 0,
            state: State::SizeStart,
            alike: 0,
        }
    }

    /// Follows the body through `input`.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of its framing: nothing more of the message may be passed on.
    ///
    /// Source: decided (9.4), RFC 9112 section 7.1.
    pub fn take(&mut self, input: &[u8]) -> Result<Taken, Fault> {
        let mut bytes = 0;
        while bytes < input.len() && self.state != State::Done {
            let data = usize::try_from(self.data_left()).unwrap_or(usize::MAX);
            if data > 0 {
                let passing = data.min(input.len() - bytes);
                self.skip(passing as u64);
                bytes += passing;
            } else {
                self.state = self.next(input[bytes])?;
                bytes += 1;
            }
        }
        let complete = self.state == State::Done;
        Ok(Taken { bytes, complete })
    }

    /// Bytes of chunk data that come next: they may pass unread.
    pub fn data_left(&self) -> u64 {
        if self.state == State::Data {
            self.left
        } else {
            0
        }
    }

    /// So many bytes of the chunk data passed unread, at most
    /// [`Chunked::data_left`].
    pub fn skip(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.data_left(), "more than the chunk has");
        self.left = self.left.saturating_sub(bytes);
        if self.state == State::Data && self.left == 0 {
            self.state = State::DataCr;
        }
    }

    fn next(&mut self, byte: u8) -> Result<State, Fault> {
        match (self.state, byte) {
            (State::SizeStart | State::Size | State::Extension, _) => self.in_size_line(byte),
            (State::SizeEnd, b'\n') => Ok(self.behind_size_line()),
            (State::DataCr, b'\r') => Ok(State::DataEnd),
            (State::DataEnd, b'\n') => Ok(State::SizeStart),
            (State::Line, b'\r') => Ok(State::LastEnd),
            (State::Line | State::Name(_) | State::Value | State::LineEnd, _) => {
                self.in_trailers(byte)
            }
            (State::LastEnd, b'\n') => Ok(State::Done),
            (State::SizeEnd | State::LastEnd, _) => Err(Fault::bad("bare CR in a chunked body")),
            (State::DataCr | State::DataEnd, _) => Err(Fault::bad("chunk longer than its size")),
            (State::Data | State::Done, _) => Ok(self.state),
        }
    }

    fn in_size_line(&mut self, byte: u8) -> Result<State, Fault> {
        match (self.state, byte) {
            (State::Size | State::Extension, b'\r') => {
                self.seen = 0;
                return Ok(State::SizeEnd);
            }
            _ if self.seen == LONGEST_SIZE_LINE => {
                return Err(Fault::too_large("chunk size line longer than the limit"));
            }
            _ => self.seen += 1,
        }
        match (self.state, byte) {
            (State::Extension, _) if is_text(byte) => Ok(State::Extension),
            (State::Extension, _) => Err(Fault::bad("control character in a chunk extension")),
            (State::Size, b';') => Ok(State::Extension),
            _ => self.with_digit(byte),
        }
    }

    fn with_digit(&mut self, byte: u8) -> Result<State, Fault> {
        let digit = (byte as char)
            .to_digit(16)
            .ok_or(Fault::bad("malformed chunk size"))?;
        if self.left > i64::MAX as u64 >> 4 {
            return Err(Fault::bad("chunk size of 2^63 or more"));
        }
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn behind_size_line(&self) -> State {
        if self.left == 0 {
            State::Line
        } else {
            State::Data
        }
    }

    fn in_trailers(&mut self, byte: u8) -> Result<State, Fault> {
        if self.seen == LONGEST_TRAILERS {
            return Err(Fault::too_large("trailers longer than the limit"));
        }
        self.seen += 1;
        match (self.state, byte) {
            (State::Line, _) if is_token(byte) => Ok(self.begin_name(byte)),
            (State::Name(field), b':') if self.is_framing_field(field) => {
                Err(Fault::bad("framing field in trailers"))
            }
            (State::Name(_), b':') => Ok(State::Value),
            (State::Name(field), _) if is_token(byte) => Ok(self.go_on_with_name(field, byte)),
            (State::Line | State::Name(_), _) => Err(Fault::bad("malformed name of a trailer")),
            (State::Value, b'\r') => Ok(State::LineEnd),
            (State::Value, _) if is_text(byte) => Ok(State::Value),
            (State::LineEnd, b'\n') => Ok(State::Line),
            _ => Err(Fault::bad("control character in a trailer")),
        }
    }

    fn begin_name(&mut self, first: u8) -> State {
        let first = first.to_ascii_lowercase();
        let field = FRAMING_FIELDS.iter().position(|name| name[0] == first);
        self.alike = u8::from(field.is_some());
        State::Name(field.unwrap_or_default() as u8)
    }

    /// A name that once differed never fits again: 0 stays 0.
    fn go_on_with_name(&mut self, field: u8, byte: u8) -> State {
        let next = FRAMING_FIELDS[usize::from(field)].get(usize::from(self.alike));
        let fits = self.alike > 0 && next == Some(&byte.to_ascii_lowercase());
        self.alike = if fits { self.alike + 1 } else { 0 };
        State::Name(field)
    }

    fn is_framing_field(&self, field: u8) -> bool {
        usize::from(self.alike) == FRAMING_FIELDS[usize::from(field)].len()
    }
}
