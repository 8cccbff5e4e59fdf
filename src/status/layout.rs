//! The bytes of a status segment (14.3): one header, one service record, and
//! one record for each back end.
//!
//! ```text
//!      0 ┌──────────────────────────────┐
//!        │ HeaderBlock          256 B   │ magic, whose it is, heartbeat, phase
//!    256 ├──────────────────────────────┤
//!        │ ServiceRecord        512 B   │ sequence, name, mode, numbers
//!    768 ├──────────────────────────────┤
//!        │ BackendRecord 0      512 B   │ sequence, name, server, state, numbers
//!   1280 ├──────────────────────────────┤
//!        │ BackendRecord 1      512 B   │
//!        └──────────────────────────────┘ 768 + 512 n
//! ```
//!
//! Every field is an atomic of 4 or 8 bytes in native byte order; text is a row
//! of 8-byte words, padded with NUL, and always ends in at least one NUL. A
//! record begins with its sequence number: odd while the record is being
//! written, even otherwise.
//!
//! The layout is a promise to every reader that is already running: any change
//! of a size or an offset below must come with another [`MAJOR`], a new meaning
//! of a spare byte with another [`MINOR`]. The assertions at the end fail the
//! build when a field moves.
//!
//! Source: decided (14.3).

use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The first eight bytes of every segment.
pub const MAGIC: [u8; 8] = *b"XRSTATUS";
/// Readers refuse a segment whose major number is another one.
pub const MAJOR: u32 = 1;
/// Readers do not look at the minor number.
pub const MINOR: u32 = 2;
/// The greatest number of back ends of a service (4.0).
pub const MAX_BACKENDS: usize = 1024;

/// Size of the header in bytes.
pub const HEADER_SIZE: usize = size_of::<HeaderBlock>();
/// Size of a record, of the service or of a back end, in bytes.
pub const RECORD_SIZE: usize = size_of::<BackendRecord>();
/// Where the service record begins.
pub const SERVICE_AT: usize = HEADER_SIZE;
/// Where the first back end record begins.
pub const BACKENDS_AT: usize = HEADER_SIZE + size_of::<ServiceRecord>();

/// Flag of a service of `type http`.
pub const FLAG_HTTP: u32 = 1;
/// Flag of a service with `headerinspection shallow`.
pub const FLAG_SHALLOW: u32 = 2;

/// The size of a segment with `backends` back ends, in bytes.
pub const fn segment_size(backends: usize) -> usize {
    BACKENDS_AT + backends * RECORD_SIZE
}

/// Text in `WORDS` words, padded with NUL.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct TextWords<const WORDS: usize>([AtomicU64; WORDS]);

