//! Access lists under load: many who are refused, and lists that change.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{Backend, Client, Level, Proxy, Setup, until};

/// Who is on the deny list all the time.
const ENEMY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));

/// How many refused clients a flood has, unless `CROSSROADS_FLOOD` says
/// otherwise.
const FLOOD: u64 = 50_000;

const FLOODERS: u64 = 4;

/// Clients of one kind, one after the other in each of some threads.
struct Crowd {
    done: Arc<AtomicU64>,
    enough: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// A thread for each address of `from`; each calls `come` until it has done
    /// so `most` times or the crowd is ended.
    fn of(
        from: impl IntoIterator<Item = IpAddr>,
        most: u64,
        come: impl Fn(IpAddr) + Clone + Send + 'static,
    ) -> Self {
        let (done, enough) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let thread = |from| {
            let (come, done, enough) = (come.clone(), Arc::clone(&done), Arc::clone(&enough));
            std::thread::spawn(move || {
                for _ in 0..most {
                    if enough.load(Ordering::SeqCst) {
                        return;
                    }
                    come(from);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        Self {
            threads: from.into_iter().map(thread).collect(),
            done,
            enough,
        }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    fn is_gone(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Lets nobody else come and waits until all have gone; gives how many came.
    fn end(self) -> u64 {
        self.enough.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("no client panics");
        }
        self.done.load(Ordering::SeqCst)
    }
}

/// A client that is served to its end.
fn be_served(from: IpAddr, to: SocketAddr) {
    let mut client = Client::connect_from(from, to);
    assert_eq!(client.line(), "maple", "{from}");
    client.assert_echo("echo");
    client.finish_sending();
    client.rest();
}

/// A client that is refused.
fn be_refused(from: IpAddr, to: SocketAddr) {
    Client::connect_from(from, to).assert_closed_without_data();
}

fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

/// Lists that admit 127.0.0.1 to .4 and refuse .9, whichever is in force; one
/// in five is faulty.
fn lists_of(round: usize) -> (&'static str, &'static str) {
    match round % 5 {
        0 => ("127.0.0/24", "127.0.0.9"),
        1 => ("127.0/16 ::1", "127.0.0.8/31 10/8"),
        2 => ("", "127.0.0.9 127.0.0.9"),
        3 => ("127.0.0.0/29 127.0.0.9", "127.0.0.8/29"),
        _ => ("127.0.0.1 127.0.0,2", "127.0.0.9 none"),
    }
}

/// 12.3 (decided; that running connections stay, documented): a hundred times
/// both files change and SIGHUP comes, while clients come and go. Nobody is
/// refused who stands on every one of the lists, nobody admitted who is denied
/// by each, and no connection is lost.
#[test]
fn lists_change_under_load_and_nobody_is_lost_or_judged_wrongly() {
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("allowfile friends; denyfile enemies;")
        .backend("maple", maple.server(), "")
        .flags(["-w", "2"]);
    let friends = setup.sandbox().write("friends", lists_of(0).0);
    let enemies = setup.sandbox().write("enemies", lists_of(0).1);
    let proxy = setup.start();
    let to = proxy.address();
    let mut held: Vec<Client> = (0..60).map(|_| proxy.greeted().0).collect();
    let served = Crowd::of((1..=4).map(|last| [127, 0, 0, last].into()), u64::MAX, {
        move |from| be_served(from, to)
    });
    let refused = Crowd::of([ENEMY; 2], u64::MAX, move |from| be_refused(from, to));

    let syslog = &proxy.sandbox().syslog;
    for round in 1..=100 {
        let (allow, deny) = lists_of(round);
        replace(&friends, allow);
        replace(&enemies, deny);
        proxy.process().signal(Signal::SIGHUP);
        // At the start each list was read once.
        syslog.await_lines("shop: deny list", round + 1);
    }
    until("hundreds came", || {
        served.done() >= 500 && refused.done() >= 200
    });
    let (served, refused) = (served.end(), refused.end());

    held.iter_mut()
        .for_each(|client| client.assert_echo("undisturbed"));
    drop(held);
    proxy.await_idle();
    let status = proxy.status();
    let shop = status.service("shop");
    let numbers = ["accepted", "refused_deny", "refused_allow"].map(|name| shop.number(name));
    assert_eq!(numbers, [served + 60, refused, 0]);
    let errors = syslog.lines();
    let errors = errors.iter().filter(|line| line.level == Level::Error);
    assert_eq!(errors.count(), 2 * 20, "one line for each faulty file");
}

/// Section 12, 8.2 (decided): a flood of clients that are refused costs little:
/// whoever is admitted is served at once, `status` answers, nothing is written
/// to the log, and afterwards nothing is left of it.
///
/// Fifty thousand of them take some seconds on two processors;
/// `CROSSROADS_FLOOD` sets another number.
#[test]
fn a_flood_of_refused_clients_leaves_the_service_responsive() {
    let flood =
        std::env::var("CROSSROADS_FLOOD").map_or(FLOOD, |number| number.parse().expect("a number"));
    let maple = Backend::banner("maple");
    let proxy = Setup::new("denyfrom 127.0.0.9 10/8 2001:db8::/32;")
        .backend("maple", maple.server(), "")
        .flags(["-w", "2"])
        .start();
    let to = proxy.address();
    be_refused(ENEMY, to);
    proxy.visit();
    proxy.await_idle();
    let process = proxy.process();
    let descriptors = process.descriptors().len();

    let first = attack(&proxy, flood / 2);
    let memory = process.memory();
    let second = attack(&proxy, flood / 2);

    let refused = first.refused + second.refused;
    let served = first.served + second.served;
    proxy.await_idle();
    let status = proxy.status();
    let shop = status.service("shop");
    let numbers = ["accepted", "refused_deny", "refused_allow"].map(|name| shop.number(name));
    assert_eq!(numbers, [served + 1, refused + 1, 0]);
    assert_eq!(
        maple.accepted(),
        served + 1,
        "nobody was connected for them"
    );
    assert_eq!(process.descriptors().len(), descriptors);
    let grown = process.memory().saturating_sub(memory);
    assert!(grown < 2 << 20, "{grown} bytes more than half-way");
    let lines = proxy.sandbox().syslog.matching("refused");
    assert_eq!(lines.len(), 0, "{lines:?}");
}

/// 8.1, section 12 (decided): a refused client holds a place only while it is
/// judged, so a flood of them does not fill a service with the least of limits.
#[test]
fn a_flood_of_refused_clients_does_not_fill_a_service_with_one_place() {
    let maple = Backend::banner("maple");
    let proxy = Setup::new("denyfrom 127.0.0.9; maxconnections 1;")
        .backend("maple", maple.server(), "")
        .flags(["-w", "2"])
        .start();

    let Attack { refused, served } = attack(&proxy, 4_000);

    proxy.await_idle();
    let status = proxy.status();
    let shop = status.service("shop");
    let numbers = ["accepted", "refused_deny", "active"].map(|name| shop.number(name));
    assert_eq!(numbers, [served, refused, 0]);
}

/// What a flood came to.
struct Attack {
    refused: u64,
    served: u64,
}

/// Refuses `count` clients, as fast as they come, and serves others meanwhile.
fn attack(proxy: &Proxy, count: u64) -> Attack {
    let to = proxy.address();
    let begun = Instant::now();
    let from = (0..FLOODERS).map(|_| ENEMY);
    let crowd = Crowd::of(from, count / FLOODERS, move |from| be_refused(from, to));
    let (mut served, mut slowest) = (0, [Duration::ZERO; 2]);
    while !crowd.is_gone() {
        let asked = Instant::now();
        assert_eq!(proxy.visit(), "maple");
        served += 1;
        slowest[0] = slowest[0].max(asked.elapsed());
        if served % 50 == 1 {
            let asked = Instant::now();
            assert!(proxy.is_running());
            slowest[1] = slowest[1].max(asked.elapsed());
        }
    }
    let refused = crowd.end();
    let [client, status] = slowest;
    eprintln!(
        "{refused} refused and {served} served in {:?}, \
         the slowest client took {client:?}, the slowest status {status:?}",
        begun.elapsed()
    );
    assert!(client < Duration::from_secs(2), "a client took {client:?}");
    assert!(status < Duration::from_secs(5), "status took {status:?}");
    Attack { refused, served }
}
