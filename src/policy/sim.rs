//! A whole service under chance: clients, failures, probes, orders, new
//! addresses and jumps of the clock, in any order, with everything checked
//! after each step against a record kept beside it.
//!
//! The same seed gives the same run. `CROSSROADS_SIM_SEEDS=N` runs N seeds in
//! place of 256, `CROSSROADS_SIM_SEED=N` that one alone; a failure says which.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::base::id::BackendId;
use crate::base::moment::Moment;
use crate::base::random::Random;
use crate::base::state::{ConnectFailure, Reason, ShownState, StateChange};
use crate::policy::dispatch::{DispatchMode, Stickiness};
use crate::policy::pool::{
    Pool, PoolBackend, PoolSettings, ProbeTicket, Released, Sample, Ticket, Tried,
};
use crate::policy::testing::{backend, limit, over, percent, server, weight};
use ShownState::{Available, Down, Unavailable, Waking};

const STEPS: usize = 400;
const SEEDS: u64 = 256;

/// What the simulation itself knows of a back end, by what it was told alone.
#[derive(Clone, Debug)]
struct Known {
    shown: ShownState,
    changed: u64,
    reason: Reason,
    active: u64,
    limit: u64,
    retries: u64,
    total: u64,
    failures: u64,
    aborted: u64,
    /// Failures that may count since the last success, order or revival.
    in_a_row: u64,
    /// How many orders it has had; what began before the last one is void.
    orders: u64,
    /// The probe that decides: begun under the present order, not ended.
    probed: bool,
    /// Became unavailable because its name does not resolve.
    unresolved: bool,
}

/// One connection or connect under way.
struct Live {
    ticket: Ticket,
    orders: u64,
    connected: bool,
}

/// A probe under way.
struct Probe {
    ticket: ProbeTicket,
    orders: u64,
}

/// Everything of one run.
struct World {
    pool: Pool,
    mode: DispatchMode,
    reviving_interval: Option<Duration>,
    random: Random,
    start: Moment,
    now: Moment,
    known: Vec<Known>,
    live: Vec<Live>,
    probes: Vec<Probe>,
    /// The last addresses given, by back end.
    ports: HashMap<u32, u16>,
    trace: String,
}

/// Says on failure how to see it again.
struct Place {
    seed: u64,
    step: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, step } = self;
            eprintln!("failed at step {step}; again with CROSSROADS_SIM_SEED={seed}");
        }
    }
}

const MODES: [DispatchMode; 7] = [
    DispatchMode::RoundRobin,
    DispatchMode::Random,
    DispatchMode::ByConnections,
    DispatchMode::ByOrder,
    DispatchMode::ByClientIp(Stickiness::Strict),
    DispatchMode::ByClientIp(Stickiness::Lax),
    DispatchMode::ExternalHandler,
];

fn any_mode(random: &mut Random) -> DispatchMode {
    let window = over([0, 1, 2, 5][random.below(4) as usize]);
    match random.below(11) {
        0 | 1 => DispatchMode::BySize(window),
        2 | 3 => DispatchMode::ByDuration(window),
        n => MODES[n as usize - 4],
    }
}

fn any_backend(id: u64, random: &mut Random) -> PoolBackend {
    PoolBackend {
        weight: weight(1 + random.below(5) as u32),
        decay: percent([0, 0, 20, 50, 100][random.below(5) as usize]),
        retries: random.below(3) as u16,
        limit: limit([0, 1, 2, 5][random.below(4) as usize]),
        ..backend(&format!("b{id}"))
    }
}

