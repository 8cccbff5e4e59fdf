//! Probes: their limit, their rhythm, and that they do not wait for each other.

use std::time::{Duration, Instant};

use crate::harness::{Backend, Blackhole, Level, Setup};

/// 6.4 and 8.2 (decided): a probe without answer fails at its limit.
#[test]
fn a_probe_without_answer_fails_at_its_limit() {
    let maple = Blackhole::new();
    let proxy = Setup::new("")
        .backend("maple", maple.server(), "")
        .limit("probe", 0.6)
        .start();

    let begun = Instant::now();
    proxy.tell("maple", "waking");
    proxy.await_state("maple", "unavailable");
    let taken = begun.elapsed();

    assert!(taken >= Duration::from_millis(550), "{taken:?}");
    assert!(taken < Duration::from_millis(2500), "{taken:?}");
    assert_eq!(proxy.reason("maple"), "timed out");
    assert_eq!(proxy.number("maple", "failures"), 0, "no client met it");
}

/// 6.4 (decided): back ends are probed independently of each other.
#[test]
fn a_probe_that_hangs_does_not_hold_up_the_others() {
    let hole = Blackhole::new();
    let mut birch = Backend::dead("birch");
    let proxy = Setup::new("revivinginterval 1; dispatchmode byorder;")
        .backend("hole", hole.server(), "")
        .backend("birch", birch.server(), "")
        .limit("probe", 60.0)
        .start();
    proxy.tell("hole", "waking");
    proxy.connect().assert_closed_without_data();
    assert_eq!(proxy.state("birch"), "unavailable");

    birch.revive();

    proxy.await_state("birch", "available");
    assert_eq!(proxy.state("hole"), "waking", "its probe still runs");
    assert_eq!(proxy.visit(), "birch");
}

/// 6.4 (decided): the next probe begins so long after the end of a failed one,
/// and a probe that fails is one more change that is logged.
#[test]
fn probes_come_again_after_the_interval() {
    let maple = Backend::dead("maple");
    let proxy = Setup::new("revivinginterval 1;")
        .backend("maple", maple.server(), "verbosity on;")
        .start();
    let syslog = &proxy.sandbox().syslog;

    let begun = Instant::now();
    proxy.connect().assert_closed_without_data();
    let probes = syslog.await_lines("probe: ", 3);
    let taken = begun.elapsed();

    assert!(probes.iter().all(|line| line.level == Level::Info));
    assert!(probes[0].text.ends_with("probe: refused"), "{probes:#?}");
    assert!(taken >= Duration::from_millis(2900), "{taken:?}");
    assert!(taken < Duration::from_secs(6), "{taken:?}");
}
