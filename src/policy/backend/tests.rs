//! The table of 6.2 row by row, probes and timers, then the laws of states.

use proptest::prelude::*;

use super::*;
use crate::policy::testing::{NO_ADDRESS, REFUSED, property_config};
use ShownState::{Available, Down, Unavailable, Waking};

const EVERY: Duration = Duration::from_secs(7);
const NAME_RETRY: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

fn patience(retries: u16, reviving_interval: Option<Duration>) -> Patience {
    Patience {
        retries,
        reviving_interval,
        name_retry: NAME_RETRY,
    }
}

/// A state and its clock.
struct Bench {
    state: BackendState,
    now: Moment,
}

impl Bench {
    fn new(retries: u16, reviving_interval: Option<Duration>) -> Self {
        let now = Moment::now();
        let state = BackendState::new(patience(retries, reviving_interval), now);
        Self { state, now }
    }

    fn apply(&mut self, event: Event) -> Option<StateChange> {
        let change = self.state.apply(event, self.now);
        self.state.check_invariants();
        change
    }

    fn fail(&mut self, failure: ConnectFailure) -> Option<StateChange> {
        let began = self.state.epoch();
        self.apply(Event::ConnectFailed { began, failure })
    }

    fn tell(&mut self, state: ShownState) -> Option<StateChange> {
        self.apply(Event::Told(state))
    }

    /// Begins the probe that is due, gives the epoch in which it began.
    fn probe(&mut self) -> Epoch {
        self.apply(Event::ProbeStarted);
        self.state.epoch()
    }

    fn end_probe(
        &mut self,
        began: Epoch,
        result: Result<(), ConnectFailure>,
    ) -> Option<StateChange> {
        self.apply(Event::ProbeEnded { began, result })
    }

    fn due_in(&self) -> Option<Duration> {
        let due = self.state.probe_due()?;
        Some(due.saturating_duration_since(self.now.monotonic))
    }

    /// From one state to another, and why.
    fn change(
        &self,
        from: ShownState,
        to: ShownState,
        (reason, errno): (Reason, i32),
    ) -> Option<StateChange> {
        Some(StateChange {
            from,
            to,
            reason,
            errno,
            at: self.now,
        })
    }
}

#[test]
fn back_end_starts_available_without_a_probe() {
    let bench = Bench::new(0, Some(EVERY));

    assert_eq!(bench.state.shown(), Available);
    assert_eq!(bench.state.probe_due(), None);
    assert_eq!(bench.state.last_change().reason, Reason::None);
}

#[test]
fn failure_number_retries_plus_one_makes_it_unavailable() {
    let mut bench = Bench::new(2, None);

    assert_eq!(bench.fail(REFUSED), None);
    assert_eq!(bench.fail(REFUSED), None);
    assert_eq!(bench.state.shown(), Available);
    let change = bench.fail(REFUSED);

    let expected = bench.change(Available, Unavailable, (Reason::Refused, 111));
    assert_eq!(change, expected);
    assert_eq!(bench.fail(REFUSED), None);
    assert_eq!(bench.state.consecutive_failures(), 4);
}

#[test]
fn success_between_failures_starts_the_count_anew() {
    let mut bench = Bench::new(1, None);

    for _ in 0..5 {
        assert_eq!(bench.fail(REFUSED), None);
        bench.state.connected(bench.state.epoch());
        assert_eq!(bench.state.consecutive_failures(), 0);
    }

    assert_eq!(bench.state.shown(), Available);
}

#[test]
fn name_that_does_not_resolve_is_unavailable_at_once_and_not_counted() {
    let mut bench = Bench::new(1_000, None);

    let change = bench.fail(NO_ADDRESS);

    let cause = (Reason::NameDoesNotResolve, 0);
    assert_eq!(change, bench.change(Available, Unavailable, cause));
    assert_eq!(bench.state.consecutive_failures(), 0);
}

#[test]
fn unresolved_name_brings_its_own_timer_until_a_probe_succeeds() {
    let mut bench = Bench::new(0, None);
    bench.fail(NO_ADDRESS);
    assert_eq!(bench.due_in(), Some(NAME_RETRY));

    for failure in [NO_ADDRESS, REFUSED, REFUSED] {
        let began = bench.probe();
        bench.now = bench.now.after(SECOND);
        bench.end_probe(began, Err(failure));
        assert_eq!(bench.due_in(), Some(NAME_RETRY), "{failure:?}");
    }
    let began = bench.probe();
    bench.end_probe(began, Ok(()));

    assert_eq!(bench.state.shown(), Available);
    bench.fail(REFUSED);
    assert_eq!(bench.due_in(), None);
}

