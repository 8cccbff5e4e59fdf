//! What is kept of one client connection, and the guards it holds.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::event::{ListSide, Served};
use crate::base::id::{BackendId, ConnectionId};
use crate::base::moment::Moment;
use crate::base::record::{ChosenBy, ConnectionRecord};
use crate::base::traffic::Traffic;
use crate::policy::pool::Tried;
use crate::relay::host::{ListenerId, WebSettings};
use crate::service::connection::choosing::with_port;
use crate::service::gate::ServicePermit;
use crate::service::programs::{Asking, EndHook};
use crate::service::resolve::{Addresses, Lookup};
use crate::service::running::{Counts, RunningService};
use crate::service::table::BackendSlot;

/// A service as one worker serves it.
pub struct ServiceAtWorker {
    /// What all workers share of it.
    pub running: Arc<RunningService>,
    pub(super) worker: usize,
    /// The listener of the service.
    pub(super) listener: ListenerId,
    /// How messages are unpacked, in `type http`.
    pub(super) web: Option<Arc<WebSettings>>,
    /// Byte counters of this worker, by back end.
    pub(super) traffic: Vec<Arc<Traffic>>,
    /// What the names of back ends have resolved to, by back end.
    pub(super) known: RefCell<Vec<Option<KnownAddresses>>>,
}

/// What a name has resolved to, with and without the port of its back end.
pub(super) struct KnownAddresses {
    found: Addresses,
    port: u16,
    addresses: Arc<[SocketAddr]>,
}

impl ServiceAtWorker {
    /// Adds to the counters of this worker.
    pub(super) fn count(&self, add: impl FnOnce(&Counts)) {
        add(self.running.counts(self.worker));
        self.running.mark();
    }

    /// The addresses of `backend`: what its name has resolved to, with its port.
    /// Put together once for each answer of the resolver.
    pub(super) fn with_port(
        &self,
        backend: BackendId,
        found: Addresses,
        port: u16,
    ) -> Arc<[SocketAddr]> {
        let known = &mut self.known.borrow_mut()[backend.index()];
        if let Some(known) = known
            && Arc::ptr_eq(&known.found, &found)
            && known.port == port
        {
            return Arc::clone(&known.addresses);
        }
        let addresses = with_port(&found, port);
        *known = Some(KnownAddresses {
            found,
            port,
            addresses: Arc::clone(&addresses),
        });
        addresses
    }

    pub(super) fn refuses(&self, client: ClientAddr) -> Option<ListSide> {
        self.running.access().refuses(self.worker, client.ip())
    }
}

/// An idle client costs no more than this, besides what the engine keeps.
const _: () = assert!(size_of::<Session>() <= 208);

/// One client connection.
pub struct Session {
    pub(super) permit: ServicePermit,
    pub(super) connection: ConnectionId,
    pub(in crate::service) client: ClientAddr,
    pub(super) tried: Tried,
    pub(super) failover_until: Instant,
    /// The daemon has no means to connect anywhere; no candidate is tried any more.
    pub(super) given_up: bool,
    /// The back end that comes first for the request under way: a cookie asks
    /// for it, or it has served this client just before.
    pub(super) wanted: Option<Wanted>,
    /// The back end that served this client last, in `type http`.
    pub(super) last: Option<BackendId>,
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

/// A back end that comes before those of the dispatch mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    pub(super) backend: BackendId,
    pub(super) by: ChosenBy,
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
    pub(in crate::service) fn service(&self) -> &Rc<ServiceAtWorker> {
        self.permit.service()
    }

    /// Takes the step out, so that its slot can be consumed.
    pub(super) fn take_step(&mut self) -> Step {
        std::mem::replace(&mut self.step, Step::Choosing)
    }

    /// The back end that was chosen, if one is.
    pub(super) fn backend(&self) -> Option<BackendId> {
        match &self.step {
            Step::Serving { slot, .. } => Some(slot.backend()),
            Step::Connecting(connecting) => Some(connecting.slot.backend()),
            Step::Looking(looking) => Some(looking.slot.backend()),
            Step::Choosing | Step::Asking(_) => None,
        }
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
