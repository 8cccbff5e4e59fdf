//! When requests at a fixed rate are due.
//!
//! The times depend on the clock alone, never on replies: a request which
//! could not be sent in time is late, and its latency says so.

/// The due times of one thread, in nanoseconds of the client's clock.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    start: u64,
    /// Nanoseconds between two requests of all threads.
    gap: f64,
    /// The number of the next request, counted over all threads.
    next: u64,
    /// Threads that share the rate.
    step: u64,
}

impl Schedule {
    /// The schedule of thread number `thread` out of `threads`, with `rate`
    /// requests a second over all of them.
    pub(super) fn new(start: u64, rate: f64, thread: u32, threads: u32) -> Self {
        Self {
            start,
            gap: 1e9 / rate,
            next: thread.into(),
            step: threads.into(),
        }
    }

    /// When the next request is due.
    pub(super) fn due(&self) -> u64 {
        // Multiplied, not summed up, so that no error grows.
        self.start + (self.next as f64 * self.gap) as u64
    }

    /// The due time of the next request if it is not after `now`, and the
    /// schedule moves on.
    pub(super) fn take(&mut self, now: u64) -> Option<u64> {
        let due = self.due();
        if due > now {
            return None;
        }
        self.next += self.step;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances() {
        let mut schedule = Schedule::new(1000, 1e6, 0, 1);

        let due: Vec<_> = std::iter::from_fn(|| schedule.take(4000)).collect();

        assert_eq!(due, [1000, 2000, 3000, 4000]);
        assert_eq!(schedule.due(), 5000);
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut schedule = Schedule::new(1000, 1e6, 0, 1);

        assert_eq!(schedule.take(999), None);
        assert_eq!(schedule.take(1000), Some(1000));
    }

    #[test]
    fn late_requests_keep_their_due_times() {
        let mut schedule = Schedule::new(0, 1e6, 0, 1);

        let due: Vec<_> = (0..3).filter_map(|_| schedule.take(1_000_000)).collect();

        assert_eq!(due, [0, 1000, 2000]);
    }

    #[test]
    fn threads_take_turns() {
        let mut first = Schedule::new(0, 1e6, 0, 2);
        let mut second = Schedule::new(0, 1e6, 1, 2);

        let first: Vec<_> = std::iter::from_fn(|| first.take(3999)).collect();
        let second: Vec<_> = std::iter::from_fn(|| second.take(3999)).collect();

        assert_eq!(first, [0, 2000]);
        assert_eq!(second, [1000, 3000]);
    }

    #[test]
    fn odd_rate_does_not_drift() {
        let mut schedule = Schedule::new(0, 3.0, 0, 1);

        let count = std::iter::from_fn(|| schedule.take(100_000_000_000)).count();

        assert_eq!(count, 301);
    }
}
