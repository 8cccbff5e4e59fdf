//! A host that sends every client to one back end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossroads::base::endpoint::{BackendAddr, ClientAddr};
use crossroads::base::id::{BackendId, ConnectionCounter};
use crossroads::base::outcome::Transfer;
use crossroads::base::tap::{ByteTap, ServiceTaps, Tapped};
use crossroads::base::traffic::Traffic;
use crossroads::relay::host::{
    Abandoned, Attempt, AttemptFailure, Host, ListenerId, Next, Plan, PoolKey, RelayKey, Route,
    WebManner, WebSettings,
};
use crossroads::relay::http1::rewrite::Editor;

const LIMIT: Duration = Duration::from_secs(600);

/// Knows one back end, which is always up.
pub(crate) struct Fixed {
    backend: Arc<[SocketAddr]>,
    traffic: Arc<Traffic>,
    pipes: bool,
    taps: Option<Arc<dyn ServiceTaps>>,
    counter: ConnectionCounter,
    web: Option<Arc<WebSettings>>,
    pool: Option<PoolKey>,
}

impl Fixed {
    /// Clients whose bytes pass unread.
    pub(crate) fn plain(backend: SocketAddr) -> Self {
        Self {
            backend: Arc::from([backend]),
            traffic: Arc::default(),
            pipes: true,
            taps: None,
            counter: ConnectionCounter::default(),
            web: None,
            pool: None,
        }
    }

    /// The same without pipes: everything is copied.
    pub(crate) fn without_pipes(self) -> Self {
        let pipes = false;
        Self { pipes, ..self }
    }

    /// The same with logs of what passes.
    pub(crate) fn tapped(self, taps: Arc<dyn ServiceTaps>) -> Self {
        let taps = Some(taps);
        Self { taps, ..self }
    }

    /// Clients of `type http`, with the header directives that most services
    /// have.
    pub(crate) fn web(backend: SocketAddr, manner: WebManner) -> Self {
        let pool = PoolKey {
            listener: ListenerId(0),
            backend: BackendId(0),
        };
        let web = WebSettings {
            manner,
            idle_limit: Some(LIMIT),
            keepalive_limit: Some(LIMIT),
            head_limit: LIMIT,
            response_limit: Some(LIMIT),
            discard_limit: Duration::from_secs(1),
            retry_after: 30,
            pages: Vec::new(),
            pool_size: 64,
            pool_age: LIMIT,
        };
        Self {
            pool: manner.managed.then_some(pool),
            web: Some(Arc::new(web)),
            ..Self::plain(backend)
        }
    }

    fn tap(&self, to: BackendAddr) -> Option<Box<dyn ByteTap>> {
        self.taps.as_ref()?.tap(&Tapped {
            backend: BackendId(0),
            connection: self.counter.next(),
            client: ClientAddr::new(SocketAddr::from(([127, 0, 0, 1], 1))),
            to,
        })
    }
}

/// What the host adds to a request.
pub(crate) fn edit_request(editor: &mut Editor<'_>) {
    assert!(editor.set(b"X-Forwarded-For", b"192.0.2.7"));
}

/// What the host adds to a reply.
pub(crate) fn edit_reply(editor: &mut Editor<'_>) {
    assert!(editor.add(b"Set-Cookie", b"pool=one; Path=/"));
}

impl Host for Fixed {
    type Session = ();

    fn take_place(&mut self, _: ListenerId) -> bool {
        true
    }

    fn return_place(&mut self, _: ListenerId) {}

    fn accept_failed(&mut self, _: ListenerId, _: &io::Error) {}

    fn admit(&mut self, _: ListenerId, _: ClientAddr) -> Option<()> {
        Some(())
    }

    fn may_tap(&self, (): &()) -> bool {
        self.taps.is_some()
    }

    fn next_backend(&mut self, (): &mut (), _: RelayKey) -> Next {
        let now = Instant::now();
        Next::Connect(Attempt {
            addresses: Arc::clone(&self.backend),
            fail_at: now + Duration::from_secs(5),
            give_up_at: now + Duration::from_secs(20),
            pool: self.pool,
        })
    }

    fn connect_failed(&mut self, (): &mut (), failure: AttemptFailure) {
        unreachable!("the back end does not answer: {failure:?}");
    }

    fn connected(&mut self, (): &mut (), to: BackendAddr) -> Plan {
        Plan {
            idle_limit: Some(LIMIT),
            traffic: Arc::clone(&self.traffic),
            tap: self.tap(to),
            pool: self.pool,
        }
    }

    fn abandoned(&mut self, (): (), _: Abandoned) {}

    fn ended(&mut self, (): &mut (), _: Transfer) {}

    fn web(&self, (): &()) -> Option<Arc<WebSettings>> {
        self.web.clone()
    }

    fn route(&mut self, (): &mut (), cookies: &mut dyn Iterator<Item = &[u8]>) -> Route {
        std::hint::black_box(cookies.count());
        Route::Stay
    }

    fn route_again(&mut self, (): &mut ()) {}

    fn edit_request(&mut self, (): &(), editor: &mut Editor<'_>) {
        edit_request(editor);
    }

    fn edit_reply(&mut self, (): &(), editor: &mut Editor<'_>) {
        edit_reply(editor);
    }

    fn answered(&mut self, (): &mut (), code: u16, why: &'static str) {
        unreachable!("the engine answers itself: {code}, {why}");
    }

    fn left(&mut self, (): ()) {}

    fn take_idle(&mut self) -> bool {
        true
    }

    fn return_idle(&mut self) {}

    fn take_pipe(&mut self) -> bool {
        self.pipes
    }

    fn return_pipe(&mut self) {}

    fn listeners_closed(&mut self) {}

    fn fault(&mut self, what: &str) {
        eprintln!("{what}");
    }
}
