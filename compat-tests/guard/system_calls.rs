//! System calls for a connection, for a request and for a MiB.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;

use crate::ends::End;
use crate::harness::{Deadline, Process, Proxy, Running, Setup};
use crate::table::{Margin, Table};
use crate::trace::{Calls, Worker};

const TABLE: Table = Table::called("system-calls.txt");

/// Units that are counted, after as many as a warm-up takes.
const UNITS: u32 = 200;
const WARM_UP: u32 = 8;

/// What a service may ask for at no cost.
const WATCHFUL: &str = "allowfrom 127.0.0.0/8; denyfrom 127.9.0.0/16; connectiontimeout 30; \
    maxconnections 500;";

/// The same for a back end.
const LIMITED: &str = "maxconnections 400; retries 3; weight 2;";

const WEB: &str = "type http; keepalivetimeout 30; headtimeout 30; responsetimeout 30;";

const WEB_BACKEND: &str = "stickycookie \"pool=maple\"; \
    setclientheader \"Set-Cookie: pool=maple; Path=/\"; setserverheader \"X-Forwarded-For: %r\";";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: www.example.com\r\nCookie: pool=maple\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: www.example.com\r\nCookie: pool=maple\r\n\
    Connection: close\r\n\r\n";
const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nmaple\n";

/// A daemon with one worker, which is traced, and a back end.
struct Stage {
    // First, so that the daemon is let go before it is told to stop.
    worker: Worker,
    running: Running,
    listener: TcpListener,
    address: SocketAddr,
    proxy: Proxy,
}

impl Stage {
    /// None where this machine forbids to trace and its owner knows that.
    fn set(service: &str, backend: &str) -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a back end");
        listener.set_nonblocking(true).expect("non-blocking");
        let at = listener.local_addr().expect("an address").to_string();
        // In the foreground it is a child of this process, which may trace its
        // children where strangers are forbidden to it.
        let proxy = Setup::new(service)
            .backend("maple", at, backend)
            .flags(["-w", "1"])
            .write();
        let running = proxy.start_foreground();
        let worker = match Worker::trace(Process(running.pid())) {
            Ok(worker) => worker,
            Err(error) => {
                stop(&proxy, running);
                assert_known(error);
                return None;
            }
        };
        let address = proxy.address();
        Some(Self {
            worker,
            running,
            listener,
            address,
            proxy,
        })
    }

    fn accept(&mut self) -> End {
        self.worker.until("a connection to the back end", || {
            End::accepted(&self.listener)
        })
    }

    /// A client that says `bytes` at once, and the back end that heard them.
    fn pair(&mut self, bytes: &[u8]) -> (End, End) {
        let client = End::saying(self.address, bytes);
        let mut peer = self.accept();
        peer.hear(&bytes[bytes.len() - 2..], &mut self.worker);
        (client, peer)
    }

    /// Asserts that so many units are made of the calls in the table.
    fn assert_costs(mut self, case: &str, mut unit: impl FnMut(&mut Self)) {
        for _ in 0..WARM_UP {
            unit(&mut self);
        }
        self.worker.take_calls();
        for _ in 0..UNITS {
            unit(&mut self);
        }
        self.assert_table(case, f64::from(UNITS), margin);
    }

    fn assert_table(mut self, case: &str, units: f64, margin: impl Fn(&str) -> Margin) {
        let mut calls = self.worker.take_calls();
        if crate::is_unoptimised() {
            forget_checks(&mut calls);
        }
        let found = calls
            .into_iter()
            .map(|(name, times)| (name, times as f64 / units));
        let found = found.collect();
        self.finish();
        TABLE.assert_holds(case, &found, margin);
    }

    fn finish(self) {
        drop(self.worker);
        stop(&self.proxy, self.running);
    }
}

fn stop(proxy: &Proxy, running: Running) {
    proxy.stop();
    let run = running.finish(Deadline::usual());
    assert_eq!(run.code, Some(0), "{run:#?}");
}

/// # Panics
///
/// Unless `CROSSROADS_NO_PTRACE=1` says that it is known.
fn assert_known(error: Errno) {
    let why = format!(
        "ptrace is forbidden here ({error}); Linux asks for CAP_SYS_PTRACE or for \
         /proc/sys/kernel/yama/ptrace_scope below 2, and containers for a seccomp profile \
         that allows ptrace"
    );
    let known = std::env::var_os("CROSSROADS_NO_PTRACE").is_some_and(|value| value == "1");
    assert!(
        known,
        "{why}; CROSSROADS_NO_PTRACE=1 does without this guard"
    );
    // Not by a macro, whose output a test that passes keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: system calls are NOT guarded: {why}"
    );
}

/// Without optimisation the standard library looks at each descriptor before
/// it closes it.
fn forget_checks(calls: &mut Calls) {
    let closed = calls.get("close").copied().unwrap_or(0);
    let looked = calls.remove("fcntl").unwrap_or(0);
    if looked > closed {
        calls.insert("fcntl".to_owned(), looked - closed);
    }
}

/// Every call is made as often each time, on a busy machine too; but a timer may
/// wake the worker, and the kernel may part what was sent together.
fn margin(call: &str) -> Margin {
    match call {
        "epoll_wait" => Margin::of(0.2),
        _ => Margin::of(0.05),
    }
}

