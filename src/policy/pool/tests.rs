//! What is counted for a connection, what a tell does, and when probes begin.

use std::time::Duration;

use super::*;
use crate::policy::dispatch::DispatchMode;
use crate::policy::testing::*;
use ShownState::{Available, Down, Unavailable, Waking};

const EVERY: Duration = Duration::from_secs(7);

/// Maple, birch and cedar with revival.
fn reviving(now: Moment) -> Pool {
    let settings = PoolSettings {
        reviving_interval: Some(EVERY),
        ..settings(DispatchMode::ByOrder, weighted([1, 1, 1]))
    };
    Pool::new(settings, now)
}

/// A client whose connect to the first candidate fails.
fn fail(pool: &mut Pool, failure: ConnectFailure, now: Moment) -> Option<StateChange> {
    let ticket = pool.dispatch(CLIENT, &Tried::default())?;
    pool.connect_failed(ticket, failure, now)
}

#[test]
fn view_counts_a_connection_from_reservation_to_end() {
    let now = Moment::now();
    let mut pool = Pool::new(settings(DispatchMode::ByOrder, weighted([1, 1, 1])), now);
    let fresh = pool.view(MAPLE);

    let ticket = pool.dispatch(CLIENT, &Tried::default()).unwrap();
    let reserved = pool.view(MAPLE);
    pool.connected(&ticket);
    let connected = pool.view(MAPLE);
    let sample = Sample {
        bytes: 300,
        duration: Duration::from_micros(1_500),
        first_byte: Some(Duration::from_micros(200)),
    };
    pool.finish(ticket, sample);
    let ended = pool.view(MAPLE);

    assert_eq!(fresh.since, now.unix);
    assert_eq!((fresh.state, fresh.reason), (Available, Reason::None));
    assert_eq!((fresh.active, fresh.total), (0, 0));
    assert_eq!((reserved.active, reserved.total), (1, 0));
    assert_eq!((connected.active, connected.total), (1, 1));
    assert_eq!((ended.active, ended.total), (0, 1));
    assert_eq!(ended.microseconds, 1_500);
    assert_eq!(ended.first_byte_microseconds, 200);
}

#[test]
fn last_slot_goes_to_one_of_two_clients() {
    let mut backend = backend("maple");
    backend.limit = limit(1);
    let mut pool = pool(DispatchMode::RoundRobin, vec![backend]);

    let first = pool.dispatch(CLIENT, &Tried::default());
    let second = pool.dispatch(CLIENT, &Tried::default());

    assert!(second.is_none());
    pool.release(first.unwrap(), Released::NotHeldAgainst);
    assert!(pool.dispatch_to(MAPLE, &Tried::default()).is_some());
}

#[test]
fn service_without_back_ends_has_no_candidate_in_any_mode() {
    let mut pool = pool(DispatchMode::RoundRobin, Vec::new());

    assert!(pool.is_empty());
    assert!(pool.dispatch(CLIENT, &Tried::default()).is_none());
    assert!(pool.dispatch_to(MAPLE, &Tried::default()).is_none());
    assert!(pool.next_probe().is_none());
}

#[test]
fn released_place_counts_as_aborted_or_not_at_all() {
    let mut pool = three(DispatchMode::ByOrder);

    for why in [Released::Aborted, Released::NotHeldAgainst] {
        let ticket = pool.dispatch(CLIENT, &Tried::default()).unwrap();
        pool.release(ticket, why);
    }

    let view = pool.view(MAPLE);
    assert_eq!((view.aborted, view.active), (1, 0));
    assert_eq!((view.failures, view.total), (0, 0));
    assert_eq!(view.state, Available);
}

#[test]
fn same_client_is_served_by_the_next_back_end() {
    let mut pool = three(DispatchMode::ByOrder);

    let way = fail_over(&mut pool, &[MAPLE, BIRCH], Moment::now());

    assert_eq!(letters(way), "m b c");
    let states = [MAPLE, BIRCH, CEDAR].map(|id| pool.view(id).state);
    assert_eq!(states, [Unavailable, Unavailable, Available]);
}

#[test]
fn failed_connect_shows_reason_and_error_number() {
    let mut pool = three(DispatchMode::ByOrder);
    let now = Moment::now().after(EVERY);

    let change = fail(&mut pool, REFUSED, now).unwrap();

    assert_eq!((change.from, change.to), (Available, Unavailable));
    let view = pool.view(MAPLE);
    assert_eq!((view.reason, view.errno), (Reason::Refused, 111));
    assert_eq!((view.since, view.active), (now.unix, 0));
    assert_eq!((view.failures, view.consecutive_failures), (1, 1));
}

#[test]
fn failure_from_before_a_tell_is_counted_but_changes_no_state() {
    let mut pool = three(DispatchMode::ByOrder);
    let now = Moment::now();
    let ticket = pool.dispatch(CLIENT, &Tried::default()).unwrap();

    pool.tell(MAPLE, Available, now);
    let change = pool.connect_failed(ticket, REFUSED, now);

    assert_eq!(change, None);
    let view = pool.view(MAPLE);
    assert_eq!((view.failures, view.consecutive_failures), (1, 0));
    assert_eq!(view.state, Available);
}

#[test]
fn running_connections_go_on_when_their_back_end_is_told_down() {
    let mut pool = three(DispatchMode::BySize(over(0)));
    let ticket = stay(&mut pool).unwrap();

    pool.tell(MAPLE, Down, Moment::now());
    assert_eq!(pool.view(MAPLE).active, 1);
    pool.finish(ticket, bytes(70));

    let view = pool.view(MAPLE);
    assert_eq!((view.active, view.usage), (0, 70.0));
    assert_eq!(view.state, Down);
}

