//! What was found in a configuration, as values, and how it is printed.
//!
//! Promises: findings are kept in the order of their places, with an included
//! file counted where it was included; a silenced warning is neither kept nor
//! counted. Must not: read anything, decide anything.
//!
//! ```text
//! etc/crossroads.conf:2:10: error[E08]: `99999` is out of range for `port`
//!   |
//! 2 |     port 99999;
//!   |          ^^^^^
//!   = accepted: 1 to 65535
//! ```

mod code;

use std::fmt;
use std::sync::Arc;

pub use code::{Code, CodeError, Severity};

/// A place in a file, with its line for the excerpt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The file as it is shown.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length of the carets in characters, at least 1, within the line.
    pub width: usize,
    /// The line, printable, an overlong one cut around the carets; `None`
    /// where there is nothing to show.
    pub excerpt: Option<Arc<str>>,
    /// The number of characters of the excerpt before the carets.
    pub indent: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One finding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// What kind of finding it is.
    pub code: Code,
    /// Where it is.
    pub place: Place,
    /// What was found.
    pub message: String,
    /// What would be accepted, if that is a known set or range.
    pub accepted: Option<String>,
    /// The near word.
    pub suggestion: Option<String>,
    /// Second places, each with a word about it.
    pub notes: Vec<(Place, String)>,
}

impl Diagnostic {
    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    fn render(&self, paint: Paint, out: &mut String) {
        let severity = self.severity();
        let head = paint.severity(severity, &format!("{severity}[{}]", self.code));
        let place = paint.bold(&self.place.to_string());
        out.push_str(&format!("{place}: {head}: {}\n", self.message));
        let number = self.place.line.to_string();
        let gutter = " ".repeat(number.len());
        if let Some(line) = &self.place.excerpt {
            let indent = self.place.indent;
            let room = line.chars().count().saturating_sub(indent);
            let carets = "^".repeat(self.place.width.min(room.max(1)));
            let indent = " ".repeat(indent);
            let carets = paint.severity(severity, &carets);
            let bar = paint.gutter("|");
            out.push_str(&format!("{gutter} {bar}\n"));
            let shown = format!("{} {bar} {line}", paint.gutter(&number));
            out.push_str(shown.trim_end());
            out.push_str(&format!("\n{gutter} {bar} {indent}{carets}\n"));
        }
        let mut add = |text: String| {
            out.push_str(&format!("{gutter} {} {text}\n", paint.gutter("=")));
        };
        if let Some(accepted) = &self.accepted {
            add(format!("accepted: {accepted}"));
        }
        if let Some(suggestion) = &self.suggestion {
            add(format!("did you mean `{suggestion}`?"));
        }
        for (place, text) in &self.notes {
            add(format!("note: {place}: {text}"));
        }
    }
}

/// Whether a report is coloured; the caller knows the stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Colours {
    /// Plain text.
    Never,
    /// With escape sequences of a terminal.
    Always,
}

/// Which findings a report shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// Everything.
    All,
    /// Only errors.
    ErrorsOnly,
    /// Only the first error.
    FirstError,
}

#[derive(Clone, Copy)]
struct Paint(Colours);

impl Paint {
    fn wrap(self, sequence: &str, text: &str) -> String {
        match self.0 {
            Colours::Never => text.to_owned(),
            Colours::Always => format!("\x1b[{sequence}m{text}\x1b[0m"),
        }
    }

    fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn gutter(self, text: &str) -> String {
        self.wrap("1;34", text)
    }

    fn severity(self, severity: Severity, text: &str) -> String {
        let sequence = match severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
        };
        self.wrap(sequence, text)
    }
}

/// Everything that was found, in the order of the places.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// A report of findings that are already in the order of their places.
    pub(crate) fn new(diagnostics: Vec<Diagnostic>) -> Self {
        Self { diagnostics }
    }

    /// The findings, in order of place.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The number of errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// The number of warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        let all = self.diagnostics.iter();
        all.filter(|found| found.severity() == severity).count()
    }

    /// The report as text in the form of 3.7, each line with its line end.
    pub fn render(&self, colours: Colours, which: Which) -> String {
        let limit = match which {
            Which::FirstError => 1,
            Which::All | Which::ErrorsOnly => usize::MAX,
        };
        let shown = self.diagnostics.iter();
        let shown =
            shown.filter(|found| which == Which::All || found.severity() == Severity::Error);
        let mut out = String::new();
        for diagnostic in shown.take(limit) {
            diagnostic.render(Paint(colours), &mut out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: Code, line: usize, column: usize, width: usize, text: &str) -> Diagnostic {
        Diagnostic {
            code,
            place: Place {
                file: "/etc/crossroads.conf".into(),
                line,
                column,
                width,
                excerpt: Some(text.into()),
                indent: column - 1,
            },
            message: "unknown dispatch mode `bysise`".into(),
            accepted: Some("roundrobin, random".into()),
            suggestion: Some("bysize".into()),
            notes: Vec::new(),
        }
    }

    #[test]
    fn finding_is_printed_in_the_published_form() {
        let found = finding(Code::E07, 6, 16, 6, "  dispatchmode bysise over 4;");

        let text = Report::new(vec![found]).render(Colours::Never, Which::All);

        assert_eq!(
            text,
            "/etc/crossroads.conf:6:16: error[E07]: unknown dispatch mode `bysise`\n  \
             |\n\
             6 |   dispatchmode bysise over 4;\n  \
             |                ^^^^^^\n  \
             = accepted: roundrobin, random\n  \
             = did you mean `bysize`?\n"
        );
    }

    #[test]
    fn gutter_is_as_wide_as_the_line_number() {
        let mut found = finding(Code::W02, 123, 1, 4, "port 80;");
        found
            .notes
            .push((found.place.clone(), "first set here".into()));

        let text = Report::new(vec![found]).render(Colours::Never, Which::All);

        assert!(text.contains("\n    |\n123 | port 80;\n    | ^^^^\n    = accepted"));
        assert!(text.ends_with("    = note: /etc/crossroads.conf:123:1: first set here\n"));
    }

    #[test]
    fn errors_are_shown_alone_or_only_the_first() {
        let report = Report::new(vec![
            finding(Code::W02, 1, 1, 1, "a"),
            finding(Code::E07, 2, 1, 1, "b"),
            finding(Code::E08, 3, 1, 1, "c"),
        ]);

        let errors = report.render(Colours::Never, Which::ErrorsOnly);
        let first = report.render(Colours::Never, Which::FirstError);

        assert_eq!((report.errors(), report.warnings()), (2, 1));
        assert!(errors.contains("E07") && errors.contains("E08") && !errors.contains("W02"));
        assert!(first.contains("E07") && !first.contains("E08"));
    }

    #[test]
    fn carets_end_with_the_excerpt() {
        let found = finding(Code::E10, 1, 3, 5_000, "a bcd...");

        let text = Report::new(vec![found]).render(Colours::Never, Which::All);

        assert!(text.contains("\n  |   ^^^^^^\n"), "{text}");
    }
}
