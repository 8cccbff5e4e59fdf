//! The parts of a daemon, one function each, in the order in which they are
//! made.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime;
use tokio::sync::mpsc;

use super::programs::{self, Outside};
use super::{Listeners, Options, RunError, publish, segment};
use crate::base::clock::Clock;
use crate::base::event::EventSink;
use crate::base::moment::Moment;
use crate::base::tap::Taps;
use crate::config::model::{self, Config};
use crate::control::server::ControlServer;
use crate::process::identity;
use crate::relay::engine::EngineSettings;
use crate::relay::host::ListenerId;
use crate::service::gate::Descriptors;
use crate::service::resolve::{self, Resolver};
use crate::service::revival::{Prober, revive};
use crate::service::running::{RunningService, ServicePrograms, Shared};
use crate::service::table::BackendTable;
use crate::service::worker::{Report, Start, Worker};
use crate::telemetry::blocks::BlockLogs;
use crate::telemetry::log::{Log, LogSettings};

/// A worker's runtime holds four descriptors (epoll set and its copy, eventfd,
/// signals), its engine three (epoll set and its copy, eventfd).
const DESCRIPTORS_OF_A_WORKER: usize = 7;

pub(super) fn open_log(options: &Options) -> io::Result<Log> {
    Log::start(LogSettings {
        facility: options.facility,
        syslog: options.syslog.clone(),
        console: options.console,
        activity: options.activity,
        verbose: options.verbose,
        repeat: options.limits.log_repeat,
        clock: Clock::local(),
    })
}

pub(super) fn bind_control(options: &Options) -> Result<(ControlServer, String), RunError> {
    options.run_dir.ensure()?;
    let path = options.run_dir.socket_path(std::process::id())?;
    let shown = path.display().to_string();
    let server = ControlServer::bind(&path).map_err(|source| RunError::Control {
        path: shown.clone(),
        source,
    })?;
    Ok((server, shown))
}

/// The descriptors that are left for connections.
pub(super) fn descriptors(
    config: &Config,
    options: &Options,
    logs: &Option<Arc<BlockLogs>>,
) -> Result<Descriptors, RunError> {
    let limit = identity::raise_descriptor_limit()?;
    let for_logs = logs.as_ref().map_or(0, |logs| logs.descriptors());
    let to_come = config.services.len()
        + DESCRIPTORS_OF_A_WORKER * options.workers
        + programs::descriptors(config)
        + for_logs;
    let open = (identity::open_descriptors() + to_come) as u64;
    let needed = Descriptors::needed(open);
    if limit < needed {
        return Err(RunError::TooFewDescriptors { limit, needed });
    }
    Ok(Descriptors::new(limit, open))
}

/// What all services share.
pub(super) fn shared(
    options: &Options,
    descriptors: Descriptors,
    sink: Arc<dyn EventSink>,
    logs: &Option<Arc<BlockLogs>>,
) -> Shared {
    Shared {
        limits: options.limits,
        connections: Default::default(),
        descriptors: Arc::new(descriptors),
        resolver: Arc::new(Resolver::new(
            options.dns_ttl,
            options.limits.connect,
            resolve::ask_system,
            runtime::Handle::current(),
        )),
        sink,
        publisher: Default::default(),
        taps: logs.clone().map(|logs| logs as Arc<dyn Taps>),
        workers: options.workers,
        verbose: options.verbose,
        records: options.records,
        seed: Moment::now().unix ^ u64::from(std::process::id()).rotate_left(32),
        machine: programs::machine(),
    }
}

pub(super) fn make_services(
    config: &Config,
    shared: &Shared,
    outside: &Outside,
    socket: &str,
) -> Result<Vec<Arc<RunningService>>, RunError> {
    let make = |(index, service): (usize, &model::Service)| {
        let segment =
            segment::create(config, service, socket).map_err(|source| RunError::Segment {
                service: service.name.to_string(),
                source,
            })?;
        let programs = |table: &Arc<BackendTable>| {
            let ingredients = outside.ingredients(index, service, &shared.sink);
            ingredients.map_or_else(ServicePrograms::default, |ingredients| {
                let residents = outside.residents(index);
                ServicePrograms::new(&ingredients, table, residents, &shared.limits)
            })
        };
        let running = RunningService::new(service, shared, segment, programs);
        Ok(Arc::new(running))
    };
    config.services.iter().enumerate().map(make).collect()
}

pub(super) fn start_workers(
    options: &Options,
    shared: &Arc<Shared>,
    services: &[Arc<RunningService>],
    listeners: Listeners,
    reports: &mpsc::UnboundedSender<Report>,
) -> io::Result<Vec<Worker>> {
    let mut by_worker: Vec<Vec<(ListenerId, OwnedFd)>> =
        (0..options.workers).map(|_| Vec::new()).collect();
    for (service, sockets) in (0u32..).zip(listeners.0) {
        // A service with a single socket belongs to one worker; services are
        // then spread over the workers.
        let first = if sockets.len() == 1 {
            service as usize
        } else {
            0
        };
        for (step, socket) in sockets.into_iter().enumerate() {
            by_worker[(first + step) % options.workers].push((ListenerId(service), socket));
        }
    }
    let start = |(number, listeners)| {
        Worker::start(Start {
            number,
            shared: Arc::clone(shared),
            services: services.to_vec(),
            listeners,
            engine: EngineSettings {
                buffer_size: options.buffer_size,
            },
            reports: reports.clone(),
        })
    };
    by_worker.into_iter().enumerate().map(start).collect()
}

pub(super) fn remove_segments(services: &[Arc<RunningService>]) {
    services
        .iter()
        .for_each(|service| service.table().remove_segment());
}

/// Begins what goes on beside the connections: probes and publishing.
pub(super) fn begin_upkeep(services: &[Arc<RunningService>], shared: &Shared) {
    let prober = Rc::new(Prober {
        resolver: Arc::clone(&shared.resolver),
        limit: shared.limits.probe,
    });
    for service in services {
        tokio::task::spawn_local(revive(Arc::clone(service.table()), Rc::clone(&prober)));
    }
    let publisher = Arc::clone(&shared.publisher);
    tokio::task::spawn_local(publish::publish(services.to_vec(), publisher));
}
