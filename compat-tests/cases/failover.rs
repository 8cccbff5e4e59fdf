//! A client whose back end cannot be reached is served by another one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cases::Trees;
use crate::harness::{Backend, Blackhole, Level, Port, Setup, in_own_network, until};

/// C29 (documented), without hooks.
#[test]
fn the_same_client_is_served_by_the_next_backend() {
    let (maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .start();

    let (mut client, name) = proxy.greeted();

    assert_eq!(name, "birch");
    client.assert_echo("served");
    drop(client);
    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "unavailable");
    assert_eq!(proxy.reason("maple"), "refused");
    proxy.sandbox().syslog.await_exactly(
        Level::Warning,
        "shop maple: available -> unavailable (refused)",
    );
    let status = proxy.status();
    let maple = status.service("shop").backend("maple");
    assert_eq!((maple.number("failures"), maple.number("total")), (1, 0));
    assert_eq!(maple.text("errno_name"), "ECONNREFUSED");
}

/// C30 (decided).
#[test]
fn retries_allow_so_many_consecutive_failures() {
    let (maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "retries 2;")
        .backend("birch", birch.server(), "")
        .start();

    let states: Vec<String> = (0..3)
        .map(|_| {
            assert_eq!(proxy.visit(), "birch");
            proxy.state("maple")
        })
        .collect();

    assert_eq!(states, ["available", "available", "unavailable"]);
}

/// 4.19 (decided).
#[test]
fn a_success_begins_the_count_of_failures_anew() {
    let (mut maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "retries 1;")
        .backend("birch", birch.server(), "")
        .start();

    for _ in 0..3 {
        assert_eq!(proxy.visit(), "birch");
        maple.revive();
        assert_eq!(proxy.visit(), "maple");
        maple.kill();
    }

    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
    assert_eq!(proxy.number("maple", "failures"), 3);
}

/// C38 (decided).
#[test]
fn without_a_usable_backend_a_client_is_closed_without_data() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    for backend in ["maple", "birch", "cedar"] {
        proxy.tell(backend, "down");
    }

    proxy.connect().assert_closed_without_data();

    let line = proxy.sandbox().syslog.await_line("no usable back end");
    assert_eq!(
        (line.level, line.text.as_str()),
        (Level::Warning, "shop: no usable back end for 127.0.0.1")
    );
    until("it is counted", || proxy.shop_number("no_backend") == 1);
}

/// C63 (decided), second part: five back ends without answer.
#[test]
fn failover_ends_at_its_limit_and_the_running_connect_is_not_held_against_anybody() {
    let holes: Vec<Blackhole> = (0..5).map(|_| Blackhole::new()).collect();
    let mut setup = Setup::new("dispatchmode byorder;");
    for (hole, name) in holes.iter().zip(["one", "two", "three", "four", "five"]) {
        setup = setup.backend(name, hole.server(), "retries 9;");
    }
    let proxy = setup.limit("connect", 0.8).limit("failover", 2.0).start();

    let begun = Instant::now();
    proxy.connect().assert_closed_without_data();
    let taken = begun.elapsed();

    assert!(taken >= Duration::from_millis(1900), "{taken:?}");
    assert!(taken < Duration::from_millis(3500), "{taken:?}");
    proxy.await_idle();
    let status = proxy.status();
    let failures: Vec<u64> = status
        .service("shop")
        .backends()
        .iter()
        .map(|backend| backend.number("failures"))
        .collect();
    assert_eq!(
        failures,
        [1, 1, 0, 0, 0],
        "the third was given up, not held against it"
    );
}

