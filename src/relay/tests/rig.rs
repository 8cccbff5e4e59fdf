//! An engine in a thread of its own, with a host that follows a script.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::outcome::Transfer;
use crate::base::state::Reason;
use crate::base::tap::{ByteTap, Origin};
use crate::base::traffic::Traffic;
use crate::relay::host::{
    Abandoned, Attempt, AttemptFailure, Host, ListenerId, Next, Order, Plan, PoolKey, RelayKey,
    Route, WebSettings,
};
use crate::relay::http1::rewrite::Editor;
use crate::relay::{Engine, EngineHandle, EngineSettings, drive};

/// No wait of a test lasts longer.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) const LISTENER: ListenerId = ListenerId(7);

/// What the host heard, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    Admitted,
    Asked(RelayKey),
    Failed(Failure),
    Connected(SocketAddr),
    Abandoned(Abandoned),
    /// A request goes once more.
    Again,
    Answered(u16),
    Left,
    Ended(Transfer),
    Dropped,
    AcceptFailed,
    NoPlace,
    ListenersClosed,
    Fault(String),
}

/// [`AttemptFailure`] in a form that can be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Failure {
    Backend(Reason),
    NoWay,
    NoResources,
    OutOfTime,
}

/// What the host of a test says.
#[derive(Clone)]
pub(super) struct Script {
    /// One attempt after the other, each with its addresses.
    pub(super) attempts: Vec<Answer>,
    pub(super) idle_limit: Option<Duration>,
    pub(super) connect_limit: Duration,
    pub(super) give_up: Duration,
    pub(super) places: usize,
    pub(super) pipes: usize,
    /// Panics when the n-th client (from 0) is connected.
    pub(super) panics_at: Option<usize>,
    pub(super) buffer_size: usize,
    /// Which attempts, from 0, lead to a back end whose traffic is tapped.
    pub(super) tapped: &'static [usize],
    /// The send buffer of the sockets of clients, where it matters.
    pub(super) send_buffer: Option<usize>,
    /// How messages are unpacked, if they are.
    pub(super) web: Option<WebSettings>,
    /// Whether heads are edited.
    pub(super) edits: bool,
    /// Where idle connections are kept.
    pub(super) pool: Option<PoolKey>,
}

#[derive(Clone)]
pub(super) enum Answer {
    Connect(Vec<SocketAddr>),
    Wait,
}

impl Script {
    pub(super) fn to(backend: SocketAddr) -> Self {
        Self::with(vec![Answer::Connect(vec![backend])])
    }

    pub(super) fn with(attempts: Vec<Answer>) -> Self {
        Self {
            attempts,
            idle_limit: None,
            connect_limit: Duration::from_secs(5),
            give_up: Duration::from_secs(10),
            places: 10_000,
            pipes: 64,
            panics_at: None,
            buffer_size: EngineSettings::default().buffer_size,
            tapped: &[],
            send_buffer: None,
            web: None,
            edits: false,
            pool: None,
        }
    }
}

/// What the host and the test share.
#[derive(Default)]
pub(super) struct Diary {
    heard: Mutex<Vec<Heard>>,
    news: Condvar,
    pub(super) traffic: Arc<Traffic>,
    pub(super) pipes_taken: Mutex<(usize, usize)>,
    pub(super) blocks: Mutex<Vec<(Origin, Vec<u8>)>>,
    pub(super) taps_dropped: Mutex<usize>,
}

impl Diary {
    fn note(&self, heard: Heard) {
        self.heard.lock().unwrap().push(heard);
        self.news.notify_all();
    }

