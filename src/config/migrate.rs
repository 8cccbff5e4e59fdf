//! Retired spellings rewritten into their new forms (2.3, 16.1).
//!
//! Promises: the new text means the same as the old one; only retired words
//! and their arguments change, everything else stays byte for byte. Must not:
//! write anything, touch included files or what comes out of a `#define`.

use std::path::Path;

use super::ast::{Item, Span, Statement};
use super::diagnostic::{Code, Report};
use super::directives::{self, Argument, RETIRED_ARGUMENTS};
use super::findings::{Finding, Findings};
use super::source::{SourceMap, to_bytes};
use super::string;
use super::values::set_cookie;
use super::{Analysis, LoadOptions};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const REAL_IP: &str = "setserverheader \"X-Real-IP: %r\"";

/// One place that was rewritten.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Line in the old text, from 1.
    pub line: usize,
    /// Column in the old text in characters, from 1.
    pub column: usize,
    /// What was replaced by what.
    pub message: String,
}

/// What came out of a file.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The old text of the file.
    pub old: Vec<u8>,
    /// Its new text; the same if there is nothing to change.
    pub text: Vec<u8>,
    /// What was changed, in order of place.
    pub changes: Vec<Change>,
    /// The retired spellings that stay (W01): those of included files, and
    /// those that come out of a `#define`.
    pub left_alone: Report,
}

/// Rewrites the retired spellings of the file at `path`; nothing is written.
///
/// # Errors
///
/// The report, if the file has errors.
///
/// Source: decided (2.3, 16.1).
pub fn migrate(path: &Path, options: &LoadOptions) -> Result<Migration, Report> {
    let analysis = Analysis::of(path, options);
    if analysis.findings.errors() > 0 {
        return Err(analysis.findings.report(&analysis.map));
    }
    let mut rewriter = Rewriter {
        text: &analysis.text,
        map: &analysis.map,
        edits: Vec::new(),
        changes: Vec::new(),
        left: Findings::new(&options.silenced),
    };
    for item in &analysis.items {
        if let Item::Statement(statement) = item {
            rewriter.statement(statement);
        }
    }
    Ok(rewriter.finish())
}

/// A stretch of the text of the file, and what takes its place.
type Edit = (std::ops::Range<usize>, String);

struct Rewriter<'a> {
    text: &'a str,
    map: &'a SourceMap,
    edits: Vec<Edit>,
    changes: Vec<Change>,
    left: Findings,
}

