//! The near word: what an operator may have meant.

/// The word of `allowed` that is nearest to `found`, if one is near enough.
///
/// Near are up to 2 edits (insert, delete, change, swap of neighbours; case
/// ignored), for words of at most 4 letters up to 1. Among equals the first of
/// `allowed` wins.
///
/// Source: decided (3.7).
pub fn nearest<'a>(found: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = if found.chars().count() <= 4 { 1 } else { 2 };
    let found = found.to_ascii_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for word in allowed {
        let bound = best.map_or(limit + 1, |(distance, _)| distance);
        if word.len().abs_diff(found.len()) >= bound {
            continue;
        }
        let distance = distance(&found, &word.to_ascii_lowercase());
        if distance < bound {
            best = Some((distance, word));
        }
    }
    best.map(|(_, word)| word)
}

/// The number of edits between two words: insert, delete, change, and swap of
/// neighbours (optimal string alignment).
pub fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let change = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_of_neighbours_is_one_edit() {
        assert_eq!(distance("wieght", "weight"), 1);
        assert_eq!(distance("bysise", "bysize"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn short_words_must_be_nearer() {
        assert_eq!(nearest("prt", ["port"]), Some("port"));
        assert_eq!(nearest("pt", ["port"]), None);
        assert_eq!(nearest("servre", ["server", "service"]), Some("server"));
        assert_eq!(nearest("PORT", ["port"]), Some("port"));
    }

    #[test]
    fn first_of_equally_near_words_wins() {
        assert_eq!(nearest("onstat", ["onstart", "onstar"]), Some("onstart"));
    }

    #[test]
    fn endless_word_is_near_to_nothing() {
        let long = "x".repeat(1 << 20);

        assert_eq!(nearest(&long, ["port", "server"]), None);
    }
}
