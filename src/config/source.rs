//! Files as text, and the way from the expanded text back to a place.
//!
//! pest wants UTF-8, old files are Latin-1. So each byte that is not UTF-8
//! becomes a stand-in character, which [`to_bytes`] turns back and which is
//! shown as U+FFFD. A file that holds the stand-ins themselves (they are for
//! private use) has them taken for bytes that are not UTF-8, so nothing is lost.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::ast::Span;
use super::diagnostic::Place;

/// The greatest size of a configuration after inclusion, in bytes (E42).
pub(super) const MAX_BYTES: usize = 64 << 20;

/// What of an overlong line is shown, in characters.
pub(super) const EXCERPT: usize = 400;

/// Stands where a file ended within a string or comment.
pub(super) const MARK: char = '\u{10FE00}';
/// Stands for a symbol that could not be replaced; it was reported.
pub(super) const LOST: char = '\u{10FE01}';
const STAND_IN_BASE: u32 = 0x0010_FE00;

/// Whether `c` stands for a byte that is not UTF-8.
pub(super) fn is_stand_in(c: char) -> bool {
    (STAND_IN_BASE + 0x80..=STAND_IN_BASE + 0xFF).contains(&u32::from(c))
}

fn is_reserved(c: char) -> bool {
    (STAND_IN_BASE..=STAND_IN_BASE + 0xFF).contains(&u32::from(c))
}

/// The text of a file: stand-ins for bytes that are not UTF-8, no byte order
/// mark.
pub(super) fn to_text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        if chunk.valid().contains(is_reserved) {
            for c in chunk.valid().chars() {
                if is_reserved(c) {
                    push_bytes(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
                } else {
                    text.push(c);
                }
            }
        } else {
            text.push_str(chunk.valid());
        }
        push_bytes(&mut text, chunk.invalid());
    }
    text
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    let stand_ins = bytes
        .iter()
        .filter_map(|&byte| char::from_u32(STAND_IN_BASE + u32::from(byte)));
    text.extend(stand_ins);
}

/// The bytes that `text` had in its file.
pub(super) fn to_bytes(text: &str) -> Vec<u8> {
    if !text.contains(is_reserved) {
        return text.as_bytes().to_vec();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c).checked_sub(STAND_IN_BASE) {
            Some(byte) if is_stand_in(c) => bytes.extend(u8::try_from(byte)),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Whether `c` takes part in a token but cannot be seen, or looks like a blank:
/// a second byte order mark, a no-break space, a change of direction.
fn is_unseen(c: char) -> bool {
    let formats = matches!(
        c,
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    );
    formats || (!c.is_ascii() && c.is_whitespace())
}

/// `text` as it may be shown on a terminal: tabs as blanks, everything else
/// that does not print as U+FFFD.
pub(super) fn printable(text: &str) -> String {
    let show = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() || is_reserved(c) || is_unseen(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(show).collect()
}

/// `text` in back quotes for a message, shortened if it is long.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let shown: String = text.chars().take(MOST).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", printable(&shown))
}

/// Why a file could not be taken.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The system says no.
    Io(io::Error),
    /// It is larger than allowed.
    TooLarge,
}

/// Reads the configuration file itself, of at most [`MAX_BYTES`]. A pipe is
/// waited for, as in `-c /dev/stdin`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    bounded(File::open(path).map_err(ReadError::Io)?)
}

/// Reads a file that a configuration names, of at most [`MAX_BYTES`]. Nothing
/// is waited for: a FIFO is refused, and a terminal has nothing to read.
pub(super) fn read_named(path: &Path) -> Result<Vec<u8>, ReadError> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(opened.map_err(|errno| ReadError::Io(errno.into()))?);
    let kind = file.metadata().map_err(ReadError::Io)?.file_type();
    if kind.is_fifo() {
        return Err(ReadError::Io(io::Error::other("not a regular file")));
    }
    bounded(file)
}

