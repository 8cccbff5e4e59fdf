//! The way from the expanded text back to files and lines.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::content::Content;
use crate::config::ast::Span;
use crate::config::diagnostic::Place;

/// A stretch of one file: its number in the [`SourceMap`], first byte and the
/// byte behind the last one, of its text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) struct FileSpan {
    /// Number of the inclusion.
    pub(in crate::config) file: usize,
    /// First byte.
    pub(in crate::config) start: usize,
    /// The byte behind the last one.
    pub(in crate::config) end: usize,
}

impl FileSpan {
    /// The bytes `range` of a file.
    pub(in crate::config) fn new(file: usize, range: Range<usize>) -> Self {
        Self {
            file,
            start: range.start,
            end: range.end,
        }
    }
}

/// One inclusion of a file; the first is the configuration file itself.
#[derive(Debug)]
pub(in crate::config) struct Inclusion {
    /// What was read.
    pub(in crate::config) content: Arc<Content>,
    /// The `#include` (or the directive that names the file), and a word for it.
    pub(in crate::config) from: Option<(FileSpan, &'static str)>,
}

/// A symbol that was replaced.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Use {
    /// The symbol, in the outermost file.
    pub(in crate::config) place: FileSpan,
    /// Where it was defined.
    pub(in crate::config) definition: FileSpan,
    /// The replacement it stood in.
    pub(in crate::config) within: Option<usize>,
}

/// Where a stretch of the expanded text comes from.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum Origin {
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
pub(in crate::config) struct SourceMap {
    /// The text that is parsed.
    pub(in crate::config) text: String,
    /// All inclusions in order of reading, then allow and deny files.
    pub(in crate::config) files: Vec<Inclusion>,
    /// All replacements.
    pub(in crate::config) uses: Vec<Use>,
    /// All symbols that were ever defined.
    pub(in crate::config) symbols: BTreeSet<String>,
    segments: Vec<(usize, Origin)>,
}

/// A place with second places that explain how it came there.
pub(in crate::config) type Explained = (Place, Vec<(Place, String)>);

impl SourceMap {
    /// Adds a part that comes from `origin`.
    pub(in crate::config) fn push(&mut self, part: &str, origin: Origin) {
        if !part.is_empty() {
            self.segments.push((self.text.len(), origin));
            self.text.push_str(part);
        }
    }

    /// Where the text of an inclusion begins in the expanded text, for the order
    /// of findings.
    pub(in crate::config) fn begin_of(&self, file: usize) -> usize {
        let mut segments = self.segments.iter();
        let begin = segments.find(
            |(_, origin)| matches!(origin, Origin::File { file: other, .. } if *other == file),
        );
        begin.map_or(0, |(start, _)| *start)
    }

    /// Takes back everything behind byte `length`.
    pub(in crate::config) fn truncate(&mut self, length: usize) {
        self.text.truncate(length);
        let keep = self.segments.partition_point(|(start, _)| *start < length);
        self.segments.truncate(keep);
    }

    /// The stretch of a file that `span` comes from. Within the replacement of
    /// a symbol it is the symbol; the number of that use comes with it.
    pub(in crate::config) fn origin(&self, span: Span) -> (FileSpan, Option<usize>) {
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
        let segment = index
            .checked_sub(1)
            .and_then(|index| self.segments.get(index));
        match segment {
            Some((start, Origin::File { file, offset })) => {
                let start = offset + (at - start);
                (FileSpan::new(*file, start..start + 1), None)
            }
            Some((_, Origin::Symbol(index))) => match self.uses.get(*index) {
                Some(used) => (used.place, Some(*index)),
                None => (FileSpan::new(0, 0..0), None),
            },
            None => (FileSpan::new(0, 0..0), None),
        }
    }

    /// The place of a stretch of a file, without explanation.
    pub(in crate::config) fn place(&self, span: FileSpan) -> Place {
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
    pub(in crate::config) fn explain(&self, span: Span) -> Explained {
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
    pub(in crate::config) fn chain(&self, file: usize) -> Vec<(Place, String)> {
        let mut notes = Vec::new();
        let mut next = self.files.get(file);
        while let Some((from, word)) = next.and_then(|inclusion| inclusion.from) {
            notes.push((self.place(from), word.to_owned()));
            next = self.files.get(from.file);
        }
        notes
    }
}
