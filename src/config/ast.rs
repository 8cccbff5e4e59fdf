//! The text as statements and braces; nothing is interpreted.

/// A stretch of the expanded text, in bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Span {
    /// First byte.
    pub(super) start: usize,
    /// The byte behind the last one.
    pub(super) end: usize,
}

impl Span {
    /// The part of `text` that it covers.
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or("")
    }
}

/// A value with its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Spanned<T> {
    /// The value.
    pub(super) value: T,
    /// Where it stands.
    pub(super) span: Span,
}

/// What follows what in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Item {
    /// A word and what belongs to it, or the head of a block.
    Statement(Statement),
    /// A brace that belongs to no statement.
    Open(Span),
    /// The end of a block.
    Close(Span),
    /// A comment that is not closed; everything behind it is lost.
    OpenComment(Span),
}

impl Item {
    /// Where it stands.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Statement(statement) => statement.word,
            Self::Open(span) | Self::Close(span) | Self::OpenComment(span) => *span,
        }
    }
}

/// A word with its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Statement {
    /// The first token, normally a directive word.
    pub(super) word: Span,
    /// The tokens behind it.
    pub(super) arguments: Vec<Span>,
    /// The generic string behind it (or behind the last of `arguments`), for
    /// words that take one.
    pub(super) text: Option<RawText>,
    /// What ends it.
    pub(super) end: End,
}

/// A generic string as it stands in the text, not trimmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RawText {
    /// From behind the word to the `;`.
    pub(super) span: Span,
    /// The first quote that is not closed, to the end.
    pub(super) open_quote: Option<Span>,
}

/// What ends a statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// A `;`, as it should be.
    Semicolon,
    /// A `{`: the statement is the head of a block.
    Brace(Span),
    /// Nothing: the next word, a `}` or the end of the file follows.
    Missing,
}
