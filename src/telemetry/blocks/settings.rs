//! What is to be logged where.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::base::name::{BackendName, ServiceName};
use crate::policy::access::FilterList;

/// A service and the logs of its back ends.
#[derive(Clone, Debug)]
pub struct LoggedService {
    /// Its name.
    pub name: ServiceName,
    /// Its back ends, in the order of definition.
    pub backends: Vec<LoggedBackend>,
}

impl LoggedService {
    /// Whether any of its traffic is logged.
    pub(super) fn has_logs(&self) -> bool {
        self.backends
            .iter()
            .any(|backend| backend.files().next().is_some())
    }
}

/// A back end and its logs; a default of the service is filled in already.
#[derive(Clone, Debug)]
pub struct LoggedBackend {
    /// Its name.
    pub name: BackendName,
    /// Whether messages about it are logged.
    pub verbose: bool,
    /// `trafficlog`.
    pub traffic: Option<PathBuf>,
    /// `throughputlog`.
    pub throughput: Option<PathBuf>,
    /// `capture`.
    pub capture: Option<CaptureSettings>,
}

impl LoggedBackend {
    /// The files that it logs to.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let capture = self.capture.as_ref().map(|capture| &capture.file);
        let files = [self.traffic.as_ref(), self.throughput.as_ref(), capture];
        files.into_iter().flatten().map(PathBuf::as_path)
    }

    /// Whether a connection of `client` to it is logged.
    pub(super) fn logs(&self, client: IpAddr) -> bool {
        let captured = |capture: &CaptureSettings| capture.includes(client);
        self.traffic.is_some()
            || self.throughput.is_some()
            || self.capture.as_ref().is_some_and(captured)
    }
}

/// `capture`, `capturesize` and `capturefiles`.
#[derive(Clone, Debug)]
pub struct CaptureSettings {
    /// The file.
    pub file: PathBuf,
    /// Bytes that are kept of a packet, headers included; `None` = all.
    pub snap_length: Option<u32>,
    /// The clients that are captured; empty = all.
    pub when: FilterList,
    /// Bytes after which a capture goes on in a new file; `None` = never.
    pub rotate_at: Option<u64>,
    /// How many files are kept, the one being written included; at least 1.
    pub files: u32,
}

impl CaptureSettings {
    /// Whether the traffic of `client` is captured.
    pub(super) fn includes(&self, client: IpAddr) -> bool {
        self.when.is_empty() || self.when.matches(client)
    }
}
