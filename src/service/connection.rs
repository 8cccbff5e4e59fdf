//! A client connection from its accept to its account: the decisions behind
//! the relay engine of one worker.
//!
//! The engine carries out, this host decides. A [`Session`] holds the guards of
//! its client: the permit for the service, and from the choice of a back end on
//! the slot at that back end. Each guard undoes itself when the session is
//! dropped on whatever path.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::event::{Event, Served};
use crate::base::id::ConnectionId;
use crate::base::moment::Moment;
use crate::base::outcome::{Ended, Transfer};
use crate::base::state::{ConnectFailure, Reason};
use crate::base::traffic::Traffic;
use crate::policy::pool::{Released, Sample, Tried};
use crate::relay::host::{
    Abandoned, Attempt, AttemptFailure, Host, ListenerId, Next, Plan, RelayKey,
};
use crate::relay::mailbox::EngineHandle;
use crate::service::gate::{NoPlace, ServicePermit};
use crate::service::resolve::{Addresses, Lookup, Resolved};
use crate::service::running::{Counts, RunningService, Shared};
use crate::service::table::{BackendSlot, Target};

/// A service as one worker serves it.
pub struct ServiceAtWorker {
    /// What all workers share of it.
    pub running: Arc<RunningService>,
    worker: usize,
    /// Byte counters of this worker, by back end.
    traffic: Vec<Arc<Traffic>>,
}

impl ServiceAtWorker {
    fn counts(&self) -> &Counts {
        self.running.counts(self.worker)
    }
}

/// Decides for the clients of one worker.
pub struct WorkerHost {
    shared: Arc<Shared>,
    /// By number of the listener, which is the service's place in the file.
    services: Vec<Rc<ServiceAtWorker>>,
    engine: Option<EngineHandle>,
    on_listeners_closed: Option<Box<dyn FnOnce()>>,
}

impl WorkerHost {
    /// The host of `worker`; `on_listeners_closed` is called when a stop has
    /// closed all its listeners.
    pub fn new(
        shared: Arc<Shared>,
        services: &[Arc<RunningService>],
        worker: usize,
        on_listeners_closed: Box<dyn FnOnce()>,
    ) -> Self {
        let at_worker = |running: &Arc<RunningService>| {
            let table = running.table();
            let traffic = (0u32..).take(table.len()).map(crate::base::id::BackendId);
            Rc::new(ServiceAtWorker {
                traffic: traffic
                    .map(|backend| table.traffic(backend, worker))
                    .collect(),
                running: Arc::clone(running),
                worker,
            })
        };
        Self {
            shared,
            services: services.iter().map(at_worker).collect(),
            engine: None,
            on_listeners_closed: Some(on_listeners_closed),
        }
    }

    /// Makes the engine known that this host decides for.
    pub fn serve(&mut self, engine: EngineHandle) {
        self.engine = Some(engine);
    }

    fn service(&self, listener: ListenerId) -> &Rc<ServiceAtWorker> {
        &self.services[listener.0 as usize]
    }

    fn report_no_place(&self, service: &RunningService, lacking: NoPlace) {
        if !service.gate().begins_episode(lacking) {
            return;
        }
        let named = service.named();
        self.shared.sink.emit(&match lacking {
            NoPlace::ServiceFull => Event::ServiceFull {
                service: named,
                limit: service.gate().limit(),
            },
            NoPlace::OutOfDescriptors => Event::OutOfDescriptors { service: named },
        });
    }

    /// Ends a session for which no candidate is left.
    fn no_backend(&self, session: &mut Session) -> Next {
        session.step = Step::Choosing;
        session.service().counts().no_backend();
        let service = session.service().running.named();
        self.shared.sink.emit(&Event::NoBackend {
            service,
            client: session.client,
        });
        Next::Close
    }

    /// Step 6 with addresses at hand.
    fn connect(&self, session: &mut Session, to: Connecting) -> Next {
        let fail_at = to.since + self.shared.limits.connect;
        let addresses = Arc::clone(&to.addresses);
        session.step = Step::Connecting(to);
        Next::Connect(Attempt {
            addresses,
            fail_at,
            give_up_at: session.failover_until,
        })
    }

    /// Step 6 with a name: its addresses, or a look-up to wait for.
    fn look_up(&self, session: &mut Session, looking: Looking, key: RelayKey) -> Option<Next> {
        if let Some((since, answer)) = looking.lookup.outcome() {
            return self.looked_up(session, looking, since, answer);
        }
        if let Some(engine) = &self.engine {
            looking.lookup.notify(engine.clone(), key);
        }
        session.step = Step::Looking(looking);
        Some(Next::Wait {
            give_up_at: session.failover_until,
        })
    }

