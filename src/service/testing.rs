//! What the tests of this room share: a service of maple, birch and cedar with
//! a segment of its own, and a sink that remembers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::event::{Event, EventSink};
use crate::base::name::{BackendName, ServiceName};
use crate::base::state::ShownState;
use crate::policy::pool::PoolSettings;
use crate::service::table::{BackendFacts, BackendTable};
use crate::status::read::StatusReader;
use crate::status::snapshot::BackendNumbers;
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

/// A table of maple, birch and cedar, with the key of its segment.
pub(super) fn table(settings: PoolSettings) -> (Arc<BackendTable>, Arc<Diary>, u32) {
    let (key, segment) = segment(&NAMES);
    let diary = Diary::of_segment(key);
    let facts = NAMES.map(|name| BackendFacts {
        name: BackendName::new(name).unwrap(),
        verbose: false,
        traffic: vec![Arc::default()],
    });
    let service = ServiceName::new("shop").unwrap();
    let sink: Arc<dyn EventSink> = Arc::<Diary>::clone(&diary);
    let table = BackendTable::new(service, facts.into(), settings, segment, sink);
    (Arc::new(table), diary, key)
}