#[test]
fn revivinginterval_counts_before_the_timer_of_names() {
    let mut bench = Bench::new(0, Some(EVERY));

    bench.fail(NO_ADDRESS);

    assert_eq!(bench.due_in(), Some(EVERY));
}

#[test]
fn tell_ends_the_timer_of_an_unresolved_name() {
    let mut bench = Bench::new(0, None);
    bench.fail(NO_ADDRESS);

    bench.tell(Unavailable);

    assert_eq!(bench.due_in(), None);
}

#[test]
fn probe_comes_so_long_after_the_failure_and_after_the_end_of_a_failed_one() {
    let mut bench = Bench::new(0, Some(EVERY));
    bench.fail(REFUSED);
    assert_eq!(bench.due_in(), Some(EVERY));

    bench.now = bench.now.after(EVERY);
    let began = bench.probe();
    assert_eq!(bench.due_in(), None);
    bench.now = bench.now.after(SECOND);
    bench.end_probe(began, Err(REFUSED));

    assert_eq!(bench.due_in(), Some(EVERY));
}

#[test]
fn probe_makes_it_waking_and_keeps_the_reason() {
    let mut bench = Bench::new(0, Some(EVERY));
    bench.fail(REFUSED);
    bench.now = bench.now.after(EVERY);

    let change = bench.apply(Event::ProbeStarted);

    let kept = (Reason::Refused, 111);
    assert_eq!(change, bench.change(Unavailable, Waking, kept));
}

#[test]
fn probe_that_succeeds_revives_and_one_that_fails_gives_its_reason() {
    let timed_out = ConnectFailure {
        reason: Reason::TimedOut,
        errno: 110,
    };
    let mut bench = Bench::new(0, Some(EVERY));
    bench.fail(REFUSED);

    let began = bench.probe();
    let failed = bench.end_probe(began, Err(timed_out));
    let expected = bench.change(Waking, Unavailable, (Reason::TimedOut, 110));
    assert_eq!(failed, expected);
    let began = bench.probe();
    let revived = bench.end_probe(began, Ok(()));

    assert_eq!(
        revived,
        bench.change(Waking, Available, (Reason::Revived, 0))
    );
    assert_eq!(bench.state.consecutive_failures(), 0);
}

#[test]
fn failed_connect_changes_nothing_while_unavailable_or_waking() {
    let mut bench = Bench::new(0, Some(EVERY));
    bench.fail(REFUSED);
    let due = bench.state.probe_due();
    bench.now = bench.now.after(SECOND);

    assert_eq!(bench.fail(NO_ADDRESS), None);
    assert_eq!(bench.state.probe_due(), due);
    bench.probe();

    assert_eq!(bench.fail(REFUSED), None);
    assert_eq!(bench.state.shown(), Waking);
}

#[test]
fn tell_sets_any_state_from_any_state() {
    for from in ShownState::ALL {
        for to in ShownState::ALL {
            let mut bench = Bench::new(3, None);
            bench.fail(REFUSED);
            bench.tell(from);

            let change = bench.tell(to);

            assert_eq!(bench.state.shown(), to);
            assert_eq!(bench.state.consecutive_failures(), 0);
            let expected = bench.change(from, to, (Reason::Told, 0));
            assert_eq!(change, expected.filter(|_| from != to));
        }
    }
}

#[test]
fn tell_unavailable_starts_the_revival_timer_anew() {
    let mut bench = Bench::new(0, Some(EVERY));
    bench.fail(REFUSED);
    bench.now = bench.now.after(SECOND * 5);

    bench.tell(Unavailable);

    assert_eq!(bench.due_in(), Some(EVERY));
}

#[test]
fn tell_waking_asks_for_one_probe_at_once_even_without_revival() {
    let mut bench = Bench::new(0, None);

    bench.tell(Waking);
    assert_eq!(bench.due_in(), Some(Duration::ZERO));
    let began = bench.state.epoch();
    assert_eq!(bench.apply(Event::ProbeStarted), None);
    let failed = bench.end_probe(began, Err(REFUSED));

    let expected = bench.change(Waking, Unavailable, (Reason::Refused, 111));
    assert_eq!(failed, expected);
    assert_eq!(bench.due_in(), None);
}

