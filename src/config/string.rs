//! Generic strings (3.5): from the raw text to the value, and back to a place.

/// White space of the language, and NUL, which was reported already.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{0B}' | '\u{0C}' | '\0')
}

/// The value of the raw text between the word and its `;`.
pub(super) fn value(raw: &str) -> String {
    let mut value = String::with_capacity(raw.len());
    parts(raw, |part, _| value.push_str(part));
    value
}

/// Where byte `offset` of the value stands in the raw text.
pub(super) fn locate(raw: &str, offset: usize) -> usize {
    let (mut length, mut found) = (0, raw.len());
    parts(raw, |part, at| {
        if (length..length + part.len()).contains(&offset) {
            found = at + (offset - length);
        }
        length += part.len();
    });
    found
}

/// Gives the value in parts, each with its offset in the raw text.
fn parts(raw: &str, mut take: impl FnMut(&str, usize)) {
    let trimmed = raw.trim_matches(is_blank);
    let start = raw.len() - raw.trim_start_matches(is_blank).len();
    let first = trimmed.as_bytes().first().copied();
    match first.filter(|_| is_enclosed(trimmed)) {
        Some(b'"') => unescaped(&trimmed[1..trimmed.len() - 1], start + 1, take),
        Some(_) => take(&trimmed[1..trimmed.len() - 1], start + 1),
        None => joined(trimmed, start, take),
    }
}

/// Whether the first character is a quote and its partner is the last one.
fn is_enclosed(text: &str) -> bool {
    let Some(quote) = text
        .bytes()
        .next()
        .filter(|byte| matches!(byte, b'"' | b'\''))
    else {
        return false;
    };
    partner(text, 0, quote) == Some(text.len() - 1)
}

/// The byte that closes the quote at byte `open`.
fn partner(text: &str, open: usize, quote: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = open + 1;
    while at < bytes.len() {
        if quote == b'"' && bytes[at] == b'\\' && matches!(bytes.get(at + 1), Some(b'"' | b'\\')) {
            at += 1;
        } else if bytes[at] == quote {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn unescaped(text: &str, start: usize, mut take: impl FnMut(&str, usize)) {
    let bytes = text.as_bytes();
    let (mut from, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] == b'\\' && matches!(bytes.get(at + 1), Some(b'"' | b'\\')) {
            take(&text[from..at], start + from);
            from = at + 1;
            at += 1;
        }
        at += 1;
    }
    take(&text[from..], start + from);
}

/// Outside quotes white space with a line break in it becomes one blank.
fn joined(text: &str, start: usize, mut take: impl FnMut(&str, usize)) {
    let bytes = text.as_bytes();
    let (mut from, mut at) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if matches!(byte, b'"' | b'\'') {
            at = partner(text, at, byte).unwrap_or(at) + 1;
        } else if is_blank(char::from(byte)) {
            let rest = &text[at..];
            let length = rest.len() - rest.trim_start_matches(is_blank).len();
            if rest[..length].contains('\n') {
                take(&text[from..at], start + from);
                take(" ", start + at);
                from = at + length;
            }
            at += length;
        } else {
            at += 1;
        }
    }
    take(&text[from..], start + from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_published_table() {
        for (raw, expected) in [
            (" 10.0.0.5:80 ", "10.0.0.5:80"),
            (" \"Set-Cookie: K=2; Path=/\"", "Set-Cookie: K=2; Path=/"),
            (r#" "say \"hi\" \\ there""#, r#"say "hi" \ there"#),
            (" echo 'a; b' | logger", "echo 'a; b' | logger"),
            (r#" "a" b "c""#, r#""a" b "c""#),
            (" /opt/pick\n  %1b %1a", "/opt/pick %1b %1a"),
            (" 'it \\n is'", "it \\n is"),
            (" a\t b", "a\t b"),
            (" \"\"", ""),
            (" x \"a\n b\"", "x \"a\n b\""),
        ] {
            assert_eq!(value(raw), expected, "{raw}");
        }
    }

    #[test]
    fn byte_of_the_value_is_found_in_the_raw_text() {
        for raw in [r#" "a\"b\\%9b""#, " a\n\n  b %9b", " '%9b'"] {
            let at = value(raw).find("%9b").unwrap();
            assert_eq!(locate(raw, at), raw.find("%9b").unwrap(), "{raw}");
        }
    }

    #[test]
    fn lone_quote_and_nothing_are_no_trouble() {
        for raw in ["", " ", "\"", "'", "\"\\\"", "a \""] {
            let _ = locate(raw, value(raw).len());
        }
    }
}