    pub(super) fn all(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until `found` gives something for what was heard.
    pub(super) fn wait_for<T>(&self, mut found: impl FnMut(&[Heard]) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut heard = self.heard.lock().unwrap();
        loop {
            if let Some(value) = found(&heard) {
                return value;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not heard in time: {heard:?}");
            heard = self.news.wait_timeout(heard, left).unwrap().0;
        }
    }

    pub(super) fn wait_for_entry(&self, wanted: &Heard) {
        self.wait_for(|heard| heard.contains(wanted).then_some(()));
    }

    pub(super) fn count_of_ended(&self) -> usize {
        let heard = self.heard.lock().unwrap();
        let ended = |heard: &&Heard| matches!(heard, Heard::Ended(_));
        heard.iter().filter(ended).count()
    }

    /// The transfers of the first `count` connections that ended.
    pub(super) fn ended(&self, count: usize) -> Vec<Transfer> {
        self.wait_for(|heard| {
            let transfers: Vec<_> = heard
                .iter()
                .filter_map(|heard| match heard {
                    Heard::Ended(transfer) => Some(*transfer),
                    _ => None,
                })
                .collect();
            (transfers.len() >= count).then_some(transfers)
        })
    }
}

/// What a session is in these tests: how many attempts were made. Its end is
/// noted whoever drops it.
pub(super) struct Session {
    asked: usize,
    connected: bool,
    number: usize,
    _place: Place,
}

/// A place of the host, given back when dropped.
struct Place {
    shared: Arc<Places>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.give_back();
    }
}

struct Places {
    free: Mutex<(usize, bool)>,
    handle: Mutex<Option<EngineHandle>>,
    diary: Arc<Diary>,
}

impl Places {
    fn give_back(&self) {
        let mut free = self.free.lock().unwrap();
        free.0 += 1;
        if std::mem::take(&mut free.1)
            && let Some(handle) = &*self.handle.lock().unwrap()
        {
            handle.send(Order::Resume(LISTENER));
        }
        drop(free);
        self.diary.note(Heard::Dropped);
    }
}

pub(super) struct ScriptedHost {
    script: Script,
    diary: Arc<Diary>,
    places: Arc<Places>,
    admitted: usize,
    pipes: usize,
    most_pipes: usize,
    idle: usize,
}

impl Host for ScriptedHost {
    type Session = Session;

    fn take_place(&mut self, listener: ListenerId) -> bool {
        assert_eq!(listener, LISTENER);
        let mut free = self.places.free.lock().unwrap();
        if free.0 == 0 {
            free.1 = true;
            drop(free);
            self.diary.note(Heard::NoPlace);
            return false;
        }
        free.0 -= 1;
        true
    }

    fn return_place(&mut self, _: ListenerId) {
        self.places.free.lock().unwrap().0 += 1;
    }

    fn accept_failed(&mut self, _: ListenerId, _: &io::Error) {
        self.diary.note(Heard::AcceptFailed);
    }

    fn admit(&mut self, _: ListenerId, client: ClientAddr) -> Option<Session> {
        assert!(client.ip().is_loopback());
        self.diary.note(Heard::Admitted);
        self.admitted += 1;
        Some(Session {
            asked: 0,
            connected: false,
            number: self.admitted - 1,
            _place: Place {
                shared: Arc::clone(&self.places),
            },
        })
    }

    fn may_tap(&self, _: &Session) -> bool {
        !self.script.tapped.is_empty()
    }

    fn next_backend(&mut self, session: &mut Session, key: RelayKey) -> Next {
        self.diary.note(Heard::Asked(key));
        let answer = self.script.attempts.get(session.asked);
        session.asked += 1;
        let now = Instant::now();
        match answer {
            Some(Answer::Connect(addresses)) => Next::Connect(Attempt {
                addresses: Arc::from(addresses.as_slice()),
                fail_at: now + self.script.connect_limit,
                give_up_at: now + self.script.give_up,
                pool: self.script.pool,
            }),
            Some(Answer::Wait) => Next::Wait {
                give_up_at: now + self.script.give_up,
            },
            None => Next::Close,
        }
    }

    fn connect_failed(&mut self, _: &mut Session, failure: AttemptFailure) {
        self.diary.note(Heard::Failed(match failure {
            AttemptFailure::Backend(failure) => Failure::Backend(failure.reason),
            AttemptFailure::NoWay { .. } => Failure::NoWay,
            AttemptFailure::NoResources(_) => Failure::NoResources,
            AttemptFailure::OutOfTime => Failure::OutOfTime,
        }));
    }

