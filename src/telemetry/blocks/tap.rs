//! The workers' side: copies blocks and puts them into the queue.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::change::{ChangeMark, Losses};
use crate::base::endpoint::ClientAddr;
use crate::base::event::{AtBackend, Event, EventSink};
use crate::base::id::{BackendId, ConnectionId};
use crate::base::name::ServiceName;
use crate::base::tap::{ByteTap, Origin, ServiceTaps, Tapped};

use super::queue::{Block, End, Message, Queue};
use super::settings::{LoggedBackend, LoggedService};

/// What all taps and the writer share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) queue: Arc<Queue>,
    pub(super) sink: Sink,
    taps: AtomicU64,
    started: Instant,
}

/// An [`EventSink`] of which nothing can be shown.
pub(super) struct Sink(Arc<dyn EventSink>);

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sink")
    }
}

impl Hub {
    /// A hub whose queue holds `bytes` bytes.
    pub(super) fn new(sink: Arc<dyn EventSink>, bytes: usize) -> Self {
        Self {
            queue: Arc::new(Queue::new(bytes)),
            sink: Sink(sink),
            taps: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// A block of `logged` was lost; said at most once a second, because the
    /// log itself takes a lock.
    pub(super) fn lost(&self, logged: &Logged, file: &Path, reason: &str) {
        logged.lost.add(1);
        let second = 1 + self.started.elapsed().as_secs();
        if logged.warned.swap(second, Ordering::Relaxed) != second {
            self.sink.0.emit(&Event::LogDropped {
                backend: logged.at(),
                file: &file.to_string_lossy(),
                reason,
            });
        }
    }

    /// A fault of the program itself was caught.
    pub(super) fn fault(&self) {
        let what = "a block of traffic was not logged";
        self.sink.0.emit(&Event::Fault { what });
    }

    /// A log of `logged` could not be opened.
    pub(super) fn not_opened(&self, logged: &Logged, file: &Path, error: &io::Error) {
        self.sink.0.emit(&Event::LogNotOpened {
            backend: logged.at(),
            file: &file.to_string_lossy(),
            error,
        });
    }
}

/// A back end whose traffic is logged, or another one of its service.
#[derive(Debug)]
pub(super) struct Logged {
    service: ServiceName,
    pub(super) settings: LoggedBackend,
    lost: Losses,
    /// In which second of the hub a loss was said last; 0 = never.
    warned: AtomicU64,
}

impl Logged {
    fn at(&self) -> AtBackend<'_> {
        AtBackend {
            service: &self.service,
            name: &self.settings.name,
            verbose: self.settings.verbose,
        }
    }

    /// The name of its service.
    pub(super) fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Counts a block that has no file to go to; the open was warned of.
    pub(super) fn count_lost(&self) {
        self.lost.add(1);
    }
}

/// The logs of one service.
#[derive(Debug)]
pub(super) struct ServiceLogs {
    hub: Arc<Hub>,
    backends: Vec<Arc<Logged>>,
}

impl ServiceLogs {
    pub(super) fn new(service: LoggedService, hub: Arc<Hub>) -> Self {
        let logged = |settings| {
            Arc::new(Logged {
                service: service.name.clone(),
                settings,
                lost: Losses::default(),
                warned: AtomicU64::new(0),
            })
        };
        let backends = service.backends.into_iter().map(logged).collect();
        Self { hub, backends }
    }
}

impl ServiceTaps for ServiceLogs {
    fn may_tap(&self, client: ClientAddr) -> bool {
        let mut backends = self.backends.iter();
        backends.any(|backend| backend.settings.logs(client.ip()))
    }

    fn tap(&self, connection: &Tapped) -> Option<Box<dyn ByteTap>> {
        let logged = self.backends.get(connection.backend.index())?;
        if !logged.settings.logs(connection.client.ip()) {
            return None;
        }
        let facts = Facts::new(
            connection,
            Arc::clone(logged),
            self.hub.taps.fetch_add(1, Ordering::Relaxed),
        );
        Some(Box::new(Tap::new(facts, Arc::clone(&self.hub))))
    }

    fn lost(&self, backend: BackendId) -> u64 {
        let logged = self.backends.get(backend.index());
        logged.map_or(0, |logged| logged.lost.count())
    }

    fn mark_losses(&self, mark: &Arc<ChangeMark>) {
        for backend in &self.backends {
            backend.lost.mark_by(mark);
        }
    }
}

/// What is known of a tapped connection from its begin on.
#[derive(Debug)]
pub(super) struct Facts {
    /// The number of its tap; unlike those of connections never used again.
    pub(super) tap: u64,
    pub(super) logged: Arc<Logged>,
    pub(super) connection: ConnectionId,
    pub(super) client: SocketAddr,
    pub(super) backend: SocketAddr,
    begun: Instant,
    /// The same moment, since 1970.
    begun_since_epoch: Duration,
}

impl Facts {
    fn new(connection: &Tapped, logged: Arc<Logged>, tap: u64) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            tap,
            logged,
            connection: connection.connection,
            client: connection.client.socket(),
            backend: connection.to.0,
            begun: Instant::now(),
            begun_since_epoch: since_epoch.unwrap_or_default(),
        }
    }

    /// When the connection was made, since 1970.
    pub(super) fn begin(&self) -> Duration {
        self.begun_since_epoch
    }

    /// The moment `at` since 1970. It counts from the begin of the connection,
    /// so a clock that is set meanwhile mixes nothing up; what was read before
    /// that is shown as read then.
    pub(super) fn since_epoch(&self, at: Instant) -> Duration {
        self.begun_since_epoch + at.saturating_duration_since(self.begun)
    }
}

/// The tap of one connection.
#[derive(Debug)]
struct Tap {
    facts: Arc<Facts>,
    hub: Arc<Hub>,
    /// Whether the writer knows of the connection.
    begun: bool,
    /// Bytes of each side that were dropped since the last block.
    skipped: [u64; 2],
}

impl Tap {
    fn new(facts: Facts, hub: Arc<Hub>) -> Self {
        let mut tap = Self {
            facts: Arc::new(facts),
            hub,
            begun: false,
            skipped: [0, 0],
        };
        tap.begin();
        tap
    }

    /// Tells the writer of the connection if there is room for that; tried
    /// again with each block.
    fn begin(&mut self) -> bool {
        if !self.begun && self.hub.queue.reserve(Message::begin_cost()) {
            self.hub.queue.put(Message::Begin(Arc::clone(&self.facts)));
            self.begun = true;
        }
        self.begun
    }
}

impl ByteTap for Tap {
    fn block(&mut self, from: Origin, bytes: &[u8], at: Instant) {
        if !self.begin() || !self.hub.queue.reserve(Message::block_cost(bytes.len())) {
            self.skipped[from as usize] += bytes.len() as u64;
            let logged = &self.facts.logged;
            let file = logged.settings.files().next().unwrap_or(Path::new(""));
            return self.hub.lost(logged, file, "queue full");
        }
        self.hub.queue.put(Message::Block(Block {
            tap: self.facts.tap,
            from,
            at,
            bytes: bytes.into(),
            skipped: std::mem::take(&mut self.skipped),
        }));
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if self.begun {
            self.hub.queue.put(Message::End(End {
                tap: self.facts.tap,
                at: Instant::now(),
                skipped: self.skipped,
            }));
        }
    }
}
