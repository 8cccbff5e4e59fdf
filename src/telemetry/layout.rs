//! What text logs of traffic look like, for those who write them and those who
//! read them: the letters of the sides, the hex layout (13.1), and the limits of
//! a line of a throughput log (13.2).
//!
//! ```text
//! C 0010 0a 48 6f 73 74 3a 20 68 0d 0a 0d 0a             .Host: h....
//! ```

use crate::base::tap::Origin;

/// Bytes on a line.
pub const WIDTH: usize = 16;

/// Bytes of a block that a line of a throughput log shows.
///
/// Source: documented (13.2).
pub(super) const SHOWN: usize = 100;

/// The time that the first block of a connection has in a throughput log, in
/// microseconds; none is smaller.
///
/// Source: documented (13.2).
pub(super) const START: u64 = 1;

/// The columns of the hex area: two digits a byte, one blank between.
pub(super) const HEX_COLUMNS: usize = WIDTH * 3 - 1;

/// Bytes of a full line, with its end.
const LONGEST: usize = 7 + HEX_COLUMNS + 1 + WIDTH + 1;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Each byte as ` HH`: one look-up and one copy, since everything that passes
/// is written like that.
const HEX: [[u8; 3]; 256] = {
    let mut table = [[b' '; 3]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [b' ', DIGITS[byte >> 4], DIGITS[byte & 0xf]];
        byte += 1;
    }
    table
};

/// The letter of the side that sent something.
///
/// Source: documented (13.1, 13.2).
pub fn letter(from: Origin) -> char {
    match from {
        Origin::Client => 'C',
        Origin::Backend => 'B',
    }
}

/// The side that a letter stands for.
pub(super) fn side(letter: u8) -> Option<Origin> {
    match letter {
        b'C' => Some(Origin::Client),
        b'B' => Some(Origin::Backend),
        _ => None,
    }
}

/// How a byte is shown as text.
///
/// Source: decided (13.1): 0x20 to 0x7e are printable.
pub fn printable(byte: u8) -> u8 {
    match byte {
        0x20..=0x7e => byte,
        _ => b'.',
    }
}

/// Appends `bytes`, sent together by `from`, as lines; the first has `offset`,
/// which wraps after ffff.
///
/// Source: documented, spacing and wrap-around decided (13.1).
pub fn append(lines: &mut Vec<u8>, from: Origin, offset: u16, bytes: &[u8]) {
    lines.reserve(bytes.len().div_ceil(WIDTH) * LONGEST);
    let letter = letter(from) as u8;
    let mut offset = usize::from(offset);
    for piece in bytes.chunks(WIDTH) {
        lines.extend_from_slice(&[letter, b' ']);
        for shift in [12, 8, 4, 0] {
            lines.push(DIGITS[offset >> shift & 0xf]);
        }
        let hex = lines.len() + 1;
        for byte in piece {
            lines.extend_from_slice(&HEX[usize::from(*byte)]);
        }
        lines.resize(hex + HEX_COLUMNS + 1, b' ');
        lines.extend(piece.iter().map(|&byte| printable(byte)));
        lines.push(b'\n');
        offset += WIDTH;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(from: Origin, offset: u16, bytes: &[u8]) -> String {
        let mut lines = Vec::new();
        append(&mut lines, from, offset, bytes);
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn block_has_the_lines_of_the_specification() {
        assert_eq!(
            lines(Origin::Client, 0, b"PUT /a HTTP/1.1\r\nHost: h\r\n\r\n"),
            "C 0000 50 55 54 20 2f 61 20 48 54 54 50 2f 31 2e 31 0d PUT /a HTTP/1.1.\n\
             C 0010 0a 48 6f 73 74 3a 20 68 0d 0a 0d 0a             .Host: h....\n"
        );
    }

    #[test]
    fn text_begins_in_column_56_and_blanks_end_no_line_but_as_text() {
        for length in 1..=16 {
            let line = lines(Origin::Backend, 0, &vec![b'x'; length]);
            assert_eq!(&line[55..], format!("{}\n", "x".repeat(length)));
        }
        assert!(lines(Origin::Backend, 0, b" ").ends_with("  \n"));
    }

    #[test]
    fn printable_is_what_lies_between_blank_and_tilde() {
        let line = lines(Origin::Backend, 0, b"\x1f \x7e\x7f\xff");
        assert_eq!(&line[..21], "B 0000 1f 20 7e 7f ff");
        assert_eq!(&line[55..], ". ~..\n");
    }

    #[test]
    fn offset_goes_on_from_the_first_and_wraps_after_ffff() {
        let long = lines(Origin::Client, 0, &[0; 0x1_0020]);
        let offsets: Vec<&str> = long.lines().map(|line| &line[2..6]).collect();
        assert_eq!(offsets[0xfff..], ["fff0", "0000", "0010"]);

        let late = lines(Origin::Backend, 0xfff0, &[0; 17]);
        let offsets: Vec<&str> = late.lines().map(|line| &line[..6]).collect();
        assert_eq!(offsets, ["B fff0", "B 0000"]);
    }

    #[test]
    fn nothing_gives_no_line() {
        assert_eq!(lines(Origin::Client, 0, b""), "");
    }

    #[test]
    fn letters_stand_for_the_sides_both_ways() {
        for from in [Origin::Client, Origin::Backend] {
            assert_eq!(side(letter(from) as u8), Some(from));
        }
        assert_eq!(side(b'c'), None);
    }
}
