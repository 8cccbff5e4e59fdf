//! Back ends that come back, and those that must not.

use crate::cases::Trees;
use crate::harness::{Backend, Level, Setup, pace, until};
use std::time::{Duration, Instant};

/// C19, C31 (documented).
#[test]
fn an_unavailable_backend_is_revived_and_serves_first_again() {
    let (mut maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder; revivinginterval 1;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .start();
    assert_eq!(proxy.visits(3), ["birch", "birch", "birch"]);

    maple.revive();
    let revived = Instant::now();
    proxy.await_state("maple", "available");
    let taken = revived.elapsed();

    assert!(taken < Duration::from_millis(2500), "{taken:?}");
    assert_eq!(proxy.reason("maple"), "revived");
    assert_eq!(proxy.visits(2), ["maple", "maple"]);
    let line = proxy.sandbox().syslog.await_line("(revived)");
    assert_eq!(line.level, Level::Notice);
    assert!(line.text.starts_with("shop maple: ") && line.text.contains("-> available"));
}

/// 6.4 (decided): a probe is no connection of a client.
#[test]
fn a_probe_sends_nothing_and_counts_in_no_number() {
    let (mut maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder; revivinginterval 1;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .start();
    proxy.visit();

    maple.revive();
    proxy.await_state("maple", "available");

    until("the probe has been accepted", || maple.accepted() == 1);
    assert_eq!(maple.received(), 0);
    let status = proxy.status();
    let maple = status.service("shop").backend("maple");
    assert_eq!((maple.number("total"), maple.number("active")), (0, 0));
    assert_eq!(maple.number("failures"), 1, "only the client's own connect");
}

/// C31 (decided): without `revivinginterval` nothing comes back by itself. The
/// clock is another service, whose back end is revived twice meanwhile.
#[test]
fn without_revivinginterval_an_unavailable_backend_stays_so() {
    let (mut maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let mut clock = Backend::dead("clock");
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .service("desk", "revivinginterval 1;")
        .backend("clock", clock.server(), "")
        .start();
    assert_eq!(proxy.visit(), "birch");
    maple.revive();

    for _ in 0..2 {
        let desk = proxy.address_of("desk");
        crate::harness::Client::connect(desk).assert_closed_without_data();
        clock.revive();
        until("the other service's back end is revived", || {
            proxy.status().service("desk").backend("clock").state() == "available"
        });
        clock.kill();
    }

    assert_eq!(proxy.state("maple"), "unavailable");
    assert_eq!(maple.accepted(), 0);
    proxy.tell("maple", "up");
    assert_eq!(proxy.visit(), "maple");
}

/// C32 (documented): `down` is left by `tell` only.
#[test]
fn a_backend_that_was_told_down_is_never_revived() {
    let trees = Trees::new();
    let proxy = trees.behind("revivinginterval 1;").start();
    proxy.tell("maple", "down");

    pace(Duration::from_secs(5));

    assert_eq!(proxy.state("maple"), "down");
    assert_eq!(trees.maple.accepted(), 0);
    assert!(!proxy.visits(4).contains(&"maple".to_owned()));
}

/// 6.1 (decided): Down hides what is observed; a dead back end that was told
/// `down` and then `unavailable` is probed again from then on.
#[test]
fn a_backend_that_was_told_unavailable_is_revived() {
    let trees = Trees::new();
    let proxy = trees.behind("revivinginterval 1;").start();
    proxy.tell("maple", "down");

    proxy.tell("maple", "unavailable");
    let told = Instant::now();
    proxy.await_state("maple", "available");
    let taken = told.elapsed();

    assert_eq!(proxy.reason("maple"), "revived");
    assert!(
        taken >= Duration::from_millis(900),
        "the timer starts with the tell: {taken:?}"
    );
}

/// 6.2 (decided).
#[test]
fn tell_waking_probes_at_once_also_without_revivinginterval() {
    let (mut maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .start();
    proxy.visit();
    assert_eq!(proxy.state("maple"), "unavailable");

    proxy.tell("maple", "waking");
    proxy.await_state("maple", "unavailable");
    maple.revive();
    proxy.tell("maple", "waking");
    proxy.await_state("maple", "available");

    assert_eq!(proxy.visit(), "maple");
}

/// 6.3 (inferred): a back end that is waking gets no client.
#[test]
fn a_waking_backend_gets_no_client() {
    let (maple, birch) = (crate::harness::Blackhole::new(), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .limit("probe", 30.0)
        .start();

    proxy.tell("maple", "waking");

    assert_eq!(proxy.state("maple"), "waking");
    assert_eq!(proxy.visit(), "birch");
    assert_eq!(proxy.state("maple"), "waking", "the probe still runs");
    assert_eq!(proxy.number("maple", "failures"), 0);
}

/// 6.2 (decided): a `tell` makes the result of a running probe void.
#[test]
fn a_probe_that_began_before_an_order_does_not_undo_it() {
    let maple = crate::harness::Blackhole::new();
    let proxy = Setup::new("revivinginterval 1;")
        .backend("maple", maple.server(), "")
        .limit("probe", 1.0)
        .start();
    proxy.tell("maple", "waking");

    proxy.tell("maple", "down");
    pace(Duration::from_millis(1500));

    assert_eq!(proxy.state("maple"), "down");
}