/// C64 (decided).
#[test]
fn a_client_that_resets_while_its_backend_is_connected_is_aborted() {
    let (maple, birch) = (Blackhole::new(), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .start();
    let client = proxy.connect();
    until("maple is being connected", || {
        proxy.number("maple", "active") == 1
    });

    client.reset();

    until("the attempt is given up", || {
        proxy.number("maple", "aborted") == 1
    });
    proxy.await_idle();
    let status = proxy.status();
    let maple = status.service("shop").backend("maple");
    assert_eq!((maple.state(), maple.number("failures")), ("available", 0));
    assert_eq!(birch.accepted(), 0);
}

/// C64 (decided).
#[test]
fn a_client_that_only_ends_its_sending_is_still_failed_over_and_served() {
    let maple = Blackhole::new();
    let birch = Backend::serving(|mut peer| {
        let mut request = Vec::new();
        loop {
            match peer.receive() {
                bytes if bytes.is_empty() => break,
                bytes => request.extend(bytes),
            }
        }
        peer.send([b"birch got ".as_slice(), &request, b"\n"].concat());
    });
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .limit("connect", 1.0)
        .start();
    let mut client = proxy.connect();

    client.send("all of it");
    client.finish_sending();

    assert_eq!(client.line(), "birch got all of it");
    assert_eq!(proxy.state("maple"), "unavailable");
    assert_eq!(proxy.reason("maple"), "timed out");
    assert_eq!(proxy.number("maple", "aborted"), 0);
}

/// C67 (decided).
#[test]
fn no_route_from_here_is_not_held_against_the_backend() {
    in_own_network(&[], || {
        let birch = Backend::banner("birch");
        let proxy = Setup::new("dispatchmode byorder;")
            .backend("maple", "192.0.2.77:80", "")
            .backend("birch", birch.server(), "")
            .start();

        assert_eq!(proxy.visits(2), ["birch", "birch"]);

        let status = proxy.status();
        let maple = status.service("shop").backend("maple");
        assert_eq!((maple.state(), maple.number("failures")), ("available", 0));
        let line = proxy
            .sandbox()
            .syslog
            .await_line("cannot connect from here");
        assert_eq!(line.level, Level::Error);
        let start = "shop maple: cannot connect from here to 192.0.2.77:80: ";
        assert!(line.text.starts_with(start), "{line:?}");
    });
}

/// Section 5 (decided): a connection that breaks after it was made changes no
/// state, however often.
#[test]
fn a_backend_that_resets_established_connections_stays_available() {
    // It waits for a byte first: a reset that comes together with the news that
    // the connection was made is a failed connect, with the reason `reset`.
    let maple = Backend::serving(|mut peer| {
        peer.receive();
        peer.reset();
    });
    let proxy = Setup::new("").backend("maple", maple.server(), "").start();

    for _ in 0..10 {
        let mut client = proxy.connect();
        client.send("x");
        client.assert_closed_without_data();
    }

    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
    assert_eq!(proxy.number("maple", "total"), 10);
    assert_eq!(proxy.number("maple", "failures"), 0);
}

/// Section 5 (decided): with one back end that hangs, the others' clients do
/// not wait for it.
#[test]
fn a_hanging_backend_delays_only_the_clients_that_try_it() {
    let (maple, birch) = (Blackhole::new(), Backend::banner("birch"));
    let proxy = Setup::new("")
        .backend("maple", maple.server(), "retries 9;")
        .backend("birch", birch.server(), "")
        .flags(["-w", "1"])
        .limit("connect", 3.0)
        .start();
    let mut stuck = proxy.connect();
    until("maple is being connected", || {
        proxy.number("maple", "active") == 1
    });

    let begun = Instant::now();
    let name = proxy.visit();
    let taken = begun.elapsed();

    assert_eq!(name, "birch");
    assert!(taken < Duration::from_secs(2), "{taken:?}");
    assert_eq!(stuck.line(), "birch");
}

/// C63 (decided), first part, with addresses in place of a name; with a name it
/// is in `addresses`. Each back end has its own connect limit.
#[test]
fn a_connect_without_answer_fails_at_the_connect_limit() {
    let port = Arc::new(Port::reserve());
    let maple = Blackhole::at([127, 0, 0, 2].into(), Arc::clone(&port));
    let birch = Backend::banner("birch");
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .limit("connect", 1.0)
        .start();

    let begun = Instant::now();
    let (_client, name) = proxy.greeted();
    let taken = begun.elapsed();

    assert_eq!(name, "birch");
    assert!(taken >= Duration::from_millis(950), "{taken:?}");
    assert!(taken < Duration::from_millis(2500), "{taken:?}");
    assert_eq!(proxy.reason("maple"), "timed out");
}
