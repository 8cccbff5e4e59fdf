//! Findings while they are collected: places are still stretches of text.

use std::cmp::Ordering;

use super::ast::Span;
use super::diagnostic::{Code, Diagnostic, Report, Severity};
use super::source::{FileSpan, SourceMap};

/// Where a finding is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Location {
    /// In the expanded text.
    Text(Span),
    /// In a file, at a place that is not part of the expanded text, such as a
    /// `#define` or an allow file.
    File(FileSpan),
}

impl From<Span> for Location {
    fn from(span: Span) -> Self {
        Self::Text(span)
    }
}

impl From<FileSpan> for Location {
    fn from(span: FileSpan) -> Self {
        Self::File(span)
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    code: Code,
    location: Location,
    order: usize,
    message: String,
    accepted: Option<String>,
    suggestion: Option<String>,
    notes: Vec<(Location, String)>,
}

impl Finding {
    /// A finding in the expanded text.
    pub(super) fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::at(code, span.into(), span.start, message)
    }

    /// A finding whose place in the order is that of byte `order` of the
    /// expanded text.
    pub(super) fn at(
        code: Code,
        location: Location,
        order: usize,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            location,
            order,
            message: message.into(),
            accepted: None,
            suggestion: None,
            notes: Vec::new(),
        }
    }

    /// With the set or range that is accepted.
    pub(super) fn accepted(mut self, accepted: impl Into<Option<String>>) -> Self {
        self.accepted = accepted.into();
        self
    }

    /// With the near word.
    pub(super) fn suggest(mut self, word: Option<&str>) -> Self {
        self.suggestion = word.map(str::to_owned);
        self
    }

    /// The last error that is reported says so; where it stands, more may be
    /// wrong than what is reported.
    fn and_no_more(self) -> Self {
        let message = format!(
            "more than {} errors; the rest is not reported, mend these first",
            MAX_ERRORS - 1
        );
        Self {
            code: Code::E42,
            message,
            accepted: None,
            suggestion: None,
            notes: Vec::new(),
            ..self
        }
    }

    /// With a second place.
    pub(super) fn note(mut self, location: impl Into<Location>, text: impl Into<String>) -> Self {
        self.notes.push((location.into(), text.into()));
        self
    }
}

/// How many errors are reported; behind them nobody reads on, and a file of
/// noise as large as is allowed would fill the memory with them.
pub(super) const MAX_ERRORS: usize = 10_000;

/// All findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    silenced: Vec<Code>,
    list: Vec<Finding>,
    errors: usize,
}

impl Findings {
    /// No findings yet; warnings in `silenced` never become any.
    pub(super) fn new(silenced: &[Code]) -> Self {
        let silenced = silenced.iter().copied();
        Self {
            silenced: silenced.filter(|code| code.is_warning()).collect(),
            list: Vec::new(),
            errors: 0,
        }
    }

    /// Adds a finding.
    pub(super) fn push(&mut self, finding: Finding) {
        if self.silenced.contains(&finding.code) {
            return;
        }
        if finding.code.severity() == Severity::Error {
            self.errors += 1;
            match self.errors.cmp(&MAX_ERRORS) {
                Ordering::Less => {}
                Ordering::Equal => return self.list.push(finding.and_no_more()),
                Ordering::Greater => return,
            }
        }
        self.list.push(finding);
    }

    /// The number of errors so far.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// The report, in order of place; findings of one place in order of
    /// discovery.
    pub(super) fn report(mut self, map: &SourceMap) -> Report {
        self.list.sort_by_key(|finding| finding.order);
        let diagnostics = self.list.into_iter();
        Report::new(
            diagnostics
                .map(|finding| diagnostic(finding, map))
                .collect(),
        )
    }
}

fn diagnostic(finding: Finding, map: &SourceMap) -> Diagnostic {
    let (place, explanation) = match finding.location {
        Location::Text(span) => map.explain(span),
        Location::File(span) => (map.place(span), map.chain(span.file)),
    };
    let second = |location| match location {
        Location::Text(span) => map.place(map.origin(span).0),
        Location::File(span) => map.place(span),
    };
    let mut notes: Vec<_> = finding
        .notes
        .into_iter()
        .map(|(location, text)| (second(location), text))
        .collect();
    notes.extend(explanation);
    Diagnostic {
        code: finding.code,
        place,
        message: finding.message,
        accepted: finding.accepted,
        suggestion: finding.suggestion,
        notes,
    }
}