#[test]
fn tell_is_answered_with_the_state_before_even_if_it_is_the_same() {
    let start = Moment::now();
    let mut pool = reviving(start);
    let later = start.after(EVERY);

    let same = pool.tell(MAPLE, Available, later);
    let down = pool.tell(MAPLE, Down, later);

    assert_eq!((same.from, same.to), (Available, Available));
    assert_eq!((same.reason, same.at), (Reason::Told, later));
    assert_eq!((down.from, down.to), (Available, Down));
}

#[test]
fn tell_that_changes_nothing_leaves_the_age_of_the_state() {
    let start = Moment::now();
    let mut pool = reviving(start);

    pool.tell(MAPLE, Available, start.after(EVERY));

    let view = pool.view(MAPLE);
    assert_eq!((view.since, view.reason), (start.unix, Reason::None));
}

#[test]
fn figures_of_the_others_fall_whatever_their_state() {
    let mut backends = weighted([1, 1, 1]);
    for backend in &mut backends {
        backend.decay = percent(50);
    }
    let mut pool = pool(DispatchMode::BySize(over(0)), backends);
    for _ in 0..3 {
        serve(&mut pool, |_| bytes(64));
    }
    let before = [MAPLE, BIRCH, CEDAR].map(|id| pool.view(id).usage);
    pool.tell(BIRCH, Down, Moment::now());

    let ticket = pool.dispatch_to(CEDAR, &Tried::default()).unwrap();
    let reserved = [MAPLE, BIRCH, CEDAR].map(|id| pool.view(id).usage);
    pool.connected(&ticket);
    let connected = [MAPLE, BIRCH, CEDAR].map(|id| pool.view(id).usage);
    pool.finish(ticket, bytes(0));

    assert_eq!(before, [16.0, 32.0, 64.0]);
    assert_eq!(reserved, before);
    assert_eq!(connected, [8.0, 16.0, 64.0]);
}

#[test]
fn new_address_is_used_from_then_on_and_the_old_one_is_given_back() {
    let mut pool = three(DispatchMode::ByOrder);

    let old = pool.set_server(BIRCH, server(8080));

    assert_eq!(old, server(80));
    assert_eq!(pool.server(BIRCH), &server(8080));
    assert_eq!(pool.server(MAPLE), &server(80));
}

#[test]
fn failed_back_end_is_probed_after_the_interval_and_revived() {
    let start = Moment::now();
    let mut pool = reviving(start);
    fail(&mut pool, REFUSED, start);

    assert_eq!(pool.next_probe(), Some(start.after(EVERY).monotonic));
    assert!(pool.start_probe(start).is_none());
    let due = start.after(EVERY);
    let (probe, waking) = pool.start_probe(due).unwrap();
    assert_eq!(probe.backend(), MAPLE);
    assert_eq!(waking.map(|change| change.to), Some(Waking));
    assert!(pool.start_probe(due).is_none());
    let revived = pool.probe_ended(probe, Ok(()), due);

    assert_eq!(revived.map(|change| change.to), Some(Available));
    assert_eq!(pool.view(MAPLE).reason, Reason::Revived);
    assert_eq!(pool.next_probe(), None);
}

#[test]
fn probes_count_in_no_figure_and_no_number() {
    let start = Moment::now();
    let mut pool = reviving(start);
    fail(&mut pool, REFUSED, start);
    let before = pool.view(MAPLE);

    let due = start.after(EVERY);
    let (probe, _) = pool.start_probe(due).unwrap();
    assert_eq!(pool.view(MAPLE).active, 0);
    pool.probe_ended(probe, Err(REFUSED), due);

    let after = pool.view(MAPLE);
    assert_eq!(
        (after.total, after.failures),
        (before.total, before.failures)
    );
    assert_eq!(after.consecutive_failures, before.consecutive_failures);
}

#[test]
fn due_probes_begin_in_the_order_in_which_they_became_due() {
    let start = Moment::now();
    let mut pool = reviving(start);
    let second = start.after(Duration::from_secs(1));
    pool.tell(CEDAR, Unavailable, start);
    pool.tell(BIRCH, Unavailable, second);
    pool.tell(MAPLE, Unavailable, second);
    pool.tell(BIRCH, Waking, start.after(EVERY * 2));

    let now = start.after(EVERY * 3);
    let mut begun = Vec::new();
    let mut changed = Vec::new();
    while let Some((probe, change)) = pool.start_probe(now) {
        begun.push(probe.backend());
        changed.push(change.is_some());
    }

    assert_eq!(letters(begun), "c m b");
    assert_eq!(changed, [true, true, false]);
}

#[test]
fn tell_down_during_a_probe_outlives_its_success() {
    let start = Moment::now();
    let mut pool = reviving(start);
    fail(&mut pool, REFUSED, start);
    let due = start.after(EVERY);
    let (probe, _) = pool.start_probe(due).unwrap();

    pool.tell(MAPLE, Down, due);
    let late = pool.probe_ended(probe, Ok(()), due);

    assert_eq!(late, None);
    assert_eq!(pool.view(MAPLE).state, Down);
}

#[test]
fn endless_interval_plans_no_probe() {
    let start = Moment::now();
    let settings = PoolSettings {
        reviving_interval: Some(Duration::MAX),
        ..settings(DispatchMode::ByOrder, weighted([1, 1, 1]))
    };
    let mut pool = Pool::new(settings, start);

    fail(&mut pool, REFUSED, start);

    assert_eq!(pool.next_probe(), None);
}
