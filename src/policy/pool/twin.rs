//! A pool against its plain definition: every choice looks at every back end
//! and works everything out anew, as section 7 has it in words.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::base::random::Random;
use crate::policy::dispatch::{DispatchMode, Stickiness, rank};
use crate::policy::testing::*;
use crate::policy::usage::{Measure, plain::Usage};

/// A back end as the plain definition needs it.
struct Plain {
    name: String,
    available: bool,
    active: u64,
    limit: u64,
    weight: u16,
    usage: Usage,
}

impl Plain {
    fn score(&self, mode: DispatchMode) -> f64 {
        let used = match mode {
            DispatchMode::ByConnections => (self.active + 1) as f64,
            _ => self.usage.figure(),
        };
        used * f64::from(self.weight)
    }

    /// 1/w in whole numbers of 2^-48.
    fn share(&self) -> u64 {
        (1 << 48) / u64::from(self.weight)
    }
}

/// A service by its plain definition.
struct Twin {
    mode: DispatchMode,
    backends: Vec<Plain>,
    pointer: usize,
    random: Random,
}

impl Twin {
    fn new(settings: &PoolSettings) -> Self {
        let window = Measure::of_mode(settings.mode).map(|(_, over)| over);
        let plain = |backend: &PoolBackend| Plain {
            name: backend.name.as_str().to_owned(),
            available: true,
            active: 0,
            limit: backend.limit.as_number(),
            weight: backend.weight.get(),
            usage: Usage::new(window.unwrap_or_default(), backend.decay),
        };
        Self {
            mode: settings.mode,
            backends: settings.backends.iter().map(plain).collect(),
            pointer: 0,
            random: Random::new(settings.seed),
        }
    }

    fn candidates(&self, tried: &Tried) -> Vec<usize> {
        let candidate = |&at: &usize| {
            let backend = &self.backends[at];
            let room = backend.limit == 0 || backend.active < backend.limit;
            backend.available && room && !tried.contains(BackendId(at as u32))
        };
        (0..self.backends.len()).filter(candidate).collect()
    }

    fn pick(&mut self, client: IpAddr, tried: &Tried) -> Option<usize> {
        let candidates = self.candidates(tried);
        match self.mode {
            DispatchMode::ByOrder => candidates.first().copied(),
            DispatchMode::RoundRobin | DispatchMode::ExternalHandler => self.next(&candidates),
            DispatchMode::Random => self.draw(&candidates),
            DispatchMode::ByClientIp(stickiness) => self.by_client(client, stickiness, &candidates),
            DispatchMode::ByConnections | DispatchMode::BySize(_) | DispatchMode::ByDuration(_) => {
                self.least(&candidates)
            }
        }
    }

    fn next(&mut self, candidates: &[usize]) -> Option<usize> {
        let behind = candidates.iter().find(|&&at| at >= self.pointer);
        let next = *behind.or(candidates.first())?;
        self.pointer = (next + 1) % self.backends.len();
        Some(next)
    }

    fn draw(&mut self, candidates: &[usize]) -> Option<usize> {
        let total = candidates.iter().map(|&at| self.backends[at].share()).sum();
        let drawn = self.random.below(total);
        let mut end = 0;
        candidates.iter().copied().find(|&at| {
            end += self.backends[at].share();
            drawn < end
        })
    }

    fn least(&self, candidates: &[usize]) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for &at in candidates {
            let score = self.backends[at].score(self.mode);
            if best.is_none_or(|(_, least)| score < least) {
                best = Some((at, score));
            }
        }
        best.map(|(at, _)| at)
    }

    fn by_client(
        &self,
        client: IpAddr,
        stickiness: Stickiness,
        candidates: &[usize],
    ) -> Option<usize> {
        let mut order: Vec<_> = (0..self.backends.len()).collect();
        // A stable sort: equal ones stay in order of definition.
        order.sort_by_key(|&at| std::cmp::Reverse(rank(client, &self.backends[at].name)));
        let strict = match stickiness {
            Stickiness::Strict => 1,
            Stickiness::Lax => usize::MAX,
        };
        let mut allowed = order.into_iter().take(strict);
        allowed.find(|at| candidates.contains(at))
    }

    fn connected(&mut self, backend: usize) {
        for (at, other) in self.backends.iter_mut().enumerate() {
            if at != backend {
                other.usage.decay();
            }
        }
    }

    fn ended(&mut self, backend: usize, sample: &Sample) {
        if let Some((measure, _)) = Measure::of_mode(self.mode) {
            self.backends[backend]
                .usage
                .record(measure.of_sample(sample));
        }
    }

    /// The bits of every figure, so that not even rounding may differ.
    fn figures(&self) -> Vec<u64> {
        let figure = |backend: &Plain| match self.mode.uses_decay() {
            true => backend.usage.figure().to_bits(),
            false => 0,
        };
        self.backends.iter().map(figure).collect()
    }
}

