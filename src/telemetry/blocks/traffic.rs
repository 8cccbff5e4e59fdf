//! The layout of `trafficlog`.

use crate::base::tap::Origin;

/// Bytes in one line.
const WIDTH: usize = 16;

/// Columns of the hex area.
const HEX_COLUMNS: usize = WIDTH * 3 - 1;

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

/// The letter of the side that sent a block.
pub(super) fn letter(from: Origin) -> u8 {
    match from {
        Origin::Client => b'C',
        Origin::Backend => b'B',
    }
}

/// The byte as it is shown in text.
pub(super) fn shown(byte: u8) -> u8 {
    if matches!(byte, 0x20..=0x7e) {
        byte
    } else {
        b'.'
    }
}

/// Appends the lines of one block: `D OOOO HH HH ... HH TEXT`.
///
/// Source: documented, spacing and wrap-around decided (13.1).
pub(super) fn format(block: &[u8], from: Origin, lines: &mut Vec<u8>) {
    lines.reserve(block.len().div_ceil(WIDTH) * LONGEST);
    for (number, bytes) in block.chunks(WIDTH).enumerate() {
        let offset = number * WIDTH;
        lines.extend_from_slice(&[letter(from), b' ']);
        for shift in [12, 8, 4, 0] {
            lines.push(DIGITS[offset >> shift & 0xf]);
        }
        let hex = lines.len() + 1;
        for byte in bytes {
            lines.extend_from_slice(&HEX[usize::from(*byte)]);
        }
        lines.resize(hex + HEX_COLUMNS + 1, b' ');
        lines.extend(bytes.iter().map(|&byte| shown(byte)));
        lines.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(block: &[u8], from: Origin) -> String {
        let mut lines = Vec::new();
        format(block, from, &mut lines);
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn block_has_the_lines_of_the_specification() {
        assert_eq!(
            lines(b"PUT /a HTTP/1.1\r\nHost: h\r\n\r\n", Origin::Client),
            "C 0000 50 55 54 20 2f 61 20 48 54 54 50 2f 31 2e 31 0d PUT /a HTTP/1.1.\n\
             C 0010 0a 48 6f 73 74 3a 20 68 0d 0a 0d 0a             .Host: h....\n"
        );
    }

    #[test]
    fn text_begins_in_column_56_and_blanks_end_no_line_but_as_text() {
        for length in 1..=16 {
            let line = lines(&vec![b'x'; length], Origin::Backend);
            assert_eq!(&line[55..], format!("{}\n", "x".repeat(length)));
        }
        assert!(lines(b" ", Origin::Backend).ends_with("  \n"));
    }

    #[test]
    fn printable_is_what_lies_between_blank_and_tilde() {
        let line = lines(b"\x1f \x7e\x7f\xff", Origin::Backend);
        assert_eq!(&line[..21], "B 0000 1f 20 7e 7f ff");
        assert_eq!(&line[55..], ". ~..\n");
    }

    #[test]
    fn offset_wraps_after_ffff_and_begins_anew_with_each_block() {
        let long = lines(&[0; 0x1_0020], Origin::Client);
        let offsets: Vec<&str> = long.lines().map(|line| &line[2..6]).collect();
        assert_eq!(offsets[0xfff..], ["fff0", "0000", "0010"]);
        assert!(lines(b"x", Origin::Client).starts_with("C 0000 "));
    }
}
