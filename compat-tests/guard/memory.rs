//! Memory and descriptors of idle clients, and of those that were there once.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::net::sockopt;

use crate::harness::{Deadline, Process, Proxy, Setup, until};
use crate::table::{Margin, Table};

const TABLE: Table = Table::called("memory.txt");

/// Idle clients before and after those that are counted.
const FEW: usize = 1_000;
const MANY: usize = 3_000;

/// Connections after which nothing may have grown, so many at once; a tenth of
/// them with a program that is not optimised.
const SHORT: usize = 20_000;
const AT_ONCE: usize = 50;

const SERVICE: &str = "connectiontimeout 3600; maxconnections 10000;";

const WEB: &str = "type http; keepalivetimeout 3600; headtimeout 3600; maxconnections 10000;";

/// What both ends of an exchange say.
#[derive(Clone, Copy)]
struct Exchange {
    request: &'static [u8],
    reply: &'static [u8],
}

const PLAIN: Exchange = Exchange {
    request: b"request\n",
    reply: b"answer\n",
};

const PAGE: Exchange = Exchange {
    request: b"GET / HTTP/1.1\r\nHost: www.example.com\r\nCookie: theme=dark\r\n\r\n",
    reply: b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nmaple\n",
};

/// A daemon in front of a back end that this thread plays.
struct Farm {
    proxy: Proxy,
    daemon: Process,
    listener: TcpListener,
}

impl Farm {
    fn start(service: &str) -> Self {
        raise_descriptor_limit();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a back end");
        let limit = Some(Deadline::usual().left());
        sockopt::set_socket_timeout(&listener, sockopt::Timeout::Recv, limit).expect("a limit");
        let at = listener.local_addr().expect("an address").to_string();
        // The number of workers is fixed, or the machine would be measured too.
        let proxy = Setup::new(service)
            .backend("maple", at, "")
            .flags(["-w", "2"])
            .start();
        let daemon = proxy.process();
        Self {
            proxy,
            daemon,
            listener,
        }
    }

    /// A client after one exchange, and the back end's end.
    fn exchange(&self, what: Exchange) -> (TcpStream, TcpStream) {
        let mut client = connected(self.proxy.address());
        client.write_all(what.request).expect("send");
        let (mut peer, _) = self.listener.accept().expect("accept");
        limit(&peer);
        read_until(&mut peer, end_of(what.request));
        peer.write_all(what.reply).expect("send");
        read_until(&mut client, end_of(what.reply));
        (client, peer)
    }

    /// Connections that are served at once and ended, by the back end first.
    fn short(&self, number: usize) {
        let clients = each(number, || {
            let mut client = connected(self.proxy.address());
            client.write_all(PLAIN.request).expect("send");
            client
        });
        let peers = each(number, || {
            let (mut peer, _) = self.listener.accept().expect("accept");
            limit(&peer);
            read_until(&mut peer, PLAIN.request);
            peer.write_all(PLAIN.reply).expect("send");
            peer.shutdown(Shutdown::Write).expect("shutdown");
            peer
        });
        for mut client in clients {
            read_until(&mut client, PLAIN.reply);
            await_end(&mut client);
        }
        for mut peer in peers {
            await_end(&mut peer);
        }
    }

    fn descriptors(&self) -> usize {
        self.daemon.descriptors().len()
    }

    /// Waits until no more descriptors are open than so many; gives the number.
    fn await_descriptors(&self, most: usize) -> usize {
        until(&format!("at most {most} descriptors"), || {
            self.descriptors() <= most
        });
        self.descriptors()
    }

    /// What each of the clients beyond the first ones costs.
    fn cost(
        &self,
        what: Exchange,
        open: &mut Vec<(TcpStream, TcpStream)>,
    ) -> BTreeMap<String, f64> {
        open.extend((0..FEW).map(|_| self.exchange(what)));
        let before = (own_memory(self.daemon), self.descriptors());
        open.extend((FEW..MANY).map(|_| self.exchange(what)));
        let after = (own_memory(self.daemon), self.descriptors());
        let each = |after: f64, before: f64| (after - before) / (MANY - FEW) as f64;
        BTreeMap::from([
            (
                "each".to_owned(),
                each(after.0 as f64, before.0 as f64) / 1024.0,
            ),
            (
                "descriptors".to_owned(),
                each(after.1 as f64, before.1 as f64),
            ),
        ])
    }
}