/// What happens to both.
#[derive(Clone, Debug)]
enum Step {
    /// A client for whom these were tried.
    Dispatch(u32, Vec<u32>),
    /// One with a cookie.
    DispatchTo(u32),
    /// The oldest reserved place: its connect ends.
    Connected,
    Fails,
    Released,
    /// The oldest connection ends with so many bytes and microseconds.
    Ends(u64, u64),
    Tell(u32, ShownState),
    SetServer(u32),
    /// Time passes, and due probes begin.
    Probes(u64),
    ProbeEnds(bool),
    /// So many connections are made and end.
    Serve(u32, u64),
}

fn any_state() -> impl Strategy<Value = ShownState> {
    prop_oneof![
        3 => Just(ShownState::Available),
        1 => Just(ShownState::Unavailable),
        1 => Just(ShownState::Waking),
        1 => Just(ShownState::Down),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![Just(0), 0..4_u64, any::<u64>()];
    let tried = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(0..200_u32, 0..6),
        1 => prop::collection::vec(0..200_u32, 30..150),
    ];
    prop_oneof![
        12 => (any::<u32>(), tried).prop_map(|(client, tried)| Step::Dispatch(client, tried)),
        2 => any::<u32>().prop_map(Step::DispatchTo),
        8 => Just(Step::Connected),
        1 => Just(Step::Fails),
        1 => Just(Step::Released),
        7 => (bytes.clone(), 0..5_000_000_u64).prop_map(|(b, d)| Step::Ends(b, d)),
        4 => (any::<u32>(), any_state()).prop_map(|(at, state)| Step::Tell(at, state)),
        1 => any::<u32>().prop_map(Step::SetServer),
        1 => (0..10_u64).prop_map(Step::Probes),
        2 => any::<bool>().prop_map(Step::ProbeEnds),
        2 => (1..150_u32, bytes).prop_map(|(times, bytes)| Step::Serve(times, bytes)),
    ]
}

fn any_mode() -> impl Strategy<Value = DispatchMode> {
    let window = || prop_oneof![Just(0), 1..5_u32, 120..300_u32].prop_map(over);
    prop_oneof![
        1 => Just(DispatchMode::RoundRobin),
        1 => Just(DispatchMode::ExternalHandler),
        1 => Just(DispatchMode::ByOrder),
        1 => Just(DispatchMode::ByClientIp(Stickiness::Strict)),
        1 => Just(DispatchMode::ByClientIp(Stickiness::Lax)),
        2 => Just(DispatchMode::Random),
        2 => Just(DispatchMode::ByConnections),
        4 => window().prop_map(DispatchMode::BySize),
        4 => window().prop_map(DispatchMode::ByDuration),
    ]
}

fn any_backend() -> impl Strategy<Value = (u32, u32, u32)> {
    let weight = prop_oneof![Just(1), 1..4_u32, 1..65_536_u32];
    let decay = prop_oneof![2 => Just(0), 2 => Just(20), 1 => Just(100), 2 => 0..=100_u32];
    let limit = prop_oneof![2 => Just(0), 1 => 1..4_u32];
    (weight, decay, limit)
}

