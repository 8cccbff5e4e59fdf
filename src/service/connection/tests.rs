use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::base::change::{ChangeMark, Losses};
use crate::base::limits::Limits;
use crate::base::name::ServiceName;
use crate::base::outcome::Manner;
use crate::base::state::{Reason, ShownState};
use crate::base::tap::{ByteTap, ServiceTaps, Tapped, Taps};
use crate::policy::testing::{BIRCH, CEDAR, MAPLE, REFUSED};
use crate::relay::host::{Order, RelayKey};
use crate::service::running::ServicePrograms;
use crate::service::testing::{Diary, NAMES, by_order, numbers_of, service_numbers_of, shared};
use crate::status::testing::{bytes_of, segment};

use super::*;

const SHOP: ListenerId = ListenerId(0);
const KEY: RelayKey = RelayKey {
    index: 3,
    generation: 1,
};

/// A host with a scripted engine: the test calls what the engine would.
struct Rig {
    host: WorkerHost,
    service: Arc<RunningService>,
    diary: Arc<Diary>,
    key: u32,
    engine: EngineHandle,
    runtime: Runtime,
}

impl Rig {
    /// Maple, birch and cedar by order; `more` stands in the service's block.
    fn new(more: &str) -> Self {
        Self::with(more, Limits::default())
    }

    fn with(more: &str, limits: Limits) -> Self {
        Self::tapped(more, limits, None)
    }

    fn tapped(more: &str, limits: Limits, taps: Option<Arc<dyn Taps>>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (key, segment) = segment(&NAMES);
        let diary = Diary::of_segment(key);
        let sink = Arc::<Diary>::clone(&diary);
        let mut shared = shared(sink, limits, runtime.handle());
        Arc::get_mut(&mut shared).unwrap().taps = taps;
        let no_programs = |_: &_| ServicePrograms::default();
        let config = by_order(more);
        let service = RunningService::new(&config, &shared, segment, no_programs);
        let service = Arc::new(service);
        let services = [Arc::clone(&service)];
        let mut host = WorkerHost::new(shared, &services, 0, Box::new(|| {}));
        let engine = EngineHandle::alone();
        host.serve(engine.clone());
        Self {
            host,
            service,
            diary,
            key,
            engine,
            runtime,
        }
    }

    fn client(&mut self) -> Session {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 4_000));
        assert!(self.host.take_place(SHOP));
        self.host.admit(SHOP, ClientAddr::new(address)).unwrap()
    }

    fn next(&mut self, session: &mut Session) -> Next {
        self.host.next_backend(session, KEY)
    }

    /// What a reader of shared memory finds: active, total, failed, aborted.
    fn published(&self, backend: BackendId) -> [u64; 4] {
        self.service.publish(1);
        let found = numbers_of(self.key, backend.index()).unwrap();
        [found.active, found.total, found.failures, found.aborted]
    }
}

/// Logs of traffic that lose blocks of maple when the test says so.
#[derive(Clone, Debug, Default)]
struct Lossy(Arc<Losses>);

impl Taps for Lossy {
    fn of_service(&self, _: &ServiceName) -> Option<Arc<dyn ServiceTaps>> {
        Some(Arc::new(self.clone()))
    }
}

impl ServiceTaps for Lossy {
    fn may_tap(&self, _: ClientAddr) -> bool {
        false
    }

    fn tap(&self, _: &Tapped) -> Option<Box<dyn ByteTap>> {
        None
    }

    fn lost(&self, backend: BackendId) -> u64 {
        if backend == MAPLE { self.0.count() } else { 0 }
    }

    fn mark_losses(&self, mark: &Arc<ChangeMark>) {
        self.0.mark_by(mark);
    }
}

fn refused() -> AttemptFailure {
    AttemptFailure::Backend(REFUSED)
}

fn to() -> BackendAddr {
    BackendAddr(SocketAddr::from(([192, 0, 2, 80], 80)))
}

#[test]
fn client_whose_back_end_refuses_is_served_by_the_next_and_accounted_once() {
    let mut rig = Rig::new("");
    let mut session = rig.client();
    assert!(matches!(rig.next(&mut session), Next::Connect(_)));
    rig.host.connect_failed(&mut session, refused());
    assert!(matches!(rig.next(&mut session), Next::Connect(_)));
    let _ = rig.host.connected(&mut session, to());
    assert_eq!(rig.published(BIRCH), [1, 1, 0, 0]);

    rig.host.ended(
        &mut session,
        Transfer {
            to_client: 2,
            to_backend: 3,
            duration: Duration::ZERO,
            first_byte: None,
            ended: Ended::ByClient,
            manner: Manner::Closed,
        },
    );

    let heard = [
        "accepted",
        "maple failed",
        "maple unavailable",
        "birch started",
        "birch ended",
    ];
    assert_eq!(rig.diary.taken(), heard);
    assert_eq!(rig.published(MAPLE), [0, 0, 1, 0]);
    assert_eq!(rig.published(BIRCH), [0, 1, 0, 0]);
    drop(session);
    assert_eq!(rig.service.gate().active(), 0);
}

