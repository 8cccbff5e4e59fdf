//! Steps 4 to 6 of a client connection: choose, reserve, connect; and what a
//! failure of them means.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::base::endpoint::BackendAddr;
use crate::base::event::Event;
use crate::base::record::{ChosenBy, Fate};
use crate::base::state::{ConnectFailure, Reason};
use crate::policy::pool::Released;
use crate::relay::host::{Attempt, AttemptFailure, Next, Order, RelayKey};
use crate::service::connection::WorkerHost;
use crate::service::connection::session::{Connecting, Looking, Session, Step, Wanted};
use crate::service::programs::{Asking, Chooser, NotChosen};
use crate::service::resolve::{Addresses, Resolved};
use crate::service::running::{Counts, RunningService};
use crate::service::table::{BackendSlot, Target};

impl WorkerHost {
    /// Ends a session for which no candidate is left.
    pub(super) fn no_backend(&self, session: &mut Session) -> Next {
        session.step = Step::Choosing;
        session.service().count(Counts::no_backend);
        let service = session.service().running.named();
        self.shared.sink.emit(&Event::NoBackend {
            service,
            client: session.client,
        });
        self.close_record(session, Fate::NoBackend);
        Next::Close
    }

    /// Step 6 with addresses at hand; the time for it runs since `since`.
    fn connect(
        &self,
        session: &mut Session,
        to: Connecting,
        addresses: Arc<[SocketAddr]>,
        since: Instant,
    ) -> Next {
        let pool = session.pool_of(to.slot.backend());
        session.step = Step::Connecting(to);
        Next::Connect(Attempt {
            addresses,
            fail_at: since + self.shared.limits.connect,
            give_up_at: session.failover_until,
            pool,
        })
    }

