//! What a status segment holds, as plain data; everything that prints a status
//! starts here.

use std::net::IpAddr;

use crate::base::state::{Reason, ShownState};

/// The header of a segment: whose it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SegmentHeader {
    /// Key of the service (4.11).
    pub key: u32,
    /// Process id of the daemon.
    pub pid: u32,
    /// Start of the daemon, seconds since 1970.
    pub started: u64,
    /// Last sign of life, CLOCK_BOOTTIME in seconds.
    pub heartbeat: u64,
    /// Fingerprint of the configuration that it was started from.
    pub fingerprint: u64,
    /// What the service is doing.
    pub phase: Phase,
    /// Path of the control socket.
    pub socket: String,
    /// Start of the daemon's process in clock ticks (/proc/PID/stat, field 22).
    pub process_start: u64,
}

/// What a service is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// The segment is being filled.
    Starting,
    /// Clients are accepted.
    Listening,
    /// Listeners are closed or closing.
    Stopping,
}

impl Phase {
    /// All phases, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Starting, Self::Listening, Self::Stopping];

    /// The number in shared memory.
    pub fn number(self) -> u32 {
        match self {
            Self::Starting => 0,
            Self::Listening => 1,
            Self::Stopping => 2,
        }
    }

    /// The phase with this number in shared memory.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.number() == number)
    }
}

/// Numbers of a service that change while it runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ServiceNumbers {
    /// Client connections now.
    pub active: u64,
    /// Client connections admitted so far.
    pub accepted: u64,
    /// Clients refused by the deny list.
    pub refused_deny: u64,
    /// Clients refused because they are not on the allow list.
    pub refused_allow: u64,
    /// Clients for which no back end was left.
    pub no_backend: u64,
    /// Filters of the allow list now.
    pub allow_filters: u64,
    /// Filters of the deny list now.
    pub deny_filters: u64,
    /// When the allow list was read from its file, seconds since 1970; 0 = it has none.
    pub allow_read: u64,
    /// When the deny list was read from its file, seconds since 1970; 0 = it has none.
    pub deny_read: u64,
    /// Hooks that found the queue full; a pair counts twice.
    pub hooks_dropped: u64,
    /// Lines that a resident program was too slow to read.
    pub helper_dropped: u64,
    /// Requests that the daemon itself answered as the fault of
    /// their client, 4xx and 505 (0 in `type any`).
    pub refused_requests: u64,
    /// Requests that the daemon itself answered with 5xx (0 in `type any`).
    pub failed_requests: u64,
}

/// What is fixed about a service while it runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceFacts {
    /// Its name.
    pub name: String,
    /// Full text of the dispatch mode, at most 63 bytes are kept.
    pub mode: String,
    /// TCP port it listens on.
    pub port: u16,
    /// Address it listens on.
    pub bind: IpAddr,
    /// Whether it is of `type http`.
    pub http: bool,
    /// Whether `headerinspection shallow` holds.
    pub shallow: bool,
    /// Limit of client connections, 0 = none.
    pub max_connections: u64,
}

/// What of a back end changes rarely: its names and fixed numbers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BackendFacts {
    /// Its name.
    pub name: String,
    /// HOST:PORT, at most 263 bytes are kept.
    pub server: String,
    /// Its weight.
    pub weight: u32,
    /// Its decay in percent.
    pub decay: u32,
    /// Its `retries`.
    pub retries: u32,
    /// Limit of connections to it, 0 = none.
    pub max_connections: u64,
}

/// Numbers of a back end that change while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackendNumbers {
    /// Its shown state.
    pub state: ShownState,
    /// Connections to it now.
    pub active: u64,
    /// Connections made to it so far.
    pub total: u64,
    /// Failed connects so far.
    pub failures: u64,
    /// Failed connects since the last success.
    pub consecutive_failures: u64,
    /// Bytes to clients.
    pub bytes_to_client: u64,
    /// Bytes to the back end.
    pub bytes_to_backend: u64,
    /// Length of all ended connections together, in microseconds.
    pub microseconds: u64,
    /// The figure of the dispatch mode, without weight (7.3).
    pub usage: f64,
    /// Time of the last change of state, seconds since 1970; at first the start.
    pub since: u64,
    /// Reason of that change.
    pub reason: Reason,
    /// Error number with it, or 0.
    pub errno: u32,
    /// Requests sent to it (0 in `type any`).
    pub requests: u64,
    /// Replies of it by class, 1xx to 5xx.
    pub replies: [u64; 5],
    /// Time to the first byte, summed, in microseconds.
    pub first_byte_microseconds: u64,
    /// Connections that clients gave up while it was being connected.
    pub aborted: u64,
    /// Blocks that its logs and captures lost.
    pub log_dropped: u64,
}

impl BackendNumbers {
    /// The numbers of a back end that has done nothing yet: available since
    /// `started`, in seconds since 1970.
    pub fn at_start(started: u64) -> Self {
        Self {
            state: ShownState::Available,
            active: 0,
            total: 0,
            failures: 0,
            consecutive_failures: 0,
            bytes_to_client: 0,
            bytes_to_backend: 0,
            microseconds: 0,
            usage: 0.0,
            since: started,
            reason: Reason::None,
            errno: 0,
            requests: 0,
            replies: [0; 5],
            first_byte_microseconds: 0,
            aborted: 0,
            log_dropped: 0,
        }
    }
}

/// One record as a reader took it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<T> {
    /// What it said.
    pub value: T,
    /// Taken in the middle of a change that did not end within the limit; shown
    /// with `?`.
    pub torn: bool,
}

/// Everything that one segment says.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSnapshot {
    /// Whose it is.
    pub header: SegmentHeader,
    /// The service.
    pub service: Record<(ServiceFacts, ServiceNumbers)>,
    /// Its back ends in order of definition.
    pub backends: Vec<Record<(BackendFacts, BackendNumbers)>>,
}
