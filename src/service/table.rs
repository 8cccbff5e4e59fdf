//! The one owner of what changes about the back ends of a service: a lock
//! around the pure [`Pool`], with the record in shared memory and the event of
//! every change written under that same lock.
//!
//! So a probe's result and a `tell` are ordered, and whoever reads the segment
//! after a reply sees what the reply said. The lock is held for one decision,
//! never across a wait. It goes on after a panic elsewhere: the pool checks its
//! invariants itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::base::change::{Settling, Touched};
use crate::base::endpoint::{Endpoint, Host};
use crate::base::event::{AtBackend, Event, EventSink};
use crate::base::id::BackendId;
use crate::base::moment::Moment;
use crate::base::name::{BackendName, ServiceName};
use crate::base::state::{ConnectFailure, ShownState, StateChange};
use crate::base::tap::ServiceTaps;
use crate::base::traffic::{Moved, Traffic};
use crate::policy::dispatch::Explanation;
use crate::policy::pool::{Pool, PoolSettings, ProbeTicket, Ticket, Tried};
use crate::status::publish::SegmentWriter;
use crate::status::snapshot::{BackendNumbers, Phase, ServiceNumbers};

mod slot;

pub use slot::BackendSlot;

/// What never changes about a back end while its service runs.
#[derive(Debug)]
pub struct BackendFacts {
    /// Its name.
    pub name: BackendName,
    /// Whether messages about it are logged.
    pub verbose: bool,
    /// What was moved for it, by worker.
    pub traffic: Vec<Arc<Traffic>>,
}

/// Where a back end is reached: addresses, or a name to look up first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// These addresses, in the order to try.
    Addresses(Arc<[SocketAddr]>),
    /// A name and the port that goes with what it resolves to.
    Name(Arc<str>, u16),
}

impl From<&Endpoint> for Target {
    fn from(endpoint: &Endpoint) -> Self {
        match &endpoint.host {
            Host::Ip(ip) => Self::Addresses(Arc::from([SocketAddr::new(*ip, endpoint.port)])),
            Host::Name(name) => Self::Name(Arc::clone(name), endpoint.port),
        }
    }
}

struct State {
    pool: Pool,
    targets: Vec<Target>,
    /// What the workers have moved, as far as it was looked at.
    moved: Vec<Moved>,
    settling: Settling,
    /// What stands in the segment. It is not asked itself: its records lie too
    /// far apart to look at all of them.
    published: Vec<Option<BackendNumbers>>,
    /// `None` once the segment was removed, or given up to a successor.
    segment: Option<SegmentWriter>,
}

/// The back ends of one service.
pub struct BackendTable {
    service: ServiceName,
    backends: Vec<BackendFacts>,
    state: Mutex<State>,
    /// Which back ends an operator holds down; follows `state` under its lock.
    down: Box<[AtomicBool]>,
    sink: Arc<dyn EventSink>,
    taps: Option<Arc<dyn ServiceTaps>>,
    touched: Arc<Touched>,
    revival: Notify,
}

impl BackendTable {
    /// A table of `backends`, in the order of those in `settings`.
    pub fn new(
        service: ServiceName,
        backends: Vec<BackendFacts>,
        settings: PoolSettings,
        segment: SegmentWriter,
        sink: Arc<dyn EventSink>,
    ) -> Self {
        let targets = settings
            .backends
            .iter()
            .map(|backend| (&backend.server).into())
            .collect();
        let down = settings.backends.iter().map(|_| AtomicBool::new(false));
        let down = down.collect();
        let pool = Pool::new(settings, Moment::now());
        let moved = vec![Moved::default(); backends.len()];
        let published = vec![None; backends.len()];
        Self {
            service,
            down,
            backends,
            state: Mutex::new(State {
                pool,
                targets,
                moved,
                settling: Settling::default(),
                published,
                segment: Some(segment),
            }),
            sink,
            taps: None,
            touched: Arc::default(),
            revival: Notify::new(),
        }
    }

    /// Also publishes what `taps` have lost.
    pub fn with_taps(mut self, taps: Option<Arc<dyn ServiceTaps>>) -> Self {
        self.taps = taps;
        self
    }

    /// Publishes what is moved for those in `touched`, with whose mark it says
    /// that there is something to publish.
    pub fn with_touched(mut self, touched: Arc<Touched>) -> Self {
        self.touched = touched;
        self
    }

