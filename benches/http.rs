//! What `type http` costs: heads, bodies, whole exchanges; and what they
//! allocate, which has to be nothing.
//!
//! `cargo bench --bench http` drives an engine over loopback first and fails if
//! an exchange of a kept-alive client allocates in the steady state, whether
//! the client keeps its back end connection or shares it (`reuse safe`); then
//! it times the parts. `cargo bench --bench http -- allocations N` does only
//! the former, with N exchanges of each client in each round.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench that cannot go on ends"
)]

use std::alloc::System;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossroads::base::endpoint::{BackendAddr, ClientAddr};
use crossroads::base::id::BackendId;
use crossroads::base::outcome::Transfer;
use crossroads::base::traffic::Traffic;
use crossroads::relay::host::{
    Abandoned, Attempt, AttemptFailure, Host, ListenerId, Next, Order, Plan, PoolKey, RelayKey,
    Route, WebManner, WebSettings,
};
use crossroads::relay::http1::body::Chunked;
use crossroads::relay::http1::head::{Head, HeadLimits};
use crossroads::relay::http1::rewrite::{Editor, Hops, Rewriter};
use crossroads::relay::http1::session::{FromBackend, FromClient, Session, Workspace};
use crossroads::relay::{Engine, EngineHandle, EngineSettings, drive};
use divan::{Bencher, black_box};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 200,
};

/// Clients that are connected at once while allocations are counted.
const CLIENTS: usize = 16;

/// Exchanges of each client in each of the rounds.
const COUNTED: usize = 500;

/// Rounds in which allocations are counted, after one that is not: a buffer
/// that finds its size once is no cost of an exchange, and shows in one only.
const ROUNDS: usize = 3;

const SHORT_REQUEST: &[u8] = b"GET /short HTTP/1.1\r\nHost: www.example.com\r\n\r\n";

/// As a browser on a desktop sends it, with the cookies of an ordinary shop.
const PAGE_REQUEST: &[u8] = b"GET /page HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"125\", \"Not.A/Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Windows\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Referer: https://www.example.com/shop/index.html\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: _ga=GA1.2.1234567890.1700000000; _gid=GA1.2.987654321.1700000001; session=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0; theme=dark\r\n\
    \r\n";

const SHORT_REPLY: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 6\r\n\
    \r\n\
    short\n";

const PAGE_REPLY_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Sat, 28 Feb 2026 12:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Transfer-Encoding: chunked\r\n\
    Vary: Accept-Encoding\r\n\
    Cache-Control: private, no-cache\r\n\
    Strict-Transport-Security: max-age=31536000\r\n\
    X-Frame-Options: SAMEORIGIN\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Set-Cookie: cart=3f2504e0-4f89-11d3-9a0c-0305e82c3301; Path=/; Secure; HttpOnly; SameSite=Lax\r\n\
    \r\n";

/// Bytes of a page that comes in chunks, and of each chunk.
const PAGE: usize = 12 * 1024;
const PAGE_CHUNK: usize = 4 * 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [what, number, ..] if what == "allocations" => {
            count_allocations(number.parse().expect("a number of exchanges"));
        }
        _ => {
            count_allocations(COUNTED);
            divan::main();
        }
    }
}

/// What a client asks for, and gets.
#[derive(Clone, Copy, Debug)]
enum Exchange {
    /// The least that is valid.
    Short,
    /// What a browser sends, and a page in chunks.
    Page,
}

const EXCHANGES: [Exchange; 2] = [Exchange::Short, Exchange::Page];

impl Exchange {
    fn request(self) -> &'static [u8] {
        match self {
            Self::Short => SHORT_REQUEST,
            Self::Page => PAGE_REQUEST,
        }
    }

    fn reply(self) -> Vec<u8> {
        match self {
            Self::Short => SHORT_REPLY.to_vec(),
            Self::Page => [PAGE_REPLY_HEAD, &chunks(PAGE, PAGE_CHUNK)].concat(),
        }
    }

    /// Where the reply ends, and nothing else does.
    fn end(self) -> &'static [u8] {
        match self {
            Self::Short => b"short\n",
            Self::Page => b"\r\n0\r\n\r\n",
        }
    }
}

/// Whose the connections to the back end are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reuse {
    /// Each belongs to one client.
    Never,
    /// They serve one client after the other.
    Safe,
}

const REUSES: [Reuse; 2] = [Reuse::Never, Reuse::Safe];

impl Reuse {
    fn manner(self) -> WebManner {
        WebManner {
            limits: LIMITS,
            shallow: false,
            managed: self == Self::Safe,
        }
    }
}

/// An exchange under one of the rules.
#[derive(Clone, Copy)]
struct Case(Exchange, Reuse);

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, reuse {:?}", self.0, self.1)
    }
}

