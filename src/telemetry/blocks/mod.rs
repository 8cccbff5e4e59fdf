//! Logs of traffic: `trafficlog`, `throughputlog` and `capture`.
//!
//! A worker copies each block of a tapped connection and puts it into one
//! bounded queue; one thread for the whole daemon formats and writes. So no
//! disk ever delays traffic: what finds the queue full, or cannot be written,
//! is dropped, counted for its back end and warned of.
//!
//! ```text
//! relay ─► tap ─► queue ─► writer ─┬─► layout, throughput ──► files ─► file
//!  (each worker)   (one thread)    └─► packets ─► capture ──────────► file
//! ```
//!
//! A log file is opened when a connection is made to a back end that has one,
//! shared by its connections while its path leads to it, and closed when the
//! last of them has ended. A renamed file is left alone by later connections.

mod capture;
mod file;
mod files;
mod packets;
mod queue;
mod settings;
mod tap;
mod throughput;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::base::event::EventSink;
use crate::base::name::ServiceName;
use crate::base::tap::{ServiceTaps, Taps};

pub use settings::{CaptureSettings, LoggedBackend, LoggedService};
use tap::{Hub, ServiceLogs};

/// How long the end of a daemon waits for its last blocks to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Bytes of traffic that wait for the disk, for all logs together.
///
/// Source: decided.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// All logs of traffic of a daemon.
#[derive(Debug)]
pub struct BlockLogs {
    hub: Arc<Hub>,
    services: HashMap<ServiceName, Arc<ServiceLogs>>,
    descriptors: usize,
}

impl BlockLogs {
    /// Starts the thread that writes; `None` if no traffic is to be logged. To
    /// be called after detaching, since threads do not survive it.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(
        services: Vec<LoggedService>,
        sink: Arc<dyn EventSink>,
    ) -> io::Result<Option<Self>> {
        Self::with_queue(services, sink, QUEUE_BYTES)
    }

    fn with_queue(
        mut services: Vec<LoggedService>,
        sink: Arc<dyn EventSink>,
        bytes: usize,
    ) -> io::Result<Option<Self>> {
        services.retain(LoggedService::has_logs);
        if services.is_empty() {
            return Ok(None);
        }
        let descriptors = files::descriptors_for(&services);
        let hub = Arc::new(Hub::new(sink, bytes));
        let shared = Arc::clone(&hub);
        thread::Builder::new()
            .name("traffic logs".to_owned())
            .spawn(move || writer::write(shared))?;
        let logs = services.into_iter().map(|service| {
            let name = service.name.clone();
            (name, Arc::new(ServiceLogs::new(service, Arc::clone(&hub))))
        });
        Ok(Some(Self {
            services: logs.collect(),
            hub,
            descriptors,
        }))
    }

    /// The most descriptors that the files will need at once.
    pub fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// Takes no more blocks, and waits up to two seconds until what was taken
    /// is written; whether it was.
    pub fn finish(&self) -> bool {
        self.hub.queue.close();
        self.hub.queue.finished_within(FLUSH_LIMIT)
    }
}

impl Taps for BlockLogs {
    fn of_service(&self, service: &ServiceName) -> Option<Arc<dyn ServiceTaps>> {
        let logs = Arc::clone(self.services.get(service)?);
        Some(logs)
    }
}

impl Drop for BlockLogs {
    fn drop(&mut self) {
        self.hub.queue.close();
    }
}