/// One request and one answer; the back end ends it.
fn connection(stage: &mut Stage) {
    let (mut client, mut peer) = stage.pair(b"request\r\n");
    peer.send_last(b"answer\r\n");
    assert_eq!(client.hear_end(&mut stage.worker), b"answer\r\n");
    drop(client);
    peer.hear_end(&mut stage.worker);
}

#[test]
fn a_connection() {
    for (service, backend) in [("", ""), (WATCHFUL, LIMITED)] {
        let Some(stage) = Stage::set(service, backend) else {
            return;
        };
        stage.assert_costs("tcp-conn", connection);
    }
}

#[test]
fn a_request_on_a_connection_that_stays() {
    for (service, backend) in [("", ""), (WATCHFUL, LIMITED)] {
        let Some(mut stage) = Stage::set(service, backend) else {
            return;
        };
        let (mut client, mut peer) = stage.pair(b"request\r\n");
        stage.assert_costs("tcp-keep", |stage| {
            peer.send(b"answer\r\n");
            client.hear(b"\r\n", &mut stage.worker);
            client.send(b"request\r\n");
            peer.hear(b"\r\n", &mut stage.worker);
        });
    }
}

/// As in SMTP: the server speaks first, and the client has the last word.
#[test]
fn a_connection_whose_back_end_greets() {
    let Some(stage) = Stage::set("", "") else {
        return;
    };
    stage.assert_costs("tcp-greeting", |stage| {
        let mut client = End::connected(stage.address);
        let mut peer = stage.accept();
        peer.send(b"hello\r\n");
        client.hear(b"\r\n", &mut stage.worker);
        client.send(b"quit\r\n");
        peer.hear(b"\r\n", &mut stage.worker);
        peer.send_last(b"bye\r\n");
        assert_eq!(client.hear_end(&mut stage.worker), b"bye\r\n");
        drop(client);
        peer.hear_end(&mut stage.worker);
    });
}

#[test]
fn a_request_of_http() {
    for (case, reuse) in [
        ("http-keep", "reuse never;"),
        ("http-keep-shared", "reuse safe;"),
    ] {
        for (service, backend) in [("", ""), (WATCHFUL, LIMITED)] {
            let (service, backend) = (
                format!("{WEB} {reuse} {service}"),
                format!("{WEB_BACKEND} {backend}"),
            );
            let Some(mut stage) = Stage::set(&service, &backend) else {
                return;
            };
            let (mut client, mut peer) = stage.pair(REQUEST);
            stage.assert_costs(case, |stage| {
                peer.send(REPLY);
                client.hear(b"maple\n", &mut stage.worker);
                client.send(REQUEST);
                peer.hear(b"\r\n\r\n", &mut stage.worker);
            });
        }
    }
}

#[test]
fn a_connection_of_http() {
    for (service, backend) in [("", ""), (WATCHFUL, LIMITED)] {
        let (service, backend) = (
            format!("{WEB} {service}"),
            format!("{WEB_BACKEND} {backend}"),
        );
        let Some(stage) = Stage::set(&service, &backend) else {
            return;
        };
        stage.assert_costs("http-conn", |stage| {
            let (mut client, mut peer) = stage.pair(LAST_REQUEST);
            peer.send_last(REPLY);
            assert!(client.hear_end(&mut stage.worker).ends_with(b"maple\n"));
            drop(client);
            peer.hear_end(&mut stage.worker);
        });
    }
}

/// What a bulk transfer moves.
const BULK: usize = 64 << 20;

#[test]
fn a_mebibyte_to_the_client() {
    let Some(mut stage) = Stage::set("", "") else {
        return;
    };
    let (client, peer) = stage.pair(b"request\r\n");
    bulk(
        stage,
        "tcp-bulk-down",
        peer.into_stream(),
        client.into_stream(),
    );
}

#[test]
fn a_mebibyte_to_the_back_end() {
    let Some(mut stage) = Stage::set("", "") else {
        return;
    };
    let (client, peer) = stage.pair(b"request\r\n");
    bulk(
        stage,
        "tcp-bulk-up",
        client.into_stream(),
        peer.into_stream(),
    );
}

fn bulk(mut stage: Stage, case: &str, from: TcpStream, to: TcpStream) {
    stage.worker.take_calls();
    let arrived = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn(move || pour(from));
    let receiver = std::thread::spawn({
        let arrived = Arc::clone(&arrived);
        move || {
            let stream = swallow(to);
            arrived.store(true, Ordering::SeqCst);
            stream
        }
    });
    stage
        .worker
        .until("all bytes", || arrived.load(Ordering::SeqCst).then_some(()));
    // Both ends stay open until the calls are counted.
    let _ends = (
        sender.join().expect("the sender"),
        receiver.join().expect("the receiver"),
    );
    stage.assert_table(case, (BULK >> 20) as f64, bulk_margin);
}

/// How much has come together when the worker comes to it depends on time.
fn bulk_margin(call: &str) -> Margin {
    match call {
        "splice" | "epoll_wait" => Margin::of(1.5),
        _ => Margin::of(0.5),
    }
}

fn pour(mut stream: TcpStream) -> TcpStream {
    let chunk = vec![7; 1 << 20];
    for _ in 0..BULK / chunk.len() {
        stream.write_all(&chunk).expect("send");
    }
    stream
}

fn swallow(mut stream: TcpStream) -> TcpStream {
    let mut chunk = vec![0; 1 << 20];
    for _ in 0..BULK / chunk.len() {
        stream.read_exact(&mut chunk).expect("receive");
    }
    stream
}