impl World {
    fn new(seed: u64, start: Moment) -> Self {
        let mut random = Random::new(seed);
        let mode = any_mode(&mut random);
        let count = 1 + random.below(6);
        let backends: Vec<_> = (0..count).map(|id| any_backend(id, &mut random)).collect();
        let interval = [None, Some(Duration::from_secs(3))][random.below(2) as usize];
        let known = |backend: &PoolBackend| Known {
            shown: Available,
            changed: start.unix,
            reason: Reason::None,
            active: 0,
            limit: backend.limit.as_number(),
            retries: u64::from(backend.retries),
            total: 0,
            failures: 0,
            aborted: 0,
            in_a_row: 0,
            orders: 0,
            probed: false,
            unresolved: false,
        };
        let known = backends.iter().map(known).collect();
        let settings = PoolSettings {
            mode,
            reviving_interval: interval,
            name_retry: Duration::from_secs(5),
            seed: random.next_u64(),
            backends,
        };
        Self {
            pool: Pool::new(settings, start),
            mode,
            reviving_interval: interval,
            random,
            start,
            now: start,
            known,
            live: Vec::new(),
            probes: Vec::new(),
            ports: HashMap::new(),
            trace: String::new(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn any_backend(&mut self) -> BackendId {
        BackendId(self.random.below(self.known.len() as u64) as u32)
    }

    fn known(&mut self, backend: BackendId) -> &mut Known {
        &mut self.known[backend.index()]
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let since = self.now.monotonic - self.start.monotonic;
        writeln!(self.trace, "{} {what}", since.as_millis()).unwrap();
    }

    fn step(&mut self) {
        match self.below(100) {
            0..30 => self.client_comes(),
            30..50 => self.connect_ends(),
            50..68 => self.connection_ends(),
            68..76 => self.time_passes(),
            76..86 => self.probes_begin(),
            86..93 => self.probe_ends(),
            93..97 => self.operator_tells(),
            97..99 => self.server_moves(),
            _ => self.wall_clock_jumps(),
        }
        self.check();
    }

    fn client_comes(&mut self) {
        let mut tried = Tried::default();
        let mut allowed = Vec::new();
        for id in (0..self.known.len() as u32).map(BackendId) {
            if self.below(5) == 0 {
                tried.insert(id);
            } else if self.is_usable(id) {
                allowed.push(id);
            }
        }
        let client = IpAddr::from(Ipv4Addr::from(self.random.next_u64() as u32));
        let bound = self.below(8) == 0;
        let asked = self.any_backend();
        let ticket = if bound {
            let ticket = self.pool.dispatch_to(asked, &tried);
            assert_eq!(ticket.is_some(), allowed.contains(&asked), "{asked:?}");
            ticket
        } else {
            self.pool.dispatch(client, &tried)
        };
        match ticket {
            Some(ticket) => {
                assert!(
                    allowed.contains(&ticket.backend()),
                    "{allowed:?} {ticket:?}"
                );
                self.reserved(ticket);
            }
            None if bound || self.mode == DispatchMode::ByClientIp(Stickiness::Strict) => (),
            None => assert!(allowed.is_empty(), "{allowed:?}"),
        }
    }

    fn is_usable(&self, id: BackendId) -> bool {
        let known = &self.known[id.index()];
        known.shown == Available && (known.limit == 0 || known.active < known.limit)
    }

    fn reserved(&mut self, ticket: Ticket) {
        let backend = ticket.backend();
        self.note(format_args!("reserved {}", backend.0));
        let known = self.known(backend);
        known.active += 1;
        let orders = known.orders;
        self.live.push(Live {
            ticket,
            orders,
            connected: false,
        });
    }

    /// One of the connections under way that are (not) connected.
    fn take_live(&mut self, connected: bool) -> Option<Live> {
        let fits = |(at, live): (usize, &Live)| (live.connected == connected).then_some(at);
        let fitting: Vec<_> = self.live.iter().enumerate().filter_map(fits).collect();
        if fitting.is_empty() {
            return None;
        }
        let at = fitting[self.below(fitting.len())];
        Some(self.live.swap_remove(at))
    }

    fn connect_ends(&mut self) {
        let Some(live) = self.take_live(false) else {
            return;
        };
        match self.below(10) {
            0..5 => self.connects(live),
            5..9 => self.fails(live),
            _ => self.is_released(live),
        }
    }

    fn connects(&mut self, live: Live) {
        let backend = live.ticket.backend();
        self.note(format_args!("connected {}", backend.0));
        self.pool.connected(&live.ticket);
        let known = self.known(backend);
        known.total += 1;
        if live.orders == known.orders {
            known.in_a_row = 0;
        }
        self.live.push(Live {
            connected: true,
            ..live
        });
    }

    fn fails(&mut self, live: Live) {
        let backend = live.ticket.backend();
        let failure = self.any_failure();
        let change = self.pool.connect_failed(live.ticket, failure, self.now);
        let no_address = failure.reason == Reason::NameDoesNotResolve;
        let known = self.known(backend);
        known.active -= 1;
        known.failures += 1;
        let counts = live.orders == known.orders;
        if counts && !no_address {
            known.in_a_row += 1;
        }
        let used_up = no_address || known.in_a_row > known.retries;
        let leaves = counts && known.shown == Available && used_up;
        if leaves {
            known.unresolved = no_address;
        }
        let expected = leaves.then_some((Unavailable, failure.reason, failure.errno));
        self.changed(backend, change, expected);
    }

    fn is_released(&mut self, live: Live) {
        let backend = live.ticket.backend();
        let why = [Released::Aborted, Released::NotHeldAgainst][self.below(2)];
        self.note(format_args!("released {} {why:?}", backend.0));
        self.pool.release(live.ticket, why);
        let known = self.known(backend);
        known.active -= 1;
        known.aborted += u64::from(why == Released::Aborted);
    }

    fn connection_ends(&mut self) {
        let Some(live) = self.take_live(true) else {
            return;
        };
        let backend = live.ticket.backend();
        let sample = Sample {
            bytes: self.random.below(1 << 30),
            duration: Duration::from_micros(self.random.below(90_000_000)),
            first_byte: (self.below(2) == 0).then_some(Duration::from_micros(5)),
        };
        self.pool.finish(live.ticket, sample);
        self.known(backend).active -= 1;
        let usage = self.pool.view(backend).usage;
        self.note(format_args!("ended {} usage {usage:?}", backend.0));
    }

    fn any_failure(&mut self) -> ConnectFailure {
        let (reason, errno) = [
            (Reason::Refused, 111),
            (Reason::TimedOut, 0),
            (Reason::Unreachable, 113),
            (Reason::NameDoesNotResolve, 0),
            (Reason::Reset, 104),
        ][self.below(5)];
        ConnectFailure { reason, errno }
    }

    fn time_passes(&mut self) {
        let milliseconds = match self.below(10) {
            0 => 86_400_000,
            1..4 => 10_000,
            _ => self.random.below(2_500),
        };
        self.now = self.now.after(Duration::from_millis(milliseconds));
    }

    /// The wall clock is set, forwards or backwards; the monotonic one goes on.
    fn wall_clock_jumps(&mut self) {
        self.now.unix = self.start.unix + self.random.below(1 << 20);
    }

    fn probes_begin(&mut self) {
        while let Some((ticket, change)) = self.pool.start_probe(self.now) {
            let backend = ticket.backend();
            let known = self.known(backend);
            assert!(matches!(known.shown, Unavailable | Waking), "{known:?}");
            assert!(!known.probed, "two probes at once that decide: {known:?}");
            known.probed = true;
            let orders = known.orders;
            let (begins, reason) = (known.shown == Unavailable, known.reason);
            let errno = change.map_or(0, |change| change.errno);
            self.changed(backend, change, begins.then_some((Waking, reason, errno)));
            self.probes.push(Probe { ticket, orders });
        }
        let next = self.pool.next_probe();
        assert!(next.is_none_or(|due| due > self.now.monotonic), "{next:?}");
    }

    fn probe_ends(&mut self) {
        if self.probes.is_empty() {
            return;
        }
        let at = self.below(self.probes.len());
        let Probe { ticket, orders } = self.probes.swap_remove(at);
        let backend = ticket.backend();
        let result = match self.below(2) {
            0 => Ok(()),
            _ => Err(self.any_failure()),
        };
        let change = self.pool.probe_ended(ticket, result, self.now);
        let known = self.known(backend);
        if orders != known.orders {
            return self.changed(backend, change, None);
        }
        known.probed = false;
        let expected = match result {
            Ok(()) => {
                known.in_a_row = 0;
                known.unresolved = false;
                (Available, Reason::Revived, 0)
            }
            Err(failure) => {
                known.unresolved |= failure.reason == Reason::NameDoesNotResolve;
                (Unavailable, failure.reason, failure.errno)
            }
        };
        self.changed(backend, change, Some(expected));
    }

    fn operator_tells(&mut self) {
        let backend = self.any_backend();
        let state = ShownState::ALL[self.below(4)];
        let change = self.pool.tell(backend, state, self.now);
        self.ordered(backend);
        let known = self.known(backend);
        known.unresolved = false;
        let from = known.shown;
        assert_eq!((change.from, change.to), (from, state));
        if from == state {
            self.changed(backend, None, None);
        } else {
            self.changed(backend, Some(change), Some((state, Reason::Told, 0)));
        }
    }

    fn server_moves(&mut self) {
        let backend = self.any_backend();
        let port = 1 + self.below(9_999) as u16;
        self.note(format_args!("server {} {port}", backend.0));
        let old = self.pool.set_server(backend, server(port));
        let before = self.ports.insert(backend.0, port).unwrap_or(80);
        assert_eq!(old, server(before));
        assert_eq!(self.pool.server(backend), &server(port));
        self.ordered(backend);
    }

    /// An order makes void what began before it.
    fn ordered(&mut self, backend: BackendId) {
        let known = self.known(backend);
        known.orders += 1;
        known.in_a_row = 0;
        known.probed = false;
    }

    /// The pool gave `change`; what should have come is known.
    fn changed(
        &mut self,
        backend: BackendId,
        change: Option<StateChange>,
        expected: Option<(ShownState, Reason, i32)>,
    ) {
        let now = self.now;
        let known = self.known(backend);
        let from = known.shown;
        let expected = expected.map(|(to, reason, errno)| StateChange {
            from,
            to,
            reason,
            errno,
            at: now,
        });
        assert_eq!(change, expected, "{known:?}");
        let Some(change) = change else {
            return;
        };
        assert!(from != Down || change.reason == Reason::Told, "{change:?}");
        assert_ne!(from, change.to);
        known.shown = change.to;
        known.reason = change.reason;
        known.changed = now.unix;
        self.note(format_args!(
            "{} {from} -> {} ({})",
            backend.0, change.to, change.reason
        ));
    }

    /// What must hold between any two steps.
    fn check(&self) {
        let mut probing = false;
        for (id, known) in (0..).map(BackendId).zip(&self.known) {
            let view = self.pool.view(id);
            let live = self.live.iter().filter(|live| live.ticket.backend() == id);
            assert_eq!(view.active, live.count() as u64, "{id:?}");
            assert_eq!(view.active, known.active, "{id:?}");
            assert!(known.limit == 0 || view.active <= known.limit, "{id:?}");
            assert_eq!(
                (view.state, view.reason, view.since),
                (known.shown, known.reason, known.changed),
                "{id:?}"
            );
            assert_eq!(
                (view.total, view.failures, view.aborted),
                (known.total, known.failures, known.aborted),
                "{id:?}"
            );
            assert_eq!(view.consecutive_failures, known.in_a_row, "{id:?}");
            assert!(view.usage >= 0.0 && view.usage.is_finite(), "{id:?}");
            probing |= match known.shown {
                Unavailable => self.reviving_interval.is_some() || known.unresolved,
                Waking => !known.probed,
                Available | Down => false,
            };
        }
        assert_eq!(self.pool.next_probe().is_some(), probing);
    }

    /// Everybody leaves and every probe ends.
    fn empty(&mut self) {
        while let Some(live) = self.take_live(false) {
            self.is_released(live);
        }
        while self.live.iter().any(|live| live.connected) {
            self.connection_ends();
        }
        while !self.probes.is_empty() {
            self.probe_ends();
        }
        self.check();
        for id in (0..self.known.len() as u32).map(BackendId) {
            assert_eq!(self.pool.view(id).active, 0);
        }
    }
}

/// One run from start to end; gives what happened, line by line.
fn run(seed: u64, start: Moment) -> String {
    let mut world = World::new(seed, start);
    let mut place = Place { seed, step: 0 };
    for step in 0..STEPS {
        place.step = step;
        world.step();
    }
    world.empty();
    world.trace
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn everything_at_random_keeps_every_invariant() {
    let start = Moment::now();
    if let Some(seed) = from_environment("CROSSROADS_SIM_SEED") {
        eprint!("{}", run(seed, start));
        return;
    }
    for seed in 0..from_environment("CROSSROADS_SIM_SEEDS").unwrap_or(SEEDS) {
        run(seed, start);
    }
}

#[test]
fn same_seed_gives_the_same_trace_at_any_time() {
    let start = Moment::now();
    let later = start.after(Duration::from_secs(12_345));

    for seed in 0..20 {
        assert_eq!(run(seed, start), run(seed, later), "seed {seed}");
    }
    assert_ne!(run(1, start), run(2, start));
}

#[test]
fn seeds_of_every_run_meet_every_change_there_is() {
    let start = Moment::now();

    let traces: String = (0..64).map(|seed| run(seed, start)).collect();

    for change in [
        "available -> unavailable (refused)",
        "available -> unavailable (name does not resolve)",
        "unavailable -> waking",
        "waking -> available (revived)",
        "waking -> unavailable (timed out)",
        "available -> down (told)",
        "down -> available (told)",
        "waking -> down (told)",
    ] {
        assert!(traces.contains(change), "{change}");
    }
}
