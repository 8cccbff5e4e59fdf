//! A traffic log: lines of hex into the bytes that they stand for (13.1).
//!
//! Lines of the original are read too: short lines need not be padded, and
//! hex digits may be capitals.

use thiserror::Error;

use super::lines::{Line, Lines};
use super::throughput::ThroughputLine;
use super::{Block, Fault, Item, Place};
use crate::base::tap::Origin;
use crate::telemetry::layout::{self, HEX_COLUMNS, WIDTH, printable};

/// What one line says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TrafficLine {
    /// Who sent the bytes.
    pub from: Origin,
    /// Their offset in the block that was read.
    pub offset: u16,
    bytes: [u8; WIDTH],
    count: usize,
}

/// Why a line is none of a traffic log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TrafficLineError {
    /// The first field is no side.
    #[error("begins with neither `C ` nor `B `")]
    Side,
    /// The second field is no offset.
    #[error("no offset of four hex digits behind `{0} `")]
    Offset(char),
    /// No hex digits follow, or something else than that.
    #[error("no bytes in hex behind the offset")]
    Bytes,
    /// Hex digits and text do not show the same bytes.
    #[error("the text at the end does not agree with the bytes in hex")]
    Text,
}

impl TrafficLine {
    /// Takes a line apart.
    ///
    /// # Errors
    ///
    /// [`TrafficLineError`] says which field is wrong.
    ///
    /// Source: documented (13.1); padding decided there.
    pub fn parse(line: &[u8]) -> Result<Self, TrafficLineError> {
        let (from, rest) = match line {
            [letter, b' ', rest @ ..] => (layout::side(*letter), rest),
            _ => (None, line),
        };
        let from = from.ok_or(TrafficLineError::Side)?;
        let (offset, rest) = offset(rest).ok_or(TrafficLineError::Offset(layout::letter(from)))?;
        let (bytes, most) = hex(rest);
        if most == 0 {
            return Err(TrafficLineError::Bytes);
        }
        // Where a line is not padded, the text may look like more hex, so every
        // number of bytes is tried that leaves a text which agrees.
        let agrees = |count: &usize| text_agrees(rest, &bytes[..*count]);
        let count = (1..=most).rev().find(agrees);
        Ok(Self {
            from,
            offset,
            bytes,
            count: count.ok_or(TrafficLineError::Text)?,
        })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

/// Four hex digits and a blank.
fn offset(field: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = field.split_at_checked(4)?;
    let mut offset = 0;
    for digit in digits {
        offset = offset << 4 | u16::from(nibble(*digit)?);
    }
    Some((offset, rest.strip_prefix(b" ")?))
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The bytes that pairs of digits with a blank behind each stand for, and how
/// many there are at most.
fn hex(area: &[u8]) -> ([u8; WIDTH], usize) {
    let mut bytes = [0; WIDTH];
    let mut count = 0;
    for (byte, columns) in bytes.iter_mut().zip(area.chunks(3)) {
        let [high, low, behind @ ..] = columns else {
            break;
        };
        let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) else {
            break;
        };
        if !matches!(behind, [] | [b' ']) {
            break;
        }
        *byte = high << 4 | low;
        count += 1;
    }
    (bytes, count)
}

/// Whether `area`, digits of `bytes` and text behind them, shows them: padded
/// or not, and perhaps without the blanks at its end, which editors take away.
fn text_agrees(area: &[u8], bytes: &[u8]) -> bool {
    let used = bytes.len() * 3 - 1;
    let (padding, text) = match area.get(HEX_COLUMNS..) {
        Some(rest) if area[used..HEX_COLUMNS].iter().all(|byte| *byte == b' ') => {
            (true, rest.get(1..).unwrap_or_default())
        }
        _ => (false, area.get(used + 1..).unwrap_or_default()),
    };
    let shows = |text: &[u8]| {
        text.len() <= bytes.len()
            && bytes.iter().enumerate().all(|(place, byte)| {
                let shown = text.get(place).copied().unwrap_or(b' ');
                shown == b'.' || shown == printable(*byte)
            })
    };
    // A short line that is not padded may end in the columns of the text.
    shows(text) || padding && shows(area.get(used + 1..).unwrap_or_default())
}

/// Reads a traffic log.
#[derive(Debug, Default)]
pub struct TrafficLog {
    lines: Lines,
    /// What the last line was, to see whether the next one goes on from there.
    last: Option<(Origin, u16)>,
}

impl TrafficLog {
    /// Takes more of the log; `each` gets what it says.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Item<'_>)) {
        let last = &mut self.last;
        self.lines
            .push(bytes, |number, line| tell(last, number, line, &mut each));
    }

    /// The log ends here.
    pub fn end(&mut self, mut each: impl FnMut(Item<'_>)) {
        let last = &mut self.last;
        self.lines
            .end(|number, line| tell(last, number, line, &mut each));
    }
}

fn tell(
    last: &mut Option<(Origin, u16)>,
    number: u64,
    line: Line<'_>,
    each: &mut impl FnMut(Item<'_>),
) {
    let place = Place::Line(number);
    let line = match line {
        Line::Whole(line) => line,
        Line::TooLong => {
            let what = format!("has more than {} bytes", super::lines::LONGEST);
            return each(Item::Fault(Fault { place, what }));
        }
    };
    if line.starts_with(b"#") {
        return each(Item::Comment(line));
    }
    match TrafficLine::parse(line) {
        Err(error) => {
            let what = match ThroughputLine::parse(line) {
                Ok(_) => "a line of a throughput log; 'crossroads throughput' reads it".to_owned(),
                Err(_) => error.to_string(),
            };
            each(Item::Fault(Fault { place, what }));
        }
        Ok(line) => {
            if let Some(what) = gap(*last, &line) {
                each(Item::Fault(Fault { place, what }));
            }
            let follows = line.bytes().len() == WIDTH;
            *last = follows.then_some((line.from, line.offset.wrapping_add(WIDTH as u16)));
            each(Item::Block(Block {
                from: line.from,
                offset: line.offset,
                bytes: line.bytes(),
                missing_before: 0,
                missing_after: 0,
                stream: None,
            }));
        }
    }
}

/// What is wrong if a line neither begins a block nor goes on with one: lines
/// of a block are written together (13.3).
fn gap(expected: Option<(Origin, u16)>, line: &TrafficLine) -> Option<String> {
    if line.offset == 0 || expected == Some((line.from, line.offset)) {
        return None;
    }
    let letter = layout::letter(line.from);
    Some(match line.offset.checked_sub(WIDTH as u16) {
        Some(before) => format!(
            "{letter} {:04x} without {letter} {before:04x} before it: bytes are missing",
            line.offset
        ),
        None => format!("{letter} {:04x} is no multiple of 0010", line.offset),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes of each side, and the faults, that a log gives.
    fn read(pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, Vec<String>) {
        let (mut client, mut backend, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut each = |item: Item<'_>| match item {
            Item::Block(block) => match block.from {
                Origin::Client => client.extend(block.bytes),
                Origin::Backend => backend.extend(block.bytes),
            },
            Item::Comment(_) => {}
            Item::Fault(Fault { place, what }) => faults.push(format!("{place}: {what}")),
        };
        let mut log = TrafficLog::default();
        for piece in pieces {
            log.push(piece, &mut each);
        }
        log.end(&mut each);
        (client, backend, faults)
    }

    #[test]
    fn lines_of_the_specification_give_their_bytes() {
        let log = b"C 0000 50 55 54 20 2f 61 20 48 54 54 50 2f 31 2e 31 0d PUT /a HTTP/1.1.\n\
                    C 0010 0a 48 6f 73 74 3a 20 68 0d 0a 0d 0a             .Host: h....\n";

        let (client, backend, faults) = read(&[log]);

        assert_eq!(client, b"PUT /a HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(backend, b"");
        assert_eq!(faults, Vec::<String>::new());
    }

    #[test]
    fn short_lines_without_padding_are_read_even_if_their_text_looks_like_hex() {
        for (line, expected) in [
            ("B 0000 68 69 hi", &b"hi"[..]),
            ("B 0000 61 62 ab", b"ab"),
            ("B 0000 61 20 a ", b"a "),
            ("B 0000 61 20 a", b"a "),
            ("B 0000 20", b" "),
            ("B 0000 4A 4b 0D JK.", b"JK\r"),
            ("B 0000 e9 .", b"\xe9"),
            (
                "B 0000 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e ABCDEFGHIJKLMN",
                b"ABCDEFGHIJKLMN",
            ),
        ] {
            let parsed = TrafficLine::parse(line.as_bytes());

            assert_eq!(parsed.unwrap().bytes(), expected, "{line}");
        }
    }

    #[test]
    fn faulty_lines_say_what_is_wrong() {
        for (line, expected) in [
            ("", TrafficLineError::Side),
            ("X 0000 41 A", TrafficLineError::Side),
            ("C0000 41 A", TrafficLineError::Side),
            ("C 00 41 A", TrafficLineError::Offset('C')),
            ("B 0000", TrafficLineError::Offset('B')),
            ("B 0000 xx", TrafficLineError::Bytes),
            ("B 0000 41 B", TrafficLineError::Text),
            ("B 0000 41 42 43", TrafficLineError::Text),
            // Two lines torn and glued together.
            ("B 0000 41 42 43 B 0000 41 A", TrafficLineError::Text),
        ] {
            assert_eq!(TrafficLine::parse(line.as_bytes()), Err(expected), "{line}");
        }
    }

    #[test]
    fn faults_are_told_with_their_lines_and_reading_goes_on() {
        let log = b"C 0000 41 A\nrubbish\nB 0010 42 B\n# note\nB 0004 43 C\nB 0000 44 D\n";

        let (client, backend, faults) = read(&[log]);

        assert_eq!(client, b"A");
        assert_eq!(backend, b"BCD");
        assert_eq!(
            faults,
            [
                "2: begins with neither `C ` nor `B `",
                "3: B 0010 without B 0000 before it: bytes are missing",
                "5: B 0004 is no multiple of 0010",
            ]
        );
    }

    #[test]
    fn line_of_the_other_kind_of_log_is_known() {
        let (_, _, faults) = read(&[b"0004021 0.000001 C PUT /a\n"]);

        assert!(faults[0].contains("a throughput log"), "{faults:?}");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again_however_it_is_cut(
            blocks in prop::collection::vec(
                (any::<bool>(), prop::collection::vec(any::<u8>(), 1..80)),
                0..8,
            ),
            size in 1_usize..200,
        ) {
            let mut log = Vec::new();
            let (mut client, mut backend) = (Vec::new(), Vec::new());
            for (first, bytes) in &blocks {
                let from = if *first { Origin::Client } else { Origin::Backend };
                layout::append(&mut log, from, 0, bytes);
                if *first { &mut client } else { &mut backend }.extend(bytes);
            }

            let pieces: Vec<&[u8]> = log.chunks(size).collect();

            prop_assert_eq!(read(&pieces), (client, backend, Vec::new()));
        }

        #[test]
        fn every_line_of_printable_bytes_has_one_reading(
            bytes in prop::collection::vec(prop::sample::select(b" .0123456789abcdef".to_vec()), 1..=16),
        ) {
            let mut line = Vec::new();
            layout::append(&mut line, Origin::Client, 0, &bytes);
            line.pop();
            let parsed = TrafficLine::parse(&line).unwrap();

            prop_assert_eq!(parsed.bytes(), &bytes[..]);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            read(&[&bytes]);
        }
    }
}