fn bounded(file: File) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let mut file = file.take(MAX_BYTES as u64 + 1);
    file.read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(bytes)
}

/// What the system says, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

/// `path` absolute, without `.`, `..` and double slashes, links not resolved.
pub(super) fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean.to_string_lossy().into_owned()
}

/// FNV-1a 64, fed piece by piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fingerprint(pub(super) u64);

impl Fingerprint {
    /// The value before the first byte.
    pub(super) const START: Self = Self(0xcbf2_9ce4_8422_2325);

    /// Adds `bytes`.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The content of one file, read once however often it is included.
#[derive(Debug)]
pub(super) struct Content {
    /// As it is shown to operators.
    pub(super) shown: Arc<str>,
    /// Where it lies.
    pub(super) path: PathBuf,
    /// The same file under all its names, for loops.
    pub(super) canonical: PathBuf,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Its text.
    pub(super) text: String,
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
    pub(super) fn new(path: &Path, bytes: Vec<u8>) -> Self {
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

    fn place(&self, start: usize, end: usize) -> Place {
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

/// A stretch of one file: its number in the [`SourceMap`], first byte and the
/// byte behind the last one, of its text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FileSpan {
    /// Number of the inclusion.
    pub(super) file: usize,
    /// First byte.
    pub(super) start: usize,
    /// The byte behind the last one.
    pub(super) end: usize,
}

/// One inclusion of a file; the first is the configuration file itself.
#[derive(Debug)]
pub(super) struct Inclusion {
    /// What was read.
    pub(super) content: Arc<Content>,
    /// The `#include` (or the directive that names the file), and a word for it.
    pub(super) from: Option<(FileSpan, &'static str)>,
}

/// A symbol that was replaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    /// The symbol, in the outermost file.
    pub(super) place: FileSpan,
    /// Where it was defined.
    pub(super) definition: FileSpan,
    /// The replacement it stood in.
    pub(super) within: Option<usize>,
}

/// Where a stretch of the expanded text comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// Straight from a file, from this byte on.
    File {
        /// Number of the inclusion.
        file: usize,
        /// First byte.
        offset: usize,
    },
    /// From the replacement of a symbol.
    Symbol(usize),
}

/// The expanded text with the origin of all its parts.
#[derive(Debug, Default)]
pub(super) struct SourceMap {
    /// The text that is parsed.
    pub(super) text: String,
    /// All inclusions in order of reading, then allow and deny files.
    pub(super) files: Vec<Inclusion>,
    /// All replacements.
    pub(super) uses: Vec<Use>,
    /// All symbols that were ever defined.
    pub(super) symbols: BTreeSet<String>,
    segments: Vec<(usize, Origin)>,
}

/// A place with second places that explain how it came there.
pub(super) type Explained = (Place, Vec<(Place, String)>);

impl SourceMap {
    /// Adds a part that comes from `origin`.
    pub(super) fn push(&mut self, part: &str, origin: Origin) {
        if !part.is_empty() {
            self.segments.push((self.text.len(), origin));
            self.text.push_str(part);
        }
    }

    /// Where the text of an inclusion begins in the expanded text, for the order
    /// of findings.
    pub(super) fn begin_of(&self, file: usize) -> usize {
        let mut segments = self.segments.iter();
        let begin = segments.find(
            |(_, origin)| matches!(origin, Origin::File { file: other, .. } if *other == file),
        );
        begin.map_or(0, |(start, _)| *start)
    }

    /// Takes back everything behind byte `length`.
    pub(super) fn truncate(&mut self, length: usize) {
        self.text.truncate(length);
        let keep = self.segments.partition_point(|(start, _)| *start < length);
        self.segments.truncate(keep);
    }