    fn connected(&mut self, session: &mut Session, to: BackendAddr) -> Plan {
        session.connected = true;
        assert!(
            self.script.panics_at != Some(session.number),
            "scripted fault"
        );
        self.diary.note(Heard::Connected(to.0));
        Plan {
            idle_limit: self.script.idle_limit,
            traffic: Arc::clone(&self.diary.traffic),
            tap: self.tap_of_attempt(session.asked - 1),
            pool: self.script.pool,
        }
    }

    fn abandoned(&mut self, session: Session, why: Abandoned) {
        self.diary.note(Heard::Abandoned(why));
        drop(session);
    }

    fn ended(&mut self, session: &mut Session, transfer: Transfer) {
        session.connected = false;
        self.diary.note(Heard::Ended(transfer));
    }

    fn web(&self, _: &Session) -> Option<Arc<WebSettings>> {
        self.script.web.clone().map(Arc::new)
    }

    fn route(&mut self, session: &mut Session, cookies: &mut dyn Iterator<Item = &[u8]>) -> Route {
        let mut moves = false;
        for cookie in cookies {
            moves |= cookie == b"elsewhere";
        }
        match session.connected && !moves {
            true => Route::Stay,
            false => Route::Choose,
        }
    }

    fn route_again(&mut self, session: &mut Session) {
        // The attempt that failed is made once more.
        session.asked -= 1;
        self.diary.note(Heard::Again);
    }

    fn edit_request(&mut self, _: &Session, editor: &mut Editor<'_>) {
        if self.script.edits {
            editor.set(b"X-Request", b"changed");
        }
    }

    fn edit_reply(&mut self, _: &Session, editor: &mut Editor<'_>) {
        if self.script.edits {
            editor.set(b"X-Reply", b"changed");
        }
    }

    fn answered(&mut self, _: &mut Session, code: u16, _: &'static str) {
        self.diary.note(Heard::Answered(code));
    }

    fn left(&mut self, session: Session) {
        self.diary.note(Heard::Left);
        drop(session);
    }

    fn take_pipe(&mut self) -> bool {
        let granted = self.pipes < self.script.pipes;
        self.pipes += usize::from(granted);
        self.most_pipes = self.most_pipes.max(self.pipes);
        *self.diary.pipes_taken.lock().unwrap() = (self.pipes, self.most_pipes);
        granted
    }

    fn return_pipe(&mut self) {
        self.pipes -= 1;
        self.diary.pipes_taken.lock().unwrap().0 = self.pipes;
    }

    fn take_idle(&mut self) -> bool {
        self.idle += 1;
        true
    }

    fn return_idle(&mut self) {
        self.idle -= 1;
    }

    fn listeners_closed(&mut self) {
        self.diary.note(Heard::ListenersClosed);
    }

