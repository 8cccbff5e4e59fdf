//! Builds the rooms, joins them, and drains them at the end.
//!
//! [`listen`] binds before the process detaches, [`run`] does the rest: the
//! main thread gets a runtime for signals, the control socket, probes, look-ups
//! and publishing; each worker is a thread of its own. What `run` made is gone
//! when it returns, on success and on failure.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::MissedTickBehavior;

use crate::base::clock::Clock;
use crate::base::event::EventSink;
use crate::base::limits::Limits;
use crate::base::moment::Moment;
use crate::base::tap::Taps;
use crate::config::model::{self, Config};
use crate::control::rundir::{RunDir, RunDirError};
use crate::control::server::ControlServer;
use crate::process::account::AccountError;
use crate::process::identity;
use crate::process::signals::Signals;
use crate::relay::engine::EngineSettings;
use crate::relay::host::ListenerId;
use crate::service::gate::Descriptors;
use crate::service::listener::{self, Claim, ListenError};
use crate::service::resolve::{self, Resolver};
use crate::service::revival::{Prober, revive};
pub(crate) use crate::service::running::Records;
use crate::service::running::{RunningService, ServicePrograms, Shared};
use crate::service::table::BackendTable;
use crate::service::worker::{Report, Start, Worker};
use crate::status::owner;
use crate::status::publish::CreateError;
use crate::telemetry::blocks::BlockLogs;
use crate::telemetry::console::Console;
use crate::telemetry::level::Facility;
use crate::telemetry::log::{Log, LogSettings};

mod drain;
mod logs;
mod orders;
mod programs;
mod reload;
mod segment;

use programs::Outside;
use reload::Reload;

/// How often the numbers in shared memory are renewed: at least every 200 ms
/// (14.3), with room for a tick that comes late.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(150);

/// A worker's runtime holds four descriptors (epoll set and its copy, eventfd,
/// signals), its engine three (epoll set and its copy, eventfd).
const DESCRIPTORS_OF_A_WORKER: usize = 7;

/// How many descriptors stay free beside [`Places`], for asking the old daemon
/// to give way.
const SPARE_DESCRIPTORS: usize = 32;

/// What the command line says about a daemon.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Number of worker threads, at least 1.
    pub(crate) workers: usize,
    /// Size of a worker's network buffer in bytes.
    pub(crate) buffer_size: usize,
    /// How long an answer of the resolver is kept.
    pub(crate) dns_ttl: Duration,
    /// The fixed limits; the grace of a SIGTERM among them.
    pub(crate) limits: Limits,
    /// Whether start and end of every connection are logged.
    pub(crate) activity: bool,
    /// Whether a line of JSON is logged for every connection.
    pub(crate) records: Records,
    /// Facility for syslog.
    pub(crate) facility: Facility,
    /// Whether every block is as if it said `verbosity on`.
    pub(crate) verbose: bool,
    /// Whether and how messages also go to stderr.
    pub(crate) console: Console,
    /// Where the control socket lies.
    pub(crate) run_dir: RunDir,
    /// Socket of the syslog service, if not the system's.
    pub(crate) syslog: Option<PathBuf>,
}

/// The listening sockets of all services, in order of the file.
pub(crate) struct Listeners(Vec<Vec<OwnedFd>>);

/// Why a daemon did not begin to serve, or ended without being told.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// A runtime, thread or epoll set could not be made.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The control socket could not be made.
    #[error("cannot make the control socket {path}: {source}")]
    Control {
        /// Its path.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The directory of the control socket is not fit.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The limit of open files leaves nothing for a client.
    #[error(
        "a limit of {limit} open files leaves none for clients; \
         raise it to at least {needed} (ulimit -n), or use fewer workers (-w)"
    )]
    TooFewDescriptors {
        /// The limit.
        limit: u64,
        /// What one client at a time needs.
        needed: u64,
    },
    /// The programs of a service cannot run as its account.
    #[error("service {service}: {source}")]
    Account {
        /// Name of the service.
        service: String,
        /// Why.
        source: AccountError,
    },
    /// The shared memory of a service could not be made.
    #[error("service {service}: {source}")]
    Segment {
        /// Name of the service.
        service: String,
        /// What is in the way.
        source: CreateError,
    },
}

