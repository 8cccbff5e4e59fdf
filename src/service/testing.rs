//! What the tests of this room share: a service of maple, birch and cedar with
//! a segment of its own, and a sink that remembers.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::base::change::Touched;
use crate::base::clock::Clock;
use crate::base::event::{Event, EventSink};
use crate::base::id::BackendId;
use crate::base::limits::Limits;
use crate::base::name::{BackendName, ServiceName};
use crate::base::state::ShownState;
use crate::base::traffic::Traffic;
use crate::config::model;
use crate::policy::pool::PoolSettings;
use crate::service::gate::Descriptors;
use crate::service::programs::Machine;
use crate::service::resolve::Resolver;
use crate::service::running::Shared;
use crate::service::table::{BackendFacts, BackendTable};
use crate::status::read::StatusReader;
use crate::status::snapshot::{BackendNumbers, ServiceNumbers};
use crate::status::testing::segment;

pub(super) const NAMES: [&str; 3] = ["maple", "birch", "cedar"];

/// A sink that notes what happened, one word or two each, and which state of
/// maple a reader of the segment found at that moment.
pub(super) struct Diary {
    key: u32,
    heard: Mutex<Vec<(String, Option<ShownState>)>>,
}

impl Diary {
    pub(super) fn of_segment(key: u32) -> Arc<Self> {
        let heard = Mutex::default();
        Arc::new(Self { key, heard })
    }

    /// What happened since the last call.
    pub(super) fn taken(&self) -> Vec<String> {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        heard.into_iter().map(|(what, _)| what).collect()
    }

    /// The states that readers saw while they heard of something.
    pub(super) fn states_seen(&self) -> Vec<Option<ShownState>> {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        heard.into_iter().map(|(_, state)| state).collect()
    }
}

impl EventSink for Diary {
    fn emit(&self, event: &Event<'_>) {
        let what = match event {
            Event::StateChanged { backend, change } => {
                format!("{} {}", backend.name, change.to.word())
            }
            Event::ConnectFailed { backend, .. } => format!("{} failed", backend.name),
            Event::CannotConnectFromHere { backend, .. } => {
                format!("{} not from here", backend.name)
            }
            Event::Started(served) => format!("{} started", served.backend.name),
            Event::Ended { served, .. } => format!("{} ended", served.backend.name),
            Event::NoBackend { .. } => "no back end".to_owned(),
            Event::Aborted { .. } => "aborted".to_owned(),
            Event::Accepted { .. } => "accepted".to_owned(),
            Event::ServiceFull { .. } => "full".to_owned(),
            other => format!("{other:?}"),
        };
        let state = numbers_of(self.key, 0).map(|numbers| numbers.state);
        self.heard.lock().unwrap().push((what, state));
    }
}

/// What a reader of the segment, if it is there, finds of a back end.
pub(super) fn numbers_of(key: u32, index: usize) -> Option<BackendNumbers> {
    let reader = StatusReader::open(key).unwrap()?;
    let snapshot = reader.snapshot(Duration::from_secs(5)).unwrap();
    Some(snapshot.backends[index].value.1)
}

/// What a reader of the segment finds of the service.
pub(super) fn service_numbers_of(key: u32) -> ServiceNumbers {
    let reader = StatusReader::open(key).unwrap().unwrap();
    let snapshot = reader.snapshot(Duration::from_secs(5)).unwrap();
    snapshot.service.value.1
}

/// A table of maple, birch and cedar, with the key of its segment.
pub(super) fn table(settings: PoolSettings) -> (Arc<BackendTable>, Arc<Diary>, u32) {
    table_for(1, settings)
}

/// The same for several workers.
pub(super) fn table_for(
    workers: usize,
    settings: PoolSettings,
) -> (Arc<BackendTable>, Arc<Diary>, u32) {
    let (key, segment) = segment(&NAMES);
    let diary = Diary::of_segment(key);
    let touched = Arc::new(Touched::new(NAMES.len(), Arc::default()));
    let facts = (0..).map(BackendId).zip(NAMES);
    let facts = facts.map(|(id, name)| BackendFacts {
        name: BackendName::new(name).unwrap(),
        verbose: false,
        traffic: Traffic::of_workers(workers, &touched, id),
    });
    let service = ServiceName::new("shop").unwrap();
    let sink: Arc<dyn EventSink> = Arc::<Diary>::clone(&diary);
    let table =
        BackendTable::new(service, facts.collect(), settings, segment, sink).with_touched(touched);
    (Arc::new(table), diary, key)
}

/// The service `shop` of maple, birch and cedar, by order, all of them at an
/// address where nobody is; `more` stands in its block.
pub(super) fn by_order(more: &str) -> model::Service {
    let backends: String = NAMES
        .map(|name| format!("backend {name} {{ server 192.0.2.80:80; }} "))
        .concat();
    let text = format!("service shop {{ port 8080; dispatchmode byorder; {more} {backends} }}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("crossroads.conf");
    std::fs::write(&file, text).unwrap();
    let loaded = crate::config::load(&file, &Default::default());
    loaded.config.unwrap().services.remove(0)
}

/// What the services of one worker share; no name resolves there.
pub(super) fn shared(sink: Arc<dyn EventSink>, limits: Limits, runtime: &Handle) -> Arc<Shared> {
    const LONG: Duration = Duration::from_secs(3_600);
    fn nothing_resolves(_: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }
    let resolver = Resolver::new(LONG, LONG, nothing_resolves, runtime.clone());
    Arc::new(Shared {
        limits,
        connections: Default::default(),
        publisher: Arc::default(),
        machine: Arc::new(Machine {
            host: "balancer".to_owned(),
            process: 1,
            clock: Clock::local(),
        }),
        descriptors: Arc::new(Descriptors::new(1_000, 0)),
        resolver: Arc::new(resolver),
        sink,
        taps: None,
        workers: 1,
        verbose: false,
        records: Default::default(),
        seed: 1,
    })
}