#[test]
fn idle_connections_and_those_that_have_gone() {
    let farm = Farm::start(SERVICE);
    let at_rest = farm.descriptors();
    assert_rest(&farm);
    let mut open = Vec::new();

    let cost = farm.cost(PLAIN, &mut open);
    open.clear();
    farm.short(AT_ONCE);
    // What belongs to the start may have been open at first.
    let at_rest = farm.await_descriptors(at_rest);
    let before = own_memory(farm.daemon);
    let short = match crate::is_unoptimised() {
        true => SHORT / 10,
        false => SHORT,
    };
    (0..short / AT_ONCE).for_each(|_| farm.short(AT_ONCE));
    farm.await_descriptors(at_rest);
    let growth = own_memory(farm.daemon) as f64 - before as f64;

    TABLE.assert_holds("tcp-idle", &cost, margin);
    let growth = BTreeMap::from([("growth".to_owned(), growth / 1024.0)]);
    TABLE.assert_holds("tcp-gone", &growth, margin);
}

#[test]
fn idle_clients_of_http() {
    let farm = Farm::start(WEB);
    let mut open = Vec::new();

    let cost = farm.cost(PAGE, &mut open);

    TABLE.assert_holds("http-idle", &cost, margin);
}

/// Before its first client. A program that is not optimised has lines of its own.
fn assert_rest(farm: &Farm) {
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    let rest = BTreeMap::from([
        ("own".to_owned(), kib(own_memory(farm.daemon))),
        ("resident".to_owned(), kib(farm.daemon.memory())),
    ]);
    let case = match crate::is_unoptimised() {
        true => "rest-unoptimised",
        false => "rest",
    };
    TABLE.assert_holds(case, &rest, margin);
}

/// Pages are counted, and where a table of the daemon ends in its last page is
/// chance; what is resident of its program and libraries is the kernel's affair.
fn margin(what: &str) -> Margin {
    match what {
        "descriptors" => Margin::of(0.0),
        "each" => Margin::of(0.1),
        "own" => Margin::of(256.0),
        "resident" => Margin {
            above: 2048.0,
            below: f64::INFINITY,
        },
        "growth" => Margin {
            above: 64.0,
            below: f64::INFINITY,
        },
        other => panic!("no margin for {other}"),
    }
}

/// Bytes of its anonymous pages and of its part of those that are shared.
fn own_memory(process: Process) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", process.0);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let kib = |field: &str| -> u64 {
        let words = text.lines().find_map(|line| line.strip_prefix(field));
        let number = words.and_then(|words| words.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {field} in {text}"))
    };
    (kib("Pss_Anon:") + kib("Pss_Shmem:")) * 1024
}

/// Thousands of connections have two ends here.
fn raise_descriptor_limit() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit");
    let wanted = (2 * MANY as u64 + 2_000).max(soft);
    assert!(
        hard >= wanted,
        "{wanted} descriptors are needed, `ulimit -Hn` allows {hard}"
    );
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).expect("the limit");
}

fn connected(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("connect");
    limit(&stream);
    stream
}

fn limit(stream: &TcpStream) {
    let limit = Some(Deadline::usual().left());
    stream.set_read_timeout(limit).expect("a time limit");
}

/// Reads on where a signal interrupts it, such as that of a child of another
/// case: a wait with a limit is not begun again by the kernel.
fn await_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the end");
    assert_eq!(rest, b"");
}

fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while !received.ends_with(end) {
        let read = match stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.expect("receive"),
        };
        assert!(read > 0, "the connection ended too early");
        received.extend_from_slice(&buffer[..read]);
    }
}

/// Where a message ends; what stands before it may be changed on its way.
fn end_of(message: &[u8]) -> &[u8] {
    &message[message.len() - 4..]
}

fn each<T>(number: usize, make: impl FnMut() -> T) -> Vec<T> {
    std::iter::repeat_with(make).take(number).collect()
}
