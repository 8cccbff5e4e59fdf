//! What happens in a running daemon, told to whoever writes it down.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::endpoint::{BackendAddr, ClientAddr, Endpoint};
use crate::base::id::ConnectionId;
use crate::base::moment::Moment;
use crate::base::name::{BackendName, ServiceName};
use crate::base::outcome::Transfer;
use crate::base::quantity::ConnectionLimit;
use crate::base::record::ConnectionRecord;
use crate::base::state::{ConnectFailure, StateChange};

/// Takes events; called from every thread, so it must neither block nor fail.
pub trait EventSink: Send + Sync {
    /// Takes one event. What is not wanted is dropped by the sink.
    fn emit(&self, event: &Event<'_>);
}

/// A service as events name it.
#[derive(Clone, Copy, Debug)]
pub struct InService<'a> {
    /// Its name.
    pub name: &'a ServiceName,
    /// Whether `verbosity on` holds for it.
    pub verbose: bool,
}

/// A back end as events name it.
#[derive(Clone, Copy, Debug)]
pub struct AtBackend<'a> {
    /// The service it belongs to.
    pub service: &'a ServiceName,
    /// Its name.
    pub name: &'a BackendName,
    /// Whether `verbosity on` holds for it.
    pub verbose: bool,
}

/// A client connection with the back end that serves it.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The back end.
    pub backend: AtBackend<'a>,
    /// Number of the client connection.
    pub connection: ConnectionId,
    /// The client.
    pub client: ClientAddr,
    /// The address that was connected to.
    pub to: BackendAddr,
    /// When the event happened.
    pub at: Moment,
}