fn cases() -> impl Iterator<Item = Case> {
    let of = |exchange| REUSES.map(|reuse| Case(exchange, reuse));
    EXCHANGES.into_iter().flat_map(of)
}

/// A body of that many bytes, all chunks but the last of equal size.
fn chunks(size: usize, chunk: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for part in vec![b'x'; size].chunks(chunk) {
        body.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

/// The header directives that most services have.
fn edit_request(editor: &mut Editor<'_>) {
    assert!(editor.set(b"X-Forwarded-For", b"192.0.2.7"));
}

fn edit_reply(editor: &mut Editor<'_>) {
    assert!(editor.add(b"Set-Cookie", b"pool=one; Path=/"));
}

#[divan::bench(args = EXCHANGES)]
fn read_request(bencher: Bencher<'_, '_>, what: Exchange) {
    let input = what.request();
    let mut head = Head::default();
    bencher.bench_local(|| head.request(black_box(input), LIMITS).unwrap().unwrap());
}

#[divan::bench(args = EXCHANGES)]
fn read_reply(bencher: Bencher<'_, '_>, what: Exchange) {
    let mut head = Head::default();
    let request = head.request(what.request(), LIMITS).unwrap().unwrap();
    let input = what.reply();
    bencher.bench_local(|| {
        let reply = head.reply(black_box(&input), LIMITS, &request);
        reply.unwrap().unwrap()
    });
}

#[divan::bench(args = EXCHANGES)]
fn read_and_change_request(bencher: Bencher<'_, '_>, what: Exchange) {
    let input = what.request();
    let (mut head, mut rewriter, mut out) = Default::default();
    bencher.bench_local(|| {
        Head::request(&mut head, black_box(input), LIMITS).unwrap();
        let mut editor = Rewriter::edit(&mut rewriter, input, &head);
        edit_request(&mut editor);
        Vec::clear(&mut out);
        editor.finish(Hops::PassedOn, true, &mut out);
        out.len()
    });
}

#[divan::bench(args = EXCHANGES)]
fn read_and_change_reply(bencher: Bencher<'_, '_>, what: Exchange) {
    let input = what.reply();
    let (mut head, mut rewriter, mut out) = Default::default();
    let request = Head::request(&mut head, what.request(), LIMITS);
    let request = request.unwrap().unwrap();
    bencher.bench_local(|| {
        Head::reply(&mut head, black_box(&input), LIMITS, &request).unwrap();
        let mut editor = Rewriter::edit(&mut rewriter, &input, &head);
        edit_reply(&mut editor);
        Vec::clear(&mut out);
        editor.finish(Hops::PassedOn, false, &mut out);
        out.len()
    });
}

/// A body of 1 MiB in chunks of that size, as it is checked on its way.
#[divan::bench(args = [16, 1_024, 16_384])]
fn check_chunks(bencher: Bencher<'_, '_>, chunk: usize) {
    let body = chunks(1 << 20, chunk);
    let size = divan::counter::BytesCount::new(body.len());
    bencher.counter(size).bench_local(|| {
        let taken = Chunked::new().take(black_box(&body)).unwrap();
        assert!(taken.complete);
    });
}

/// A whole exchange without sockets, from the bytes of the request to the end
/// of the reply.
#[divan::bench(args = cases())]
fn exchange_in_memory(bencher: Bencher<'_, '_>, Case(what, reuse): &Case) {
    let (request, reply) = (what.request(), what.reply());
    let manner = reuse.manner();
    let mut session = Session::new();
    let mut work = Workspace::default();
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        let found = session.client(black_box(request), &manner, &mut work);
        assert_eq!(found, Ok(FromClient::Choose));
        let taken = session.forward(request, &manner, &mut work, edit_request, &mut out);
        assert_eq!(taken, request.len());
        out.clear();
        let mut rest = black_box(&reply[..]);
        while !rest.is_empty() {
            let next = session.backend(rest, &manner, &mut work, edit_reply, &mut out);
            let taken = match next {
                Ok(FromBackend::Head { bytes, .. } | FromBackend::Body(bytes)) => bytes,
                other => unreachable!("in the middle of a reply: {other:?}"),
            };
            rest = &rest[taken..];
        }
        session.next();
        out.len()
    });
}

/// The same with sockets; the times of client and back end are in it.
#[divan::bench(args = cases())]
fn exchange_over_loopback(bencher: Bencher<'_, '_>, Case(what, reuse): &Case) {
    let rig = Rig::start(*reuse);
    let mut client = Client::connect(&rig);
    bencher.bench_local(|| {
        client.ask(*what);
        client.hear(*what);
    });
}

