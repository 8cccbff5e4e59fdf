//! A client connection from its accept to its account: the decisions behind
//! the relay engine of one worker.
//!
//! The engine carries out, this host decides. A [`Session`] holds the guards of
//! its client: the permit for the service, and from the choice of a back end on
//! the slot at that back end. Each guard undoes itself when the session is
//! dropped on whatever path.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::event::Event;
use crate::base::id::BackendId;
use crate::base::outcome::{Ended, Manner, Transfer};
use crate::base::record::{ChosenBy, Fate};
use crate::base::tap::Tapped;
use crate::policy::pool::{Released, Sample, Tried};
use crate::relay::host::{
    Abandoned, AttemptFailure, Host, ListenerId, Next, Plan, RelayKey, Route, WebSettings,
};
use crate::relay::http1::rewrite::Editor;
use crate::relay::mailbox::EngineHandle;
use crate::service::gate::{NoPlace, ServicePermit};
use crate::service::programs::EndHook;
use crate::service::running::{Counts, RunningService, Shared};
use crate::service::web::{Direction, Web};

mod choosing;
mod record;
mod session;
mod unpacking;

pub(super) use choosing::with_port;
use session::{Connecting, Step};
pub use session::{ServiceAtWorker, Session};

/// What a record says of a back end that might still have answered.
const GIVEN_UP: &str = "given up";

/// Decides for the clients of one worker.
pub struct WorkerHost {
    shared: Arc<Shared>,
    /// By number of the listener, which is the service's place in the file.
    services: Vec<Rc<ServiceAtWorker>>,
    /// What each of their listeners waits under when there is no place.
    waiters: Vec<(EngineHandle, ListenerId)>,
    engine: Option<EngineHandle>,
    /// Where the values of header fields are put together.
    value: Vec<u8>,
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
        let at_worker = |(number, running): (u32, &Arc<RunningService>)| {
            let table = running.table();
            let traffic = (0u32..).take(table.len()).map(BackendId);
            Rc::new(ServiceAtWorker {
                traffic: traffic
                    .map(|backend| table.traffic(backend, worker))
                    .collect(),
                running: Arc::clone(running),
                worker,
                known: RefCell::new((0..table.len()).map(|_| None).collect()),
                listener: ListenerId(number),
                web: running.web().map(Web::settings),
            })
        };
        Self {
            shared,
            services: (0..).zip(services).map(at_worker).collect(),
            waiters: Vec::new(),
            engine: None,
            value: Vec::new(),
            on_listeners_closed: Some(on_listeners_closed),
        }
    }

    /// Makes the engine known that this host decides for.
    pub fn serve(&mut self, engine: EngineHandle) {
        let numbers = (0u32..).take(self.services.len());
        let waiter = |number| (engine.clone(), ListenerId(number));
        self.waiters = numbers.map(waiter).collect();
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
}

impl Host for WorkerHost {
    type Session = Session;

    fn take_place(&mut self, listener: ListenerId) -> bool {
        let Some(waiter) = self.waiters.get(listener.0 as usize) else {
            return false;
        };
        let service = self.service(listener);
        match service.running.gate().take(waiter) {
            Ok(()) => true,
            Err(lacking) => {
                self.report_no_place(&service.running, lacking);
                false
            }
        }
    }

    fn return_place(&mut self, listener: ListenerId) {
        let running = &self.service(listener).running;
        running.gate().give_back();
        // It may have been counted among the active ones meanwhile.
        running.mark();
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
        if let Some(by) = service.refuses(client) {
            service.count(|counts| counts.refused(by));
            self.shared.sink.emit(&Event::Refused {
                service: service.running.named(),
                client,
                by,
            });
            return None;
        }
        let connection = self.shared.connections.next();
        service.count(Counts::accepted);
        if service.running.gate().is_full() {
            self.report_no_place(&service.running, NoPlace::ServiceFull);
        }
        let named = service.running.named();
        self.shared.sink.emit(&Event::Accepted {
            service: named,
            connection,
            client,
        });
        let mut session = Session {
            permit,
            connection,
            client,
            tried: Tried::default(),
            failover_until: Instant::now() + self.shared.limits.failover,
            given_up: false,
            wanted: None,
            last: None,
            step: Step::Choosing,
            record: None,
        };
        session.record = self.new_record(&session);
        Some(session)
    }

    fn may_tap(&self, session: &Session) -> bool {
        let taps = session.service().running.taps();
        taps.is_some_and(|taps| taps.may_tap(session.client))
    }

