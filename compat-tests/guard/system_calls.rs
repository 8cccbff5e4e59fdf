//! System calls for a connection, for a request and for a burst of a stream.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::ends::End;
use crate::harness::{Deadline, Process, Proxy, Running, Setup, until};
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
    /// Whether lines are written about connections.
    lines: bool,
}

impl Stage {
    /// None where this machine forbids to trace and its owner knows that.
    fn set(service: &str, backend: &str) -> Option<Self> {
        Self::with_lines(false, &[], service, backend)
    }

    fn with_lines(lines: bool, flags: &[&str], service: &str, backend: &str) -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a back end");
        listener.set_nonblocking(true).expect("non-blocking");
        let at = listener.local_addr().expect("an address").to_string();
        // In the foreground it is a child of this process, which may trace its
        // children where strangers are forbidden to it.
        let proxy = Setup::new(service)
            .backend("maple", at, backend)
            .flags(["-w", "1"])
            .flags(flags.iter().copied())
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
            lines,
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
        let began = Instant::now();
        for _ in 0..UNITS {
            unit(&mut self);
        }
        let mut calls = self.worker.take_calls();
        self.forget_wakings(&mut calls, began.elapsed());
        if crate::is_unoptimised() {
            forget_checks(&mut calls);
        }
        self.finish();
        let each = |(name, times)| (name, times as f64 / f64::from(UNITS));
        TABLE.assert_holds(case, &calls.into_iter().map(each).collect(), margin);
    }

    /// The same for what `from` sends to `to` in bursts. How much of a stream has
    /// come together when the worker comes to it depends on time, so each burst
    /// is there as a whole before the worker goes on.
    fn assert_costs_of_bursts(mut self, case: &str, mut from: End, mut to: End) {
        // The window begins smaller than a burst and grows with a stream.
        from.stream(STREAM, &mut to, &mut self.worker);
        let entrance = match from.other_end(&self.worker) {
            Ok(entrance) => entrance,
            Err(error) => {
                self.finish();
                return assert_known(error);
            }
        };
        let burst = vec![7; BURST];
        let whole = format!(
            "{BURST} bytes unread at the daemon; net.ipv4.tcp_rmem and tcp_wmem have to allow \
             for as many, and tcp_moderate_rcvbuf for growing to that"
        );
        self.assert_costs(case, |stage| {
            from.send(&burst);
            until(&whole, || unread(&entrance) == BURST);
            to.hear_bytes(BURST, &mut stage.worker);
        });
    }

    /// Threads that rest between their rounds are woken by the worker if nothing
    /// came while they were up, so that these calls are few in a time, however
    /// many units there are, and more for each unit where units come slowly.
    fn forget_wakings(&self, calls: &mut Calls, time: Duration) {
        let milliseconds = time.as_millis() as u64;
        let mut forget = |call, most| {
            if let Some(calls) = calls.get_mut(call) {
                *calls = calls.saturating_sub(most);
            }
        };
        // Numbers are published every 150 ms.
        forget("write", milliseconds / 150);
        if self.lines {
            // Two threads write lines, to stderr and to syslog; each gathers
            // them for 10 ms.
            forget("futex", 2 * milliseconds / 10);
        }
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
        "ptrace or pidfd_getfd is forbidden here ({error}); Linux asks for CAP_SYS_PTRACE or for \
         /proc/sys/kernel/yama/ptrace_scope below 2, and containers for a seccomp profile \
         that allows both"
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

/// Lines are written by other threads: to the worker a connection with them is
/// one without.
#[test]
fn a_connection_with_lines() {
    for (flags, service) in [
        (&["-a"][..], ""),
        (&["-A", "json"], ""),
        (&[], "verbosity on;"),
    ] {
        let Some(stage) = Stage::with_lines(true, flags, service, "") else {
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

/// What comes together at once: half of what a pipe takes, since the pieces it
/// comes in need not begin where a page of the pipe does.
const BURST: usize = 512 << 10;

/// Enough for windows to grow.
const STREAM: usize = 16 << 20;

/// How many bytes wait in a socket.
fn unread(socket: &OwnedFd) -> usize {
    let bytes = rustix::io::ioctl_fionread(socket).expect("a socket");
    usize::try_from(bytes).expect("a size")
}

#[test]
fn a_burst_to_the_client() {
    let Some(mut stage) = Stage::set("", "") else {
        return;
    };
    let (client, peer) = stage.pair(b"request\r\n");
    stage.assert_costs_of_bursts("tcp-bulk-down", peer, client);
}

#[test]
fn a_burst_to_the_back_end() {
    let Some(mut stage) = Stage::set("", "") else {
        return;
    };
    let (client, peer) = stage.pair(b"request\r\n");
    stage.assert_costs_of_bursts("tcp-bulk-up", client, peer);
}
