//! What the relay engine costs: connections, requests, bytes.
//!
//! `cargo bench --bench relay` times whole exchanges over loopback, clients and
//! back end included. `cargo bench --bench relay -- count conn|keep|bulk N`
//! does N of them once and prints the thread id of the engine, for
//! `strace -f -o FILE` and counting the lines of that thread; without strace
//! it says how much processor time the engine took for each. `bulk-logged` has
//! a traffic log on a temporary file, `keep-beside-log` an untapped engine while
//! another one moves logged traffic as fast as it can.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench that cannot go on ends"
)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use crossroads::base::event::{Event, EventSink};
use crossroads::base::id::BackendId;
use crossroads::base::name::{BackendName, ServiceName};
use crossroads::base::tap::{ServiceTaps, Taps};
use crossroads::telemetry::blocks::{BlockLogs, LoggedBackend, LoggedService};

use rig::Rig;
use rig::host::Fixed;

#[allow(dead_code, reason = "other benches use what this one does not")]
mod rig;

const LARGE: usize = 64 * 1024 * 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [count, what, number, ..] if count == "count" => {
            let number = number.parse().expect("a number of exchanges");
            run_counted(what, number);
        }
        _ => divan::main(),
    }
}

fn run_counted(what: &str, number: usize) {
    let pipes = what != "bulk-copy";
    let log = TrafficLog::start();
    let rig = match what {
        "bulk-logged" => start_logged(log.taps()),
        _ => start(pipes),
    };
    let noise = (what == "keep-beside-log").then(|| Noise::start(log.taps()));
    println!("engine thread {}", rig.thread_id());
    let mut client = rig.connect();
    let before = rig.processor_time();
    for _ in 0..number {
        match what {
            "conn" => connection(&rig),
            "keep" | "keep-beside-log" => request(&mut client),
            "bulk" | "bulk-copy" | "bulk-logged" => download(&rig),
            other => unreachable!("no such exchange: {other}"),
        }
    }
    let spent = rig.processor_time().saturating_sub(before);
    let each = spent.as_secs_f64() * 1e6 / number as f64;
    println!("{what}: {each:.1} us of the engine's thread each");
    let downloads = noise.map(Noise::stop);
    println!(
        "beside: {downloads:?} logged downloads; {} blocks lost",
        log.lost()
    );
}

/// A traffic log on a temporary file.
struct TrafficLog {
    logs: BlockLogs,
    service: ServiceName,
    _directory: tempfile::TempDir,
}

/// A sink for warnings that nobody reads.
struct Deaf;

impl EventSink for Deaf {
    fn emit(&self, _: &Event<'_>) {}
}

impl TrafficLog {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let service = ServiceName::new("bench").unwrap();
        let backend = LoggedBackend {
            name: BackendName::new("one").unwrap(),
            verbose: false,
            traffic: Some(directory.path().join("traffic")),
            throughput: None,
            capture: None,
        };
        let logged = LoggedService {
            name: service.clone(),
            backends: vec![backend],
        };
        let logs = BlockLogs::start(vec![logged], Arc::new(Deaf)).unwrap();
        Self {
            logs: logs.expect("a log is configured"),
            service,
            _directory: directory,
        }
    }

    fn taps(&self) -> Arc<dyn ServiceTaps> {
        self.logs.of_service(&self.service).unwrap()
    }

    fn lost(&self) -> u64 {
        self.taps().lost(BackendId(0))
    }
}

/// Logged downloads, one after the other, until it is stopped.
struct Noise {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<usize>,
}

impl Noise {
    fn start(taps: Arc<dyn ServiceTaps>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let rig = start_logged(taps);
        let thread = thread::spawn(move || {
            let mut downloads = 0;
            while stopped.try_recv().is_err() {
                download(&rig);
                downloads += 1;
            }
            downloads
        });
        Self { stop, thread }
    }

    fn stop(self) -> usize {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

#[divan::bench]
fn conn(bencher: divan::Bencher<'_, '_>) {
    let rig = start(true);
    bencher.bench_local(|| connection(&rig));
}

#[divan::bench]
fn keep(bencher: divan::Bencher<'_, '_>) {
    let rig = start(true);
    let mut client = rig.connect();
    bencher.bench_local(|| request(&mut client));
}

#[divan::bench(args = [true, false], sample_count = 20)]
fn bulk(bencher: divan::Bencher<'_, '_>, splice: bool) {
    let rig = start(splice);
    let size = divan::counter::BytesCount::new(LARGE);
    bencher.counter(size).bench_local(|| download(&rig));
}

/// One connection for one request; the back end ends it.
fn connection(rig: &Rig) {
    let mut client = rig.connect();
    client.write_all(b"c").unwrap();
    assert_eq!(read_all(&mut client), 100);
}

/// One request on a connection that stays.
fn request(client: &mut TcpStream) {
    client.write_all(b"k").unwrap();
    client.read_exact(&mut [0; 100]).unwrap();
}

fn download(rig: &Rig) {
    let mut client = rig.connect();
    client.write_all(b"b").unwrap();
    assert_eq!(read_all(&mut client), LARGE);
}

fn read_all(client: &mut TcpStream) -> usize {
    let mut buffer = vec![0; 1 << 20];
    let mut sum = 0;
    loop {
        match client.read(&mut buffer).unwrap() {
            0 => return sum,
            read => sum += read,
        }
    }
}

/// An engine between this thread and [`serve`].
fn start(pipes: bool) -> Rig {
    let host = Fixed::plain(serve());
    Rig::start(if pipes { host } else { host.without_pipes() })
}

fn start_logged(log: Arc<dyn ServiceTaps>) -> Rig {
    Rig::start(Fixed::plain(serve()).tapped(log))
}

/// A back end that answers by request: `c` 100 bytes and the end, `k` 100
/// bytes, `b` 64 MiB and the end.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0];
    while stream.read(&mut request)? == 1 {
        match request[0] {
            b'k' => stream.write_all(&[7; 100])?,
            b'c' => {
                stream.write_all(&[7; 100])?;
                break;
            }
            _ => {
                let chunk = vec![7; 1 << 20];
                for _ in 0..LARGE / chunk.len() {
                    stream.write_all(&chunk)?;
                }
                break;
            }
        }
    }
    stream.shutdown(Shutdown::Write)?;
    // Leaves the first close to the engine, as a client of HTTP would.
    stream.read(&mut request).map(|_| ())
}