/// Which of the two access lists of a service is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListSide {
    /// The list that a client must stand on.
    Allow,
    /// The list that a client must not stand on.
    Deny,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A service listens.
    Listening {
        /// The service.
        service: InService<'a>,
        /// Its listening address.
        at: SocketAddr,
        /// How many back ends it has.
        backends: usize,
    },
    /// A service ended.
    Stopped {
        /// The service.
        service: InService<'a>,
        /// How many connections were cut.
        cut: u64,
    },
    /// The shown state of a back end changed.
    StateChanged {
        /// The back end.
        backend: AtBackend<'a>,
        /// From what to what, and why.
        change: StateChange,
    },
    /// An operator gave a back end another address.
    ServerChanged {
        /// The back end.
        backend: AtBackend<'a>,
        /// The address before.
        old: &'a Endpoint,
        /// The address now.
        new: &'a Endpoint,
    },
    /// A client was accepted and admitted.
    Accepted {
        /// The service.
        service: InService<'a>,
        /// Number of the client connection.
        connection: ConnectionId,
        /// The client.
        client: ClientAddr,
    },
    /// An access list turned a client away.
    Refused {
        /// The service.
        service: InService<'a>,
        /// The client.
        client: ClientAddr,
        /// The list that it met, or that it is missing from.
        by: ListSide,
    },
    /// An access list was read from its file, at the start or again.
    ListRead {
        /// The service.
        service: InService<'a>,
        /// Which list.
        list: ListSide,
        /// The file.
        file: &'a str,
        /// How many filters the list now has; none earns a warning.
        filters: usize,
    },
    /// An access list could not be read again; the old one stays in force.
    ListNotRead {
        /// The service.
        service: InService<'a>,
        /// Which list.
        list: ListSide,
        /// The file; if its text is at fault, with line and column.
        file: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The external handler gave no usable answer; round robin stood in.
    HandlerFailed {
        /// The service.
        service: InService<'a>,
        /// Why, a fixed text for each cause (repetitions are counted by it).
        reason: &'static str,
    },
    /// A hook ran into its time limit and was terminated.
    HookOverdue {
        /// The back end.
        backend: AtBackend<'a>,
        /// `onstart`, `onend` or `onfail`.
        hook: &'a str,
        /// The limit.
        limit: Duration,
    },
    /// A hook, or a pair of them, found the queue full.
    HookDropped {
        /// The back end.
        backend: AtBackend<'a>,
        /// `onstart`, `onend`, `onfail` or `onstart and onend`.
        hook: &'a str,
    },
    /// A hook ended with another exit status than 0.
    HookFailed {
        /// The back end.
        backend: AtBackend<'a>,
        /// `onstart`, `onend` or `onfail`.
        hook: &'a str,
        /// The exit status.
        status: i32,
    },
    /// A hook could not be started.
    HookNotRun {
        /// The back end.
        backend: AtBackend<'a>,
        /// `onstart`, `onend` or `onfail`.
        hook: &'a str,
        /// Why: what the system said of the program or of its account.
        error: &'a io::Error,
    },
    /// Hooks that still waited were dropped by a stop.
    HooksAbandoned {
        /// How many.
        hooks: usize,
    },
    /// A resident program ended, or was ended, and is started again.
    HelperEnded {
        /// The service.
        service: InService<'a>,
        /// `handler` or `onevents`.
        role: &'static str,
        /// Why, a text with few variants.
        reason: &'a str,
        /// How long it stays away.
        pause: Duration,
    },
    /// A resident program does not read what it is told; lines were dropped.
    HelperBehind {
        /// The service.
        service: InService<'a>,
        /// `handler` or `onevents`.
        role: &'static str,
    },
    /// A log of traffic could not be opened for a connection.
    LogNotOpened {
        /// The back end.
        backend: AtBackend<'a>,
        /// The file.
        file: &'a str,
        /// What the system said.
        error: &'a io::Error,
    },
    /// Blocks of traffic were not logged.
    LogDropped {
        /// The back end.
        backend: AtBackend<'a>,
        /// The file.
        file: &'a str,
        /// Why: a full queue, or what the system said of a write.
        reason: &'a str,
    },
    /// A client reset its connection before a back end was connected.
    Aborted {
        /// The service.
        service: InService<'a>,
        /// Number of the client connection.
        connection: ConnectionId,
        /// The client.
        client: ClientAddr,
    },
    /// The daemon itself answered a request.
    Answered {
        /// The service.
        service: InService<'a>,
        /// The back end, where it is the one that failed.
        by: Option<AtBackend<'a>>,
        /// Number of the client connection.
        connection: ConnectionId,
        /// The client.
        client: ClientAddr,
        /// The status of the answer.
        code: u16,
        /// What was wrong.
        why: &'static str,
    },
    /// No candidate is left for a client.
    NoBackend {
        /// The service.
        service: InService<'a>,
        /// The client.
        client: ClientAddr,
    },
    /// A service reached its `maxconnections`; clients wait in the kernel.
    ServiceFull {
        /// The service.
        service: InService<'a>,
        /// Its limit.
        limit: ConnectionLimit,
    },
    /// No two descriptors are free; clients wait in the kernel.
    OutOfDescriptors {
        /// The service.
        service: InService<'a>,
    },
    /// The kernel refused an accept for another cause.
    CannotAccept {
        /// The service.
        service: InService<'a>,
        /// What the kernel said.
        error: &'a io::Error,
    },
    /// A connect failed on the daemon's own side; not held against the back end.
    CannotConnectFromHere {
        /// The back end.
        backend: AtBackend<'a>,
        /// The address that was tried last.
        to: Option<BackendAddr>,
        /// What the kernel said.
        error: &'a io::Error,
    },
    /// A connect to a back end failed for a client.
    ConnectFailed {
        /// The back end.
        backend: AtBackend<'a>,
        /// Number of the client connection.
        connection: ConnectionId,
        /// The client.
        client: ClientAddr,
        /// Why.
        failure: ConnectFailure,
    },
    /// A connection to a back end was made and service begins.
    Started(Served<'a>),
    /// An established connection ended.
    Ended {
        /// Who was served where.
        served: Served<'a>,
        /// What moved, and how it ended.
        transfer: Transfer,
    },
    /// A wake-up call ended.
    Probed {
        /// The back end.
        backend: AtBackend<'a>,
        /// Nothing, or why it failed.
        result: Result<(), ConnectFailure>,
    },
    /// A client connection is over; only where records are kept (`-A`).
    Recorded {
        /// The service.
        service: InService<'a>,
        /// The dispatch mode in full.
        mode: &'a str,
        /// All that is known of it.
        record: &'a ConnectionRecord,
    },
    /// A fault of the program itself was caught; it cost one connection.
    Fault {
        /// What is known of it.
        what: &'a str,
    },
}
