//! The back ends of one service: all decisions about them, behind one type.
//!
//! A [`Pool`] is told what happened and says what should happen. Each call is
//! one step of the life of a connection (section 5) or of a back end (6), and
//! is meant to run within one critical section:
//!
//! ```text
//!  dispatch ──► Ticket ──┬─► connected ──► finish          served
//!  dispatch_to           ├─► connect_failed                next candidate
//!                        └─► release                       not its fault
//!
//!  next_probe … start_probe ──► ProbeTicket ──► probe_ended
//! ```
//!
//! Every back end is named by its [`BackendId`], 0 up to [`Pool::len`]; a call
//! with another one panics, except [`Pool::dispatch_to`], which gives `None`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use crate::base::endpoint::Endpoint;
use crate::base::id::BackendId;
use crate::base::moment::Moment;
use crate::base::state::{ConnectFailure, Reason, ShownState, StateChange};
use crate::policy::backend::{BackendState, Event, Patience};
use crate::policy::dispatch::{Ask, Candidates, Dispatcher, Explanation, Mode, Standings};

mod member;
mod settings;
mod ticket;

use member::{Member, Tally};

pub use crate::policy::usage::Sample;
pub use member::BackendView;
pub use settings::{PoolBackend, PoolSettings};
pub use ticket::{ProbeTicket, Released, Ticket, Tried};

/// The back ends of one service.
///
/// Source: choice, weight and decay documented, their arithmetic decided (7);
/// reservation, counts and late news decided (5, 6.2).
#[derive(Debug)]
pub struct Pool {
    dispatcher: Dispatcher,
    /// What modes compare, apart from what they do not.
    standings: Standings,
    members: Vec<Member>,
    /// The planned probes, the next one first; follows the states.
    probes: BTreeSet<(Instant, BackendId)>,
}

impl Pool {
    /// A service that starts `now`: every back end available without a check.
    pub fn new(settings: PoolSettings, now: Moment) -> Self {
        let names = settings.backends.iter().map(|backend| &backend.name);
        Self {
            dispatcher: Dispatcher::new(settings.mode, names, settings.seed),
            standings: Standings::new(settings.mode, &settings.backends),
            members: members(settings, now),
            probes: BTreeSet::new(),
        }
    }

    /// How many back ends there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no back end at all.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Chooses a candidate by the dispatch mode and reserves a place there
    /// (steps 4 and 5). `None` when no candidate is left, or `byclientip strict`
    /// has none for this client. What was tried before is the caller's to note.
    pub fn dispatch(&mut self, client: IpAddr, tried: &Tried) -> Option<Ticket> {
        let candidates = Candidates::new(&self.standings, tried);
        let backend = self.dispatcher.pick(&candidates, &Ask { client })?;
        let ticket = self.reserve(backend);
        self.check_invariants();
        Some(ticket)
    }

    /// Reserves a place at a back end that a cookie or a handler chose, if it is
    /// a candidate. Moves no pointer.
    ///
    /// Source: documented (7.1); no pointer decided.
    pub fn dispatch_to(&mut self, backend: BackendId, tried: &Tried) -> Option<Ticket> {
        if !Candidates::new(&self.standings, tried).contains(backend) {
            return None;
        }
        let ticket = self.reserve(backend);
        self.check_invariants();
        Some(ticket)
    }

    /// How the back ends stand for the next choice, for people who ask why.
    pub fn explain(&self, tried: &Tried) -> Explanation {
        let candidates = Candidates::new(&self.standings, tried);
        let states = self.members.iter().map(|member| member.state.shown());
        Explanation::of(&self.dispatcher, &candidates, states)
    }

    /// Whether a candidate is left for a client.
    pub fn has_candidates(&self, tried: &Tried) -> bool {
        let candidates = Candidates::new(&self.standings, tried);
        candidates.first_from(0).is_some()
    }

    /// Whether each back end is usable, and how many connections it has, in
    /// order of definition: what an external handler is told.
    ///
    /// Source: documented (`%Na`).
    pub fn standings(&self) -> impl Iterator<Item = (bool, u64)> {
        let standings = self.standings.iter();
        standings.map(|standing| (standing.is_usable(), standing.active))
    }

    /// Whether a back end may be given a connection now (6.3).
    pub fn is_usable(&self, backend: BackendId) -> bool {
        self.standings.of(backend).is_usable()
    }

    fn reserve(&mut self, backend: BackendId) -> Ticket {
        self.standings.reserve(backend);
        Ticket {
            backend,
            began: self.members[backend.index()].state.epoch(),
        }
    }

    /// The back end was connected (step 7): counted, the figures of the others
    /// fall, its failures are forgotten unless a `tell` came in between. Once
    /// for a ticket.
    ///
    /// Source: decay documented (7.3), the moment of it decided (5).
    pub fn connected(&mut self, ticket: &Ticket) {
        let member = &mut self.members[ticket.backend.index()];
        member.tally.total += 1;
        member.state.connected(ticket.began);
        self.standings.connected(ticket.backend);
        self.check_invariants();
    }

    /// The back end could not be reached for a client (step 6). The failure
    /// counts in any case; it says nothing about the state when a `tell` came in
    /// between.
    pub fn connect_failed(
        &mut self,
        ticket: Ticket,
        failure: ConnectFailure,
        now: Moment,
    ) -> Option<StateChange> {
        let (backend, began) = ticket.redeem();
        self.standings.unreserve(backend);
        self.members[backend.index()].tally.failures += 1;
        self.apply(backend, Event::ConnectFailed { began, failure }, now)
    }

