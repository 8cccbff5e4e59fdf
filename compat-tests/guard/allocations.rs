//! Allocations for a connection and for a request: of a worker with a service,
//! and of the engine alone.
//!
//! A target of its own, because its allocator counts for the whole process:
//! nothing else may run in it, and clients and back ends allocate nothing once
//! they are connected.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is a test; a broken expectation ends the case that made it"
)]

use std::alloc::System;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossroads::base::clock::Clock;
use crossroads::service::running::Records;
use crossroads::telemetry::console::Console;
use crossroads::telemetry::level::Facility;
use crossroads::telemetry::log::{Log, LogSettings};
use rustix::net::sockopt;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use rig::Rig;
use rig::host::Fixed;
use service::Daemon;
use table::{Margin, Table};
use web::{Client, Exchange, Reuse};

#[allow(dead_code, reason = "the benches use what this target does not")]
#[path = "../../benches/rig/mod.rs"]
mod rig;
mod service;
mod table;
#[allow(dead_code, reason = "the benches use what this target does not")]
#[path = "../../benches/rig/web.rs"]
mod web;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Units in each of the rounds, of which the least counts: a buffer that finds
/// its size once is no cost of a unit, and shows in one round only.
const UNITS: u32 = 200;
const ROUNDS: usize = 5;

/// One in twenty units may have one; that would be a cost of something else.
const MARGIN: Margin = Margin::of(0.05);

const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

/// What a service may ask for at no cost, and a back end.
const WATCHFUL: &str =
    "allowfrom 127.0.0.0/8; denyfrom 127.9.0.0/16; connectiontimeout 30; maxconnections 500;";
const LIMITED: &str = "maxconnections 400; retries 3; weight 2;";

const WEB: &str = "type http; keepalivetimeout 30; headtimeout 30; responsetimeout 30;";
const WEB_BACKEND: &str = "stickycookie \"pool=maple\"; \
    setclientheader \"Set-Cookie: pool=maple; Path=/\"; setserverheader \"X-Forwarded-For: %r\";";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: www.example.com\r\nCookie: pool=maple\r\n\r\n";
const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nmaple\n";

// One test: a second one beside it would be counted too.
#[test]
fn connections_and_requests() {
    worker();
    lines();
    engine();
    for reuse in [Reuse::Never, Reuse::Safe] {
        for exchange in [Exchange::Short, Exchange::Page] {
            requests_of_http(exchange, reuse);
        }
    }
}

/// # Panics
///
/// When `unit` does not allocate as often as the table allows.
fn assert_allocates(case: &str, mut unit: impl FnMut()) {
    let mut round = || {
        let region = Region::new(ALLOCATOR);
        (0..UNITS).for_each(|_| unit());
        let change = region.change();
        change.allocations + change.reallocations
    };
    round();
    let counts = [(); ROUNDS].map(|()| round());
    let least = counts.into_iter().min().unwrap_or_default();
    let each = least as f64 / f64::from(UNITS);
    let found = BTreeMap::from([("allocations".to_owned(), each)]);
    Table::called("allocations.txt").assert_holds(case, &found, |_| MARGIN);
}

/// The engine alone.
fn engine() {
    let backend = backend();
    let rig = Rig::start(Fixed::plain(backend.local_addr().unwrap()));
    connections("engine-conn", || rig.connect(), &backend);
}

/// A worker with a service, plain or with all that costs nothing.
fn worker() {
    for (service, of_backend) in [("", ""), (WATCHFUL, LIMITED)] {
        let backend = backend();
        let daemon = Daemon::start(service, backend.local_addr().unwrap(), of_backend);
        connections("tcp-conn", || daemon.connect(), &backend);
        let (mut client, mut peer) = pair(daemon.connect(), &backend);
        assert_allocates("tcp-keep", || request(&mut client, &mut peer));
    }
    for (case, reuse) in [
        ("http-keep", "reuse never;"),
        ("http-keep-shared", "reuse safe;"),
    ] {
        let backend = backend();
        let service = format!("{WEB} {reuse} {WATCHFUL}");
        let daemon = Daemon::start(&service, backend.local_addr().unwrap(), WEB_BACKEND);
        let mut client = daemon.connect();
        client.write_all(REQUEST).unwrap();
        let (mut client, mut peer) = pair(client, &backend);
        assert_allocates(case, || {
            hear(&mut peer, b"\r\n\r\n");
            peer.write_all(REPLY).unwrap();
            hear(&mut client, b"maple\n");
            client.write_all(REQUEST).unwrap();
        });
    }
}

