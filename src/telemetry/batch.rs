//! Lines that are handed over together, their texts in one buffer.

use std::time::Instant;

use crate::telemetry::level::Level;

/// The greatest length of a text in bytes; the rest is cut off, so that a
/// line always fits into one datagram.
const LONGEST: usize = 8192;

/// The most memory that an empty batch keeps for the next lines.
const KEPT: usize = 256 * 1024;

/// One line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Line<'a> {
    /// How grave it is.
    pub level: Level,
    /// When it was said, in seconds since 1970.
    pub unix: u64,
    /// What it says: one line, without control characters.
    pub text: &'a str,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    level: Level,
    unix: u64,
    /// Where its text ends; it begins where that of the line before ends.
    end: usize,
}

/// Lines in the order in which they were said.
#[derive(Debug, Default)]
pub struct Batch {
    texts: String,
    heads: Vec<Head>,
    taken: Option<Instant>,
}

impl Batch {
    /// Makes `text` a single line: cuts it at its greatest length, and writes
    /// control characters, which could forge further lines, as `?`.
    pub fn tidy(text: &mut String) {
        if text.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|&end| text.is_char_boundary(end));
            text.truncate(end.unwrap_or_default());
        }
        // Those beyond ASCII are two bytes, C2 80 to C2 9F.
        let suspect = |&byte: &u8| byte < 0x20 || byte == 0x7f || byte == 0xc2;
        if text.as_bytes().iter().any(suspect) && text.contains(char::is_control) {
            *text = text.replace(char::is_control, "?");
        }
    }

    /// Adds a line.
    pub fn push(&mut self, level: Level, unix: u64, text: &str) {
        self.texts.push_str(text);
        self.heads.push(Head {
            level,
            unix,
            end: self.texts.len(),
        });
    }

    /// How many lines there are.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut begin = 0;
        self.heads.iter().map(move |head| {
            let text = self.texts.get(begin..head.end).unwrap_or_default();
            begin = head.end;
            Line {
                level: head.level,
                unix: head.unix,
                text,
            }
        })
    }

    /// When it was taken from its queue.
    pub fn taken(&self) -> Option<Instant> {
        self.taken
    }

    /// It is taken from its queue at this moment.
    pub fn begin(&mut self, taken: Instant) {
        self.taken = Some(taken);
    }

    /// Forgets the lines, but not the memory for the next ones.
    pub fn clear(&mut self) {
        match self.texts.capacity() > KEPT {
            true => *self = Self::default(),
            false => {
                self.texts.clear();
                self.heads.clear();
                self.taken = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(text: &str) -> String {
        let mut text = text.to_owned();
        Batch::tidy(&mut text);
        text
    }

    #[test]
    fn text_becomes_one_line_of_bounded_length() {
        assert_eq!(tidied("a\nb\u{1b}[0m\u{7f}\u{85}é"), "a?b?[0m??é");
        let long = tidied(&format!("x{}", "é".repeat(LONGEST)));
        assert_eq!(long.len(), LONGEST - 1);
    }

    #[test]
    fn lines_keep_their_texts_apart() {
        let mut batch = Batch::default();
        batch.push(Level::Info, 1, "a");
        batch.push(Level::Error, 2, "");
        batch.push(Level::Notice, 3, "bc");

        let lines: Vec<_> = batch.lines().map(|line| (line.unix, line.text)).collect();
        assert_eq!(lines, [(1, "a"), (2, ""), (3, "bc")]);

        batch.clear();
        assert_eq!(batch.lines().count(), 0);
    }

    #[test]
    fn memory_of_a_flood_is_given_back() {
        let mut batch = Batch::default();
        let long = "x".repeat(LONGEST);
        (0..100).for_each(|_| batch.push(Level::Info, 0, &long));

        batch.clear();

        assert_eq!(batch.texts.capacity(), 0);
    }
}
