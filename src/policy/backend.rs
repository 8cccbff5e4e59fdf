//! The state of one back end.
//!
//! Two facts are kept apart: what the operator ordered and what the daemon
//! observed. An order of Down hides the observation, and nothing but another
//! order ends it.
//!
//! ```text
//!   ConnectFailed, attempts used up; no address         ProbeStarted
//!  Available ───────────────────────────► Unavailable ─────────────► Waking
//!      ▲                                       ▲                     │  │
//!      │                                       └──── ProbeEnded, bad ┘  │
//!      └──────────────────────── ProbeEnded, good ──────────────────────┘
//!
//!  Told(state) sets both facts from anywhere; nothing but Told leaves Down.
//! ```
//!
//! *Late news.* A connect or a probe takes the [`Epoch`] in which it began with
//! it. Every order of an operator begins a new epoch, so what began before it
//! has no say about the state any more, in whatever order the news arrive.

use std::time::{Duration, Instant};

use crate::base::moment::Moment;
use crate::base::state::{ConnectFailure, Reason, ShownState, StateChange};

/// What an operator ordered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ordered {
    /// It may work as far as it can.
    Enabled,
    /// It takes no connections, whatever is observed.
    Down,
}

/// What the daemon found out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Observed {
    /// Nothing speaks against it.
    Available,
    /// It could not be reached.
    Unavailable,
    /// It is being probed, or is about to be.
    Waking,
}

/// The time between two orders of an operator.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Epoch(u64);

/// What a back end's state may be changed by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A connect that began in this epoch failed.
    ConnectFailed {
        /// When it began.
        began: Epoch,
        /// Why it failed.
        failure: ConnectFailure,
    },
    /// The probe that was due begins.
    ProbeStarted,
    /// A probe that began in this epoch ended.
    ProbeEnded {
        /// When it began.
        began: Epoch,
        /// Nothing, or why it failed.
        result: Result<(), ConnectFailure>,
    },
    /// An operator set the state.
    Told(ShownState),
}

/// What is configured about leaving and regaining a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Consecutive failures that are allowed.
    pub(crate) retries: u16,
    /// `revivinginterval`; `None` for 0.
    pub(crate) reviving_interval: Option<Duration>,
    /// The interval of a name that does not resolve where there is no other.
    pub(crate) name_retry: Duration,
}

/// The last change of the shown state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LastChange {
    /// Why; `None` before the first change.
    pub(crate) reason: Reason,
    /// The error number with it, or 0.
    pub(crate) errno: i32,
    /// When; at first, the start.
    pub(crate) at: Moment,
}

/// The state of one back end, and when it is probed next.
///
/// Source: states documented, count, voiding and timer decided (6.1, 6.2, 6.4).
#[derive(Debug)]
pub(crate) struct BackendState {
    ordered: Ordered,
    observed: Observed,
    epoch: Epoch,
    consecutive_failures: u64,
    patience: Patience,
    /// Became unavailable because its name does not resolve, which is probed
    /// even without `revivinginterval`.
    unresolved: bool,
    probe_due: Option<Instant>,
    /// The epoch of the probe that was begun last and has not ended.
    probing: Option<Epoch>,
    last: LastChange,
}

impl BackendState {
    /// Enabled and available without a check, as every back end starts.
    pub(crate) fn new(patience: Patience, now: Moment) -> Self {
        Self {
            ordered: Ordered::Enabled,
            observed: Observed::Available,
            epoch: Epoch::default(),
            consecutive_failures: 0,
            patience,
            unresolved: false,
            probe_due: None,
            probing: None,
            last: LastChange {
                reason: Reason::None,
                errno: 0,
                at: now,
            },
        }
    }

    /// Takes one event; the only writer of both facts. `None` when the shown
    /// state stays what it was.
    pub(crate) fn apply(&mut self, event: Event, now: Moment) -> Option<StateChange> {
        let from = self.shown();
        let (reason, errno) = self.cause_of(event);
        match event {
            Event::ConnectFailed { began, failure } => self.connect_failed(began, failure, now),
            Event::ProbeStarted => self.probe_started(),
            Event::ProbeEnded { began, result } => self.probe_ended(began, result, now),
            Event::Told(state) => self.told(state, now),
        }
        let to = self.shown();
        if from == to {
            return None;
        }
        self.last = LastChange {
            reason,
            errno,
            at: now,
        };
        Some(StateChange {
            from,
            to,
            reason,
            errno,
            at: now,
        })
    }

    /// What stands as the cause if the event changes the state. A probe that
    /// begins keeps the cause that was there (14.3).
    fn cause_of(&self, event: Event) -> (Reason, i32) {
        match event {
            Event::ConnectFailed { failure, .. } => (failure.reason, failure.errno),
            Event::ProbeStarted => (self.last.reason, self.last.errno),
            Event::ProbeEnded { result: Ok(()), .. } => (Reason::Revived, 0),
            Event::ProbeEnded {
                result: Err(failure),
                ..
            } => (failure.reason, failure.errno),
            Event::Told(_) => (Reason::Told, 0),
        }
    }

