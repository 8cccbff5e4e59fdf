//! The content of one file, and places in it as operators count them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{printable, to_text};
use crate::config::diagnostic::Place;

/// What of an overlong line is shown, in characters.
const EXCERPT: usize = 400;

/// The content of one file, read once however often it is included.
#[derive(Debug)]
pub(in crate::config) struct Content {
    /// As it is shown to operators.
    pub(in crate::config) shown: Arc<str>,
    /// Where it lies.
    pub(in crate::config) path: PathBuf,
    /// The same file under all its names, for loops.
    pub(in crate::config) canonical: PathBuf,
    /// Its bytes.
    pub(in crate::config) bytes: Vec<u8>,
    /// Its text.
    pub(in crate::config) text: String,
    line_starts: Vec<usize>,
    columns: Columns,
}

/// Counts characters of a text without going through a long line for each of
/// its findings.
#[derive(Debug)]
struct Columns {
    /// Characters that begin before each block of [`Columns::BLOCK`] bytes.
    before: Vec<usize>,
}

impl Columns {
    const BLOCK: usize = 4_096;

    fn new(text: &str) -> Self {
        let blocks = text.as_bytes().chunks(Self::BLOCK);
        let before = blocks.scan(0, |sum, block| {
            let before = *sum;
            *sum += characters(block);
            Some(before)
        });
        Self {
            before: before.collect(),
        }
    }

    /// The number of characters of `text` that begin before byte `at`.
    fn until(&self, text: &str, at: usize) -> usize {
        let block = (at / Self::BLOCK).min(self.before.len().saturating_sub(1));
        let rest = text.as_bytes().get(block * Self::BLOCK..at);
        self.before.get(block).copied().unwrap_or(0) + characters(rest.unwrap_or(&[]))
    }
}

/// The number of characters that begin in these bytes of UTF-8.
fn characters(bytes: &[u8]) -> usize {
    let begins = |byte: &&u8| (**byte & 0xC0) != 0x80;
    bytes.iter().filter(begins).count()
}

impl Content {
    /// A file that was read.
    pub(in crate::config) fn new(path: &Path, bytes: Vec<u8>) -> Self {
        let text = to_text(&bytes);
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1));
        Self {
            shown: printable(&path.to_string_lossy()).into(),
            path: path.to_path_buf(),
            canonical: fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()),
            line_starts: line_starts.collect(),
            columns: Columns::new(&text),
            bytes,
            text,
        }
    }

    /// The place of a stretch of bytes, cut off at the end of its first line.
    pub(in crate::config) fn place(&self, start: usize, end: usize) -> Place {
        let line = self.line_starts.partition_point(|&at| at <= start).max(1);
        let row = self.row(line);
        let at = start.clamp(row.start, row.end);
        let until = end.clamp(at, row.end);
        let count = |part: Range<usize>| {
            let until = |at| self.columns.until(&self.text, at);
            until(part.end) - until(part.start)
        };
        let column = count(row.start..at) + 1;
        let (excerpt, indent) = self.excerpt(&row, at, column);
        Place {
            file: Arc::clone(&self.shown),
            line,
            column,
            width: count(at..until).max(1),
            excerpt: (!self.text.is_empty()).then(|| excerpt.into()),
            indent,
        }
    }

    /// The bytes of a line, counted from 1, without what ends it.
    fn row(&self, line: usize) -> Range<usize> {
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let next = self.line_starts.get(line);
        let end = next.map_or(self.text.len(), |next| next - 1);
        let text = self.text.get(start..end).unwrap_or("");
        start..start + text.strip_suffix('\r').unwrap_or(text).len()
    }

    /// The line, or the part of an overlong one around byte `at`, and the
    /// number of characters of it before that byte. Cut here and not where it
    /// is printed: a line of some megabytes may have a finding in each word.
    fn excerpt(&self, row: &Range<usize>, at: usize, column: usize) -> (String, usize) {
        let part = |range: Range<usize>| self.text.get(range).unwrap_or("");
        let (before, behind) = (part(row.start..at), part(at..row.end));
        if part(row.clone()).chars().nth(EXCERPT).is_none() {
            return (printable(part(row.clone())), column - 1);
        }
        let kept = EXCERPT / 4;
        let mut backwards = before.char_indices().rev();
        let skipped = backwards.nth(kept - 1).map_or(0, |(at, _)| at);
        let head = &before[skipped..];
        let shown = head.chars().count();
        let end = behind.char_indices().nth(EXCERPT - shown);
        let tail = end.map_or(behind, |(end, _)| &behind[..end]);
        let mark = |cut: bool| if cut { "..." } else { "" };
        let (left, right) = (mark(skipped > 0), mark(tail.len() < behind.len()));
        let text = format!("{left}{}{}{right}", printable(head), printable(tail));
        (text, left.len() + shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn characters_are_counted_as_one_by_one(text in "[a\u{E9}\u{20AC}]{0,5000}", cut in 0_usize..5_001) {
            let at = text.char_indices().nth(cut).map_or(text.len(), |(at, _)| at);

            let columns = Columns::new(&text);

            prop_assert_eq!(columns.until(&text, at), text[..at].chars().count());
        }
    }

    #[test]
    fn place_counts_characters_and_stops_at_the_end_of_the_line() {
        let content = Content::new(Path::new("x.conf"), b"a\r\n\t\xE9 port 80\r\n".to_vec());
        let port = content.text.find("port").unwrap();

        let place = content.place(port, content.text.len());

        assert_eq!((place.line, place.column, place.width), (2, 4, 7));
        assert_eq!(place.excerpt.as_deref(), Some(" \u{FFFD} port 80"));
    }

    #[test]
    fn overlong_line_is_cut_around_the_place() {
        let line = format!("{}bad{}", "\u{E9}".repeat(5_000), "y".repeat(5_000));
        let content = Content::new(Path::new("x.conf"), format!("a\n{line}\n").into());
        let at = content.text.find("bad").unwrap();

        let place = content.place(at, at + 3);

        let excerpt = place.excerpt.unwrap();
        let shown: String = excerpt.chars().skip(place.indent).take(3).collect();
        assert_eq!((place.line, place.column, place.width), (2, 5_001, 3));
        assert_eq!(shown, "bad");
        assert!(excerpt.starts_with("...") && excerpt.ends_with("..."));
        assert_eq!(excerpt.chars().count(), EXCERPT + 6);
    }

    #[test]
    fn overlong_line_is_shown_from_its_beginning_and_to_its_end() {
        let content = Content::new(Path::new("x.conf"), "x".repeat(5_000).into());

        let first = content.place(0, 5_000);
        let last = content.place(5_000, 5_000);

        let excerpt = first.excerpt.unwrap();
        assert!(excerpt.starts_with('x') && excerpt.ends_with("x..."));
        let excerpt = last.excerpt.unwrap();
        assert!(excerpt.starts_with("...x") && excerpt.ends_with('x'));
        assert_eq!((last.column, last.indent), (5_001, 103));
    }
}
