//! The hex layout of a traffic log (13.1).
//!
//! ```text
//! C 0010 0a 48 6f 73 74 3a 20 68 0d 0a 0d 0a             .Host: h....
//! ```

use std::io::{self, Write};

use super::Side;

/// Bytes on a line.
pub const WIDTH: usize = 16;

/// The columns of a hex area: two digits a byte, one blank between.
pub(super) const HEX_COLUMNS: usize = WIDTH * 3 - 1;

/// How a byte is shown as text.
///
/// Source: decided (13.1): 0x20 to 0x7e are printable.
pub fn printable(byte: u8) -> u8 {
    match byte {
        0x20..=0x7e => byte,
        _ => b'.',
    }
}

/// Writes `bytes`, sent together by `from`, as lines; the first has `offset`.
///
/// # Errors
///
/// What the writer says.
pub fn write(to: &mut impl Write, from: Side, offset: u16, bytes: &[u8]) -> io::Result<()> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut offset = offset;
    for piece in bytes.chunks(WIDTH) {
        let mut hex = [b' '; HEX_COLUMNS];
        for (columns, byte) in hex.chunks_mut(3).zip(piece) {
            columns[0] = DIGITS[usize::from(byte >> 4)];
            columns[1] = DIGITS[usize::from(byte & 15)];
        }
        let mut text = [0; WIDTH];
        for (shown, byte) in text.iter_mut().zip(piece) {
            *shown = printable(*byte);
        }
        write!(to, "{} {offset:04x} ", from.letter())?;
        to.write_all(&hex)?;
        to.write_all(b" ")?;
        to.write_all(&text[..piece.len()])?;
        to.write_all(b"\n")?;
        offset = offset.wrapping_add(WIDTH as u16);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(from: Side, offset: u16, bytes: &[u8]) -> String {
        let mut text = Vec::new();
        write(&mut text, from, offset, bytes).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn lines_are_those_of_the_specification() {
        let text = written(Side::Client, 0, b"PUT /a HTTP/1.1\r\nHost: h\r\n\r\n");

        assert_eq!(
            text,
            "C 0000 50 55 54 20 2f 61 20 48 54 54 50 2f 31 2e 31 0d PUT /a HTTP/1.1.\n\
             C 0010 0a 48 6f 73 74 3a 20 68 0d 0a 0d 0a             .Host: h....\n"
        );
    }

    #[test]
    fn offset_wraps_after_ffff() {
        let text = written(Side::Backend, 0xfff0, &[0; 17]);

        let offsets: Vec<&str> = text.lines().map(|line| &line[..6]).collect();
        assert_eq!(offsets, ["B fff0", "B 0000"]);
    }

    #[test]
    fn nothing_gives_no_line() {
        assert_eq!(written(Side::Client, 0, b""), "");
    }
}