    /// `None`: the name does not resolve, and another candidate is to be tried.
    fn looked_up(
        &self,
        session: &mut Session,
        looking: Looking,
        since: Instant,
        answer: Option<Addresses>,
    ) -> Option<Next> {
        let Some(found) = answer else {
            let failure = ConnectFailure {
                reason: Reason::NameDoesNotResolve,
                errno: 0,
            };
            self.held_against(session, looking.slot, failure);
            return None;
        };
        // A look-up may have begun before this client asked; its time counts
        // from when both were there.
        let since = since.max(looking.asked_at);
        let connecting = Connecting {
            addresses: with_port(&found, looking.port),
            slot: looking.slot,
            name: Some(looking.name),
            since,
        };
        Some(self.connect(session, connecting))
    }

    fn held_against(&self, session: &Session, slot: BackendSlot, failure: ConnectFailure) {
        let table = session.service().running.table();
        self.shared.sink.emit(&Event::ConnectFailed {
            backend: table.at(slot.backend()),
            connection: session.connection,
            failure,
        });
        slot.failed(failure);
    }

    /// The daemon's own side failed: told, but not held against the back end.
    fn failed_here(
        &self,
        session: &Session,
        slot: BackendSlot,
        to: Option<BackendAddr>,
        error: &io::Error,
    ) {
        let backend = session.service().running.table().at(slot.backend());
        self.shared
            .sink
            .emit(&Event::CannotConnectFromHere { backend, to, error });
        slot.released(Released::NotHeldAgainst);
    }

    /// Steps 4 and 5, and the beginning of 6. `None`: try the next candidate.
    fn try_next(&self, session: &mut Session, key: RelayKey) -> Option<Next> {
        let now = Instant::now();
        if session.given_up || now >= session.failover_until {
            return Some(self.no_backend(session));
        }
        let table = Arc::clone(session.service().running.table());
        let Some((slot, target)) = table.dispatch(session.client.ip(), &session.tried) else {
            return Some(self.no_backend(session));
        };
        session.tried.insert(slot.backend());
        match target {
            Target::Addresses(addresses) => {
                let to = Connecting {
                    slot,
                    addresses,
                    name: None,
                    since: now,
                };
                Some(self.connect(session, to))
            }
            Target::Name(name, port) => match self.shared.resolver.resolve(&name) {
                Resolved::Known(found) => {
                    let addresses = with_port(&found, port);
                    let to = Connecting {
                        slot,
                        addresses,
                        name: Some(name),
                        since: now,
                    };
                    Some(self.connect(session, to))
                }
                Resolved::Asked(lookup) => {
                    let looking = Looking {
                        slot,
                        lookup,
                        name,
                        port,
                        asked_at: now,
                    };
                    self.look_up(session, looking, key)
                }
            },
        }
    }
}

/// The addresses of a look-up with the port of the back end.
pub(super) fn with_port(addresses: &[IpAddr], port: u16) -> Arc<[SocketAddr]> {
    addresses
        .iter()
        .map(|ip| SocketAddr::new(*ip, port))
        .collect()
}

/// One client connection.
pub struct Session {
    permit: ServicePermit,
    connection: ConnectionId,
    client: ClientAddr,
    tried: Tried,
    failover_until: Instant,
    /// The daemon has no means to connect anywhere; no candidate is tried any more.
    given_up: bool,
    step: Step,
}

/// Where a session stands.
enum Step {
    Choosing,
    Looking(Looking),
    Connecting(Connecting),
    Serving { slot: BackendSlot, to: BackendAddr },
}

struct Looking {
    slot: BackendSlot,
    lookup: Arc<Lookup>,
    name: Arc<str>,
    port: u16,
    asked_at: Instant,
}

struct Connecting {
    slot: BackendSlot,
    addresses: Arc<[SocketAddr]>,
    name: Option<Arc<str>>,
    since: Instant,
}

impl Session {
    fn service(&self) -> &Rc<ServiceAtWorker> {
        self.permit.service()
    }

    /// Takes the step out, so that its slot can be consumed.
    fn take_step(&mut self) -> Step {
        std::mem::replace(&mut self.step, Step::Choosing)
    }

    fn served<'a>(&'a self, slot: &BackendSlot, to: BackendAddr) -> Served<'a> {
        Served {
            backend: self.service().running.table().at(slot.backend()),
            connection: self.connection,
            client: self.client,
            to,
            at: Moment::now(),
        }
    }
}

impl Host for WorkerHost {
    type Session = Session;

    fn take_place(&mut self, listener: ListenerId) -> bool {
        let Some(engine) = &self.engine else {
            return false;
        };
        let service = self.service(listener);
        match service.running.gate().take(&(engine.clone(), listener)) {
            Ok(()) => true,
            Err(lacking) => {
                self.report_no_place(&service.running, lacking);
                false
            }
        }
    }

