//! Builds the rooms, joins them, and drains them at the end.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::base::limits::Limits;
use crate::config::model::Config;
use crate::control::rundir::RunDir;
use crate::telemetry::level::Facility;

/// What the command line says about a daemon.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "read by the daemon itself")]
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
    /// Facility for syslog.
    pub(crate) facility: Facility,
    /// Whether every block is as if it said `verbosity on`.
    pub(crate) verbose: bool,
    /// Whether messages also go to stderr.
    pub(crate) console: bool,
    /// Where the control socket lies.
    pub(crate) run_dir: RunDir,
    /// Socket of the syslog service, if not the system's.
    pub(crate) syslog: Option<PathBuf>,
}

/// The listening sockets of all services, in order of the file.
pub(crate) struct Listeners(());

/// Why a service cannot listen.
#[derive(Debug, Error)]
#[error("service {service}: cannot listen")]
pub(crate) struct ListenError {
    service: String,
}

/// Why a daemon did not begin to serve, or ended without being told.
#[derive(Debug, Error)]
#[error("this build has no daemon")]
pub(crate) struct RunError;

/// Binds and listens for all services.
///
/// # Errors
///
/// One [`ListenError`] for each service that cannot listen; then none does.
pub(crate) fn listen(config: &Config, _options: &Options) -> Result<Listeners, Vec<ListenError>> {
    match config.services.first() {
        Some(_) => Ok(Listeners(())),
        None => Err(vec![ListenError {
            service: String::new(),
        }]),
    }
}

/// Serves until told to stop.
///
/// # Errors
///
/// [`RunError`]; then `ready` was not called.
pub(crate) fn run(
    _config: &Config,
    _options: &Options,
    _listeners: Listeners,
    _ready: impl FnOnce(),
) -> Result<(), RunError> {
    Err(RunError)
}
