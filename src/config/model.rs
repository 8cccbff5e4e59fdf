//! What a configuration means, after every check: nonsense has no value here.

mod web;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::base::endpoint::Endpoint;
use crate::base::name::{BackendName, ServiceName};
use crate::base::quantity::{ConnectionLimit, Milliseconds, Percent, Seconds, Weight};
use crate::base::text::Text;
use crate::policy::access::{AccessRules, FilterList};
use crate::policy::dispatch::DispatchMode;

pub use web::{
    ErrorPage, HeaderAction, HeaderDirective, HeaderInspection, HeaderSide, Reuse, WebSettings,
};

/// A whole configuration that was found free of errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file it came from: absolute, without `.`, `..` and double slashes,
    /// links not resolved.
    pub path: String,
    /// FNV-1a 64 of the bytes of all files in order of reading (14.3).
    pub fingerprint: u64,
    /// At least one, in order of the file.
    pub services: Vec<Service>,
}

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// TCP port to listen on, 1 to 65535.
    pub port: u16,
    /// Address to listen on.
    pub bind: BindTo,
    /// Whether messages are looked into.
    pub kind: ServiceKind,
    /// Whether debug messages before the choice of a back end are logged.
    pub verbosity: bool,
    /// How a back end is chosen.
    pub dispatch: DispatchMode,
    /// Program of `dispatchmode externalhandler`, else `None`.
    pub handler: Option<Handler>,
    /// How long a persistent handler may take for one answer.
    pub handler_timeout: Milliseconds,
    /// Program that is told of every connection.
    pub on_events: Option<Text>,
    /// How often an unavailable back end is probed; 0 = never.
    pub reviving_interval: Seconds,
    /// Limit of client connections.
    pub max_connections: ConnectionLimit,
    /// Backlog for listen(); 0 = system maximum.
    pub backlog: u16,
    /// `shmkey` as given; 0 = from port.
    pub shm_key_given: u32,
    /// Idle limit; 0 = none.
    pub connection_timeout: Seconds,
    /// Filters of `allowfrom`, as written.
    pub allow_from: Vec<Text>,
    /// Filters of `denyfrom`, as written.
    pub deny_from: Vec<Text>,
    /// File of `allowfile`.
    pub allow_file: Option<Text>,
    /// File of `denyfile`.
    pub deny_file: Option<Text>,
    /// Both access lists as the checks found them.
    pub access: AccessLists,
    /// Account that external programs run as.
    pub user_account: Option<Text>,
    /// Default `trafficlog` of the back ends.
    pub traffic_log: Option<Text>,
    /// Default `throughputlog` of the back ends.
    pub throughput_log: Option<Text>,
    /// Default `capture` of the back ends.
    pub capture: Option<Capture>,
    /// How captures of this service go on in new files.
    pub capture_rotation: CaptureRotation,
    /// What only `type http` looks at, as written in any case.
    pub web: WebSettings,
    /// At least one, in order of definition.
    pub backends: Vec<Backend>,
}

impl Service {
    /// What the port is OR-ed with to make the key of the shared memory.
    pub const SHM_KEY_BASE: u32 = 0x5852_0000;

    /// The key of the service's shared memory object (4.11).
    pub fn shm_key(&self) -> u32 {
        match self.shm_key_given {
            0 => Self::SHM_KEY_BASE | u32::from(self.port),
            given => given,
        }
    }

    /// The full text of the dispatch mode, without the command of a handler.
    pub fn mode_text(&self) -> String {
        let handler = self.handler.as_ref();
        match handler.is_some_and(Handler::is_persistent) {
            true => format!("{} persistent", self.dispatch),
            false => self.dispatch.to_string(),
        }
    }

    /// The address to bind.
    pub fn listen_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind.ip(), self.port)
    }

    /// The idle limit of connections to `backend`: its own, else the service's.
    pub fn idle_limit(&self, backend: &Backend) -> Seconds {
        backend
            .connection_timeout
            .unwrap_or(self.connection_timeout)
    }
}