fn any_settings() -> impl Strategy<Value = PoolSettings> {
    let count = prop_oneof![0..12_usize, Just(20), 60..70_usize, 125..200_usize];
    let backends = count.prop_flat_map(|count| prop::collection::vec(any_backend(), count));
    (any_mode(), backends, any::<u64>()).prop_map(|(mode, backends, seed)| {
        let configured = backends.iter().enumerate().map(|(at, &values)| {
            let (of, by, most) = values;
            PoolBackend {
                weight: weight(of),
                decay: percent(by),
                limit: limit(most),
                ..backend(&format!("b{at}"))
            }
        });
        PoolSettings {
            reviving_interval: Some(std::time::Duration::from_secs(5)),
            seed,
            ..settings(mode, configured.collect())
        }
    })
}

/// Both, and what is under way.
struct Both {
    pool: Pool,
    twin: Twin,
    now: Moment,
    reserved: VecDeque<Ticket>,
    connected: VecDeque<Ticket>,
    probes: VecDeque<ProbeTicket>,
}

impl Both {
    fn new(settings: PoolSettings) -> Self {
        let now = Moment::now();
        Self {
            twin: Twin::new(&settings),
            pool: Pool::new(settings, now),
            now,
            reserved: VecDeque::new(),
            connected: VecDeque::new(),
            probes: VecDeque::new(),
        }
    }

    /// One of the back ends; `None` when there is none.
    fn one(&self, any: u32) -> Option<BackendId> {
        let count = self.pool.len() as u32;
        (count > 0).then(|| BackendId(any % count))
    }

    fn dispatch(&mut self, client: u32, tried: &Tried) {
        let client = IpAddr::from(Ipv4Addr::from(client));
        let some = !self.twin.candidates(tried).is_empty();
        assert_eq!(self.pool.has_candidates(tried), some);
        let expected = self.twin.pick(client, tried);

        let ticket = self.pool.dispatch(client, tried);

        let chosen = ticket.as_ref().map(|ticket| ticket.backend().index());
        assert_eq!(chosen, expected);
        self.reserve(ticket);
    }

    fn dispatch_to(&mut self, any: u32) {
        let Some(asked) = self.one(any) else { return };
        let tried = Tried::default();
        let expected = self.twin.candidates(&tried).contains(&asked.index());

        let ticket = self.pool.dispatch_to(asked, &tried);

        assert_eq!(ticket.is_some(), expected);
        self.reserve(ticket);
    }