#[test]
fn refused_client_is_counted_and_takes_neither_place_nor_number() {
    let mut rig = Rig::new("maxconnections 1; allowfrom 127/8 10/8; denyfrom 10.9/16;");
    for (address, by) in [
        ([10, 9, 1, 1], "Deny"),
        ([192, 0, 2, 1], "Allow"),
        ([10, 9, 1, 2], "Deny"),
    ] {
        assert!(rig.host.take_place(SHOP));
        let client = ClientAddr::new(SocketAddr::from((address, 4_000)));

        assert!(rig.host.admit(SHOP, client).is_none());

        let [heard] = rig.diary.taken().try_into().unwrap();
        assert!(heard.contains("Refused {") && heard.contains(by), "{heard}");
        assert_eq!(rig.service.gate().active(), 0);
    }
    let admitted = rig.client();

    assert_eq!(admitted.connection.get(), 1);
    let _ = rig.published(MAPLE);
    let service = service_numbers_of(rig.key);
    assert_eq!(
        [
            service.accepted,
            service.refused_deny,
            service.refused_allow
        ],
        [1, 2, 1]
    );
}

#[test]
fn own_answers_are_published_by_who_is_to_blame() {
    let rig = Rig::new("");

    for code in [400, 431, 499, 503, 505] {
        rig.service.counts(0).answered(code);
    }

    let _ = rig.published(MAPLE);
    let service = service_numbers_of(rig.key);
    assert_eq!((service.refused_requests, service.failed_requests), (4, 1));
}

#[test]
fn client_for_whom_nobody_is_left_is_closed() {
    let mut rig = Rig::new("");
    let mut session = rig.client();
    for _ in 0..3 {
        assert!(matches!(rig.next(&mut session), Next::Connect(_)));
        rig.host.connect_failed(&mut session, refused());
    }

    assert!(matches!(rig.next(&mut session), Next::Close));
    drop(session);

    assert_eq!(rig.diary.taken().last().unwrap(), "no back end");
    assert_eq!(rig.service.gate().active(), 0);
    assert_eq!(rig.published(CEDAR), [0, 0, 1, 0]);
}

#[test]
fn what_fails_on_our_side_is_held_against_nobody() {
    let mut rig = Rig::new("");
    let no_route = || io::Error::from(io::ErrorKind::NetworkUnreachable);
    let mut session = rig.client();
    let _ = rig.next(&mut session);
    let error = no_route();
    rig.host
        .connect_failed(&mut session, AttemptFailure::NoWay { to: to(), error });

    assert!(matches!(rig.next(&mut session), Next::Connect(_)));
    rig.host
        .connect_failed(&mut session, AttemptFailure::NoResources(no_route()));
    assert!(matches!(rig.next(&mut session), Next::Close));

    let heard = [
        "accepted",
        "maple not from here",
        "birch not from here",
        "no back end",
    ];
    assert_eq!(rig.diary.taken(), heard);
    for backend in [MAPLE, BIRCH, CEDAR] {
        assert_eq!(rig.published(backend), [0; 4]);
    }
}

#[test]
fn failover_time_that_is_over_leaves_no_candidate() {
    let limits = Limits {
        failover: Duration::ZERO,
        ..Limits::default()
    };
    let mut rig = Rig::with("", limits);
    let mut session = rig.client();

    assert!(matches!(rig.next(&mut session), Next::Close));
    assert_eq!(rig.diary.taken(), ["accepted", "no back end"]);
}

#[test]
fn client_that_gives_up_counts_as_aborted_where_it_was_being_connected() {
    let mut rig = Rig::new("");
    let mut session = rig.client();
    let _ = rig.next(&mut session);

    rig.host.abandoned(session, Abandoned::ClientReset);

    assert_eq!(rig.published(MAPLE), [0, 0, 0, 1]);
    assert_eq!(rig.diary.taken(), ["accepted", "aborted"]);
    assert_eq!(rig.service.gate().active(), 0);
}