    /// What a look-up has found, or that it is to be waited for.
    pub(super) fn look_up(
        &self,
        session: &mut Session,
        looking: Box<Looking>,
        key: RelayKey,
    ) -> Option<Next> {
        if let Some((since, answer)) = looking.lookup.outcome() {
            return self.looked_up(session, *looking, since, answer);
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
        let addresses = with_port(&found, looking.port);
        let to = Connecting {
            slot: looking.slot,
            name: Some(looking.name),
        };
        Some(self.connect(session, to, addresses, since))
    }

    pub(super) fn held_against(
        &self,
        session: &mut Session,
        slot: BackendSlot,
        failure: ConnectFailure,
    ) {
        let table = session.service().running.table();
        self.shared.sink.emit(&Event::ConnectFailed {
            backend: table.at(slot.backend()),
            connection: session.connection,
            client: session.client,
            failure,
        });
        let backend = slot.backend();
        session.note_failure(backend, failure.reason.name());
        slot.failed(failure);
        // The state has changed before a hook asks for it.
        if let Some(hooks) = &session.service().running.programs().hooks {
            hooks.failed(backend, session.connection, session.client.ip());
        }
    }

    /// The daemon's own side failed: told, but not held against the back end.
    pub(super) fn failed_here(
        &self,
        session: &mut Session,
        slot: BackendSlot,
        to: Option<BackendAddr>,
        error: &io::Error,
    ) {
        let backend = session.service().running.table().at(slot.backend());
        self.shared
            .sink
            .emit(&Event::CannotConnectFromHere { backend, to, error });
        session.note_failure(slot.backend(), "not from here");
        slot.released(Released::NotHeldAgainst);
    }

    /// Steps 4 and 5, and the beginning of 6. `None`: try the next candidate.
    pub(super) fn try_next(&self, session: &mut Session, key: RelayKey) -> Option<Next> {
        let now = Instant::now();
        if session.given_up || now >= session.failover_until {
            return Some(self.no_backend(session));
        }
        let service = Rc::clone(session.service());
        let running = &service.running;
        if let Some(Wanted { backend, by }) = session.wanted.take()
            && let why = session.explanation()
            && let Some(chosen) = running.table().dispatch_to(backend, &session.tried)
        {
            session.note_choice(backend, by, why.as_ref());
            return self.take(session, Some(chosen), key);
        }
        if let Some(chooser) = &running.programs().chooser {
            return self.ask(session, chooser, key);
        }
        self.choose(session, ChosenBy::Mode, key)
    }

    /// Steps 4 and 5 by the dispatch mode, or by what stands in for it.
    fn choose(&self, session: &mut Session, by: ChosenBy, key: RelayKey) -> Option<Next> {
        let why = session.explanation();
        let chosen = session
            .service()
            .running
            .table()
            .dispatch(session.client.ip(), &session.tried);
        if let Some((slot, _)) = &chosen {
            session.note_choice(slot.backend(), by, why.as_ref());
        }
        self.take(session, chosen, key)
    }

    /// Step 4 with a handler: asks it.
    fn ask(&self, session: &mut Session, chooser: &Chooser, key: RelayKey) -> Option<Next> {
        let engine = self.engine.clone();
        let wake = Box::new(move || {
            if let Some(engine) = engine {
                engine.send(Order::Continue(key));
            }
        });
        let asking = chooser.ask(session.connection, session.client, &session.tried, wake);
        match asking {
            Some(asking) => self.hear(session, Box::new(asking), key),
            None => Some(self.no_backend(session)),
        }
    }

    /// What a handler says, or that it is to be waited for.
    pub(super) fn hear(
        &self,
        session: &mut Session,
        asking: Box<Asking>,
        key: RelayKey,
    ) -> Option<Next> {
        let Some(answer) = asking.answer() else {
            let give_up_at = asking.until.min(session.failover_until);
            session.step = Step::Asking(asking);
            return Some(Next::Wait { give_up_at });
        };
        let running = Arc::clone(&session.service().running);
        let standing = session.explanation();
        match self.chosen(session, &running, answer) {
            Ok(chosen) => {
                let backend = chosen.0.backend();
                session.note_choice(backend, ChosenBy::Handler, standing.as_ref());
                self.take(session, Some(chosen), key)
            }
            Err(why) => {
                self.shared.sink.emit(&Event::HandlerFailed {
                    service: running.named(),
                    reason: why.reason(),
                });
                self.choose(session, ChosenBy::FallBack, key)
            }
        }
    }

    /// The place at the back end that a handler names.
    fn chosen(
        &self,
        session: &Session,
        running: &RunningService,
        answer: Result<Vec<u8>, NotChosen>,
    ) -> Result<(BackendSlot, Target), NotChosen> {
        let name = answer?;
        let chooser = running.programs().chooser.as_ref();
        let backend = chooser.ok_or(NotChosen::Unknown)?.named(&name)?;
        if session.tried.contains(backend) {
            return Err(NotChosen::Tried);
        }
        let chosen = running.table().dispatch_to(backend, &session.tried);
        chosen.ok_or(NotChosen::NotUsable)
    }

    /// A wait for a handler has ended without its answer.
    pub(super) fn not_heard(
        &self,
        session: &mut Session,
        asking: Box<Asking>,
        failure: &AttemptFailure,
    ) {
        if matches!(failure, AttemptFailure::OutOfTime) && Instant::now() < session.failover_until {
            // Only the time of the handler is over: `hear` finds that out.
            session.step = Step::Asking(asking);
        } else {
            session.given_up = true;
        }
    }

    /// Step 5 is done, if a candidate was left; step 6 begins. `None`: try the
    /// next candidate.
    fn take(
        &self,
        session: &mut Session,
        chosen: Option<(BackendSlot, Target)>,
        key: RelayKey,
    ) -> Option<Next> {
        let Some((slot, target)) = chosen else {
            return Some(self.no_backend(session));
        };
        let now = Instant::now();
        session.tried.insert(slot.backend());
        match target {
            Target::Addresses(addresses) => {
                let to = Connecting { slot, name: None };
                Some(self.connect(session, to, addresses, now))
            }
            Target::Name(name, port) => self.resolve(session, slot, (name, port), key),
        }
    }

    /// Step 6 with a name: known addresses, or a look-up.
    fn resolve(
        &self,
        session: &mut Session,
        slot: BackendSlot,
        (name, port): (Arc<str>, u16),
        key: RelayKey,
    ) -> Option<Next> {
        let asked_at = Instant::now();
        match self.shared.resolver.resolve(&name) {
            Resolved::Known(found) => {
                let addresses = session.service().with_port(slot.backend(), found, port);
                let name = Some(name);
                Some(self.connect(session, Connecting { slot, name }, addresses, asked_at))
            }
            Resolved::Asked(lookup) => {
                let looking = Looking {
                    slot,
                    lookup,
                    name,
                    port,
                    asked_at,
                };
                self.look_up(session, Box::new(looking), key)
            }
        }
    }
}

/// The addresses of a look-up with the port of the back end.
pub(in crate::service) fn with_port(addresses: &[IpAddr], port: u16) -> Arc<[SocketAddr]> {
    addresses
        .iter()
        .map(|ip| SocketAddr::new(*ip, port))
        .collect()
}
