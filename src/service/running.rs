//! One running service: what all workers share of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::base::change::{ChangeMark, Sleeper, Touched};
use crate::base::event::{Event, EventSink, InService, ListSide};
use crate::base::id::{BackendId, ConnectionCounter};
use crate::base::limits::Limits;
use crate::base::name::ServiceName;
use crate::base::tap::{ServiceTaps, Taps};
use crate::base::traffic::Traffic;
use crate::config::model;
use crate::policy::pool::{PoolBackend, PoolSettings};
use crate::service::access::AccessControl;
use crate::service::gate::{Descriptors, Gate};
use crate::service::programs::{Chooser, Ingredients, Machine, Residents, ServiceHooks};
use crate::service::resolve::Resolver;
use crate::service::table::{BackendFacts, BackendTable};
use crate::service::web::Web;
use crate::status::publish::SegmentWriter;
use crate::status::snapshot::{Phase, ServiceNumbers};

/// What all services of a daemon share.
pub struct Shared {
    /// The fixed limits of this run.
    pub limits: Limits,
    /// Numbers for client connections.
    pub connections: ConnectionCounter,
    /// Descriptors that connections may use.
    pub descriptors: Arc<Descriptors>,
    /// Names and their addresses.
    pub resolver: Arc<Resolver>,
    /// Who is told what happens.
    pub sink: Arc<dyn EventSink>,
    /// Who publishes the services, and may sleep while nothing changes.
    pub publisher: Arc<Sleeper>,
    /// Who gives taps for logs of traffic, if there are any.
    pub taps: Option<Arc<dyn Taps>>,
    /// How many workers there are.
    pub workers: usize,
    /// Whether every service and back end is as if it said `verbosity on`.
    pub verbose: bool,
    /// Whether a record of each client connection is kept (`-A`).
    pub records: Records,
    /// What the choice by chance begins with.
    pub seed: u64,
    /// What specifiers say about the daemon and its machine.
    pub machine: Arc<Machine>,
}

/// Whether a record of each client connection is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Records {
    /// No: nothing of it costs anything.
    #[default]
    None,
    /// Yes, and an event tells of it at its end.
    Kept,
}

/// Client connections of one worker since the start. Only that worker adds.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counts {
    accepted: AtomicU64,
    refused_deny: AtomicU64,
    refused_allow: AtomicU64,
    no_backend: AtomicU64,
    refused_requests: AtomicU64,
    failed_requests: AtomicU64,
    cut: AtomicU64,
}

