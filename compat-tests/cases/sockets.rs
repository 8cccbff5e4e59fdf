//! How the daemon sets up its sockets and threads, looked at from outside.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::cases::Trees;
use crate::harness::{Backend, Process, Setup, eventually};

/// Copies of the TCP sockets of a process; `None`, with the reason printed,
/// where the machine does not let one process look into another.
fn tcp_sockets(process: Process) -> Option<Vec<OwnedFd>> {
    let pid = Pid::from_raw(process.0.cast_signed()).unwrap();
    let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let mut sockets = Vec::new();
    for number in 0..200 {
        match pidfd_getfd(&handle, number, PidfdGetfdFlags::empty()) {
            Ok(copy) if sockopt::tcp_nodelay(&copy).is_ok() => sockets.push(copy),
            Ok(_) | Err(rustix::io::Errno::BADF) => {}
            Err(error) => {
                eprintln!("skipped: pidfd_getfd: {error}");
                return None;
            }
        }
    }
    Some(sockets)
}

/// Where the other end of a socket is; `None` for a listener.
fn peer(socket: &OwnedFd) -> Option<SocketAddr> {
    let name = rustix::net::getpeername(socket).ok()??;
    SocketAddr::try_from(name).ok()
}

/// Section 5 (decided): both sockets of a connection get TCP_NODELAY and
/// SO_KEEPALIVE.
#[test]
fn both_sockets_of_a_connection_are_without_delay_and_kept_alive() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .flags(["-w", "1"])
        .start();
    let (mut client, _) = proxy.greeted();
    let own = client.stream().local_addr().unwrap();

    let Some(sockets) = tcp_sockets(proxy.process()) else {
        return;
    };

    for end in [own, trees.maple.address()] {
        let socket = sockets.iter().find(|socket| peer(socket) == Some(end));
        let socket = socket.unwrap_or_else(|| panic!("no connection with {end}"));
        assert!(sockopt::tcp_nodelay(socket).unwrap(), "{end}");
        assert!(sockopt::socket_keepalive(socket).unwrap(), "{end}");
    }
}

/// Section 5 (decided), also where the option is set only before it matters: at
/// the second message to a back end.
#[test]
fn second_message_to_a_back_end_is_without_delay() {
    let server = Backend::echo();
    let proxy = Setup::new("")
        .backend("maple", server.server(), "")
        .flags(["-w", "1"])
        .start();
    let mut client = proxy.connect();
    client.assert_echo("one");
    client.assert_echo("two");

    let Some(sockets) = tcp_sockets(proxy.process()) else {
        return;
    };

    let socket = sockets
        .iter()
        .find(|socket| peer(socket) == Some(server.address()));
    assert!(sockopt::tcp_nodelay(socket.expect("a connection")).unwrap());
}

/// 2.6 (decided): each worker has a listening socket of its own, and `-w` says
/// how many workers there are.
#[test]
fn each_worker_has_a_thread_and_a_listener() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-w", "3"]).start();
    let daemon = proxy.process();

    let workers = workers(daemon);

    assert_eq!(workers.len(), 3, "{workers:?}");
    let Some(sockets) = tcp_sockets(daemon) else {
        return;
    };
    let listening = |socket: &&OwnedFd| sockopt::socket_acceptconn(socket).unwrap();
    assert_eq!(sockets.iter().filter(listening).count(), 3);
}

/// The worker threads, sorted by name, and how long each has run.
fn workers(daemon: Process) -> Vec<(String, Duration)> {
    let mut threads = daemon.threads();
    threads.retain(|(name, _)| name.starts_with("worker "));
    threads.sort();
    threads
}

/// 2.6 (decided): the workers share the clients of a service.
#[test]
fn clients_are_spread_over_the_workers() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-w", "3"]).start();
    let before = workers(proxy.process());
    if before.iter().all(|(_, run)| run.is_zero()) {
        eprintln!("skipped: this kernel does not tell how long a thread has run");
        return;
    }

    proxy.visits(300);

    for (before, after) in before.iter().zip(workers(proxy.process())) {
        let run = after.1 - before.1;
        assert!(run > Duration::from_millis(1), "{} ran {run:?}", after.0);
    }
}

/// 2.2 (flag documented, figures decided): `-B` is the size of a worker's
/// network buffer.
#[test]
fn flag_b_sets_the_size_of_the_buffer() {
    const BIG: u64 = 16_777_216;
    let space = |size: u64| {
        let trees = Trees::new();
        let flags = ["-w".to_owned(), "1".to_owned(), format!("-B{size}")];
        let proxy = trees.behind("").flags(flags).start();
        assert_eq!(proxy.visit(), "maple");
        proxy.process().data()
    };

    let (small, big) = (space(1024), space(BIG));

    // Heaps of threads come and go; together they are far smaller.
    assert!(big >= small + BIG * 3 / 4, "{small} and {big}");
}

/// 4.10 and 2.6 (directive documented, division decided): `backlog` is divided
/// over the listening sockets. While nobody accepts, the kernel completes one
/// connection more for each of them than the backlog says, and no more.
#[test]
fn a_backlog_is_the_length_of_the_kernels_queues() {
    for (workers, backlog, most) in [("1", 3, 4), ("2", 4, 6)] {
        let trees = Trees::new();
        let proxy = trees
            .behind(&format!("backlog {backlog};"))
            .flags(["-w", workers])
            .start();
        let daemon = proxy.process();
        daemon.freeze();

        let mut queued = Vec::new();
        let full = eventually("no more connect succeeds", || {
            let limit = Duration::from_millis(300);
            match std::net::TcpStream::connect_timeout(&proxy.address(), limit) {
                Ok(stream) => queued.push(stream),
                Err(error) => return Some(error.kind()),
            }
            assert!(queued.len() <= most, "more than {most} wait in {workers}");
            None
        });
        daemon.signal(nix::sys::signal::Signal::SIGCONT);

        assert_eq!(full, std::io::ErrorKind::TimedOut);
        assert!(!queued.is_empty());
        drop(queued);
    }
}

/// Architecture and section 5 (decided): an idle connection holds no buffer,
/// also after it has moved a lot.
#[test]
fn an_idle_connection_holds_no_buffer() {
    const CLIENTS: u64 = 300;
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-w", "1"]).start();
    let moved = vec![b'x'; 100_000];
    let talk = || {
        let (mut client, _) = proxy.greeted();
        client.send(&moved);
        assert_eq!(client.take(moved.len()).len(), moved.len());
        client
    };
    let _warm: Vec<_> = (0..20).map(|_| talk()).collect();
    let at_first = proxy.process().memory();

    let clients: Vec<_> = (0..CLIENTS).map(|_| talk()).collect();
    let grown = proxy.process().memory().saturating_sub(at_first);

    let each = grown / CLIENTS;
    assert!(each < 8 * 1024, "{each} bytes for each idle connection");
    drop(clients);
}
