//! A worker of the daemon in this process, with a service as a file describes it.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crossroads::base::clock::Clock;
use crossroads::base::event::{Event, EventSink};
use crossroads::base::limits::Limits;
use crossroads::config::model::Service;
use crossroads::relay::EngineSettings;
use crossroads::relay::host::{ListenerId, Order};
use crossroads::service::gate::Descriptors;
use crossroads::service::programs::Machine;
use crossroads::service::resolve::Resolver;
use crossroads::service::running::{Records, RunningService, ServicePrograms, Shared};
use crossroads::service::worker::{Start, Worker};
use crossroads::status::owner;
use crossroads::status::publish::SegmentWriter;
use crossroads::status::snapshot::{BackendFacts, Phase, SegmentHeader, ServiceFacts};

use crate::rig::client_of;

/// A worker that serves one service.
pub(crate) struct Daemon {
    address: SocketAddr,
    service: Arc<RunningService>,
    worker: Option<Worker>,
    _runtime: tokio::runtime::Runtime,
}

impl Daemon {
    /// Starts a worker for a service with these statements and this back end.
    pub(crate) fn start(statements: &str, backend: SocketAddr, of_backend: &str) -> Self {
        let telling = (Arc::new(Deaf) as Arc<_>, Records::None);
        Self::start_telling(statements, backend, of_backend, telling)
    }

    /// The same with somebody who is told of each connection, and its record.
    pub(crate) fn start_telling(
        statements: &str,
        backend: SocketAddr,
        of_backend: &str,
        (sink, records): (Arc<dyn EventSink>, Records),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = service(&format!(
            "service shop {{ port {}; {statements} backend maple {{ server {backend}; {of_backend} }} }}",
            address.port()
        ));
        // For look-ups of names, of which there are none.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            sink,
            records,
            ..shared(runtime.handle().clone())
        });
        let programs = |_: &Arc<_>| ServicePrograms::default();
        let service = Arc::new(RunningService::new(&config, &shared, segment(), programs));
        let (reports, _) = tokio::sync::mpsc::unbounded_channel();
        let worker = Worker::start(Start {
            number: 0,
            shared,
            services: vec![Arc::clone(&service)],
            listeners: vec![(ListenerId(0), listener.into())],
            engine: EngineSettings::default(),
            reports,
        });
        let worker = Some(worker.unwrap());
        Self {
            address,
            service,
            worker,
            _runtime: runtime,
        }
    }

    /// A client of the service.
    pub(crate) fn connect(&self) -> TcpStream {
        client_of(self.address)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.engine.send(Order::StopAccepting);
            worker.engine.send(Order::CutAll);
            worker.join();
        }
        self.service.table().remove_segment();
    }
}

fn service(text: &str) -> Service {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("crossroads.conf");
    std::fs::write(&file, text).unwrap();
    let loaded = crossroads::config::load(&file, &Default::default());
    loaded.config.expect(text).services.remove(0)
}

fn shared(runtime: tokio::runtime::Handle) -> Shared {
    fn nothing_resolves(_: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }
    const LIMIT: Duration = Duration::from_secs(20);
    Shared {
        limits: Limits::default(),
        connections: Default::default(),
        descriptors: Arc::new(Descriptors::new(1_000, 0)),
        resolver: Arc::new(Resolver::new(LIMIT, LIMIT, nothing_resolves, runtime)),
        sink: Arc::new(Deaf),
        taps: None,
        workers: 1,
        verbose: false,
        records: Default::default(),
        seed: 1,
        publisher: Arc::default(),
        machine: Arc::new(Machine {
            host: "balancer".to_owned(),
            process: std::process::id(),
            clock: Clock::local(),
        }),
    }
}

/// A segment under a key that nobody uses; only its numbers matter here.
fn segment() -> SegmentWriter {
    let header = SegmentHeader {
        key: RandomState::new().hash_one(0) as u32 | 0x8000_0000,
        pid: std::process::id(),
        started: 0,
        heartbeat: owner::boottime_seconds(),
        fingerprint: 0,
        phase: Phase::Starting,
        socket: String::new(),
        process_start: owner::own_process_start().unwrap_or(0),
    };
    let service = ServiceFacts {
        name: "shop".to_owned(),
        mode: "roundrobin".to_owned(),
        port: 1,
        bind: IpAddr::from([127, 0, 0, 1]),
        http: false,
        shallow: false,
        max_connections: 0,
    };
    let backend = BackendFacts {
        name: "maple".to_owned(),
        server: String::new(),
        weight: 1,
        decay: 0,
        retries: 0,
        max_connections: 0,
    };
    SegmentWriter::create(&header, &service, &[backend]).unwrap()
}

/// A sink for events that nobody reads.
struct Deaf;

impl EventSink for Deaf {
    fn emit(&self, _: &Event<'_>) {}
}
