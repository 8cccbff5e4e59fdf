//! A moment on both clocks, handed to whoever must not read a clock itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment: monotonic for what is measured, wall clock for what is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment {
    /// The monotonic clock; differences of it are durations.
    pub monotonic: Instant,
    /// Whole seconds since 1970-01-01 00:00 GMT.
    pub unix: u64,
}

impl Moment {
    /// The moment of the call. Not for `policy`, which is given its moments.
    pub fn now() -> Self {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |past| past.as_secs());
        Self {
            monotonic: Instant::now(),
            unix,
        }
    }

    /// The moment `later` than this one, on both clocks.
    pub fn after(self, later: Duration) -> Self {
        Self {
            monotonic: self.monotonic + later,
            unix: self.unix + later.as_secs(),
        }
    }
}
