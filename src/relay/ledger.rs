//! What is measured of one connection, and what was agreed for it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::traffic::Traffic;
use crate::relay::host::Plan;
use crate::relay::side::Side;

/// Clocks and limits of one connection.
///
/// Times are nanoseconds since `started`: an idle connection is little more
/// than what it keeps here, and an `Option<Duration>` takes twice as much.
pub(super) struct Ledger {
    traffic: Option<Arc<Traffic>>,
    started: Instant,
    idle_limit: Option<NonZeroU64>,
    first_byte: Option<NonZeroU64>,
    last_moved: u64,
}

/// What `duration` is in nanoseconds, 584 years at most.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The same where 0 means "none": at least one.
fn at_least_one(duration: Duration) -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(nanoseconds(duration).saturating_sub(1))
}

impl Ledger {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            traffic: None,
            started: now,
            idle_limit: None,
            first_byte: None,
            last_moved: 0,
        }
    }

    /// The back end is connected, and has been sent `early` bytes already.
    pub(super) fn begin(&mut self, plan: Plan, early: u64, now: Instant) {
        plan.traffic.add_to_backend(early);
        self.traffic = Some(plan.traffic);
        self.idle_limit = plan.idle_limit.map(at_least_one);
        self.started = now;
        self.last_moved = 0;
    }

    /// Bytes were read from or written to a socket.
    pub(super) fn touch(&mut self, now: Instant) {
        self.last_moved = nanoseconds(now.saturating_duration_since(self.started));
    }

    /// Bytes came from `from`; the first of a back end are remembered.
    pub(super) fn note_first_byte(&mut self, from: Side) {
        if from == Side::Backend && self.first_byte.is_none() {
            self.first_byte = Some(at_least_one(self.started.elapsed()));
        }
    }

    /// Counts what came from `from` and was written, once it is known where.
    pub(super) fn count(&self, from: Side, bytes: u64) {
        match (&self.traffic, from) {
            (Some(traffic), Side::Client) => traffic.add_to_backend(bytes),
            (Some(traffic), Side::Backend) => traffic.add_to_client(bytes),
            (None, _) => {}
        }
    }

    /// The connection has served another client before.
    pub(super) fn note_reuse(&self) {
        if let Some(traffic) = &self.traffic {
            traffic.count_reused();
        }
    }

    /// A request was sent to the back end.
    pub(super) fn note_request(&self) {
        if let Some(traffic) = &self.traffic {
            traffic.count_request();
        }
    }

    /// The back end begins to reply, so long after the request was sent.
    pub(super) fn note_reply_begins(&mut self, waited: Duration) {
        self.first_byte.get_or_insert(at_least_one(waited));
        if let Some(traffic) = &self.traffic {
            traffic.add_first_byte(waited);
        }
    }

    /// The back end has replied with this status.
    pub(super) fn note_reply(&self, code: u16) {
        if let Some(traffic) = &self.traffic {
            traffic.count_reply(code);
        }
    }

    /// When the connection is cut unless something moves; `None` for never.
    ///
    /// Moves are stamped with the begin of their turn, so a little is added:
    /// the cut must not come early.
    pub(super) fn idle_at(&self) -> Option<Instant> {
        const SLACK: Duration = Duration::from_millis(100);
        let limit = Duration::from_nanos(self.idle_limit?.get());
        let silent_since = self.started + Duration::from_nanos(self.last_moved);
        silent_since.checked_add(limit.checked_add(SLACK)?)
    }

    /// Time since the connect ended.
    pub(super) fn duration(&self) -> Duration {
        self.started.elapsed()
    }

    /// From the end of the connect to the first byte of the back end; where
    /// messages are unpacked, from the first request that was sent.
    pub(super) fn first_byte(&self) -> Option<Duration> {
        let after = self.first_byte?.get();
        Some(Duration::from_nanos(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_bytes_are_counted_once_the_connection_begins() {
        let now = Instant::now();
        let traffic = Arc::new(Traffic::default());
        let mut ledger = Ledger::new(now);
        ledger.count(Side::Client, 5);
        assert_eq!(ledger.idle_at(), None);

        let plan = Plan {
            idle_limit: Some(Duration::from_secs(3)),
            traffic: Arc::clone(&traffic),
            tap: None,
            pool: None,
        };
        ledger.begin(plan, 5, now);
        ledger.count(Side::Client, 2);
        ledger.count(Side::Backend, 11);

        assert_eq!((traffic.to_backend(), traffic.to_client()), (7, 11));
        assert!(ledger.idle_at() >= Some(now + Duration::from_secs(3)));
    }
}
