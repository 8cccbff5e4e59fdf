//! Expected output, kept beside the cases.

use std::path::PathBuf;

use regex::Regex;

/// A text of the program with everything replaced that differs from run to run.
///
/// Replacements keep the length where columns are aligned by it. The first line
/// of a golden file says what the text proves: documented, inferred or decided.
pub(crate) struct Golden {
    text: String,
}

impl Golden {
    /// Takes the text as it is.
    pub(crate) fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    /// Replaces every `from`.
    pub(crate) fn replacing(mut self, from: &impl ToString, to: &str) -> Self {
        self.text = self.text.replace(&from.to_string(), to);
        self
    }

    /// Replaces every match of the regular expression `from`.
    pub(crate) fn replacing_all(mut self, from: &str, to: &str) -> Self {
        let pattern = Regex::new(from).expect("a regular expression");
        self.text = pattern.replace_all(&self.text, to).into_owned();
        self
    }

    /// Asserts that the text equals the golden file `name`; with
    /// `CROSSROADS_BLESS=1` writes that file instead.
    #[track_caller]
    pub(crate) fn assert_equals(&self, name: &str) {
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "compat-tests/golden", name]
            .iter()
            .collect();
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        let (evidence, expected) = old.split_once('\n').unwrap_or(("decided", ""));
        assert!(
            ["documented", "inferred", "decided"]
                .iter()
                .any(|word| evidence.starts_with(word)),
            "{name}: the first line must say what the text proves"
        );
        if std::env::var_os("CROSSROADS_BLESS").is_some() {
            std::fs::write(&path, format!("{evidence}\n{}", self.text)).expect("the golden file");
            return;
        }
        let diff = similar::TextDiff::from_lines(expected, &self.text);
        assert!(
            expected == self.text,
            "not as in golden/{name} (- expected, + found):\n{}",
            diff.unified_diff()
        );
    }
}