    fn next_backend(&mut self, session: &mut Session, key: RelayKey) -> Next {
        match session.take_step() {
            Step::Looking(looking) => {
                if let Some(next) = self.look_up(session, looking, key) {
                    return next;
                }
            }
            Step::Asking(asking) => {
                if let Some(next) = self.hear(session, asking, key) {
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
            Step::Asking(asking) => return self.not_heard(session, asking, &failure),
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
                session.note_failure(slot.backend(), GIVEN_UP);
                slot.released(Released::NotHeldAgainst);
            }
        }
    }

    fn connected(&mut self, session: &mut Session, to: BackendAddr) -> Plan {
        let Step::Connecting(connecting) = session.take_step() else {
            return Plan {
                idle_limit: None,
                traffic: Arc::default(),
                tap: None,
                pool: None,
            };
        };
        let mut slot = connecting.slot;
        let backend = slot.backend();
        slot.connected();
        session.note_connected(to);
        self.shared
            .sink
            .emit(&Event::Started(session.served(&slot, to)));
        let service = session.service();
        let tapped = Tapped {
            backend,
            connection: session.connection,
            client: session.client,
            to,
        };
        let taps = service.running.taps();
        let plan = Plan {
            idle_limit: service.running.idle_limit(backend),
            traffic: Arc::clone(&service.traffic[backend.index()]),
            tap: taps.and_then(|taps| taps.tap(&tapped)),
            pool: session.pool_of(backend),
        };
        let end_hook = match &service.running.programs().hooks {
            Some(hooks) => hooks.started(backend, session.connection, session.client.ip()),
            None => EndHook::None,
        };
        session.step = Step::Serving { slot, to, end_hook };
        plan
    }

    fn abandoned(&mut self, mut session: Session, why: Abandoned) {
        let released = match why {
            Abandoned::ClientReset => Released::Aborted,
            Abandoned::Stopped => Released::NotHeldAgainst,
        };
        let slot = match session.take_step() {
            Step::Connecting(Connecting { slot, .. }) => Some(slot),
            Step::Looking(looking) => Some(looking.slot),
            // An answer that nobody waits for any more is withdrawn.
            Step::Choosing | Step::Asking(_) | Step::Serving { .. } => None,
        };
        if let Some(slot) = slot {
            session.note_failure(slot.backend(), GIVEN_UP);
            slot.released(released);
        }
        let fate = match why {
            Abandoned::Stopped => Fate::Stopped,
            Abandoned::ClientReset => Fate::Aborted,
        };
        self.close_record(&mut session, fate);
        match why {
            Abandoned::Stopped => session.service().count(Counts::cut),
            Abandoned::ClientReset => self.shared.sink.emit(&Event::Aborted {
                service: session.service().running.named(),
                connection: session.connection,
                client: session.client,
            }),
        }
    }

    fn ended(&mut self, session: &mut Session, transfer: Transfer) {
        let Step::Serving { slot, to, end_hook } = session.take_step() else {
            return;
        };
        if transfer.ended == Ended::Ordered && transfer.manner != Manner::Closed {
            session.service().count(Counts::cut);
        }
        self.shared.sink.emit(&Event::Ended {
            served: session.served(&slot, to),
            transfer,
        });
        self.close_record(session, Fate::Served(transfer));
        session.last = Some(slot.backend());
        if end_hook == EndHook::Due
            && let Some(hooks) = &session.service().running.programs().hooks
        {
            hooks.ended(slot.backend(), session.connection, session.client.ip());
        }
        let unpacked = session.service().web.is_some();
        slot.finished(Sample {
            bytes: transfer.to_client + transfer.to_backend,
            duration: transfer.duration,
            // In `type http` each reply was counted when it began.
            first_byte: transfer.first_byte.filter(|_| !unpacked),
        });
    }

    fn web(&self, session: &Session) -> Option<Arc<WebSettings>> {
        session.service().web.clone()
    }

    fn route(&mut self, session: &mut Session, cookies: &mut dyn Iterator<Item = &[u8]>) -> Route {
        self.route_request(session, cookies)
    }

    fn route_again(&mut self, session: &mut Session) {
        self.begin_request(session, session.last, ChosenBy::Kept);
    }

    fn edit_request(&mut self, session: &Session, editor: &mut Editor<'_>) {
        self.edit(Direction::Request, session, editor);
    }

    fn edit_reply(&mut self, session: &Session, editor: &mut Editor<'_>) {
        self.edit(Direction::Reply, session, editor);
    }

    fn answered(&mut self, session: &mut Session, code: u16, why: &'static str) {
        self.answered_request(session, code, why);
    }

    fn left(&mut self, session: Session) {
        // Nothing is open: the guards of the session give its place back.
        drop(session);
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

    fn take_idle(&mut self) -> bool {
        self.shared.descriptors.try_take_idle()
    }

    fn return_idle(&mut self) {
        self.shared.descriptors.give_back_idle();
    }

    fn fault(&mut self, what: &str) {
        self.shared.sink.emit(&Event::Fault { what });
    }
}

#[cfg(test)]
mod tests;
