//! What a pool keeps of one back end beside its standing, and how it is shown.

use std::time::Duration;

use crate::base::endpoint::Endpoint;
use crate::base::state::{Reason, ShownState};
use crate::policy::backend::BackendState;
use crate::policy::usage::Sample;

/// One back end as a status shows it. Counts are since the start.
///
/// Source: decided (14.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackendView {
    /// Its shown state.
    pub state: ShownState,
    /// Connections to it now, reserved places included.
    pub active: u64,
    /// Connections made to it.
    pub total: u64,
    /// Failed connects for clients, probes not included.
    pub failures: u64,
    /// Failed connects since the last success, `tell` or revival.
    pub consecutive_failures: u64,
    /// Length of all ended connections together, in microseconds.
    pub microseconds: u64,
    /// The figure without weight (7.3); 0 in modes without one.
    pub usage: f64,
    /// Time of the last change of state, seconds since 1970; at first the start.
    pub since: u64,
    /// Reason of that change.
    pub reason: Reason,
    /// Error number with it, or 0.
    pub errno: i32,
    /// Time to the first byte, summed, in microseconds.
    pub first_byte_microseconds: u64,
    /// Connections that clients gave up while it was being connected.
    pub aborted: u64,
}

/// What of a back end no mode looks at.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) server: Endpoint,
    pub(super) state: BackendState,
    pub(super) tally: Tally,
}

/// What is only counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) total: u64,
    pub(super) failures: u64,
    pub(super) aborted: u64,
    pub(super) microseconds: u64,
    pub(super) first_byte_microseconds: u64,
}

impl Tally {
    /// A connection has ended.
    pub(super) fn add(&mut self, sample: &Sample) {
        let first_byte = sample.first_byte.map_or(0, microseconds);
        let duration = microseconds(sample.duration);
        self.microseconds = self.microseconds.saturating_add(duration);
        self.first_byte_microseconds = self.first_byte_microseconds.saturating_add(first_byte);
    }
}

impl Member {
    /// The back end as a status shows it.
    pub(super) fn view(&self, active: u64, usage: f64) -> BackendView {
        let Self { state, tally, .. } = self;
        let last = state.last_change();
        BackendView {
            state: state.shown(),
            active,
            total: tally.total,
            failures: tally.failures,
            consecutive_failures: state.consecutive_failures(),
            microseconds: tally.microseconds,
            usage,
            since: last.at.unix,
            reason: last.reason,
            errno: last.errno,
            first_byte_microseconds: tally.first_byte_microseconds,
            aborted: tally.aborted,
        }
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