impl<const WORDS: usize> TextWords<WORDS> {
    /// Writes `text`, cut at a character so that one NUL remains.
    pub(super) fn store(&self, text: &str) {
        let kept = cut_to(text, WORDS * 8 - 1).as_bytes();
        for (index, word) in self.0.iter().enumerate() {
            let rest = kept.get(index * 8..).unwrap_or_default();
            let length = rest.len().min(8);
            let mut bytes = [0; 8];
            bytes[..length].copy_from_slice(&rest[..length]);
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
    }
}

/// The start of `text` that fits into `limit` bytes, cut between characters.
fn cut_to(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whose the segment is. Its fields change one at a time, so it needs no
/// sequence number; the magic is written last.
#[derive(Debug)]
#[repr(C)]
pub(super) struct HeaderBlock {
    pub(super) magic: AtomicU64,
    pub(super) major: AtomicU32,
    pub(super) minor: AtomicU32,
    pub(super) total_size: AtomicU64,
    pub(super) key: AtomicU32,
    pub(super) pid: AtomicU32,
    pub(super) started: AtomicU64,
    pub(super) heartbeat: AtomicU64,
    pub(super) fingerprint: AtomicU64,
    pub(super) backends: AtomicU32,
    pub(super) phase: AtomicU32,
    pub(super) socket: TextWords<14>,
    pub(super) process_start: AtomicU64,
    spare: [AtomicU64; 9],
}

/// The service: what it is and what it has done so far.
#[derive(Debug)]
#[repr(C)]
pub(super) struct ServiceRecord {
    pub(super) sequence: AtomicU64,
    pub(super) name: TextWords<8>,
    pub(super) mode: TextWords<8>,
    pub(super) port: AtomicU32,
    pub(super) flags: AtomicU32,
    pub(super) bind: [AtomicU64; 2],
    pub(super) active: AtomicU64,
    pub(super) max_connections: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused_deny: AtomicU64,
    pub(super) refused_allow: AtomicU64,
    pub(super) no_backend: AtomicU64,
    pub(super) allow_filters: AtomicU64,
    pub(super) deny_filters: AtomicU64,
    pub(super) allow_read: AtomicU64,
    pub(super) deny_read: AtomicU64,
    pub(super) hooks_dropped: AtomicU64,
    pub(super) helper_dropped: AtomicU64,
    pub(super) refused_requests: AtomicU64,
    pub(super) failed_requests: AtomicU64,
    spare: [AtomicU64; 30],
}

/// One back end: what it is and what it has done so far.
#[derive(Debug)]
#[repr(C)]
pub(super) struct BackendRecord {
    pub(super) sequence: AtomicU64,
    pub(super) name: TextWords<8>,
    pub(super) server: TextWords<33>,
    pub(super) state: AtomicU32,
    pub(super) weight: AtomicU32,
    pub(super) decay: AtomicU32,
    pub(super) retries: AtomicU32,
    pub(super) max_connections: AtomicU64,
    pub(super) active: AtomicU64,
    pub(super) total: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) consecutive_failures: AtomicU64,
    pub(super) bytes_to_client: AtomicU64,
    pub(super) bytes_to_backend: AtomicU64,
    pub(super) microseconds: AtomicU64,
    pub(super) usage_bits: AtomicU64,
    pub(super) since: AtomicU64,
    pub(super) reason: AtomicU32,
    pub(super) errno: AtomicU32,
    pub(super) requests: AtomicU64,
    pub(super) replies: [AtomicU64; 5],
    pub(super) first_byte_microseconds: AtomicU64,
    pub(super) aborted: AtomicU64,
    pub(super) log_dropped: AtomicU64,
}

/// Fails the build unless each field stands at its place in 14.3.
macro_rules! places {
    ($($block:ident, $size:literal: $($field:ident $offset:literal),*;)*) => {
        const _: () = {
            $(
                assert!(size_of::<$block>() == $size);
                $(assert!(offset_of!($block, $field) == $offset);)*
            )*
        };
    };
}

places! {
    HeaderBlock, 256: magic 0, major 8, minor 12, total_size 16, key 24, pid 28, started 32,
        heartbeat 40, fingerprint 48, backends 56, phase 60, socket 64, process_start 176,
        spare 184;
    ServiceRecord, 512: sequence 0, name 8, mode 72, port 136, flags 140, bind 144, active 160,
        max_connections 168, accepted 176, refused_deny 184, refused_allow 192, no_backend 200,
        allow_filters 208, deny_filters 216, allow_read 224, deny_read 232, hooks_dropped 240,
        helper_dropped 248, refused_requests 256, failed_requests 264, spare 272;
    BackendRecord, 512: sequence 0, name 8, server 72, state 336, weight 340, decay 344,
        retries 348, max_connections 352, active 360, total 368, failures 376,
        consecutive_failures 384, bytes_to_client 392, bytes_to_backend 400, microseconds 408,
        usage_bits 416, since 424, reason 432, errno 436, requests 440, replies 448,
        first_byte_microseconds 488, aborted 496, log_dropped 504;
}

const _: () = assert!(SERVICE_AT == 256 && BACKENDS_AT == 768 && segment_size(2) == 1792);

#[cfg(test)]
mod tests {
    use super::*;

    fn written<const WORDS: usize>(text: &str) -> Vec<u8> {
        let words = TextWords([const { AtomicU64::new(u64::MAX) }; WORDS]);
        words.store(text);
        let word = |word: &AtomicU64| word.load(Ordering::Relaxed).to_ne_bytes();
        words.0.iter().flat_map(word).collect()
    }

    #[test]
    fn text_is_padded_with_nul() {
        assert_eq!(written::<2>("maple-leaf"), b"maple-leaf\0\0\0\0\0\0");
    }

    #[test]
    fn too_long_text_is_cut_before_the_last_byte() {
        assert_eq!(written::<1>("0123456789"), b"0123456\0");
    }

    #[test]
    fn text_is_never_cut_inside_a_character() {
        assert_eq!(written::<1>("012345\u{e9}"), b"012345\0\0");
    }
}