#[test]
fn probe_asked_for_by_tell_that_finds_no_address_goes_on_by_itself() {
    let mut bench = Bench::new(0, None);
    bench.tell(Waking);
    let began = bench.probe();

    bench.end_probe(began, Err(NO_ADDRESS));

    assert_eq!(bench.due_in(), Some(NAME_RETRY));
}

#[test]
fn down_backend_is_never_revived() {
    let mut bench = Bench::new(0, Some(EVERY));
    bench.fail(REFUSED);
    let began = bench.probe();

    bench.tell(Down);
    assert_eq!(bench.due_in(), None);
    assert_eq!(bench.end_probe(began, Ok(())), None);

    assert_eq!(bench.state.shown(), Down);
    assert_eq!(bench.due_in(), None);
}

#[test]
fn connect_that_began_before_a_tell_says_nothing_about_the_state() {
    let mut bench = Bench::new(0, None);
    let began = bench.state.epoch();

    bench.tell(Available);
    let failure = REFUSED;
    let late = bench.apply(Event::ConnectFailed { began, failure });

    assert_eq!(late, None);
    assert_eq!(bench.state.shown(), Available);
    assert_eq!(bench.state.consecutive_failures(), 0);
}

#[test]
fn success_that_began_before_a_tell_leaves_the_count_alone() {
    let mut bench = Bench::new(5, None);
    let began = bench.state.epoch();
    bench.tell(Available);
    bench.fail(REFUSED);

    bench.state.connected(began);

    assert_eq!(bench.state.consecutive_failures(), 1);
}

#[test]
fn later_probe_decides_when_tell_asked_for_it_during_an_earlier_one() {
    let mut bench = Bench::new(0, Some(EVERY));
    bench.fail(REFUSED);
    let earlier = bench.probe();
    bench.tell(Waking);
    let later = bench.probe();

    assert_eq!(bench.end_probe(earlier, Ok(())), None);
    assert_eq!(bench.state.shown(), Waking);
    bench.end_probe(later, Err(REFUSED));

    assert_eq!(bench.state.shown(), Unavailable);
}

#[test]
fn new_address_forgets_failures_and_leaves_the_state() {
    let mut bench = Bench::new(3, Some(EVERY));
    bench.fail(REFUSED);
    let began = bench.state.epoch();

    bench.state.server_changed();
    bench.state.check_invariants();
    assert_eq!(bench.state.consecutive_failures(), 0);
    assert_eq!(bench.state.shown(), Available);
    let failure = REFUSED;
    bench.apply(Event::ConnectFailed { began, failure });

    assert_eq!(bench.state.consecutive_failures(), 0);
}

#[test]
fn new_address_leaves_the_revival_timer() {
    let mut bench = Bench::new(0, Some(EVERY));
    bench.fail(REFUSED);
    bench.now = bench.now.after(SECOND * 2);

    bench.state.server_changed();

    assert_eq!(bench.due_in(), Some(SECOND * 5));
}

#[test]
fn probe_of_an_old_address_is_begun_again_at_the_new_one() {
    let mut bench = Bench::new(0, Some(EVERY));
    bench.fail(REFUSED);
    let old = bench.probe();

    bench.state.server_changed();
    bench.state.check_invariants();
    assert_eq!(bench.due_in(), Some(Duration::ZERO));
    assert_eq!(bench.end_probe(old, Ok(())), None);
    assert_eq!(bench.state.shown(), Waking);
    let new = bench.probe();
    bench.end_probe(new, Ok(()));

    assert_eq!(bench.state.shown(), Available);
}

