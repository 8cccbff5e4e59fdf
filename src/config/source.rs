//! Files as text, and the way from the expanded text back to a place.
//!
//! pest wants UTF-8, old files are Latin-1. So each byte that is not UTF-8
//! becomes a stand-in character, which [`to_bytes`] turns back and which is
//! shown as U+FFFD. A file that holds the stand-ins themselves (they are for
//! private use) has them taken for bytes that are not UTF-8, so nothing is lost.

mod content;
mod map;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};

pub(super) use content::Content;
pub(super) use map::{FileSpan, Inclusion, Origin, SourceMap, Use};

/// The greatest size of a configuration after inclusion, in bytes (E42).
pub(super) const MAX_BYTES: usize = 64 << 20;

/// Stands where a file ended within a string or comment.
pub(super) const MARK: char = '\u{10FE00}';
/// Stands for a symbol that could not be replaced; it was reported.
pub(super) const LOST: char = '\u{10FE01}';
const STAND_IN_BASE: u32 = 0x0010_FE00;

/// Whether `c` stands for a byte that is not UTF-8.
pub(super) fn is_stand_in(c: char) -> bool {
    (STAND_IN_BASE + 0x80..=STAND_IN_BASE + 0xFF).contains(&u32::from(c))
}

fn is_reserved(c: char) -> bool {
    (STAND_IN_BASE..=STAND_IN_BASE + 0xFF).contains(&u32::from(c))
}

/// The text of a file: stand-ins for bytes that are not UTF-8, no byte order
/// mark.
pub(super) fn to_text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        if chunk.valid().contains(is_reserved) {
            for c in chunk.valid().chars() {
                if is_reserved(c) {
                    push_bytes(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
                } else {
                    text.push(c);
                }
            }
        } else {
            text.push_str(chunk.valid());
        }
        push_bytes(&mut text, chunk.invalid());
    }
    text
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    let stand_ins = bytes
        .iter()
        .filter_map(|&byte| char::from_u32(STAND_IN_BASE + u32::from(byte)));
    text.extend(stand_ins);
}

/// The bytes that `text` had in its file.
pub(super) fn to_bytes(text: &str) -> Vec<u8> {
    if !text.contains(is_reserved) {
        return text.as_bytes().to_vec();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c).checked_sub(STAND_IN_BASE) {
            Some(byte) if is_stand_in(c) => bytes.extend(u8::try_from(byte)),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Whether `c` takes part in a token but cannot be seen, or looks like a blank:
/// a second byte order mark, a no-break space, a change of direction.
fn is_unseen(c: char) -> bool {
    let formats = matches!(
        c,
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    );
    formats || (!c.is_ascii() && c.is_whitespace())
}

/// `text` as it may be shown on a terminal: tabs as blanks, everything else
/// that does not print as U+FFFD.
pub(super) fn printable(text: &str) -> String {
    let show = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() || is_reserved(c) || is_unseen(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(show).collect()
}

/// `text` in back quotes for a message, shortened if it is long.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let shown: String = text.chars().take(MOST).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", printable(&shown))
}

/// Why a file could not be taken.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The system says no.
    Io(io::Error),
    /// It is larger than allowed.
    TooLarge,
}

/// Reads the configuration file itself, of at most [`MAX_BYTES`]. A pipe is
/// waited for, as in `-c /dev/stdin`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    bounded(File::open(path).map_err(ReadError::Io)?)
}

/// Reads a file that a configuration names, of at most [`MAX_BYTES`]. Nothing
/// is waited for: a FIFO is refused, and a terminal has nothing to read.
pub(super) fn read_named(path: &Path) -> Result<Vec<u8>, ReadError> {
    let file = open_named(path).map_err(ReadError::Io)?;
    let kind = file.metadata().map_err(ReadError::Io)?.file_type();
    if kind.is_fifo() {
        return Err(ReadError::Io(io::Error::other("not a regular file")));
    }
    bounded(file)
}

/// Opens a file that a configuration names, whatever kind of file it is,
/// without waiting for anything.
pub(super) fn open_named(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn bounded(file: File) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let mut file = file.take(MAX_BYTES as u64 + 1);
    file.read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(bytes)
}

/// What the system says, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

/// `path` absolute, without `.`, `..` and double slashes, links not resolved.
pub(super) fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean.to_string_lossy().into_owned()
}

/// FNV-1a 64, fed piece by piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fingerprint(pub(super) u64);

impl Fingerprint {
    /// The value before the first byte.
    pub(super) const START: Self = Self(0xcbf2_9ce4_8422_2325);

    /// Adds `bytes`.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn text_turns_back_into_its_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assume!(!bytes.starts_with(b"\xEF\xBB\xBF"));
            prop_assert_eq!(to_bytes(&to_text(&bytes)), bytes);
        }
    }

    #[test]
    fn stand_ins_in_a_file_are_bytes_like_others() {
        let bytes = "a\u{10FE00}\u{10FEE9}b".as_bytes();

        let text = to_text(bytes);

        assert!(!text.contains(MARK));
        assert_eq!(to_bytes(&text), bytes);
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(
            printable("a\u{FEFF}b\u{A0}c\u{202E}d\te"),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}d e"
        );
    }

    #[test]
    fn path_is_cleaned_as_text() {
        assert_eq!(
            absolute(Path::new("/etc//x/../crossroads.conf")),
            "/etc/crossroads.conf"
        );
        assert_eq!(absolute(Path::new("/./a/b/./c")), "/a/b/c");
    }

    #[test]
    fn fingerprint_is_fnv_1a() {
        let mut fingerprint = Fingerprint::START;

        fingerprint.add(b"foobar");

        assert_eq!(fingerprint.0, 0x8594_4171_f739_67e8);
    }
}