    /// For looking.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For changing something that is published.
    fn change(&self) -> MutexGuard<'_, State> {
        let state = self.lock();
        self.touched.mark().set();
        state
    }

    /// How many back ends there are.
    pub fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whether there is none; a configuration never makes such a table.
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// The back end as events name it.
    pub fn at(&self, backend: BackendId) -> AtBackend<'_> {
        let facts = &self.backends[backend.index()];
        AtBackend {
            service: &self.service,
            name: &facts.name,
            verbose: facts.verbose,
        }
    }

    /// The counters of `backend` that `worker` adds to.
    pub fn traffic(&self, backend: BackendId, worker: usize) -> Arc<Traffic> {
        Arc::clone(&self.backends[backend.index()].traffic[worker])
    }

    /// The back end called exactly `name`.
    pub fn find(&self, name: &str) -> Option<BackendId> {
        let position = self
            .backends
            .iter()
            .position(|facts| facts.name.as_str() == name)?;
        u32::try_from(position).ok().map(BackendId)
    }

    /// Steps 4 and 5: chooses a candidate for `client` and takes a place at it.
    pub fn dispatch(
        self: &Arc<Self>,
        client: IpAddr,
        tried: &Tried,
    ) -> Option<(BackendSlot, Target)> {
        let mut state = self.change();
        let ticket = state.pool.dispatch(client, tried)?;
        let target = state.targets[ticket.backend().index()].clone();
        drop(state);
        Some((BackendSlot::reserved(Arc::clone(self), ticket), target))
    }

    /// How the back ends stand for the next choice. Another client may come in
    /// between: it is for people, not for decisions.
    pub fn explain(&self, tried: &Tried) -> Explanation {
        self.lock().pool.explain(tried)
    }

    /// The name of a back end.
    pub fn name(&self, backend: BackendId) -> &BackendName {
        &self.backends[backend.index()].name
    }

    /// Steps 4 and 5 for a back end that a program chose; `None` if it is no
    /// candidate.
    pub fn dispatch_to(
        self: &Arc<Self>,
        backend: BackendId,
        tried: &Tried,
    ) -> Option<(BackendSlot, Target)> {
        let mut state = self.change();
        let ticket = state.pool.dispatch_to(backend, tried)?;
        let target = state.targets[backend.index()].clone();
        drop(state);
        Some((BackendSlot::reserved(Arc::clone(self), ticket), target))
    }

    /// Whether a candidate is left for a client.
    pub fn has_candidates(&self, tried: &Tried) -> bool {
        self.lock().pool.has_candidates(tried)
    }

    /// Usability and connections of each back end, in order of definition.
    pub fn standings(&self) -> Vec<(bool, u64)> {
        self.lock().pool.standings().collect()
    }

    /// Usability of each back end, in order of definition.
    pub fn usable(&self) -> Vec<bool> {
        let state = self.lock();
        state.pool.standings().map(|(usable, _)| usable).collect()
    }

    /// Whether an operator holds `backend` down; takes no lock, so it may be
    /// asked for each request.
    pub fn is_down(&self, backend: BackendId) -> bool {
        self.down[backend.index()].load(Ordering::Acquire)
    }

    /// Whether `backend` may be given a connection now (6.3).
    pub fn is_usable(&self, backend: BackendId) -> bool {
        self.lock().pool.is_usable(backend)
    }

    fn connect_failed(&self, ticket: Ticket, failure: ConnectFailure) {
        let backend = ticket.backend();
        let mut state = self.change();
        let change = state.pool.connect_failed(ticket, failure, Moment::now());
        self.changed(&mut state, backend, change);
    }

    /// Publishes and reports a change, while the lock is still held.
    fn changed(&self, state: &mut State, backend: BackendId, change: Option<StateChange>) {
        let Some(change) = change else { return };
        let down = change.to == ShownState::Down;
        self.down[backend.index()].store(down, Ordering::Release);
        self.look(state, backend);
        self.write_backend(state, backend);
        self.sink.emit(&Event::StateChanged {
            backend: self.at(backend),
            change,
        });
        self.revival.notify_one();
    }

    /// An operator sets the state of a back end; gives what it was and is.
    pub fn tell_state(&self, backend: BackendId, to: ShownState) -> StateChange {
        let mut state = self.change();
        let change = state.pool.tell(backend, to, Moment::now());
        self.changed(&mut state, backend, Some(change));
        change
    }

    /// An operator gives a back end another address; gives the old one.
    pub fn tell_server(&self, backend: BackendId, server: &Endpoint) -> Endpoint {
        let mut state = self.change();
        let old = state.pool.set_server(backend, server.clone());
        state.targets[backend.index()] = server.into();
        if let Some(segment) = &mut state.segment {
            segment.set_server(backend, &server.to_string());
        }
        self.look(&mut state, backend);
        self.write_backend(&mut state, backend);
        self.sink.emit(&Event::ServerChanged {
            backend: self.at(backend),
            old: &old,
            new: server,
        });
        // A probe of the old address is void, so another is due at once.
        self.revival.notify_one();
        old
    }

    /// When the next probe is due, if any.
    pub fn next_probe(&self) -> Option<Instant> {
        self.lock().pool.next_probe()
    }

    /// Waits until something changed that may bring a probe forward.
    pub async fn revival_changed(&self) {
        self.revival.notified().await;
    }

    /// Begins the next probe that is due, with where to connect to.
    pub fn start_probe(&self) -> Option<(ProbeTicket, Target)> {
        let mut state = self.lock();
        let (ticket, change) = state.pool.start_probe(Moment::now())?;
        let backend = ticket.backend();
        let target = state.targets[backend.index()].clone();
        self.changed(&mut state, backend, change);
        Some((ticket, target))
    }

    /// Takes the result of a probe.
    pub fn probe_ended(&self, ticket: ProbeTicket, result: Result<(), ConnectFailure>) {
        let backend = ticket.backend();
        let mut state = self.change();
        self.sink.emit(&Event::Probed {
            backend: self.at(backend),
            result,
        });
        let change = state.pool.probe_ended(ticket, result, Moment::now());
        self.changed(&mut state, backend, change);
        self.revival.notify_one();
    }

    /// Step 10: writes all numbers into shared memory.
    pub fn publish(&self, service: &ServiceNumbers, heartbeat: u64) {
        let mut state = self.lock();
        if let Some(segment) = &mut state.segment {
            segment.heartbeat(heartbeat);
            segment.write_service(service);
        }
        let mut settling = std::mem::take(&mut state.settling);
        self.touched
            .take(&mut settling, |backend| self.look(&mut state, backend));
        state.settling = settling;
        for index in 0..self.backends.len() {
            self.write_backend(&mut state, BackendId(index as u32));
        }
    }

    /// Gives a sign of life: CLOCK_BOOTTIME in whole seconds.
    pub fn heartbeat(&self, boottime_secs: u64) {
        if let Some(segment) = &self.lock().segment {
            segment.heartbeat(boottime_secs);
        }
    }

    /// Looks at what the workers have moved for a back end.
    fn look(&self, state: &mut State, backend: BackendId) {
        let traffic = &self.backends[backend.index()].traffic;
        state.moved[backend.index()] = traffic.iter().map(|worker| &**worker).collect();
    }

    fn write_backend(&self, state: &mut State, backend: BackendId) {
        let numbers = Some(self.numbers(state, backend));
        let published = &mut state.published[backend.index()];
        if *published == numbers {
            return;
        }
        *published = numbers;
        if let (Some(segment), Some(numbers)) = (&mut state.segment, published) {
            segment.write_backend(backend, numbers);
        }
    }

    fn numbers(&self, state: &State, backend: BackendId) -> BackendNumbers {
        let view = state.pool.view(backend);
        let moved = state.moved[backend.index()];
        // The pool has it of plain connections, the workers have it of requests.
        let first_byte = view.first_byte_microseconds;
        let first_byte_microseconds = first_byte.saturating_add(moved.first_byte_microseconds);
        BackendNumbers {
            state: view.state,
            active: view.active,
            total: view.total,
            failures: view.failures,
            consecutive_failures: view.consecutive_failures,
            bytes_to_client: moved.to_client,
            bytes_to_backend: moved.to_backend,
            microseconds: view.microseconds,
            usage: view.usage,
            since: view.since,
            reason: view.reason,
            errno: view.errno.unsigned_abs(),
            requests: moved.requests,
            replies: moved.replies,
            first_byte_microseconds,
            aborted: view.aborted,
            log_dropped: self.taps.as_ref().map_or(0, |taps| taps.lost(backend)),
        }
    }

    /// Says in the segment what the service is doing.
    pub fn set_phase(&self, phase: Phase) {
        if let Some(segment) = &mut self.lock().segment {
            segment.set_phase(phase);
        }
    }

    /// Removes the segment; nothing is published any more.
    pub fn remove_segment(&self) {
        // Dropping it removes the object.
        drop(self.lock().segment.take());
    }
}

#[cfg(test)]
mod tests;