    /// The stretch of a file that `span` comes from. Within the replacement of
    /// a symbol it is the symbol; the number of that use comes with it.
    pub(super) fn origin(&self, span: Span) -> (FileSpan, Option<usize>) {
        let (start, symbol) = self.origin_of(span.start);
        let Some(last) = span.end.checked_sub(1).filter(|last| *last > span.start) else {
            return (start, symbol);
        };
        let (end, _) = self.origin_of(last);
        let within = end.file == start.file && end.end >= start.end && symbol.is_none();
        let end = if within { end.end } else { start.end };
        (FileSpan { end, ..start }, symbol)
    }

    fn origin_of(&self, at: usize) -> (FileSpan, Option<usize>) {
        let index = self.segments.partition_point(|(start, _)| *start <= at);
        match index
            .checked_sub(1)
            .and_then(|index| self.segments.get(index))
        {
            Some((start, Origin::File { file, offset })) => {
                let start = offset + (at - start);
                let end = start + 1;
                (
                    FileSpan {
                        file: *file,
                        start,
                        end,
                    },
                    None,
                )
            }
            Some((_, Origin::Symbol(index))) => match self.uses.get(*index) {
                Some(used) => (used.place, Some(*index)),
                None => (
                    FileSpan {
                        file: 0,
                        start: 0,
                        end: 0,
                    },
                    None,
                ),
            },
            None => (
                FileSpan {
                    file: 0,
                    start: 0,
                    end: 0,
                },
                None,
            ),
        }
    }

    /// The place of a stretch of a file, without explanation.
    pub(super) fn place(&self, span: FileSpan) -> Place {
        match self.files.get(span.file) {
            Some(inclusion) => inclusion.content.place(span.start, span.end),
            None => Place {
                file: "".into(),
                line: 1,
                column: 1,
                width: 1,
                excerpt: None,
                indent: 0,
            },
        }
    }

    /// The place of a stretch of the expanded text, and by which definitions
    /// and includes it came there.
    pub(super) fn explain(&self, span: Span) -> Explained {
        let (place, symbol) = self.origin(span);
        let mut notes = Vec::new();
        let mut next = symbol;
        while let Some(used) = next.and_then(|index| self.uses.get(index)) {
            notes.push((
                self.place(used.definition),
                "symbol defined here".to_owned(),
            ));
            next = used.within;
        }
        notes.reverse();
        notes.extend(self.chain(place.file));
        (self.place(place), notes)
    }

    /// The places that led to a file being read, the nearest first.
    pub(super) fn chain(&self, file: usize) -> Vec<(Place, String)> {
        let mut notes = Vec::new();
        let mut next = self.files.get(file);
        while let Some((from, word)) = next.and_then(|inclusion| inclusion.from) {
            notes.push((self.place(from), word.to_owned()));
            next = self.files.get(from.file);
        }
        notes
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

        #[test]
        fn text_turns_back_into_its_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assume!(!bytes.starts_with(b"\xEF\xBB\xBF"));
            prop_assert_eq!(to_bytes(&to_text(&bytes)), bytes);
        }
    }

    #[test]
    fn stand_ins_in_a_file_are_bytes_like_others() {
        let bytes = "a\u{10FE00}\u{10FEE9}b".as_bytes();

        let text = to_text(bytes);

        assert!(!text.contains(MARK));
        assert_eq!(to_bytes(&text), bytes);
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

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(
            printable("a\u{FEFF}b\u{A0}c\u{202E}d\te"),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}d e"
        );
    }

    #[test]
    fn path_is_cleaned_as_text() {
        assert_eq!(
            absolute(Path::new("/etc//x/../crossroads.conf")),
            "/etc/crossroads.conf"
        );
        assert_eq!(absolute(Path::new("/./a/b/./c")), "/a/b/c");
    }

    #[test]
    fn fingerprint_is_fnv_1a() {
        let mut fingerprint = Fingerprint::START;

        fingerprint.add(b"foobar");

        assert_eq!(fingerprint.0, 0x8594_4171_f739_67e8);
    }
}