/// The access lists of a service, ready to be asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessLists {
    /// Whom they refuse. A list whose file was not looked at, since the
    /// configuration was read for another purpose than a start, is empty.
    pub rules: AccessRules,
    /// When the files were read, in seconds since 1970; 0 if none was.
    pub read_at: u64,
}

/// The program of `dispatchmode externalhandler`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Handler {
    /// How it is run.
    pub kind: HandlerKind,
    /// Its command line, without the word `persistent`.
    pub command: Text,
}

/// How an external handler is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HandlerKind {
    /// Once for each client; it prints the name of a back end.
    Classic,
    /// One process for the life of the service, asked line by line.
    Persistent,
}

impl Handler {
    /// Whether one process serves all clients.
    pub fn is_persistent(&self) -> bool {
        self.kind == HandlerKind::Persistent
    }
}

/// As it stands in the file: `persistent COMMAND` or `COMMAND`.
impl std::fmt::Display for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_persistent() {
            f.write_str("persistent ")?;
        }
        write!(f, "{}", self.command)
    }
}

/// `capture FILE [SNAPLEN] [when FILTER...]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Capture {
    /// The file.
    pub file: Text,
    /// Bytes that are kept of a packet, headers included; `None` = all.
    pub snap_length: Option<u32>,
    /// The clients whose traffic is captured; empty = all.
    pub when: FilterList,
}

/// As it stands in the file, with the networks in full.
impl std::fmt::Display for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(length) = self.snap_length {
            write!(f, " {length}")?;
        }
        for (index, filter) in self.when.filters().iter().enumerate() {
            f.write_str(if index == 0 { " when" } else { "" })?;
            write!(f, " {filter}")?;
        }
        Ok(())
    }
}

/// How a capture goes on in a new file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaptureRotation {
    /// MiB after which a new file begins; 0 = never.
    pub size: u32,
    /// How many files are kept, the one being written included; at least 1.
    pub files: u32,
}

impl Default for CaptureRotation {
    fn default() -> Self {
        Self {
            size: 100,
            files: 10,
        }
    }
}

/// Where a service listens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BindTo {
    /// All IPv4 interfaces.
    #[default]
    Any,
    /// One address; `::` means all, IPv6 and IPv4 alike.
    Address(IpAddr),
}

impl BindTo {
    /// The address for bind().
    pub fn ip(self) -> IpAddr {
        match self {
            Self::Any => Ipv4Addr::UNSPECIFIED.into(),
            Self::Address(address) => address,
        }
    }
}

impl std::fmt::Display for BindTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// The type of a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServiceKind {
    /// Bytes pass unread.
    Any,
    /// Every message is unpacked.
    Http(HeaderInspection),
}

/// One back end.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Its name.
    pub name: BackendName,
    /// Its address before look-up.
    pub server: Endpoint,
    /// Whether messages about it are logged.
    pub verbosity: bool,
    /// How much weaker than its peers it is.
    pub weight: Weight,
    /// By how much its usage falls with each connection to another back end.
    pub decay: Percent,
    /// Consecutive connect failures that are allowed, 0 to 1000.
    pub retries: u16,
    /// Limit of concurrent connections to it.
    pub max_connections: ConnectionLimit,
    /// Its own idle limit; `None` = the service's, 0 = none.
    pub connection_timeout: Option<Seconds>,
    /// Command run when a connection to it was made.
    pub on_start: Option<Text>,
    /// Command run when an established connection ends.
    pub on_end: Option<Text>,
    /// Command run when it could not be reached for a client.
    pub on_fail: Option<Text>,
    /// Its own traffic log.
    pub traffic_log: Option<Text>,
    /// Its own throughput log.
    pub throughput_log: Option<Text>,
    /// Its own capture.
    pub capture: Option<Capture>,
    /// The cookie that leads here, NAME=VALUE.
    pub sticky_cookie: Option<Text>,
    /// Header directives in file order.
    pub headers: Vec<HeaderDirective>,
}