    /// The place is given back before the back end was connected, which is not
    /// held against it.
    pub fn release(&mut self, ticket: Ticket, why: Released) {
        let (backend, _) = ticket.redeem();
        self.standings.unreserve(backend);
        if why == Released::Aborted {
            self.members[backend.index()].tally.aborted += 1;
        }
        self.check_invariants();
    }

    /// A connection that was made has ended (step 9).
    pub fn finish(&mut self, ticket: Ticket, sample: Sample) {
        let (backend, _) = ticket.redeem();
        self.standings.unreserve(backend);
        self.members[backend.index()].tally.add(&sample);
        self.standings.ended(backend, &sample);
        self.check_invariants();
    }

    /// An operator sets the state. Always gives a change, also from a state to
    /// itself; then age and reason of the state stay what they were.
    ///
    /// Source: documented (6.1, 6.2); the rest decided (14.3).
    pub fn tell(&mut self, backend: BackendId, state: ShownState, now: Moment) -> StateChange {
        let change = self.apply(backend, Event::Told(state), now);
        change.unwrap_or(StateChange {
            from: state,
            to: state,
            reason: Reason::Told,
            errno: 0,
            at: now,
        })
    }

    /// An operator gives a back end another address, for later connects and
    /// probes. Gives the old one. A probe that runs is begun again: look at
    /// [`Pool::next_probe`] afterwards.
    ///
    /// Source: documented (C05); the state is left alone, decided (6.2).
    pub fn set_server(&mut self, backend: BackendId, server: Endpoint) -> Endpoint {
        let member = &mut self.members[backend.index()];
        let planned = member.state.probe_due();
        member.state.server_changed();
        let old = std::mem::replace(&mut member.server, server);
        self.plan_probe(backend, planned);
        self.check_invariants();
        old
    }

    /// The address for the next connect or probe.
    pub fn server(&self, backend: BackendId) -> &Endpoint {
        &self.members[backend.index()].server
    }

    /// The back end as a status shows it.
    pub fn view(&self, backend: BackendId) -> BackendView {
        let (active, usage) = (
            self.standings.of(backend).active,
            self.standings.figure(backend),
        );
        self.members[backend.index()].view(active, usage)
    }

    /// When the next probe is due; it may be due already. `None` when none is
    /// planned.
    ///
    /// Source: decided (6.4).
    pub fn next_probe(&self) -> Option<Instant> {
        self.probes.first().map(|&(due, _)| due)
    }

    /// Begins the probe that has been due for the longest time; to be called
    /// until it gives `None`. There is no change when the back end was waking
    /// before, by `tell`.
    pub fn start_probe(&mut self, now: Moment) -> Option<(ProbeTicket, Option<StateChange>)> {
        let &(due, backend) = self.probes.first()?;
        if due > now.monotonic {
            return None;
        }
        let change = self.apply(backend, Event::ProbeStarted, now);
        let began = self.members[backend.index()].state.epoch();
        Some((ProbeTicket { backend, began }, change))
    }

    /// A probe ended. Its result says nothing about the state when a `tell` came
    /// in between.
    pub fn probe_ended(
        &mut self,
        ticket: ProbeTicket,
        result: Result<(), ConnectFailure>,
        now: Moment,
    ) -> Option<StateChange> {
        let (backend, began) = ticket.redeem();
        self.apply(backend, Event::ProbeEnded { began, result }, now)
    }

    /// The one way for an event to reach a state.
    fn apply(&mut self, backend: BackendId, event: Event, now: Moment) -> Option<StateChange> {
        let state = &mut self.members[backend.index()].state;
        let planned = state.probe_due();
        let change = state.apply(event, now);
        self.standings.shows(backend, state.shown());
        self.plan_probe(backend, planned);
        self.check_invariants();
        change
    }

    /// Follows the state of a back end, whose probe was `planned` before.
    fn plan_probe(&mut self, backend: BackendId, planned: Option<Instant>) {
        let due = self.members[backend.index()].state.probe_due();
        if due == planned {
            return;
        }
        if let Some(planned) = planned {
            self.probes.remove(&(planned, backend));
        }
        if let Some(due) = due {
            self.probes.insert((due, backend));
        }
    }

    /// What must hold after every call; costs nothing in a release build.
    fn check_invariants(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        self.standings.check_invariants();
        for (id, (standing, member)) in (0..).zip(self.standings.iter().zip(&self.members)) {
            let available = member.state.shown() == ShownState::Available;
            debug_assert_eq!(standing.available, available, "{member:?}");
            let planned = |due| self.probes.contains(&(due, BackendId(id)));
            let due = member.state.probe_due();
            debug_assert!(due.is_none_or(planned), "{member:?}");
            member.state.check_invariants();
        }
        let due = self
            .members
            .iter()
            .filter_map(|member| member.state.probe_due());
        debug_assert_eq!(self.probes.len(), due.count(), "{:?}", self.probes);
    }
}

fn members(settings: PoolSettings, now: Moment) -> Vec<Member> {
    let (reviving_interval, name_retry) = (settings.reviving_interval, settings.name_retry);
    let member = |backend: PoolBackend| {
        let patience = Patience {
            retries: backend.retries,
            reviving_interval,
            name_retry,
        };
        Member {
            server: backend.server,
            state: BackendState::new(patience, now),
            tally: Tally::default(),
        }
    };
    settings.backends.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin;
