//! A traffic log or a capture, whichever a file turns out to be.

use thiserror::Error;

use super::Item;
use super::capture::{Capture, MAGIC};
use super::streams::Streams;
use super::traffic::TrafficLog;

/// What a file that gzip made begins with.
pub const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Text in hex (13.1).
    TrafficLog,
    /// Packets as pcapng.
    Capture,
}

/// A format that is known, and not read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FormatError {
    /// The older form of captures.
    #[error("a capture in the older pcap format; only pcapng is read, and editcap converts it")]
    Pcap,
    /// A file that gzip made.
    #[error("compressed by gzip; 'gzip -dc FILE | crossroads trafficlog -' shows it")]
    Gzip,
}

/// Reads either.
pub struct Reader(State);

enum State {
    /// Too few bytes have come to tell, and these are they.
    Undecided(Vec<u8>, Box<Streams>),
    TrafficLog(TrafficLog),
    Capture(Box<Capture>),
}

impl Reader {
    /// Reads a file whose connections may have begun in an earlier one, which
    /// left `streams`.
    pub fn new(streams: Streams) -> Self {
        Self(State::Undecided(Vec::new(), Box::new(streams)))
    }

    /// What the file is; `None` as long as that is not known.
    pub fn format(&self) -> Option<Format> {
        match self.0 {
            State::Undecided(..) => None,
            State::TrafficLog(_) => Some(Format::TrafficLog),
            State::Capture(_) => Some(Format::Capture),
        }
    }

    /// Takes more of the file; `each` gets what it holds.
    ///
    /// # Errors
    ///
    /// [`FormatError`] for a file that is neither, as far as that can be told.
    pub fn push(&mut self, bytes: &[u8], each: impl FnMut(Item<'_>)) -> Result<(), FormatError> {
        if let State::Undecided(first, streams) = &mut self.0 {
            first.extend_from_slice(bytes);
            if first.len() < MAGIC.len() {
                return Ok(());
            }
            let (first, streams) = (std::mem::take(first), std::mem::take(streams));
            self.decide(&first, *streams)?;
            self.push_decided(&first, each);
        } else {
            self.push_decided(bytes, each);
        }
        Ok(())
    }

    /// The file ends here. Gives the connections that go on in the next one.
    pub fn end(mut self, mut each: impl FnMut(Item<'_>)) -> Streams {
        if let State::Undecided(first, streams) = &mut self.0 {
            // So few bytes can only be a text.
            let (first, streams) = (std::mem::take(first), std::mem::take(streams));
            let mut log = TrafficLog::default();
            log.push(&first, &mut each);
            log.end(each);
            return *streams;
        }
        match self.0 {
            State::TrafficLog(mut log) => log.end(each),
            State::Capture(capture) => return capture.end(each),
            State::Undecided(..) => {}
        }
        Streams::default()
    }

    fn decide(&mut self, first: &[u8], streams: Streams) -> Result<(), FormatError> {
        self.0 = match first {
            _ if first.starts_with(&GZIP) => return Err(FormatError::Gzip),
            [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..] => return Err(FormatError::Pcap),
            _ if first.starts_with(&MAGIC) => State::Capture(Box::new(Capture::new(streams))),
            _ => State::TrafficLog(TrafficLog::default()),
        };
        Ok(())
    }

    fn push_decided(&mut self, bytes: &[u8], each: impl FnMut(Item<'_>)) {
        match &mut self.0 {
            State::TrafficLog(log) => log.push(bytes, each),
            State::Capture(capture) => capture.push(bytes, each),
            State::Undecided(..) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(bytes: &[u8]) -> Result<Option<Format>, FormatError> {
        let mut reader = Reader::new(Streams::default());
        for byte in bytes {
            reader.push(&[*byte], |_| ())?;
        }
        Ok(reader.format())
    }

    #[test]
    fn format_is_told_by_the_first_bytes() {
        assert_eq!(format_of(b"C 0000 41 A\n"), Ok(Some(Format::TrafficLog)));
        assert_eq!(format_of(b"\n\r\r\n"), Ok(Some(Format::Capture)));
        assert_eq!(format_of(b"C 0"), Ok(None));
        assert_eq!(format_of(b"\x1f\x8b\x08\x00"), Err(FormatError::Gzip));
        assert_eq!(format_of(b"\xd4\xc3\xb2\xa1"), Err(FormatError::Pcap));
    }

    #[test]
    fn text_that_is_too_short_to_tell_is_a_faulty_line() {
        let mut reader = Reader::new(Streams::default());
        reader.push(b"x", |_| ()).unwrap();
        let mut faults = 0;

        reader.end(|item| faults += usize::from(matches!(item, Item::Fault(_))));

        assert_eq!(faults, 1);
    }
}
