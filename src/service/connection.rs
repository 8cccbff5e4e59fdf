//! A client connection from its accept to its account: the decisions behind
//! the relay engine of one worker.
//!
//! The engine carries out, this host decides. A [`Session`] holds the guards of
//! its client: the permit for the service, and from the choice of a back end on
//! the slot at that back end. Each guard undoes itself when the session is
//! dropped on whatever path.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::event::Event;
use crate::base::id::BackendId;
use crate::base::outcome::{Ended, Transfer};
use crate::base::record::Fate;
use crate::base::tap::Tapped;
use crate::policy::pool::{Released, Sample, Tried};
use crate::relay::host::{Abandoned, AttemptFailure, Host, ListenerId, Next, Plan, RelayKey};
use crate::relay::mailbox::EngineHandle;
use crate::service::gate::{NoPlace, ServicePermit};
use crate::service::programs::EndHook;
use crate::service::running::{RunningService, Shared};

mod choosing;
mod record;
mod session;

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
            let traffic = (0u32..).take(table.len()).map(BackendId);
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
            waiters: Vec::new(),
            engine: None,
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
        if let Some(by) = service.refuses(client) {
            service.counts().refused(by);
            self.shared.sink.emit(&Event::Refused {
                service: service.running.named(),
                client,
                by,
            });
            return None;
        }
        let connection = self.shared.connections.next();
        service.counts().accepted();
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
        let mut plan = Plan {
            idle_limit: None,
            traffic: Arc::default(),
            tap: None,
        };
        if let Step::Connecting(connecting) = session.take_step() {
            let mut slot = connecting.slot;
            slot.connected();
            session.note_connected(to);
            self.shared
                .sink
                .emit(&Event::Started(session.served(&slot, to)));
            let service = session.service();
            plan.idle_limit = service.running.idle_limit(slot.backend());
            plan.traffic = Arc::clone(&service.traffic[slot.backend().index()]);
            plan.tap = service.running.taps().and_then(|taps| {
                taps.tap(&Tapped {
                    backend: slot.backend(),
                    connection: session.connection,
                    client: session.client,
                    to,
                })
            });
            let end_hook = match &service.running.programs().hooks {
                Some(hooks) => {
                    hooks.started(slot.backend(), session.connection, session.client.ip())
                }
                None => EndHook::None,
            };
            session.step = Step::Serving { slot, to, end_hook };
        }
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
            Abandoned::Stopped => session.service().counts().cut(),
            Abandoned::ClientReset => self.shared.sink.emit(&Event::Aborted {
                service: session.service().running.named(),
                connection: session.connection,
                client: session.client,
            }),
        }
    }

    fn ended(&mut self, mut session: Session, transfer: Transfer) {
        let Step::Serving { slot, to, end_hook } = session.take_step() else {
            return;
        };
        if transfer.ended == Ended::Ordered {
            session.service().counts().cut();
        }
        self.shared.sink.emit(&Event::Ended {
            served: session.served(&slot, to),
            transfer,
        });
        self.close_record(&mut session, Fate::Served(transfer));
        if end_hook == EndHook::Due
            && let Some(hooks) = &session.service().running.programs().hooks
        {
            hooks.ended(slot.backend(), session.connection, session.client.ip());
        }
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

#[cfg(test)]
mod tests;