/// One thing that can happen to a back end; the index says to which of the
/// connects or probes under way.
#[derive(Clone, Debug)]
enum Happening {
    ConnectBegins,
    ConnectSucceeds(prop::sample::Index),
    ConnectFails(prop::sample::Index, ConnectFailure),
    ProbeBegins,
    ProbeEnds(prop::sample::Index, Result<(), ConnectFailure>),
    Told(ShownState),
    ServerChanged,
    Time(u64),
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let index = any::<prop::sample::Index>;
    let failure = || prop::sample::select(vec![REFUSED, NO_ADDRESS]);
    prop_oneof![
        3 => Just(Happening::ConnectBegins),
        1 => index().prop_map(Happening::ConnectSucceeds),
        3 => (index(), failure()).prop_map(|(at, why)| Happening::ConnectFails(at, why)),
        4 => Just(Happening::ProbeBegins),
        2 => index().prop_map(|at| Happening::ProbeEnds(at, Ok(()))),
        2 => (index(), failure()).prop_map(|(at, why)| Happening::ProbeEnds(at, Err(why))),
        2 => prop::sample::select(ShownState::ALL.to_vec()).prop_map(Happening::Told),
        1 => Just(Happening::ServerChanged),
        2 => (0..20_u64).prop_map(Happening::Time),
    ]
}

/// A back end with everything that is under way at it.
struct Life {
    bench: Bench,
    connects: Vec<Epoch>,
    probes: Vec<Epoch>,
}

fn take(from: &mut Vec<Epoch>, at: prop::sample::Index) -> Option<Epoch> {
    (!from.is_empty()).then(|| from.swap_remove(at.index(from.len())))
}

impl Life {
    /// Lets it happen; gives the change, and whether it is told so.
    fn live(&mut self, happening: &Happening) -> Option<StateChange> {
        let bench = &mut self.bench;
        match *happening {
            Happening::ConnectBegins if bench.state.shown() == Available => {
                self.connects.push(bench.state.epoch());
                None
            }
            Happening::ConnectBegins => None,
            Happening::ConnectSucceeds(at) => {
                bench.state.connected(take(&mut self.connects, at)?);
                None
            }
            Happening::ConnectFails(at, failure) => {
                let began = take(&mut self.connects, at)?;
                bench.apply(Event::ConnectFailed { began, failure })
            }
            Happening::ProbeBegins => {
                let due = bench.state.probe_due()?;
                if due > bench.now.monotonic {
                    return None;
                }
                self.probes.push(bench.state.epoch());
                bench.apply(Event::ProbeStarted)
            }
            Happening::ProbeEnds(at, result) => {
                let began = take(&mut self.probes, at)?;
                bench.end_probe(began, result)
            }
            Happening::Told(state) => bench.tell(state),
            Happening::ServerChanged => {
                bench.state.server_changed();
                None
            }
            Happening::Time(seconds) => {
                bench.now = bench.now.after(Duration::from_secs(seconds));
                None
            }
        }
    }
}

/// Whether `happening` may be the cause of a change from one state to another.
fn may_cause(happening: &Happening, from: ShownState, to: ShownState) -> bool {
    match happening {
        Happening::Told(state) => *state == to,
        Happening::ConnectFails(..) => (from, to) == (Available, Unavailable),
        Happening::ProbeBegins => (from, to) == (Unavailable, Waking),
        Happening::ProbeEnds(_, Ok(())) => (from, to) == (Waking, Available),
        Happening::ProbeEnds(_, Err(_)) => (from, to) == (Waking, Unavailable),
        _ => false,
    }
}

proptest! {
    #![proptest_config(property_config(512))]

    #[test]
    fn each_change_has_one_cause_and_down_is_left_by_told_only(
        retries in 0..3_u16,
        revives in any::<bool>(),
        happenings in prop::collection::vec(any_happening(), 1..120),
    ) {
        let bench = Bench::new(retries, revives.then_some(EVERY));
        let mut life = Life { bench, connects: Vec::new(), probes: Vec::new() };
        for happening in &happenings {
            let from = life.bench.state.shown();

            let change = life.live(happening);

            let to = life.bench.state.shown();
            life.bench.state.check_invariants();
            prop_assert_eq!(change.is_some(), from != to, "{:?}", happening);
            if let Some(change) = change {
                prop_assert_eq!((change.from, change.to), (from, to));
                prop_assert_eq!(change.at, life.bench.now);
                prop_assert!(may_cause(happening, from, to), "{:?} {:?}", happening, change);
                let told = matches!(happening, Happening::Told(_));
                prop_assert!(from != Down || told);
                prop_assert!(to != Down || told);
                let last = life.bench.state.last_change();
                prop_assert_eq!((last.reason, last.at), (change.reason, change.at));
            }
        }
    }
}
