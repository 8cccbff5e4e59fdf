//! Waiting with an end: nothing in the suite waits without a deadline.

use std::time::{Duration, Instant};

/// What a wait gets that has no reason to be shorter or longer.
const USUAL: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(4);

/// A moment after which waiting is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// A deadline `time` from now.
    pub(crate) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The deadline of a wait that has no time of its own.
    pub(crate) fn usual() -> Self {
        Self::after(USUAL)
    }

    /// Whether it is over.
    pub(crate) fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// Time left, at least a millisecond, so that it fits as a socket timeout.
    pub(crate) fn left(self) -> Duration {
        self.0
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1))
    }
}

/// Looks until `probe` gives a value; panics with `what` at the usual deadline.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::usual();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(!deadline.passed(), "waited {USUAL:?} in vain: {what}");
        std::thread::sleep(STEP);
    }
}

/// Looks until `condition` holds; panics with `what` at the usual deadline.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    eventually(what, || condition().then_some(()));
}

/// Lets time pass where time itself is what a case is about: the rhythm of a
/// client, a span over which something is measured. Never used to wait for
/// another party.
pub(crate) fn pace(time: Duration) {
    std::thread::sleep(time);
}
