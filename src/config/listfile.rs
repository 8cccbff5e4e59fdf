//! Files of filters, as `allowfile` and `denyfile` name them: read by the checks
//! of a configuration, and again while its services run.
//!
//! Both read them by the same rules (12.3): words between blanks, tabs and line
//! breaks, each a filter; `#` begins a comment to the end of the line.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use thiserror::Error;

use super::source::{self, Content, ReadError, is_stand_in, printable, quoted, read_named};
use crate::base::text::Text;
use crate::policy::access::{Filter, FilterSet};

/// The greatest number of filters in a list (E42).
pub(super) const MAX_FILTERS: usize = 1_048_576;

/// What is said of a list with more than that.
pub(super) const TOO_MANY: &str = "more than 1048576 filters in a list";

/// Why a file gives no list: `PLACE: REASON`.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{place}: {reason}")]
pub struct ListFileError {
    /// The file; if its text is at fault, with line and column behind colons.
    pub place: String,
    /// What is wrong, and what to write instead where that is known.
    pub reason: String,
}

/// Reads the filters of the file called `name`, a relative name from the
/// working directory of the process. Blocks as long as the file system does,
/// but waits for no writer: a FIFO is refused.
///
/// # Errors
///
/// [`ListFileError`] if the file is not there, cannot be read, is larger than
/// 64 MiB, holds too many filters or a word that is none; the first such word.
///
/// Source: documented (12.3); limits and errors decided.
pub fn read(name: &Text) -> Result<FilterSet, ListFileError> {
    let path = path(name);
    let at_file = |reason: String| ListFileError {
        place: shown(name),
        reason,
    };
    let bytes = read_named(path).map_err(|error| at_file(problem(&error)))?;
    let content = Content::new(path, bytes);
    let mut filters = Vec::new();
    for (range, word) in words(&content.text) {
        filters.push(word.map_err(|reason| {
            let place = content.place(range.start, range.end);
            let place = format!("{}:{}:{}", place.file, place.line, place.column);
            ListFileError { place, reason }
        })?);
        if filters.len() > MAX_FILTERS {
            return Err(at_file(TOO_MANY.to_owned()));
        }
    }
    Ok(filters.into_iter().collect())
}

/// The name of a file as operators see it, on a terminal or in a log.
pub fn shown(name: &Text) -> String {
    printable(&path(name).to_string_lossy())
}

/// The file called `name`.
pub(super) fn path(name: &Text) -> &Path {
    Path::new(OsStr::from_bytes(name.as_bytes()))
}

/// Why a file could not be taken, for a message.
pub(super) fn problem(error: &ReadError) -> String {
    match error {
        ReadError::Io(error) => source::reason(error),
        ReadError::TooLarge => "larger than 64 MiB".to_owned(),
    }
}

/// The words of a filter file with their places: each a filter, or what is
/// wrong with it.
pub(super) fn words(text: &str) -> impl Iterator<Item = (Range<usize>, Result<Filter, String>)> {
    tokens(text).map(|(start, token)| {
        let filter = Filter::parse(token).map_err(|error| {
            if token.contains(is_stand_in) {
                format!("{} is not a filter", quoted(token))
            } else {
                printable(&format!("{error}; {}", error.remedy()))
            }
        });
        (start..start + token.len(), filter)
    })
}

fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut line_start = 0;
    text.split_inclusive('\n').flat_map(move |line| {
        let start = line_start;
        line_start += line.len();
        let line = line.split('#').next().unwrap_or("");
        let words = line.split_ascii_whitespace();
        words.map(move |word| {
            (
                start + (word.as_ptr() as usize - line.as_ptr() as usize),
                word,
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// What reading a file of these bytes gives, with `F` for its name.
    fn read_bytes(bytes: &[u8]) -> Result<FilterSet, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("list");
        fs::write(&file, bytes).unwrap();
        let name = file.to_str().unwrap();
        read(&Text::from(name)).map_err(|error| error.to_string().replace(name, "F"))
    }

    #[test]
    fn filters_stand_between_blanks_tabs_and_line_breaks_and_a_hash_begins_a_comment() {
        let text = b"# ours\n10/8\t127.0.0.1 #11/8\r\n\n  2001:db8::/32#12/8\n172.16";

        let list = read_bytes(text).unwrap();

        let admits = |address: &str| list.matches(address.parse().unwrap());
        assert_eq!(list.len(), 4);
        assert!(admits("10.1.1.1") && admits("127.0.0.1"));
        assert!(admits("2001:db8::1") && admits("172.16.0.1"));
        assert!(!admits("11.1.1.1") && !admits("12.1.1.1"));
    }

    #[test]
    fn empty_file_is_an_empty_list() {
        for nothing in [&b""[..], b"\n \t\r\n", b"# nobody yet", b"\xEF\xBB\xBF"] {
            assert!(read_bytes(nothing).unwrap().is_empty());
        }
    }

    #[test]
    fn first_faulty_word_is_named_with_line_column_and_remedy() {
        for (text, told) in [
            (
                &b"10/8\n  11/24 x\n"[..],
                "F:2:3: a mask of 24 bits needs more than the 8 bits of `11`; write `11.0.0/24`",
            ),
            (b"10/8 \xE9.1\n", "F:1:6: `\u{FFFD}.1` is not a filter"),
            (
                b"a,b",
                "F:1:1: `a,b` holds a comma; separate filters by blanks, not by commas",
            ),
        ] {
            assert_eq!(read_bytes(text), Err(told.to_owned()));
        }
    }

    #[test]
    fn what_is_no_readable_file_is_said_and_nothing_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let gone = directory.path().join("gone");
        for (path, reason) in [
            (gone.as_path(), "no such file or directory"),
            (directory.path(), "is a directory"),
            (&fifo, "not a regular file"),
            (Path::new("/dev/zero"), "larger than 64 MiB"),
        ] {
            let name = path.to_str().unwrap();

            let error = read(&Text::from(name)).unwrap_err();

            assert_eq!(
                (error.place.as_str(), error.reason.as_str()),
                (name, reason)
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn words_of_any_text_stand_where_they_are_said_to(text in "[0-9a:./# \t\r\n\u{E9}]{0,60}") {
            for (range, filter) in words(&text) {
                let word = &text[range.clone()];

                prop_assert!(!word.is_empty() && !word.contains(['#', ' ', '\t', '\n']));
                prop_assert_eq!(filter.ok(), Filter::parse(word).ok());
                let line = text[..range.start].rsplit('\n').next().unwrap_or("");
                prop_assert!(!line.contains('#'), "{:?} stands in a comment", word);
            }
        }
    }

    #[test]
    fn list_of_too_many_filters_is_refused() {
        let text = "1 ".repeat(MAX_FILTERS);
        assert_eq!(read_bytes(text.as_bytes()).unwrap().len(), MAX_FILTERS);

        let one_more = format!("{text}1");

        assert_eq!(
            read_bytes(one_more.as_bytes()),
            Err(format!("F: {TOO_MANY}"))
        );
    }
}
