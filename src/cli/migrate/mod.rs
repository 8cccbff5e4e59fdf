//! `migrate`: rewrites retired spellings and shows what it changed.

mod replace;

use similar::TextDiff;

/// Lines of context around a change.
const CONTEXT: usize = 3;

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
}