impl Rewriter<'_> {
    fn statement(&mut self, statement: &Statement) {
        let word = statement.word.of(self.text);
        if let Some(row) = directives::rows(word).find(|row| row.replaced_by.is_some()) {
            let edits = match (row.argument, row.word) {
                (Argument::OptionalBoolean, _) => self.real_ip(statement),
                (_, "insertcookie" | "insertstickycookie") => self.cookie(statement),
                _ => self.replace(statement.word, row.replaced_by.unwrap_or(row.word), &[]),
            };
            let new = row.new_form().unwrap_or(row.word);
            let gone = row.argument == Argument::OptionalBoolean && !self.is_on(statement);
            let becomes = if gone { None } else { Some(new) };
            return self.take(statement.word, word, becomes, edits);
        }
        let Some(argument) = statement.arguments.first().copied() else {
            return;
        };
        let found = argument.of(self.text);
        let mut retired = RETIRED_ARGUMENTS.iter();
        if let Some((_, old, new)) = retired.find(|row| row.0 == word && row.1 == found) {
            let edits = self.replace(argument, new, &[new]);
            self.take(
                argument,
                &format!("{word} {old}"),
                Some(&format!("{word} {new}")),
                edits,
            );
        }
    }

    /// Notes the edits of one retired spelling, or that it stays. Without a
    /// new form it goes, since it says nothing.
    fn take(&mut self, place: Span, old: &str, new: Option<&str>, edits: Option<Vec<Edit>>) {
        let becomes = new.map_or("goes".to_owned(), |new| format!("becomes `{new}`"));
        match edits {
            Some(mut edits) => {
                let (place, _) = self.map.explain(place);
                self.edits.append(&mut edits);
                self.changes.push(Change {
                    line: place.line,
                    column: place.column,
                    message: format!("`{old}` {becomes}"),
                });
            }
            None => {
                let message = format!("`{old}` is retired and {becomes}, but is left alone here");
                self.left.push(Finding::new(Code::W01, place, message));
            }
        }
    }

    /// Where `span` stands in the file itself; `None` within an included file
    /// or a symbol.
    fn own(&self, span: Span) -> Option<std::ops::Range<usize>> {
        let (place, symbol) = self.map.origin(span);
        let whole = place.end - place.start == span.end - span.start;
        (place.file == 0 && symbol.is_none() && whole).then_some(place.start..place.end)
    }

    /// One word for another. Not if one of `words`, which come in outside
    /// quotes, is a symbol: it would be replaced in its turn.
    fn replace(&self, span: Span, new: &str, words: &[&str]) -> Option<Vec<Edit>> {
        let symbols = &self.map.symbols;
        let safe = !words
            .iter()
            .any(|word| symbols.iter().any(|symbol| symbol == word));
        let place = self.own(span).filter(|_| safe)?;
        Some(vec![(place, new.to_owned())])
    }

    fn cookie(&self, statement: &Statement) -> Option<Vec<Edit>> {
        let raw = statement.text?.span;
        let text = raw.of(self.text);
        let value = string::value(text);
        let trimmed = text.trim_start_matches(string::is_blank);
        let start = raw.start + (text.len() - trimmed.len());
        let first = self.own(Span {
            start,
            end: start + 1,
        })?;
        let prefix = set_cookie(&value).len() - value.len();
        let prefix = &"Set-Cookie: "[..prefix];
        // Behind the opening quote if quotes enclose the whole string.
        let enclosed = value.len() < text.trim_matches(string::is_blank).len()
            && trimmed.starts_with(['"', '\''])
            && string::locate(text, 0) > start - raw.start;
        let at = if enclosed { first.end } else { first.start };
        let outside: &[&str] = if enclosed || prefix.is_empty() {
            &[]
        } else {
            &["Set", "Cookie"]
        };
        let mut edits = self.replace(statement.word, "addclientheader", outside)?;
        edits.push((at..at, prefix.to_owned()));
        Some(edits)
    }

    /// Whether a statement whose boolean may be left out says yes.
    fn is_on(&self, statement: &Statement) -> bool {
        let mut arguments = statement.arguments.iter();
        let first = arguments.next().map(|span| span.of(self.text));
        first.is_none_or(|word| matches!(word, "on" | "yes" | "true"))
    }

    fn real_ip(&self, statement: &Statement) -> Option<Vec<Edit>> {
        let argument = statement.arguments.first().copied();
        let on = self.is_on(statement);
        let last = argument.unwrap_or(statement.word);
        let behind = self.text.get(last.end..)?;
        let between = self.text.get(statement.word.end..last.start).unwrap_or("");
        // The new directive takes a string, in which no comment can stand. If
        // there is one, it goes behind a `;` of its own.
        let plain = behind.trim_start_matches(string::is_blank).starts_with(';')
            && between.trim_matches(string::is_blank).is_empty();
        let new = match (on, plain) {
            (false, _) => String::new(),
            (true, true) => REAL_IP.to_owned(),
            (true, false) => format!("{REAL_IP};"),
        };
        let mut edits = self.replace(statement.word, &new, &[])?;
        if let Some(argument) = argument {
            let mut place = self.own(argument)?;
            if plain {
                // The white space before the argument goes with it.
                place.start = self.own(statement.word)?.end;
            }
            edits.push((place, String::new()));
        }
        Some(edits)
    }

    fn finish(mut self) -> Migration {
        let content = self.map.files.first().map(|file| &file.content);
        let old = content.map_or_else(Vec::new, |content| content.bytes.clone());
        let source = content.map_or("", |content| content.text.as_str());
        self.edits
            .sort_by_key(|(place, _)| (place.start, place.end));
        let mut new = String::with_capacity(source.len());
        let mut from = 0;
        for (place, text) in &self.edits {
            new.push_str(source.get(from..place.start).unwrap_or(""));
            new.push_str(text);
            from = place.end;
        }
        new.push_str(source.get(from..).unwrap_or(""));
        let mut text = to_bytes(&new);
        if old.starts_with(BYTE_ORDER_MARK) {
            text.splice(..0, BYTE_ORDER_MARK.iter().copied());
        }
        Migration {
            old,
            text,
            changes: self.changes,
            left_alone: self.left.report(self.map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::{Colours, Which};
    use super::super::{Config, load};
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::fs;

    fn migrated(text: &str) -> (Migration, Config, Config) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old.conf");
        fs::write(&path, text).unwrap();
        let old = load(&path, &LoadOptions::default());
        let report = old.report.render(Colours::Never, Which::All);
        let old = old.config.unwrap_or_else(|| panic!("{report}"));
        let migration = migrate(&path, &LoadOptions::default()).unwrap();
        fs::write(&path, &migration.text).unwrap();
        let new = load(&path, &LoadOptions::default());
        let report = new.report.render(Colours::Never, Which::All);
        let new = new.config.unwrap_or_else(|| panic!("{report}"));
        let fingerprint = new.fingerprint;
        (migration, Config { fingerprint, ..old }, new)
    }

    fn rewritten(statements: &str) -> String {
        let head = "service a { port 1; type http; backend b { server h:1; ";
        let (migration, old, new) = migrated(&format!("{head}{statements} }} }}"));
        assert_eq!(old, new, "{statements}");
        let text = String::from_utf8(migration.text).unwrap();
        let text = text.strip_prefix(head).unwrap();
        text.strip_suffix(" } }").unwrap().to_owned()
    }

    #[test]
    fn retired_words_are_replaced_and_all_else_stays() {
        let text = "\u{FEFF}# C16, with comments\r\nservice a {\tport 1; # one\r\n  sessiontimeout /* 9 */ 9;\
                    \r\n  dispatchmode // by\r\n bysessions; type stickyhttp; maxsessions 7;\
                    \r\n  backend b { server h:1; onsuccess a  b; onfailure c; } }";

        let (migration, old, new) = migrated(text);

        let expected = text
            .replace("sessiontimeout", "connectiontimeout")
            .replace("bysessions", "byconnections")
            .replace("stickyhttp", "http")
            .replace("maxsessions", "maxconnections")
            .replace("onsuccess", "onstart")
            .replace("onfailure", "onfail");
        assert_eq!(String::from_utf8(migration.text).unwrap(), expected);
        assert_eq!(old, new);
        assert_eq!(migration.changes.len(), 6);
        assert_eq!(
            (migration.changes[0].line, migration.changes[0].column),
            (3, 3)
        );
        assert!(migration.left_alone.diagnostics().is_empty());
    }

    #[test]
    fn inserted_cookies_become_header_directives() {
        for (old, new) in [
            ("insertcookie a=b;", "addclientheader Set-Cookie: a=b;"),
            (
                "insertcookie \"a=b; c\";",
                "addclientheader \"Set-Cookie: a=b; c\";",
            ),
            ("insertcookie 'a=b';", "addclientheader 'Set-Cookie: a=b';"),
            (
                "insertcookie \"a\" b \"c\";",
                "addclientheader Set-Cookie: \"a\" b \"c\";",
            ),
            (
                "insertcookie\n  a\n  b ;",
                "addclientheader\n  Set-Cookie: a\n  b ;",
            ),
            (
                "insertstickycookie Set-Cookie: a=b;",
                "addclientheader Set-Cookie: a=b;",
            ),
            (
                "insertstickycookie \"set-cookie: a\";",
                "addclientheader \"set-cookie: a\";",
            ),
        ] {
            assert_eq!(rewritten(old), new);
        }
    }

    #[test]
    fn inserted_address_becomes_a_header_directive_or_goes() {
        for (old, new) in [
            ("insertrealip;", "setserverheader \"X-Real-IP: %r\";"),
            ("insertrealip  on ;", "setserverheader \"X-Real-IP: %r\" ;"),
            (
                "insertrealip /* c */ yes;",
                "setserverheader \"X-Real-IP: %r\"; /* c */ ;",
            ),
            (
                "insertrealip // c\n;",
                "setserverheader \"X-Real-IP: %r\"; // c\n;",
            ),
            ("insertrealip off;", ";"),
            ("insertrealip /* c */ no;", " /* c */ ;"),
        ] {
            assert_eq!(rewritten(old), new);
        }
    }

    #[test]
    fn word_that_goes_is_not_said_to_become_another() {
        let text = "service a { port 1; backend b { server h:1; insertrealip no; insertrealip; } }";
        let (migration, _, _) = migrated(text);

        let messages: Vec<&str> = migration
            .changes
            .iter()
            .map(|change| change.message.as_str())
            .collect();
        assert_eq!(messages[0], "`insertrealip` goes");
        assert!(messages[1].starts_with("`insertrealip` becomes `setserverheader "));
    }

    #[test]
    fn words_out_of_includes_and_symbols_are_left_alone_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old.conf");
        let text = "#define IDLE sessiontimeout\n#define http 80\nservice a { port http; IDLE 9; \
                    type stickyhttp;\n#include \"b.inc\"\n}";
        fs::write(&path, text).unwrap();
        fs::write(
            directory.path().join("b.inc"),
            "backend b { server h:1; maxsessions 1; }",
        )
        .unwrap();

        let migration = migrate(&path, &LoadOptions::default()).unwrap();

        assert_eq!(migration.text, text.as_bytes());
        assert!(migration.changes.is_empty());
        assert_eq!(migration.left_alone.warnings(), 3);
    }

    #[test]
    fn faulty_file_is_reported_and_not_rewritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old.conf");
        fs::write(&path, "service a { port 0; }").unwrap();

        let report = migrate(&path, &LoadOptions::default()).unwrap_err();

        assert_eq!(report.errors(), 2);
    }

    const STATEMENTS: &[&str] = &[
        "sessiontimeout 5;",
        "connectiontimeout\n6;",
        "maxsessions 2;",
        "onsuccess echo %b;",
        "onstart  x ;",
        "onfailure\n a\n b;",
        "insertcookie a=b;",
        "insertcookie \"a=\\\"b; c\";",
        "insertcookie 'x' y;",
        "insertstickycookie Set-Cookie: a=%b;",
        "insertrealip;",
        "insertrealip # no\n off;",
        "insertrealip true /* it is */;",
        "// onsuccess in a comment\n",
        "/* insertrealip; */",
        ";",
        "addserverheader \"insertrealip: maxsessions\";",
    ];

    proptest! {
        #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::with_cases(100)
    })]

        #[test]
        fn migrated_file_means_the_same_and_needs_no_second_time(
            statements in proptest::collection::vec(proptest::sample::select(STATEMENTS), 0..12),
        ) {
            let body = statements.join(" ");
            let text = format!("service a {{ port 1; type stickyhttp; dispatchmode bysessions; \
                                backend b {{ server h:1; {body} }} }}");
            let (migration, old, new) = migrated(&text);
            prop_assert_eq!(old, new);
            let again = String::from_utf8(migration.text).unwrap();
            let (second, _, _) = migrated(&again);
            prop_assert!(second.changes.is_empty());
            prop_assert_eq!(String::from_utf8(second.text).unwrap(), again);
        }
    }
}
