//! `migrate`: rewrites retired spellings and shows what it changed.

mod replace;

use std::fmt::Write as _;

use similar::TextDiff;

use crate::cli::arguments::{Migrate, Rewrite};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::session::Session;
use crate::config::Purpose;
use crate::config::diagnostic::Which;
use crate::config::migrate::{Change, migrate};

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// Rewrites the retired spellings of a file: to stdout, as a diff, or in place.
/// Each change is named on stderr, and in place also where the old file is kept.
///
/// Source: decided (2.3); the backup and the list of changes are additions.
pub(super) fn run(session: &Session, order: &Migrate) -> Outcome {
    let path = match &order.file {
        Some(path) => path.clone(),
        None => session.configuration()?,
    };
    let migration = migrate(&path, &session.load_options(Purpose::Other)).map_err(|report| {
        session.print(&report, Which::ErrorsOnly);
        Failure::Told
    })?;
    session.print(&migration.left_alone, Which::All);
    let file = path.display().to_string();
    let changes = listed(&file, &migration.changes);
    match order.rewrite {
        Rewrite::Print => {
            session.console.write_message(&changes);
            session.console.print(&migration.text)
        }
        Rewrite::Diff => {
            session.console.write_message(&changes);
            let diff = unified_diff(&file, &migration.old, &migration.text);
            session.console.print(diff)
        }
        Rewrite::InPlace if migration.old == migration.text => Ok(()),
        Rewrite::InPlace => {
            let backup = replace::replace(&path, &migration.text)
                .map_err(|error| Failure::message(error.to_string()))?;
            session.console.write_message(&changes);
            session.console.error(format_args!(
                "{file} as it was is kept as {}",
                backup.display()
            ));
            Ok(())
        }
    }
}

/// One line for each change, with its place.
fn listed(file: &str, changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        let Change {
            line,
            column,
            message,
        } = change;
        let _ = writeln!(text, "{file}:{line}:{column}: {message}");
    }
    text
}

/// The difference as a unified diff that `patch` takes; empty without one.
///
/// Bytes that are not UTF-8 are kept as they are.
fn unified_diff(file: &str, old: &[u8], new: &[u8]) -> Vec<u8> {
    let diff = TextDiff::from_lines(old, new);
    let mut unified = diff.unified_diff();
    let mut text = Vec::new();
    for hunk in unified.context_radius(CONTEXT).iter_hunks() {
        if text.is_empty() {
            text.extend_from_slice(format!("--- {file}\n+++ {file}\n").as_bytes());
        }
        // Hunk by hunk, since only a hunk is written byte for byte. Writing to
        // memory does not fail.
        let _ = hunk.to_writer(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diff_shows_changed_lines_with_their_surroundings() {
        let old = b"a\nb\nc\nsessiontimeout 9;\nd\ne\nf\ng\n";
        let new = b"a\nb\nc\nconnectiontimeout 9;\nd\ne\nf\ng\n";

        let diff = unified_diff("x.conf", old, new);

        assert_eq!(
            String::from_utf8(diff).unwrap(),
            "--- x.conf\n+++ x.conf\n@@ -1,7 +1,7 @@\n a\n b\n c\n\
             -sessiontimeout 9;\n+connectiontimeout 9;\n d\n e\n f\n"
        );
    }

    #[test]
    fn diff_keeps_bytes_that_are_not_utf_8() {
        let diff = unified_diff(
            "x.conf",
            b"# \xe9\nmaxsessions 1;\n",
            b"# \xe9\nmaxconnections 1;\n",
        );

        assert!(diff.windows(4).any(|bytes| bytes == b" # \xe9"));
    }

    #[test]
    fn nothing_to_change_gives_no_diff() {
        assert_eq!(unified_diff("x.conf", b"a\n", b"a\n"), b"");
    }

    #[test]
    fn changes_are_listed_with_their_places() {
        let change = |line, message: &str| Change {
            line,
            column: 5,
            message: message.to_owned(),
        };

        let text = listed("x.conf", &[change(3, "one"), change(14, "two")]);

        assert_eq!(text, "x.conf:3:5: one\nx.conf:14:5: two\n");
    }
}