/// Listening sockets beside those of the daemon that is being replaced, by
/// their addresses. Clients that reach them wait until the new daemon accepts.
#[derive(Default)]
pub(crate) struct Places(HashMap<SocketAddr, Vec<OwnedFd>>);

/// Takes places beside a running daemon that listens on `old`, for all
/// services that stay where they were. What cannot be had is left to
/// [`listen`], when the old daemon has gone.
pub(crate) fn listen_beside(config: &Config, options: &Options, old: &[SocketAddr]) -> Places {
    let count = listener::sockets_for_each(config.services.len(), options.workers);
    let staying = || {
        let services = config.services.iter();
        services.filter(|service| old.contains(&service.listen_address()))
    };
    let limit = identity::raise_descriptor_limit().unwrap_or(0);
    let needed = identity::open_descriptors() + staying().count() * count + SPARE_DESCRIPTORS;
    if needed as u64 > limit {
        return Places::default();
    }
    let opened = staying().filter_map(|service| {
        let sockets = listener::Listeners::open(service, count, Claim::Beside).ok()?;
        Some((service.listen_address(), sockets.into_sockets()))
    });
    Places(opened.collect())
}

/// Binds and listens for all services that have no place yet.
///
/// # Errors
///
/// One [`ListenError`] for each service that cannot listen; then none does.
pub(crate) fn listen(
    config: &Config,
    options: &Options,
    mut places: Places,
) -> Result<Listeners, Vec<ListenError>> {
    let count = listener::sockets_for_each(config.services.len(), options.workers);
    let (mut opened, mut errors) = (Vec::new(), Vec::new());
    for service in &config.services {
        if let Some(sockets) = places.0.remove(&service.listen_address()) {
            opened.push(sockets);
            continue;
        }
        match listener::Listeners::open(service, count, Claim::Alone) {
            Ok(sockets) => opened.push(sockets.into_sockets()),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(Listeners(opened))
    } else {
        Err(errors)
    }
}

/// Serves until told to stop. Call it after detaching; `ready` is called when
/// all services accept clients.
///
/// # Errors
///
/// [`RunError`] when something could not be made; then `ready` was not called.
pub(crate) fn run(
    config: &Config,
    options: &Options,
    listeners: Listeners,
    ready: impl FnOnce(),
) -> Result<(), RunError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        // One for access lists, beside the look-ups.
        .max_blocking_threads(resolve::MAX_RUNNING + 1)
        .build()?;
    let tasks = LocalSet::new();
    let result = runtime.block_on(tasks.run_until(async {
        let daemon = Daemon::build(config, options, listeners)?;
        ready();
        daemon.serve().await;
        Ok(())
    }));
    drop(tasks);
    // A look-up that hangs must not hold up the end.
    runtime.shutdown_background();
    result
}

/// A daemon that serves.
struct Daemon {
    services: Vec<Arc<RunningService>>,
    workers: Vec<Worker>,
    reports: UnboundedReceiver<Report>,
    orders: UnboundedReceiver<orders::Stop>,
    signals: Signals,
    reload: Reload,
    sink: Arc<dyn EventSink>,
    grace: Duration,
    control: ControlTask,
    outside: Outside,
    logs: Option<Arc<BlockLogs>>,
}

/// The task that serves the control socket, and what ends it.
struct ControlTask {
    end: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl ControlTask {
    fn begin(server: ControlServer, told: orders::Told, limit: Duration) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        // A sender that is gone means the same as one that said so.
        let ended = async move {
            let _ = ended.await;
        };
        let task = tokio::task::spawn_local(server.serve_until(Rc::new(told), limit, ended));
        Self { end, task }
    }

    /// Lets replies under way finish and removes the socket.
    async fn end(self) {
        drop(self.end);
        // What went wrong there does not concern the end of the daemon.
        let _ = self.task.await;
    }
}