    fn reserve(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.twin.backends[ticket.backend().index()].active += 1;
            self.reserved.push_back(ticket);
        }
    }

    fn connects(&mut self) {
        let Some(ticket) = self.reserved.pop_front() else {
            return;
        };
        self.pool.connected(&ticket);
        self.twin.connected(ticket.backend().index());
        self.connected.push_back(ticket);
    }

    fn fails(&mut self) {
        if let Some(ticket) = self.unreserve() {
            self.pool.connect_failed(ticket, REFUSED, self.now);
        }
    }

    fn is_released(&mut self) {
        if let Some(ticket) = self.unreserve() {
            self.pool.release(ticket, Released::NotHeldAgainst);
        }
    }

    fn unreserve(&mut self) -> Option<Ticket> {
        let ticket = self.reserved.pop_front()?;
        self.twin.backends[ticket.backend().index()].active -= 1;
        Some(ticket)
    }

    fn ends(&mut self, bytes: u64, microseconds: u64) {
        let Some(ticket) = self.connected.pop_front() else {
            return;
        };
        let sample = Sample {
            bytes,
            ..lasting(std::time::Duration::from_micros(microseconds))
        };
        let at = ticket.backend().index();
        self.pool.finish(ticket, sample);
        self.twin.backends[at].active -= 1;
        self.twin.ended(at, &sample);
    }

    fn serve(&mut self, times: u32, bytes: u64) {
        for client in 0..times {
            self.dispatch(client, &Tried::default());
            self.connects();
            self.ends(bytes, u64::from(client));
        }
    }

    fn probes_begin(&mut self, seconds: u64) {
        self.now = self.now.after(std::time::Duration::from_secs(seconds));
        loop {
            let expected = self.first_due();
            assert_eq!(self.pool.next_probe(), expected.map(|(due, _)| due));
            let Some((ticket, _)) = self.pool.start_probe(self.now) else {
                return assert!(expected.is_none_or(|(due, _)| due > self.now.monotonic));
            };
            assert_eq!(Some(ticket.backend()), expected.map(|(_, backend)| backend));
            self.probes.push_back(ticket);
        }
    }

    /// The probe that is due first, found by looking at every back end.
    fn first_due(&self) -> Option<(Instant, BackendId)> {
        let members = (0..).map(BackendId).zip(&self.pool.members);
        let due = |(id, member): (_, &Member)| Some((member.state.probe_due()?, id));
        members.filter_map(due).min()
    }

    fn probe_ends(&mut self, result: Result<(), ConnectFailure>) {
        if let Some(ticket) = self.probes.pop_front() {
            self.pool.probe_ended(ticket, result, self.now);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Dispatch(client, of) => {
                let of: Vec<_> = of.into_iter().map(BackendId).collect();
                self.dispatch(client, &tried(&of));
            }
            Step::DispatchTo(any) => self.dispatch_to(any),
            Step::Connected => self.connects(),
            Step::Fails => self.fails(),
            Step::Released => self.is_released(),
            Step::Ends(bytes, microseconds) => self.ends(bytes, microseconds),
            Step::Serve(times, bytes) => self.serve(times, bytes),
            Step::Probes(seconds) => self.probes_begin(seconds),
            Step::ProbeEnds(good) => self.probe_ends(if good { Ok(()) } else { Err(REFUSED) }),
            Step::Tell(any, state) => {
                if let Some(backend) = self.one(any) {
                    self.pool.tell(backend, state, self.now);
                }
            }
            Step::SetServer(any) => {
                if let Some(backend) = self.one(any) {
                    self.pool.set_server(backend, server(8080));
                }
            }
        }
        self.compare();
    }

    fn compare(&mut self) {
        // The state is not what the twin is about: it follows.
        for (id, plain) in (0..).map(BackendId).zip(&mut self.twin.backends) {
            plain.available = self.pool.view(id).state == ShownState::Available;
        }
        let views = (0..self.pool.len() as u32).map(|id| self.pool.view(BackendId(id)));
        let (figures, active): (Vec<_>, Vec<_>) = views
            .map(|view| (view.usage.to_bits(), view.active))
            .unzip();
        let expected: Vec<_> = self.twin.backends.iter().map(|one| one.active).collect();
        assert_eq!((figures, active), (self.twin.figures(), expected));
    }
}

proptest! {
    #![proptest_config(property_config(400))]

    #[test]
    fn pool_chooses_as_its_plain_definition_does(
        settings in any_settings(),
        steps in prop::collection::vec(any_step(), 1..120),
    ) {
        let mut both = Both::new(settings);
        for step in steps {
            both.step(step);
        }
    }
}

/// The sum of 1/w and the walk along it in 64-bit floating point.
fn drawn_in_floating_point(random: &mut Random, weights: &[u32]) -> usize {
    let share = |&weight: &u32| 1.0 / f64::from(weight);
    let mut rest = random.next_f64() * weights.iter().map(share).sum::<f64>();
    let passed = weights.iter().position(|weight| {
        rest -= share(weight);
        rest < 0.0
    });
    passed.unwrap_or(weights.len() - 1)
}

#[test]
fn whole_shares_draw_what_floating_point_draws() {
    for count in [1, 2, 3, 20, 100, 1_000] {
        let weights: Vec<_> = (0..count).map(|at| 1 + at * at * 7 % 65_535).collect();
        let configured = weights.iter().map(|&of| PoolBackend {
            weight: weight(of),
            ..backend(&format!("b{of}"))
        });
        let settings = PoolSettings {
            seed: u64::from(count),
            ..settings(DispatchMode::Random, configured.collect())
        };
        let mut random = Random::new(settings.seed);
        let mut pool = Pool::new(settings, Moment::now());

        for _ in 0..2_000 {
            let expected = drawn_in_floating_point(&mut random, &weights);
            let drawn = serve(&mut pool, |_| bytes(1));
            assert_eq!(drawn.index(), expected, "{count}");
        }
    }
}