    fn return_place(&mut self, listener: ListenerId) {
        self.service(listener).running.gate().give_back();
    }

    fn accept_failed(&mut self, listener: ListenerId, error: &io::Error) {
        let service = &self.service(listener).running;
        self.shared.sink.emit(&Event::CannotAccept {
            service: service.named(),
            error,
        });
    }

    fn admit(&mut self, listener: ListenerId, client: ClientAddr) -> Option<Session> {
        let service = self.service(listener);
        let permit = ServicePermit::of_taken(Rc::clone(service));
        let connection = self.shared.connections.next();
        service.counts().accepted();
        let named = service.running.named();
        self.shared.sink.emit(&Event::Accepted {
            service: named,
            connection,
            client,
        });
        Some(Session {
            permit,
            connection,
            client,
            tried: Tried::default(),
            failover_until: Instant::now() + self.shared.limits.failover,
            given_up: false,
            step: Step::Choosing,
        })
    }

    fn next_backend(&mut self, session: &mut Session, key: RelayKey) -> Next {
        match session.take_step() {
            Step::Looking(looking) => {
                if let Some(next) = self.look_up(session, looking, key) {
                    return next;
                }
            }
            other => session.step = other,
        }
        loop {
            if let Some(next) = self.try_next(session, key) {
                return next;
            }
        }
    }

    fn connect_failed(&mut self, session: &mut Session, failure: AttemptFailure) {
        let (slot, name) = match session.take_step() {
            Step::Connecting(to) => (to.slot, to.name),
            Step::Looking(looking) => (looking.slot, None),
            Step::Choosing | Step::Serving { .. } => return,
        };
        match failure {
            AttemptFailure::Backend(failure) => {
                if let Some(name) = name {
                    self.shared.resolver.forget(&name);
                }
                self.held_against(session, slot, failure);
            }
            AttemptFailure::NoWay { to, error } => {
                self.failed_here(session, slot, Some(to), &error);
            }
            AttemptFailure::NoResources(error) => {
                session.given_up = true;
                self.failed_here(session, slot, None, &error);
            }
            AttemptFailure::OutOfTime => {
                session.given_up = true;
                slot.released(Released::NotHeldAgainst);
            }
        }
    }

    fn connected(&mut self, session: &mut Session, to: BackendAddr) -> Plan {
        let mut plan = Plan {
            idle_limit: None,
            traffic: Arc::default(),
        };
        if let Step::Connecting(connecting) = session.take_step() {
            let mut slot = connecting.slot;
            slot.connected();
            self.shared
                .sink
                .emit(&Event::Started(session.served(&slot, to)));
            let service = session.service();
            plan.idle_limit = service.running.idle_limit(slot.backend());
            plan.traffic = Arc::clone(&service.traffic[slot.backend().index()]);
            session.step = Step::Serving { slot, to };
        }
        plan
    }

    fn abandoned(&mut self, mut session: Session, why: Abandoned) {
        let released = match why {
            Abandoned::ClientReset => Released::Aborted,
            Abandoned::Stopped => Released::NotHeldAgainst,
        };
        match session.take_step() {
            Step::Connecting(Connecting { slot, .. }) | Step::Looking(Looking { slot, .. }) => {
                slot.released(released);
            }
            Step::Choosing | Step::Serving { .. } => {}
        }
        match why {
            Abandoned::Stopped => session.service().counts().cut(),
            Abandoned::ClientReset => self.shared.sink.emit(&Event::Aborted {
                service: session.service().running.named(),
                connection: session.connection,
                client: session.client,
            }),
        }
    }

    fn ended(&mut self, mut session: Session, transfer: Transfer) {
        let Step::Serving { slot, to } = session.take_step() else {
            return;
        };
        if transfer.ended == Ended::Ordered {
            session.service().counts().cut();
        }
        self.shared.sink.emit(&Event::Ended {
            served: session.served(&slot, to),
            transfer,
        });
        slot.finished(Sample {
            bytes: transfer.to_client + transfer.to_backend,
            duration: transfer.duration,
            first_byte: transfer.first_byte,
        });
    }

    fn listeners_closed(&mut self) {
        if let Some(report) = self.on_listeners_closed.take() {
            report();
        }
    }

    fn take_pipe(&mut self) -> bool {
        self.shared.descriptors.try_take_pipe()
    }

    fn return_pipe(&mut self) {
        self.shared.descriptors.give_back_pipe();
    }

    fn fault(&mut self, what: &str) {
        self.shared.sink.emit(&Event::Fault { what });
    }
}
