//! What is kept of one client connection, and the guards it holds.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::event::{ListSide, Served};
use crate::base::id::ConnectionId;
use crate::base::moment::Moment;
use crate::base::record::ConnectionRecord;
use crate::base::traffic::Traffic;
use crate::policy::pool::Tried;
use crate::service::gate::ServicePermit;
use crate::service::programs::{Asking, EndHook};
use crate::service::resolve::Lookup;
use crate::service::running::{Counts, RunningService};
use crate::service::table::BackendSlot;

/// A service as one worker serves it.
pub struct ServiceAtWorker {
    /// What all workers share of it.
    pub running: Arc<RunningService>,
    pub(super) worker: usize,
    /// Byte counters of this worker, by back end.
    pub(super) traffic: Vec<Arc<Traffic>>,
}

impl ServiceAtWorker {
    pub(super) fn counts(&self) -> &Counts {
        self.running.counts(self.worker)
    }

    pub(super) fn refuses(&self, client: ClientAddr) -> Option<ListSide> {
        self.running.access().refuses(self.worker, client.ip())
    }
}

/// An idle client costs no more than this, besides what the engine keeps.
const _: () = assert!(size_of::<Session>() <= 184);

/// One client connection.
pub struct Session {
    pub(super) permit: ServicePermit,
    pub(super) connection: ConnectionId,
    pub(super) client: ClientAddr,
    pub(super) tried: Tried,
    pub(super) failover_until: Instant,
    /// The daemon has no means to connect anywhere; no candidate is tried any more.
    pub(super) given_up: bool,
    pub(super) step: Step,
    /// What is written down of it, where that is asked for.
    pub(super) record: Option<Box<ConnectionRecord>>,
}

/// Where a session stands.
pub(super) enum Step {
    Choosing,
    /// Boxed: only names need it, and a session is what an idle client costs.
    Looking(Box<Looking>),
    /// A program was asked for a back end. Boxed for the same reason.
    Asking(Box<Asking>),
    Connecting(Connecting),
    Serving {
        slot: BackendSlot,
        to: BackendAddr,
        end_hook: EndHook,
    },
}

pub(super) struct Looking {
    pub(super) slot: BackendSlot,
    pub(super) lookup: Arc<Lookup>,
    pub(super) name: Arc<str>,
    pub(super) port: u16,
    pub(super) asked_at: Instant,
}

pub(super) struct Connecting {
    pub(super) slot: BackendSlot,
    /// The name that gave the addresses, if one did.
    pub(super) name: Option<Arc<str>>,
}

impl Session {
    pub(super) fn service(&self) -> &Rc<ServiceAtWorker> {
        self.permit.service()
    }

    /// Takes the step out, so that its slot can be consumed.
    pub(super) fn take_step(&mut self) -> Step {
        std::mem::replace(&mut self.step, Step::Choosing)
    }

    pub(super) fn served<'a>(&'a self, slot: &BackendSlot, to: BackendAddr) -> Served<'a> {
        Served {
            backend: self.service().running.table().at(slot.backend()),
            connection: self.connection,
            client: self.client,
            to,
            at: Moment::now(),
        }
    }
}