#[test]
fn session_lost_to_a_fault_at_any_step_gives_back_what_it_held() {
    let mut rig = Rig::new("");
    let admitted = rig.client();
    let mut connecting = rig.client();
    let _ = rig.next(&mut connecting);
    let mut serving = rig.client();
    let _ = rig.next(&mut serving);
    let _ = rig.host.connected(&mut serving, to());
    assert_eq!(rig.service.gate().active(), 3);

    drop((admitted, connecting, serving));

    assert_eq!(rig.service.gate().active(), 0);
    assert_eq!(rig.published(MAPLE), [0, 1, 0, 0]);
}

#[test]
fn name_that_does_not_resolve_makes_its_back_end_unavailable_after_the_wait() {
    let mut rig = Rig::new("");
    let endpoint = crate::base::endpoint::Endpoint::parse("nowhere.invalid:80").unwrap();
    rig.service.table().tell_server(MAPLE, &endpoint);
    let mut session = rig.client();
    assert!(matches!(rig.next(&mut session), Next::Wait { .. }));
    let _ = rig.diary.taken();

    let engine = rig.engine.clone();
    rig.runtime.block_on(async {
        let answered = async {
            while engine.taken() != [Order::Continue(KEY)] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), answered)
            .await
            .unwrap();
    });

    assert!(matches!(rig.next(&mut session), Next::Connect(_)));
    assert_eq!(rig.diary.taken(), ["maple failed", "maple unavailable"]);
    let failure = numbers_of(rig.key, MAPLE.index()).unwrap();
    assert_eq!(failure.reason, Reason::NameDoesNotResolve);
    assert_eq!(failure.errno, 0);
}

#[test]
fn full_service_is_reported_when_its_limit_is_reached_and_its_listener_woken_by_the_next_end() {
    let mut rig = Rig::new("maxconnections 1;");
    let session = rig.client();
    assert_eq!(rig.diary.taken(), ["full", "accepted"]);
    assert!(!rig.host.take_place(SHOP));
    assert!(!rig.host.take_place(SHOP));
    assert_eq!(rig.diary.taken(), [""; 0]);
    assert_eq!(rig.engine.taken(), []);

    drop(session);

    assert_eq!(rig.engine.taken()[0], Order::Resume(SHOP));
    assert!(rig.host.take_place(SHOP));
    rig.host.return_place(SHOP);
}

#[test]
fn service_is_published_when_something_happened_and_once_more() {
    let mut rig = Rig::new("");
    let quiet = |rig: &Rig| {
        while rig.service.publish_changes(1) {}
        assert!(!rig.service.is_marked());
    };
    quiet(&rig);

    let mut session = rig.client();
    assert!(rig.service.publish_changes(1) && rig.service.publish_changes(1));
    assert!(!rig.service.publish_changes(1));

    type Step = fn(&mut Rig, &mut Session);
    let steps: [(&str, Step); 5] = [
        ("chosen", |rig, session| {
            assert!(matches!(rig.next(session), Next::Connect(_)));
        }),
        ("failed", |rig, session| {
            rig.host.connect_failed(session, refused());
        }),
        ("told", |rig, _| {
            rig.service.table().tell_state(CEDAR, ShownState::Down);
        }),
        ("counted", |_, session| {
            session.service().count(|counts| counts.answered(400));
        }),
        ("moved", |rig, _| {
            rig.service.table().traffic(BIRCH, 0).add_to_client(7);
        }),
    ];
    for (what, step) in steps {
        step(&mut rig, &mut session);
        assert!(rig.service.is_marked(), "{what}");
        quiet(&rig);
    }
    assert_eq!(
        numbers_of(rig.key, BIRCH.index()).unwrap().bytes_to_client,
        7
    );
    drop(session);
    assert!(rig.service.is_marked());
    quiet(&rig);
    assert_eq!(service_numbers_of(rig.key).active, 0);

    // A place that was taken for nobody, and published.
    assert!(rig.host.take_place(SHOP));
    rig.service.publish(1);
    rig.host.return_place(SHOP);
    quiet(&rig);
    assert_eq!(service_numbers_of(rig.key).active, 0);
}

/// A log may lose what it has queued long after the connection that it is of.
#[test]
fn service_is_published_when_a_log_loses_something() {
    let logs = Lossy::default();
    let rig = Rig::tapped("", Limits::default(), Some(Arc::new(logs.clone())));
    while rig.service.publish_changes(1) {}

    logs.0.add(3);

    assert!(rig.service.publish_changes(1));
    let numbers = numbers_of(rig.key, MAPLE.index()).unwrap();
    assert_eq!(numbers.log_dropped, 3);
}

#[test]
fn quiet_service_of_which_nothing_changed_is_not_written() {
    let rig = Rig::new("");
    while rig.service.publish_changes(1) {}
    let before = bytes_of(rig.key);

    assert!(!rig.service.publish_changes(2));

    assert_eq!(bytes_of(rig.key), before);
}
