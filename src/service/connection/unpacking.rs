//! Step 3 in services of `type http`: where a request goes, and what the
//! daemon says and changes itself.

use std::rc::Rc;
use std::time::Instant;

use crate::base::event::Event;
use crate::base::id::BackendId;
use crate::base::record::{ChosenBy, Fate};
use crate::policy::pool::Tried;
use crate::relay::host::{PoolKey, Route};
use crate::relay::http1::rewrite::Editor;
use crate::service::connection::WorkerHost;
use crate::service::connection::session::{Session, Step, Wanted};
use crate::service::web::Direction;

impl WorkerHost {
    /// The rules of 9.5: the cookie first, then the connection that is there,
    /// then the dispatch mode.
    ///
    /// Source: decided (9.5, 9.6); that a client stays with its back end after
    /// the connection went to others, decided (`reuse safe`).
    pub(super) fn route_request(
        &self,
        session: &mut Session,
        cookies: &mut dyn Iterator<Item = &[u8]>,
    ) -> Route {
        let service = Rc::clone(session.service());
        let running = &service.running;
        let table = running.table();
        let current = match &session.step {
            Step::Serving { slot, .. } => Some(slot.backend()),
            _ => None,
        };
        let current = current.filter(|&backend| !table.is_down(backend));
        if let Some(web) = running.web()
            && web.is_sticky()
        {
            let mut wanted = web.wanted(cookies);
            // A pair that comes again is not looked at again.
            let mut seen = Tried::default();
            let good = |&backend: &BackendId| {
                let again = seen.contains(backend);
                seen.insert(backend);
                !again && (current == Some(backend) || table.is_usable(backend))
            };
            if let Some(backend) = wanted.find(good) {
                if current == Some(backend) {
                    return Route::Stay;
                }
                drop(wanted);
                self.begin_request(session, Some(backend), ChosenBy::Cookie);
                return Route::Choose;
            }
        }
        if current.is_some() {
            return Route::Stay;
        }
        // One that was told `down` meanwhile serves nobody any more.
        let last = session
            .last
            .filter(|_| !matches!(session.step, Step::Serving { .. }));
        let last = last.filter(|&backend| session.pool_of(backend).is_some());
        self.begin_request(session, last, ChosenBy::Kept);
        Route::Choose
    }

    /// A request needs a back end: every one of them may be tried once.
    pub(super) fn begin_request(
        &self,
        session: &mut Session,
        wanted: Option<BackendId>,
        by: ChosenBy,
    ) {
        session.wanted = wanted.map(|backend| Wanted { backend, by });
        session.tried = Tried::default();
        session.failover_until = Instant::now() + self.shared.limits.failover;
        session.given_up = false;
        if session.record.is_none() {
            session.record = self.new_record(session);
        }
    }

    /// Applies the header directives of the back end that serves `session`.
    pub(super) fn edit(
        &mut self,
        direction: Direction,
        session: &Session,
        editor: &mut Editor<'_>,
    ) {
        let running = &session.service().running;
        if let (Some(web), Some(backend)) = (running.web(), session.backend()) {
            web.edit(direction, backend, session, editor, &mut self.value);
        }
    }

    /// The daemon has answered a request itself.
    pub(super) fn answered_request(&self, session: &mut Session, code: u16, why: &'static str) {
        let service = session.service();
        service.count(|counts| counts.answered(code));
        let running = &service.running;
        let by = session.last.filter(|_| matches!(code, 502 | 504));
        self.shared.sink.emit(&Event::Answered {
            service: running.named(),
            by: by.map(|backend| running.table().at(backend)),
            connection: session.connection,
            client: session.client,
            code,
            why,
        });
        // Of a client without a back end that was told already.
        if code != 503 && session.record.is_none() {
            session.record = self.new_record(session);
        }
        self.close_record(session, Fate::Answered(code));
    }
}

impl Session {
    /// Where idle connections to `backend` are kept for any client, if they are.
    pub(super) fn pool_of(&self, backend: BackendId) -> Option<PoolKey> {
        let service = self.service();
        service.running.keeps_idle(backend).then_some(PoolKey {
            listener: service.listener,
            backend,
        })
    }
}
