//! Many clients while back ends die and come back.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cases::Trees;
use crate::harness::{Backend, Client, Proxy, Setup, until};

const CLIENTS: u64 = 2000;
const THREADS: u64 = 20;

/// What the clients of the storm saw.
#[derive(Default)]
struct Seen {
    finished: AtomicU64,
    maple: AtomicU64,
    birch: AtomicU64,
    cedar: AtomicU64,
    broken: AtomicU64,
}

impl Seen {
    fn serve_one(&self, to: std::net::SocketAddr) {
        let counter = match conversation(to).as_deref() {
            Some("maple") => &self.maple,
            Some("birch") => &self.birch,
            Some("cedar") => &self.cedar,
            Some(other) => panic!("served by {other:?}"),
            None => &self.broken,
        };
        counter.fetch_add(1, Ordering::SeqCst);
        self.finished.fetch_add(1, Ordering::SeqCst);
    }

    fn finished(&self) -> u64 {
        self.finished.load(Ordering::SeqCst)
    }
}

/// One client: reads who serves it, is echoed, ends. `None` when it breaks off.
fn conversation(to: std::net::SocketAddr) -> Option<String> {
    let mut client = match Client::try_connect(to) {
        Ok(client) => client,
        // Accepted, connected to a back end that was killed, and reset, all
        // before this thread heard of the first of it.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
        Err(error) => panic!("cannot connect to {to}: {error}"),
    };
    let name = client.try_line().ok()?;
    client.try_send(b"echo\n").ok()?;
    let echoed = client.try_line().ok()?;
    assert_eq!(echoed, "echo");
    // It has been served: what happens to its back end from now on does not
    // matter to it.
    client.finish_sending();
    client.rest();
    Some(name)
}

/// 2,000 clients over three back ends of which two are killed and revived all
/// the time (C29, documented; the exactness of the numbers is decided).
///
/// Maple stays available by its `retries`, so clients run into it while it is
/// dead; birch becomes unavailable at once and is told `up` again. Every client
/// is given exactly one connection to a back end: whoever meets a dead one is
/// served by another. A client that breaks off had its connection to a back end
/// when that was killed, so the broken ones are exactly the connections made to
/// maple and birch which those did not serve to the end.
#[test]
fn every_client_that_had_not_reached_the_killed_backend_is_served() {
    let Trees {
        mut maple,
        mut birch,
        cedar,
    } = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", maple.server(), "retries 1000;")
        .backend("birch", birch.server(), "")
        .backend("cedar", cedar.server(), "")
        .flags(["-w", "2"])
        .start();
    let seen = Arc::new(Seen::default());
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (seen, to) = (Arc::clone(&seen), proxy.address());
            std::thread::spawn(move || (0..CLIENTS / THREADS).for_each(|_| seen.serve_one(to)))
        })
        .collect();

    let mut kills = 0;
    while seen.finished() < CLIENTS {
        kill_and_revive(&mut maple, &seen);
        kill_and_revive(&mut birch, &seen);
        proxy.tell("birch", "up");
        kills += 2;
    }
    for thread in threads {
        thread.join().expect("no client panics");
    }

    assert!(kills >= 10, "only {kills} kills happened");
    assert_numbers_are_exact(&proxy, &seen);
}

/// Dies, stays dead while some clients come and go, comes back, and stays
/// alive for as many.
fn kill_and_revive(backend: &mut Backend, seen: &Seen) {
    let pass = |count: u64| {
        let goal = (seen.finished() + count).min(CLIENTS);
        until("clients are served", || seen.finished() >= goal);
    };
    backend.kill();
    pass(40);
    backend.revive();
    pass(40);
}

fn assert_numbers_are_exact(proxy: &Proxy, seen: &Seen) {
    proxy.await_idle();
    let status = proxy.status();
    let shop = status.service("shop");
    let total = |backend: &str| shop.backend(backend).number("total");
    let served = |counter: &AtomicU64| counter.load(Ordering::SeqCst);

    assert_eq!(shop.number("accepted"), CLIENTS);
    assert_eq!(shop.number("no_backend"), 0, "cedar was there all the time");
    assert_eq!(total("maple") + total("birch") + total("cedar"), CLIENTS);
    assert_eq!(total("cedar"), served(&seen.cedar), "nobody killed cedar");
    let (maple, birch) = (served(&seen.maple), served(&seen.birch));
    assert!(total("maple") >= maple && total("birch") >= birch);
    let broken = served(&seen.broken);
    assert_eq!(total("maple") - maple + (total("birch") - birch), broken);
    assert!(broken < CLIENTS / 10, "{broken} clients broke off");
    assert!(
        shop.backend("maple").number("failures") > 0,
        "nobody met the dead maple"
    );
}

/// Section 5 (decided): a back end is killed while clients hold connections to
/// all three; its own clients, and only they, break off.
#[test]
fn a_killed_backend_breaks_its_own_connections_and_no_others() {
    let mut trees = Trees::new();
    let proxy = trees.behind("").start();
    let (mut clients, names): (Vec<Client>, Vec<String>) = (0..90).map(|_| proxy.greeted()).unzip();

    trees.maple.kill();

    for (client, name) in clients.iter_mut().zip(&names) {
        if name == "maple" {
            assert_eq!(client.rest().0, b"");
        } else {
            client.assert_echo("undisturbed");
        }
    }
    assert_eq!(names.iter().filter(|name| *name == "maple").count(), 30);
    assert_eq!(
        proxy.state("maple"),
        "available",
        "a broken connection is no failed connect"
    );
}
