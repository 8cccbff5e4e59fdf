//! Bytes into lines, however they are cut.

use memchr::memchr;

/// The longest line that is looked at; lines of our logs have at most 130
/// bytes, and the rest of a longer one is passed over.
pub const LONGEST: usize = 4_096;

/// One line without its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It has more than [`LONGEST`] bytes.
    TooLong,
}

/// Cuts what is pushed into numbered lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    too_long: bool,
    ended: u64,
}

impl Lines {
    /// Takes more of the text; `each` gets the number, from 1, of each line
    /// that ends in it, and the line.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(u64, Line<'_>)) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end);
            rest = &behind[1..];
            if self.begun.is_empty() && !self.too_long && line.len() <= LONGEST {
                self.ended += 1;
                each(self.ended, Line::Whole(without_return(line)));
            } else {
                self.keep(line);
                self.finish(&mut each);
            }
        }
        self.keep(rest);
    }

    /// The text ends here, perhaps in the middle of its last line.
    pub fn end(&mut self, mut each: impl FnMut(u64, Line<'_>)) {
        if self.too_long || !self.begun.is_empty() {
            self.finish(&mut each);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        if self.too_long || self.begun.len() + part.len() > LONGEST {
            self.too_long = true;
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    fn finish(&mut self, each: &mut impl FnMut(u64, Line<'_>)) {
        self.ended += 1;
        let line = match self.too_long {
            true => Line::TooLong,
            false => Line::Whole(without_return(&self.begun)),
        };
        each(self.ended, line);
        self.too_long = false;
        self.begun.clear();
    }
}

/// A file that went through another system has CR before LF.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<(u64, String)> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        let mut each = |number, line: Line<'_>| {
            let text = match line {
                Line::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Line::TooLong => "too long".to_owned(),
            };
            all.push((number, text));
        };
        for piece in pieces {
            lines.push(piece, &mut each);
        }
        lines.end(&mut each);
        all
    }

    fn numbered(lines: &[&str]) -> Vec<(u64, String)> {
        (1..).zip(lines.iter().map(ToString::to_string)).collect()
    }

    #[test]
    fn lines_are_numbered_and_the_last_needs_no_end() {
        assert_eq!(cut(&[b"a\n\nb\r\nc"]), numbered(&["a", "", "b", "c"]));
        assert_eq!(cut(&[b"a\n"]), numbered(&["a"]));
        assert_eq!(cut(&[]), numbered(&[]));
    }

    #[test]
    fn overlong_line_is_counted_and_the_next_one_is_whole() {
        let long = "x".repeat(LONGEST + 1);
        let (head, tail) = long.split_at(10);

        let lines = cut(&[head.as_bytes(), tail.as_bytes(), b"\nshort\n"]);

        assert_eq!(lines, numbered(&["too long", "short"]));
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_text_is_cut(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..60),
            size in 1_usize..9,
        ) {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();

            prop_assert_eq!(cut(&pieces), cut(&[&text]));
        }
    }
}