fn add_one(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Counts {
    /// One more client was admitted.
    pub fn accepted(&self) {
        add_one(&self.accepted);
    }

    /// One more client was refused by this list.
    pub fn refused(&self, by: ListSide) {
        add_one(match by {
            ListSide::Deny => &self.refused_deny,
            ListSide::Allow => &self.refused_allow,
        });
    }

    /// For one more client no back end was left.
    pub fn no_backend(&self) {
        add_one(&self.no_backend);
    }

    /// One more request was answered by the daemon itself, with this code:
    /// refused as the client's fault, or else failed.
    pub fn answered(&self, code: u16) {
        add_one(match code {
            400..=499 | 505 => &self.refused_requests,
            _ => &self.failed_requests,
        });
    }

    /// One more connection was cut by a stop.
    pub fn cut(&self) {
        add_one(&self.cut);
    }
}

/// One running service.
pub struct RunningService {
    name: ServiceName,
    verbose: bool,
    mode: String,
    address: SocketAddr,
    idle_limits: Vec<Option<Duration>>,
    counts: Vec<Counts>,
    access: AccessControl,
    taps: Option<Arc<dyn ServiceTaps>>,
    gate: Gate,
    table: Arc<BackendTable>,
    programs: ServicePrograms,
    web: Option<Web>,
    /// Whether each back end has no limit of connections.
    unlimited: Vec<bool>,
    mark: Arc<ChangeMark>,
    /// Whether it was marked when it was published last; the publisher's own.
    settling: AtomicBool,
}

/// The external programs of a service.
#[derive(Default)]
pub struct ServicePrograms {
    /// The hooks of its back ends.
    pub hooks: Option<ServiceHooks>,
    /// Its external handler.
    pub chooser: Option<Chooser>,
    /// Its programs that do not end.
    pub residents: Residents,
}

impl ServicePrograms {
    /// Those of a service, its resident ones already started.
    pub fn new(
        ingredients: &Ingredients<'_>,
        table: &Arc<BackendTable>,
        residents: Residents,
        limits: &Limits,
    ) -> Self {
        let handler = residents.handler.as_ref();
        Self {
            hooks: ServiceHooks::new(ingredients, table),
            chooser: Chooser::new(ingredients, table, handler, limits.handler),
            residents,
        }
    }

    /// Has `mark` set whenever something for a program is dropped.
    fn mark_dropped(&self, mark: &Arc<ChangeMark>) {
        if let Some(hooks) = &self.hooks {
            hooks.mark_dropped(mark);
        }
        self.residents.mark_dropped(mark);
    }
}

impl RunningService {
    /// The service of `config`, published in `segment`; `programs` makes its
    /// external programs, which need its table.
    pub fn new(
        config: &model::Service,
        shared: &Shared,
        segment: SegmentWriter,
        programs: impl FnOnce(&Arc<BackendTable>) -> ServicePrograms,
    ) -> Self {
        let mark = Arc::new(ChangeMark::new(Arc::clone(&shared.publisher)));
        let touched = Touched::new(config.backends.len(), Arc::clone(&mark));
        let touched = Arc::new(touched);
        let backends = (0..).map(BackendId).zip(&config.backends);
        let backends = backends.map(|(id, backend)| BackendFacts {
            name: backend.name.clone(),
            verbose: backend.verbosity || shared.verbose,
            traffic: Traffic::of_workers(shared.workers, &touched, id),
        });
        let taps = shared.taps.as_ref();
        let taps = taps.and_then(|taps| taps.of_service(&config.name));
        let table = BackendTable::new(
            config.name.clone(),
            backends.collect(),
            pool_settings(config, shared),
            segment,
            Arc::clone(&shared.sink),
        )
        .with_taps(taps.clone())
        .with_touched(touched);
        let table = Arc::new(table);
        let programs = programs(&table);
        programs.mark_dropped(&mark);
        if let Some(taps) = &taps {
            taps.mark_losses(&mark);
        }
        let idle = config
            .backends
            .iter()
            .map(|backend| config.idle_limit(backend).duration());
        Self {
            name: config.name.clone(),
            verbose: config.verbosity || shared.verbose,
            mode: config.mode_text(),
            address: config.listen_address(),
            idle_limits: idle.collect(),
            counts: (0..shared.workers).map(|_| Counts::default()).collect(),
            access: AccessControl::new(config, shared.workers),
            taps,
            gate: Gate::new(
                config.max_connections,
                Arc::clone(&shared.descriptors),
                shared.limits.log_repeat,
            ),
            table,
            programs,
            web: Web::new(config, &shared.limits, Arc::clone(&shared.machine)),
            unlimited: config
                .backends
                .iter()
                .map(|backend| backend.max_connections.get().is_none())
                .collect(),
            mark,
            settling: AtomicBool::new(true),
        }
    }

    /// Its name.
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// The service as events name it.
    pub fn named(&self) -> InService<'_> {
        InService {
            name: &self.name,
            verbose: self.verbose,
        }
    }

    /// Its dispatch mode in full, without the command of a handler.
    pub fn mode(&self) -> &str {
        &self.mode
    }

    /// The way in.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Who may come in.
    pub fn access(&self) -> &AccessControl {
        &self.access
    }

    /// Its back ends.
    pub fn table(&self) -> &Arc<BackendTable> {
        &self.table
    }

    /// Its external programs.
    pub fn programs(&self) -> &ServicePrograms {
        &self.programs
    }

    /// What it decides about messages, in `type http`.
    pub fn web(&self) -> Option<&Web> {
        self.web.as_ref()
    }

    /// Whether idle connections to `backend` are kept for any client. Where
    /// their number is limited they stay with their client, since one that
    /// waits for nobody would take the place of one that is needed.
    pub fn keeps_idle(&self, backend: BackendId) -> bool {
        self.unlimited[backend.index()] && self.web.as_ref().is_some_and(Web::keeps_idle)
    }

    /// The counters of one worker.
    pub fn counts(&self, worker: usize) -> &Counts {
        &self.counts[worker]
    }

    /// For how long nothing may move on connections to `backend`.
    pub fn idle_limit(&self, backend: BackendId) -> Option<Duration> {
        self.idle_limits[backend.index()]
    }

    /// Who gives taps for its connections, if any of its traffic is logged.
    pub fn taps(&self) -> Option<&dyn ServiceTaps> {
        self.taps.as_deref()
    }

    /// Says that the service listens, and from which files its lists are.
    pub fn announce_listening(&self, sink: &dyn EventSink) {
        self.access.announce(self.named(), sink);
        self.table.set_phase(Phase::Listening);
        let backends = self.table.len();
        sink.emit(&Event::Listening {
            service: self.named(),
            at: self.address,
            backends,
        });
    }

    /// Says that the service has ended.
    pub fn announce_stopped(&self, sink: &dyn EventSink) {
        sink.emit(&Event::Stopped {
            service: self.named(),
            cut: self.sum(|counts| &counts.cut),
        });
    }

    /// Something that is published has changed.
    pub fn mark(&self) {
        self.mark.set();
    }

    /// Whether something changed that was not published yet.
    pub fn is_marked(&self) -> bool {
        self.mark.is_set()
    }

    /// Writes its numbers into shared memory if they may have changed; whether
    /// that was so. For the one publisher only.
    pub fn publish_changes(&self, heartbeat: u64) -> bool {
        let marked = self.mark.take();
        // A round later, for what was on its way while the mark was taken.
        let changed = self.settling.swap(marked, Ordering::Relaxed) || marked;
        if changed {
            self.publish(heartbeat);
        }
        changed
    }

    /// Step 10: writes its numbers into shared memory.
    ///
    /// `heartbeat` is CLOCK_BOOTTIME in seconds.
    pub fn publish(&self, heartbeat: u64) {
        let mut numbers = ServiceNumbers {
            active: self.gate.active(),
            accepted: self.sum(|counts| &counts.accepted),
            refused_deny: self.sum(|counts| &counts.refused_deny),
            refused_allow: self.sum(|counts| &counts.refused_allow),
            no_backend: self.sum(|counts| &counts.no_backend),
            hooks_dropped: self
                .programs
                .hooks
                .as_ref()
                .map_or(0, ServiceHooks::dropped),
            helper_dropped: self.programs.residents.dropped(),
            refused_requests: self.sum(|counts| &counts.refused_requests),
            failed_requests: self.sum(|counts| &counts.failed_requests),
            ..ServiceNumbers::default()
        };
        self.access.publish(&mut numbers);
        self.table.publish(&numbers, heartbeat);
    }

    fn sum(&self, counter: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        self.counts
            .iter()
            .map(|counts| counter(counts).load(Ordering::Relaxed))
            .sum()
    }
}

fn pool_settings(config: &model::Service, shared: &Shared) -> PoolSettings {
    let backends = config.backends.iter().map(|backend| PoolBackend {
        name: backend.name.clone(),
        server: backend.server.clone(),
        weight: backend.weight,
        decay: backend.decay,
        retries: backend.retries,
        limit: backend.max_connections,
    });
    PoolSettings {
        mode: config.dispatch,
        reviving_interval: config.reviving_interval.duration(),
        name_retry: shared.limits.name_retry,
        seed: shared.seed,
        backends: backends.collect(),
    }
}
