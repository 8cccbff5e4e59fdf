//! `(did you mean 'X'?)` for words that an operator typed.

/// A hint at the word that may have been meant, with a blank in front; empty
/// if none is near.
///
/// Near is an edit distance (insert, delete, change, swap of neighbours; case
/// ignored) of up to 2, or of up to 1 for words of at most 4 letters.
///
/// Source: decided (3.7, 14.5).
pub(super) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(near) => format!(" (did you mean '{near}'?)"),
        None => String::new(),
    }
}

fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = if word.chars().count() <= 4 { 1 } else { 2 };
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The number of edits between two words, each letter touched at most once.
fn distance(one: &str, other: &str) -> usize {
    let fold = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    let (one, other) = (fold(one), fold(other));
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let change = last[j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut best = change.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped =
                i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            if swapped {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_edit_counts_one() {
        for (word, other, edits) in [
            ("birch", "birch", 0),
            ("birhc", "birch", 1),
            ("birc", "birch", 1),
            ("birchs", "birch", 1),
            ("BIRCH", "birch", 0),
            ("", "birch", 5),
            ("maple", "birch", 5),
        ] {
            assert_eq!(distance(word, other), edits, "{word} {other}");
        }
    }

    #[test]
    fn short_words_allow_one_edit_and_long_ones_two() {
        assert_eq!(hint("stpo", ["stop"]), " (did you mean 'stop'?)");
        assert_eq!(hint("sto", ["status"]), "");
        assert_eq!(
            hint("sttaus", ["start", "status"]),
            " (did you mean 'status'?)"
        );
        assert_eq!(hint("xyz", ["start", "status"]), "");
    }
}