    fn fault(&mut self, what: &str) {
        self.diary.note(Heard::Fault(what.to_owned()));
    }
}

impl ScriptedHost {
    fn tap_of_attempt(&self, attempt: usize) -> Option<Box<dyn ByteTap>> {
        let diary = Arc::clone(&self.diary);
        let tapped = self.script.tapped.contains(&attempt);
        tapped.then(|| Box::new(Recorder(diary)) as Box<dyn ByteTap>)
    }
}

/// A tap that notes every block.
struct Recorder(Arc<Diary>);

impl ByteTap for Recorder {
    fn block(&mut self, from: Origin, bytes: &[u8], _: Instant) {
        let mut blocks = self.0.blocks.lock().unwrap();
        blocks.push((from, bytes.to_vec()));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        *self.0.taps_dropped.lock().unwrap() += 1;
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

/// A running engine with one listener; it is stopped when the test is over.
pub(super) struct Rig {
    pub(super) address: SocketAddr,
    pub(super) handle: EngineHandle,
    pub(super) diary: Arc<Diary>,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    pub(super) fn start(script: Script) -> Self {
        Self::turning(build(script))
    }

    /// Turns an engine that was built before.
    pub(super) fn turning(
        (engine, address, diary): (Engine<ScriptedHost>, SocketAddr, Arc<Diary>),
    ) -> Self {
        let handle = engine.handle();
        let thread = thread::spawn(move || {
            drive(engine).unwrap();
        });
        Self {
            address,
            handle,
            diary,
            thread: Some(thread),
        }
    }

    pub(super) fn client(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        with_deadline(stream)
    }

    /// Waits until the engine has ended by itself.
    pub(super) fn join(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        let thread = self.thread.take().unwrap();
        while !thread.is_finished() {
            assert!(Instant::now() < deadline, "the engine does not end");
            thread::yield_now();
        }
        thread.join().unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.handle.send(Order::StopAccepting);
            self.handle.send(Order::CutAll);
            // A client that waits in the queue comes in after the first cut.
            while !thread.is_finished() {
                self.handle.send(Order::CutAll);
                thread::yield_now();
            }
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok());
        }
    }
}

/// An engine that nobody turns yet, with one listener.
pub(super) fn build(script: Script) -> (Engine<ScriptedHost>, SocketAddr, Arc<Diary>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    if let Some(size) = script.send_buffer {
        rustix::net::sockopt::set_socket_send_buffer_size(&listener, size).unwrap();
    }
    let address = listener.local_addr().unwrap();
    let diary = Arc::new(Diary::default());
    let places = Arc::new(Places {
        free: Mutex::new((script.places, false)),
        handle: Mutex::new(None),
        diary: Arc::clone(&diary),
    });
    let settings = EngineSettings {
        buffer_size: script.buffer_size,
    };
    let host = ScriptedHost {
        script,
        diary: Arc::clone(&diary),
        places: Arc::clone(&places),
        admitted: 0,
        pipes: 0,
        idle: 0,
        most_pipes: 0,
    };
    let mut engine = Engine::new(host, settings).unwrap();
    *places.handle.lock().unwrap() = Some(engine.handle());
    engine.add_listener(LISTENER, listener.into()).unwrap();
    (engine, address, diary)
}

/// A listening back end.
pub(super) struct Backend {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Backend {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(super) fn accept(&self) -> TcpStream {
        let deadline = Instant::now() + DEADLINE;
        self.listener.set_nonblocking(true).unwrap();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    return with_deadline(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "nobody came");
                    thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// An address at which nobody listens.
pub(super) fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A listener whose queue is full, so that connecting to it takes forever.
pub(super) struct Blackhole {
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
    pub(super) address: SocketAddr,
}

impl Blackhole {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(150)) {
            queued.push(stream);
            assert!(queued.len() < 16, "the queue does not fill");
        }
        Self {
            _listener: listener,
            _queued: queued,
            address,
        }
    }
}

/// A client that takes in little before it reads.
pub(super) fn narrow_client(to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
    connect(&socket, &to).unwrap();
    with_deadline(socket.into())
}

pub(super) fn with_deadline(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Reads to the end of input.
pub(super) fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

pub(super) fn finish_writing(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Resets a connection instead of ending it.
pub(super) fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Bytes that repeat after no power of two, so that any shift shows.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Turns `engine` until `done` says so, and gives the most bytes that its first
/// connection moved in one turn, both ways together.
pub(super) fn most_in_a_turn(engine: &mut Engine<ScriptedHost>, done: impl Fn() -> bool) -> u64 {
    let first = RelayKey {
        index: 0,
        generation: 0,
    };
    let deadline = Instant::now() + DEADLINE;
    let (mut before, mut most) = (0, 0);
    while !done() {
        assert!(Instant::now() < deadline);
        engine.turn(Some(Duration::from_millis(1))).unwrap();
        let moved = match engine.relays.get_mut(first) {
            Some(relay) => relay.pair.moved(),
            None => before,
        };
        most = most.max(moved.saturating_sub(before));
        before = moved;
    }
    most
}
