//! `(did you mean 'X'?)` for words that an operator typed.

use crate::config::suggest::nearest;

/// A hint at the word that may have been meant, with a blank in front; empty
/// if none is near.
///
/// Source: decided (3.7, 14.5).
pub(super) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(near) => format!(" (did you mean '{near}'?)"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_word_is_suggested_and_a_far_one_is_not() {
        assert_eq!(hint("stpo", ["start", "stop"]), " (did you mean 'stop'?)");
        assert_eq!(hint("xyz", ["start", "status"]), "");
    }
}
