//! Copy or splice, decided for each direction by what it has moved lately.

/// A read of so many bytes or more speaks for splicing.
const LARGE_READ: usize = 16 * 1024;

/// A splice of less speaks for copying.
const SMALL_SPLICE: usize = 8 * 1024;

/// Large reads in a row after which a direction is spliced.
const LARGE_READS: u8 = 2;

/// What a direction's recent moves say about the next one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pace {
    /// Copied; the number of large reads in a row.
    Copy(u8),
    /// Spliced. Copying costs more, but splicing small pieces costs most.
    Splice,
    /// Copied for good: splicing cannot carry this direction.
    CopyOnly,
}

impl Default for Pace {
    fn default() -> Self {
        Self::Copy(0)
    }
}

impl Pace {
    /// Whether the next move is a splice.
    pub(super) fn splices(self) -> bool {
        self == Self::Splice
    }

    /// After a read of `bytes` into a scratch of `room` bytes; one that filled
    /// it is large whatever its size.
    pub(super) fn copied(&mut self, bytes: usize, room: usize) {
        let before = match *self {
            Self::CopyOnly => return,
            Self::Copy(large) => large,
            Self::Splice => 0,
        };
        *self = match before + 1 {
            _ if bytes < LARGE_READ.min(room) => Self::Copy(0),
            LARGE_READS.. => Self::Splice,
            large => Self::Copy(large),
        };
    }

    /// After a splice of `bytes` that left the pipe empty.
    pub(super) fn spliced(&mut self, bytes: usize) {
        if bytes < SMALL_SPLICE {
            self.back_to_copying();
        }
    }

    /// No pipe was to be had, or the stream ends.
    pub(super) fn back_to_copying(&mut self) {
        if *self != Self::CopyOnly {
            *self = Self::Copy(0);
        }
    }

    /// The direction must not be spliced any more.
    pub(super) fn copy_only(&mut self) {
        *self = Self::CopyOnly;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 64 * 1024;

    #[test]
    fn splicing_begins_after_two_large_reads_in_a_row() {
        let mut pace = Pace::default();
        for (bytes, splices) in [(LARGE_READ, false), (LARGE_READ - 1, false)] {
            pace.copied(bytes, ROOM);
            assert_eq!(pace.splices(), splices);
        }
        pace.copied(LARGE_READ, ROOM);
        assert!(!pace.splices());
        pace.copied(LARGE_READ, ROOM);
        assert!(pace.splices());
    }

    #[test]
    fn small_splice_leads_back_to_copying() {
        let mut pace = Pace::Splice;
        pace.spliced(SMALL_SPLICE);
        assert!(pace.splices());
        pace.spliced(SMALL_SPLICE - 1);
        assert!(!pace.splices());
    }

    #[test]
    fn direction_that_cannot_be_spliced_is_copied_for_good() {
        let mut pace = Pace::Splice;
        pace.copy_only();
        pace.back_to_copying();
        for _ in 0..10 {
            pace.copied(ROOM, ROOM);
        }
        assert!(!pace.splices());
    }
}