impl Daemon {
    fn build(config: &Config, options: &Options, listeners: Listeners) -> Result<Self, RunError> {
        let signals = Signals::listen()?;
        let log: Arc<dyn EventSink> = Arc::new(open_log(options)?);
        let logs = logs::start(config, options, &log)?;
        let (control, socket) = bind_control(options)?;
        let outside = Outside::start(config, options, &log)?;
        let sink = outside.witness(config, log);
        let shared = shared(config, options, Arc::clone(&sink), &logs)?;
        let shared = Arc::new(shared);
        let services = make_services(config, &shared, &outside, &socket)?;
        let (report, reports) = mpsc::unbounded_channel();
        let workers = start_workers(options, &shared, &services, listeners, &report)
            // Workers that did start hold the services until the process ends.
            .inspect_err(|_| remove_segments(&services))?;
        let (stops, stop_orders) = mpsc::unbounded_channel();
        let told = orders::Told::new(services.clone(), config.path.clone(), stops);
        let control = ControlTask::begin(control, told, options.limits.control);
        begin_upkeep(&services, &shared);
        services
            .iter()
            .for_each(|service| service.announce_listening(&*sink));
        Ok(Self {
            reload: Reload::begin(&services, &sink),
            services,
            workers,
            reports,
            orders: stop_orders,
            signals,
            sink,
            grace: options.limits.grace,
            control,
            outside,
            logs,
        })
    }
}

fn open_log(options: &Options) -> io::Result<Log> {
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

fn bind_control(options: &Options) -> Result<(ControlServer, String), RunError> {
    options.run_dir.ensure()?;
    let path = options.run_dir.socket_path(std::process::id())?;
    let shown = path.display().to_string();
    let server = ControlServer::bind(&path).map_err(|source| RunError::Control {
        path: shown.clone(),
        source,
    })?;
    Ok((server, shown))
}

/// What all services share.
fn shared(
    config: &Config,
    options: &Options,
    sink: Arc<dyn EventSink>,
    logs: &Option<Arc<BlockLogs>>,
) -> Result<Shared, RunError> {
    let limit = identity::raise_descriptor_limit()?;
    let for_logs = logs.as_ref().map_or(0, |logs| logs.descriptors());
    let to_come = config.services.len()
        + DESCRIPTORS_OF_A_WORKER * options.workers
        + programs::descriptors(config)
        + for_logs;
    let open = (identity::open_descriptors() + to_come) as u64;
    if limit < Descriptors::needed(open) {
        let needed = Descriptors::needed(open);
        return Err(RunError::TooFewDescriptors { limit, needed });
    }
    Ok(Shared {
        limits: options.limits,
        connections: Default::default(),
        descriptors: Arc::new(Descriptors::new(limit, open)),
        resolver: Arc::new(Resolver::new(
            options.dns_ttl,
            options.limits.connect,
            resolve::ask_system,
            runtime::Handle::current(),
        )),
        sink,
        taps: logs.clone().map(|logs| logs as Arc<dyn Taps>),
        workers: options.workers,
        verbose: options.verbose,
        records: options.records,
        seed: Moment::now().unix ^ u64::from(std::process::id()).rotate_left(32),
    })
}

fn make_services(
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

fn start_workers(
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

fn remove_segments(services: &[Arc<RunningService>]) {
    services
        .iter()
        .for_each(|service| service.table().remove_segment());
}

/// Begins what goes on beside the connections: probes and publishing.
fn begin_upkeep(services: &[Arc<RunningService>], shared: &Shared) {
    let prober = Rc::new(Prober {
        resolver: Arc::clone(&shared.resolver),
        limit: shared.limits.probe,
    });
    for service in services {
        tokio::task::spawn_local(revive(Arc::clone(service.table()), Rc::clone(&prober)));
    }
    tokio::task::spawn_local(publish(services.to_vec()));
}

async fn publish(services: Vec<Arc<RunningService>>) {
    let mut ticks = tokio::time::interval(PUBLISH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let heartbeat = owner::boottime_seconds();
        services
            .iter()
            .for_each(|service| service.publish(heartbeat));
    }
}