/// A worker whose connections are written down: by `-a` and `verbosity on` as
/// lines, of which none may allocate, and by `-A json`, whose record does.
/// Making the lines and sending them to syslog counts too.
fn lines() {
    for (case, activity, records) in [
        ("tcp-activity", Activity::Told, Records::None),
        ("tcp-records", Activity::Untold, Records::Kept),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let syslog = Drain::open(&directory.path().join("log"));
        let log = Log::start(LogSettings {
            facility: Facility::DAEMON,
            syslog: Some(syslog.path.clone()),
            console: Console::Off,
            activity: activity == Activity::Told,
            verbose: activity == Activity::Told,
            repeat: Duration::from_secs(60),
            clock: Clock::gmt(),
        });
        let telling = (Arc::new(log.unwrap()) as Arc<_>, records);
        let backend = backend();
        let address = backend.local_addr().unwrap();
        let daemon = Daemon::start_telling("", address, "", telling);
        connections(case, || daemon.connect(), &backend);
        drop(daemon);
        let each = if activity == Activity::Told { 5 } else { 1 };
        let units = UNITS as usize * (ROUNDS + 1);
        assert_eq!(syslog.end(), each * units, "{case}: lines");
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Activity {
    Told,
    Untold,
}

/// Takes lines in place of syslog, without allocating.
struct Drain {
    path: PathBuf,
    reader: JoinHandle<usize>,
}

impl Drain {
    fn open(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(LIMIT).unwrap();
        let reader = thread::spawn(move || {
            let mut line = [0; 8_192];
            let lines = std::iter::from_fn(|| socket.recv(&mut line).ok());
            // An empty one is the end, see below.
            lines.take_while(|&length| length > 0).count()
        });
        Self {
            path: path.to_owned(),
            reader,
        }
    }

    /// How many lines came. To be called when no more are to come.
    fn end(self) -> usize {
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to(&[], &self.path).unwrap();
        self.reader.join().unwrap()
    }
}

/// Connections one after the other, of which the back end ends first.
fn connections(case: &str, connect: impl Fn() -> TcpStream, backend: &TcpListener) {
    assert_allocates(case, || {
        let (mut client, mut peer) = pair(connect(), backend);
        request(&mut client, &mut peer);
        peer.shutdown(Shutdown::Write).unwrap();
        await_end(&mut client);
        drop(client);
        await_end(&mut peer);
    });
}

fn backend() -> TcpListener {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    sockopt::set_socket_timeout(&backend, sockopt::Timeout::Recv, LIMIT).unwrap();
    backend
}

fn requests_of_http(exchange: Exchange, reuse: Reuse) {
    let case = match (exchange, reuse) {
        (Exchange::Short, Reuse::Never) => "engine-http",
        (Exchange::Short, Reuse::Safe) => "engine-http-shared",
        (Exchange::Page, Reuse::Never) => "engine-page",
        (Exchange::Page, Reuse::Safe) => "engine-page-shared",
    };
    let rig = web::start(reuse);
    let mut client = Client::connect(&rig);
    assert_allocates(case, || {
        client.ask(exchange);
        client.hear(exchange);
    });
}

fn pair(client: TcpStream, backend: &TcpListener) -> (TcpStream, TcpStream) {
    let (peer, _) = backend.accept().unwrap();
    peer.set_read_timeout(LIMIT).unwrap();
    (client, peer)
}

/// Reads on where a signal interrupts it.
fn await_end(stream: &mut TcpStream) {
    let more = stream.read_exact(&mut [0]);
    assert_eq!(more.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

/// Reads until something ends with `mark`.
fn hear(stream: &mut TcpStream, mark: &[u8]) {
    let mut heard = [0; 4_096];
    let mut length = 0;
    while !heard[..length].ends_with(mark) {
        let read = match stream.read(&mut heard[length..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.unwrap(),
        };
        assert!(read > 0, "the connection ended too early");
        length += read;
    }
}

fn request(client: &mut TcpStream, peer: &mut TcpStream) {
    let mut heard = [0; 7];
    client.write_all(b"request").unwrap();
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"request");
    peer.write_all(b"answer!").unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"answer!");
}