    /// A connect that began in this epoch succeeded; never changes the state.
    pub(crate) fn connected(&mut self, began: Epoch) {
        if began == self.epoch {
            self.consecutive_failures = 0;
        }
    }

    /// The back end has another address; never changes the state.
    ///
    /// What began at the old address says nothing about the new one. So a probe
    /// that runs is begun again at once, or the state would wait for ever.
    pub(crate) fn server_changed(&mut self) {
        self.begin_epoch();
        if self.shown() == ShownState::Waking {
            self.probe_due = Some(self.last.at.monotonic);
        }
    }

    /// The state as it is shown.
    pub(crate) fn shown(&self) -> ShownState {
        match (self.ordered, self.observed) {
            (Ordered::Down, _) => ShownState::Down,
            (Ordered::Enabled, Observed::Available) => ShownState::Available,
            (Ordered::Enabled, Observed::Unavailable) => ShownState::Unavailable,
            (Ordered::Enabled, Observed::Waking) => ShownState::Waking,
        }
    }

    /// The epoch that begins now or began earlier and has not ended.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// When the next probe begins; `None` when none is planned.
    pub(crate) fn probe_due(&self) -> Option<Instant> {
        self.probe_due
    }

    /// Failed connects since the last success, order or revival.
    pub(crate) fn consecutive_failures(&self) -> u64 {
        self.consecutive_failures
    }

    /// The last change of the shown state.
    pub(crate) fn last_change(&self) -> LastChange {
        self.last
    }

    fn connect_failed(&mut self, began: Epoch, failure: ConnectFailure, now: Moment) {
        if began != self.epoch {
            return;
        }
        let no_address = failure.reason == Reason::NameDoesNotResolve;
        if !no_address {
            self.consecutive_failures += 1;
        }
        let used_up = self.consecutive_failures > u64::from(self.patience.retries);
        if self.observed == Observed::Available && (no_address || used_up) {
            self.unresolved = no_address;
            self.become_unavailable(now);
        }
    }

    fn probe_started(&mut self) {
        if self.probe_due.take().is_none() {
            return;
        }
        self.observed = Observed::Waking;
        self.probing = Some(self.epoch);
    }

    fn probe_ended(&mut self, began: Epoch, result: Result<(), ConnectFailure>, now: Moment) {
        if self.probing == Some(began) {
            self.probing = None;
        }
        if began != self.epoch || self.observed != Observed::Waking {
            return;
        }
        match result {
            Ok(()) => self.become_available(),
            Err(failure) => {
                self.unresolved |= failure.reason == Reason::NameDoesNotResolve;
                self.become_unavailable(now);
            }
        }
    }

    fn told(&mut self, state: ShownState, now: Moment) {
        self.begin_epoch();
        self.probe_due = None;
        self.unresolved = false;
        self.ordered = Ordered::Enabled;
        match state {
            ShownState::Available => self.become_available(),
            ShownState::Unavailable => self.become_unavailable(now),
            ShownState::Waking => {
                self.observed = Observed::Waking;
                self.probe_due = Some(now.monotonic);
            }
            ShownState::Down => self.ordered = Ordered::Down,
        }
    }

    fn begin_epoch(&mut self) {
        self.epoch.0 += 1;
        self.consecutive_failures = 0;
    }

    fn become_available(&mut self) {
        self.observed = Observed::Available;
        self.consecutive_failures = 0;
        self.unresolved = false;
        self.probe_due = None;
    }

    fn become_unavailable(&mut self, now: Moment) {
        self.observed = Observed::Unavailable;
        let retry = self.unresolved.then_some(self.patience.name_retry);
        let pause = self.patience.reviving_interval.or(retry);
        self.probe_due = pause.and_then(|pause| now.monotonic.checked_add(pause));
    }

    /// What must hold between two events, whatever came before.
    pub(crate) fn check_invariants(&self) {
        let probed = self.probing == Some(self.epoch);
        match self.shown() {
            ShownState::Available => {
                let allowed = u64::from(self.patience.retries);
                debug_assert!(self.consecutive_failures <= allowed, "{self:?}");
                debug_assert!(self.probe_due.is_none() && !probed, "{self:?}");
            }
            ShownState::Unavailable => {
                let revived = self.patience.reviving_interval.is_some() || self.unresolved;
                debug_assert!(self.probe_due.is_none() || revived, "{self:?}");
                debug_assert!(!probed, "{self:?}");
            }
            ShownState::Waking => {
                debug_assert!(self.probe_due.is_some() != probed, "{self:?}");
            }
            ShownState::Down => {
                debug_assert!(self.probe_due.is_none() && !probed, "{self:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