/// # Panics
///
/// When exchanges in the steady state allocate.
fn count_allocations(number: usize) {
    for case in cases() {
        let Case(what, reuse) = case;
        let rig = Rig::start(reuse);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(&rig)).collect();
        let mut round = || {
            let region = Region::new(ALLOCATOR);
            for _ in 0..number {
                clients.iter_mut().for_each(|client| client.ask(what));
                clients.iter_mut().for_each(|client| client.hear(what));
            }
            let change = region.change();
            change.allocations + change.reallocations
        };
        round();
        let counts = [(); ROUNDS].map(|()| round());
        println!(
            "{case}: {counts:?} allocations in {} exchanges each",
            number * CLIENTS
        );
        assert!(counts.contains(&0), "exchanges allocate: {case}");
    }
}

/// One kept-alive connection; nothing in its exchanges allocates.
struct Client {
    stream: TcpStream,
    received: Box<[u8]>,
}

impl Client {
    fn connect(rig: &Rig) -> Self {
        let stream = TcpStream::connect(rig.address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            received: vec![0; 64 * 1024].into(),
        }
    }

    fn ask(&mut self, what: Exchange) {
        self.stream.write_all(what.request()).unwrap();
    }

    fn hear(&mut self, what: Exchange) {
        let mut length = 0;
        while !self.received[..length].ends_with(what.end()) {
            match self.stream.read(&mut self.received[length..]).unwrap() {
                0 => unreachable!("the engine ends a connection that goes on"),
                read => length += read,
            }
        }
        assert!(contains(&self.received[..length], b"Set-Cookie: pool=one;"));
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// An engine between clients and a back end.
struct Rig {
    address: SocketAddr,
    handle: EngineHandle,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn start(reuse: Reuse) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut engine = Engine::new(Fixed::new(reuse), EngineSettings::default()).unwrap();
        engine.add_listener(ListenerId(0), listener.into()).unwrap();
        let handle = engine.handle();
        let thread = thread::spawn(|| {
            drive(engine).unwrap();
        });
        Self {
            address,
            handle,
            thread: Some(thread),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.handle.send(Order::StopAccepting);
        self.handle.send(Order::CutAll);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || thread::panicking());
    }
}

fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let replies = EXCHANGES.map(|what| (what.request(), what.reply().into()));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let replies = replies.clone();
            thread::spawn(move || answer(stream, &replies));
        }
    });
    address
}

/// Answers each request by its first line, until the engine ends it.
fn answer(mut stream: TcpStream, replies: &[(&[u8], Arc<[u8]>)]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = [0; 4_096];
    let mut length = 0;
    loop {
        match stream.read(&mut received[length..])? {
            0 => return Ok(()),
            read => length += read,
        }
        let request = &received[..length];
        if request.ends_with(b"\r\n\r\n") {
            assert!(contains(request, b"X-Forwarded-For: 192.0.2.7\r\n"));
            let is_it = |asked: &[u8]| asked[..10] == request[..10];
            let reply = replies.iter().find(|(asked, _)| is_it(asked));
            stream.write_all(&reply.expect("one of the requests").1)?;
            length = 0;
        }
    }
}

/// Sends every request to one back end.
struct Fixed {
    backend: Arc<[SocketAddr]>,
    traffic: Arc<Traffic>,
    web: Arc<WebSettings>,
    pool: Option<PoolKey>,
}

impl Fixed {
    fn new(reuse: Reuse) -> Self {
        let limit = Duration::from_secs(600);
        let pool = PoolKey {
            listener: ListenerId(0),
            backend: BackendId(0),
        };
        Self {
            backend: Arc::from([serve()]),
            traffic: Arc::default(),
            web: Arc::new(WebSettings {
                manner: reuse.manner(),
                idle_limit: Some(limit),
                keepalive_limit: Some(limit),
                head_limit: limit,
                response_limit: Some(limit),
                discard_limit: Duration::from_secs(1),
                retry_after: 30,
                pages: Vec::new(),
                pool_size: 64,
                pool_age: limit,
            }),
            pool: (reuse == Reuse::Safe).then_some(pool),
        }
    }
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
        false
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
        unreachable!("the back end of the bench does not answer: {failure:?}");
    }

    fn connected(&mut self, (): &mut (), _: BackendAddr) -> Plan {
        Plan {
            idle_limit: Some(Duration::from_secs(600)),
            traffic: Arc::clone(&self.traffic),
            tap: None,
            pool: self.pool,
        }
    }

    fn abandoned(&mut self, (): (), _: Abandoned) {}

    fn ended(&mut self, (): &mut (), _: Transfer) {}

    fn web(&self, (): &()) -> Option<Arc<WebSettings>> {
        Some(Arc::clone(&self.web))
    }

    fn route(&mut self, (): &mut (), cookies: &mut dyn Iterator<Item = &[u8]>) -> Route {
        black_box(cookies.count());
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
        true
    }

    fn return_pipe(&mut self) {}

    fn listeners_closed(&mut self) {}

    fn fault(&mut self, what: &str) {
        eprintln!("{what}");
    }
}
