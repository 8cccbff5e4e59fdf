//! `sampleconf`: a configuration to begin with.

use crate::cli::exit::Outcome;
use crate::cli::session::Session;

/// The sample; it uses every directive, or shows it in a comment.
const SAMPLE: &str = include_str!("sampleconf.conf");

/// Prints the sample.
///
/// Source: documented (tips chapter); its text is our own.
pub(super) fn run(session: &Session) -> Outcome {
    session.console.print(SAMPLE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::directives::DIRECTIVES;
    use crate::config::{LoadOptions, Purpose, load};

    fn words(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .collect()
    }

    #[test]
    fn sample_shows_every_directive_that_is_not_retired() {
        let words = words(SAMPLE);

        for directive in DIRECTIVES.iter().filter(|row| row.replaced_by.is_none()) {
            assert!(words.contains(directive.word), "{}", directive.word);
        }
    }

    /// What is worth a warning on some machines or for some accounts, of which
    /// the sample has none: an account needs root, lists and pages their files.
    const NEEDS_SURROUNDINGS: &[&str] = &["useraccount", "allowfile", "denyfile", "errorfile"];

    #[test]
    fn sample_sets_every_directive_that_needs_nothing_else() {
        let code: String = SAMPLE
            .lines()
            .filter_map(|line| line.split("//").next())
            .collect::<Vec<_>>()
            .join("\n");
        let words = words(&code);

        let in_use = DIRECTIVES
            .iter()
            .filter(|row| row.replaced_by.is_none())
            .filter(|row| !NEEDS_SURROUNDINGS.contains(&row.word));
        for directive in in_use {
            assert!(words.contains(directive.word), "{}", directive.word);
        }
    }

    #[test]
    fn sample_is_free_of_errors_and_warnings() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sample.conf");
        std::fs::write(&path, SAMPLE).unwrap();
        let options = LoadOptions {
            purpose: Purpose::ConfigTest,
            ..LoadOptions::default()
        };

        let loaded = load(&path, &options);

        assert_eq!(loaded.report, Default::default());
        let config = loaded.config.unwrap();
        let names: Vec<&str> = config
            .services
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(names, ["mail", "web", "shop", "db", "desk"]);
    }
}
