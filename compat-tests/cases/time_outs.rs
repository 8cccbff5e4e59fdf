//! The idle limit, `connectiontimeout`.

use std::time::{Duration, Instant};

use crate::cases::Trees;
use crate::harness::{Backend, Setup, pace};

/// C33 (documented; the second in between decided).
#[test]
fn a_silent_connection_is_cut_and_counts_as_success() {
    let maple = Backend::banner("maple");
    let proxy = Setup::new("connectiontimeout 2;")
        .backend("maple", maple.server(), "")
        .flags(["-a"])
        .start();
    let (mut client, _) = proxy.greeted();
    let last_activity = Instant::now();

    let (bytes, _) = client.rest();
    let taken = last_activity.elapsed();

    assert_eq!(bytes, b"");
    assert!(taken >= Duration::from_millis(1950), "{taken:?}");
    assert!(taken < Duration::from_millis(3500), "{taken:?}");
    let line = proxy.sandbox().syslog.await_line("ending shop");
    assert!(line.text.ends_with(" s, idle"), "{line:?}");
    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
    assert_eq!(proxy.number("maple", "failures"), 0);
}

/// C33 (documented).
#[test]
fn a_connection_that_keeps_moving_lives_on() {
    let maple = Backend::banner("maple");
    let proxy = Setup::new("connectiontimeout 2;")
        .backend("maple", maple.server(), "")
        .start();
    let (mut client, _) = proxy.greeted();

    for second in 1..=6 {
        pace(Duration::from_secs(1));
        client.assert_echo(&format!("second {second}"));
    }
}

/// 8.2 (decided): both directions count together.
#[test]
fn a_connection_that_moves_in_one_direction_only_lives_on() {
    let maple = Backend::silent();
    let proxy = Setup::new("connectiontimeout 1;")
        .backend("maple", maple.server(), "")
        .start();
    let mut client = proxy.connect();

    for _ in 0..8 {
        client.send("up");
        pace(Duration::from_millis(500));
    }

    client.send("up");
    crate::harness::until("all of it arrives", || maple.received() == 18);
}

/// C34 (decided): the back end's own value counts, also 0. The other back end's
/// connections are the clock.
#[test]
fn a_backend_without_a_limit_is_never_cut() {
    let trees = Trees::new();
    let proxy = Setup::new("dispatchmode byorder; connectiontimeout 1;")
        .backend(
            "maple",
            trees.maple.server(),
            "connectiontimeout 0; maxconnections 1;",
        )
        .backend("birch", trees.birch.server(), "")
        .start();
    let (mut spared, name) = proxy.greeted();
    assert_eq!(name, "maple");

    for _ in 0..3 {
        let (mut clock, name) = proxy.greeted();
        assert_eq!(name, "birch");
        assert_eq!(clock.rest().0, b"", "cut");
    }

    spared.assert_echo("still here");
}

/// 4.12 (decided): a back end's value holds where the service has none.
#[test]
fn a_backend_can_have_a_limit_of_its_own() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "connectiontimeout 1;")
        .backend("birch", trees.birch.server(), "")
        .start();
    let (mut limited, _) = proxy.greeted();
    let (mut free, _) = proxy.greeted();

    assert_eq!(limited.rest().0, b"");

    free.assert_echo("no limit");
}
