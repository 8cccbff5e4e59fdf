//! Builds the rooms, joins them, and drains them at the end.
//!
//! [`listen`] binds before the process detaches, [`run`] does the rest: the
//! main thread gets a runtime for signals, the control socket, probes, look-ups
//! and publishing; each worker is a thread of its own. What `run` made is gone
//! when it returns, on success and on failure.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};

use crate::base::event::EventSink;
use crate::base::limits::Limits;
use crate::config::model::Config;
use crate::control::rundir::{RunDir, RunDirError};
use crate::control::server::ControlServer;
use crate::process::account::AccountError;
use crate::process::signals::Signals;
use crate::service::resolve;
pub(crate) use crate::service::running::Records;
use crate::service::running::RunningService;
use crate::service::worker::{Report, Worker};
use crate::status::publish::CreateError;
use crate::telemetry::blocks::BlockLogs;
use crate::telemetry::console::Console;
use crate::telemetry::level::Facility;

mod build;
mod drain;
mod logs;
mod orders;
mod places;
mod programs;
mod publish;
mod reload;
mod segment;

pub(crate) use places::{Listeners, Places, listen, listen_beside};

use build::{
    begin_upkeep, bind_control, descriptors, make_services, open_log, remove_segments, shared,
    start_workers,
};
use programs::Outside;
use reload::Reload;

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
        // Before programs are started, which would be counted twice.
        let descriptors = descriptors(config, options, &logs)?;
        let outside = Outside::start(config, options, &log)?;
        let sink = outside.witness(config, log);
        let shared = shared(options, descriptors, Arc::clone(&sink), &logs);
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
