//! The laws that hold for every mode in every condition of a service.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::moment::Moment;
use crate::base::state::ShownState;
use crate::policy::pool::{Pool, PoolBackend, PoolSettings, Sample, Tried};
use crate::policy::testing::{self, *};

/// What a law is tried on: a service in any condition.
#[derive(Clone, Debug)]
struct Condition {
    backends: Vec<Member>,
    tried: Vec<bool>,
    client: u32,
}

#[derive(Clone, Debug)]
struct Member {
    weight: u32,
    decay: u32,
    limit: u32,
    active: u32,
    state: ShownState,
    samples: Vec<u64>,
}

fn any_mode() -> impl Strategy<Value = DispatchMode> {
    prop::sample::select(vec![
        DispatchMode::RoundRobin,
        DispatchMode::Random,
        DispatchMode::BySize(over(0)),
        DispatchMode::BySize(over(3)),
        DispatchMode::ByDuration(over(0)),
        DispatchMode::ByDuration(over(2)),
        DispatchMode::ByConnections,
        DispatchMode::ByOrder,
        DispatchMode::ByClientIp(Stickiness::Strict),
        DispatchMode::ByClientIp(Stickiness::Lax),
        DispatchMode::ExternalHandler,
    ])
}

fn any_state() -> impl Strategy<Value = ShownState> {
    prop_oneof![
        4 => Just(ShownState::Available),
        1 => Just(ShownState::Unavailable),
        1 => Just(ShownState::Waking),
        1 => Just(ShownState::Down),
    ]
}

fn any_member() -> impl Strategy<Value = Member> {
    let samples = prop::collection::vec(0..3_u64, 0..4);
    let figures = (1..4_u32, prop_oneof![Just(0), 0..=100_u32]);
    (figures, 0..3_u32, 0..4_u32, any_state(), samples).prop_map(
        |((weight, decay), limit, active, state, samples)| Member {
            weight,
            decay,
            limit,
            active: if limit == 0 {
                active
            } else {
                active.min(limit)
            },
            state,
            samples,
        },
    )
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let tried = prop::collection::vec(prop::bool::weighted(0.2), 9);
    let backends = prop::collection::vec(any_member(), 0..9);
    (backends, tried, any::<u32>()).prop_map(|(backends, tried, client)| Condition {
        backends,
        tried,
        client,
    })
}

impl Condition {
    /// A pool that went through all this; its tickets are left open.
    fn pool(&self, mode: DispatchMode) -> Pool {
        let configured = self
            .backends
            .iter()
            .enumerate()
            .map(|(at, member)| PoolBackend {
                weight: weight(member.weight),
                decay: percent(member.decay),
                limit: limit(member.limit),
                ..backend(&format!("b{at}"))
            });
        let mut pool = pool(mode, configured.collect());
        for (id, member) in self.members() {
            for &sample in &member.samples {
                let ticket = pool.dispatch_to(id, &Tried::default()).unwrap();
                pool.connected(&ticket);
                let duration = Duration::from_secs(sample);
                pool.finish(
                    ticket,
                    Sample {
                        bytes: sample,
                        duration,
                        first_byte: None,
                    },
                );
            }
            for _ in 0..member.active {
                let _left_open = pool.dispatch_to(id, &Tried::default()).unwrap();
            }
            pool.tell(id, member.state, Moment::now());
        }
        pool
    }

    fn members(&self) -> impl Iterator<Item = (BackendId, &Member)> {
        (0..).map(BackendId).zip(&self.backends)
    }

    fn tried(&self) -> Tried {
        let tried = (0..).map(BackendId).zip(&self.tried);
        let ids: Vec<_> = tried.filter_map(|(id, &was)| was.then_some(id)).collect();
        testing::tried(&ids)
    }

    /// The candidates by the words of 1.3 and 6.3, and nothing else.
    fn candidates(&self) -> Vec<BackendId> {
        let candidate = |&(id, member): &(BackendId, &Member)| {
            let room = member.limit == 0 || member.active < member.limit;
            member.state == ShownState::Available && room && !self.tried[id.index()]
        };
        self.members().filter(candidate).map(|(id, _)| id).collect()
    }

    fn client(&self) -> IpAddr {
        Ipv4Addr::from(self.client).into()
    }
}

/// The first of `candidates` with the least score.
fn first_least(candidates: &[BackendId], score: impl Fn(BackendId) -> f64) -> Option<BackendId> {
    let least = candidates
        .iter()
        .map(|&id| score(id))
        .fold(f64::INFINITY, f64::min);
    candidates.iter().copied().find(|&id| score(id) == least)
}

proptest! {
    #![proptest_config(property_config(512))]

    #[test]
    fn choice_is_a_candidate_and_none_means_that_there_is_none(
        mode in any_mode(),
        condition in any_condition(),
    ) {
        let mut pool = condition.pool(mode);
        let candidates = condition.candidates();

        let chosen = pool.dispatch(condition.client(), &condition.tried());

        match chosen {
            Some(ticket) => prop_assert!(candidates.contains(&ticket.backend())),
            None if mode == DispatchMode::ByClientIp(Stickiness::Strict) => (),
            None => prop_assert!(candidates.is_empty()),
        }
    }

    #[test]
    fn cookie_reaches_candidates_and_nobody_else(
        mode in any_mode(),
        condition in any_condition(),
        asked in 0..12_u32,
    ) {
        let mut pool = condition.pool(mode);

        let reached = pool.dispatch_to(BackendId(asked), &condition.tried());

        let expected = condition.candidates().contains(&BackendId(asked));
        prop_assert_eq!(reached.is_some(), expected);
    }

    #[test]
    fn byorder_keeps_the_order_of_definition(condition in any_condition()) {
        let mut pool = condition.pool(DispatchMode::ByOrder);

        let chosen = pool.dispatch(condition.client(), &condition.tried());

        let first = condition.candidates().first().copied();
        prop_assert_eq!(chosen.map(|ticket| ticket.backend()), first);
    }

    #[test]
    fn failover_by_order_visits_every_candidate_in_order(condition in any_condition()) {
        let mut pool = condition.pool(DispatchMode::ByOrder);
        let mut tried = condition.tried();
        let mut visited = Vec::new();

        while let Some(ticket) = pool.dispatch(condition.client(), &tried) {
            tried.insert(ticket.backend());
            visited.push(ticket.backend());
            pool.connect_failed(ticket, REFUSED, Moment::now());
        }

        prop_assert_eq!(visited, condition.candidates());
    }

    #[test]
    fn roundrobin_is_fair_and_survives_one_leaving(
        n in 1..12_usize,
        k in 1..5_usize,
        skipped in 0..7_usize,
        leaver in any::<prop::sample::Index>(),
    ) {
        let backends = (0..n).map(|at| backend(&format!("b{at}"))).collect();
        let mut pool = pool(DispatchMode::RoundRobin, backends);
        let count = |pool: &mut Pool, turns: usize| {
            let mut counts = vec![0; n];
            (0..turns).for_each(|_| counts[serve(pool, |_| bytes(1)).index()] += 1);
            counts
        };

        count(&mut pool, skipped);
        prop_assert_eq!(count(&mut pool, k * n), vec![k; n]);

        if n > 1 {
            let leaver = leaver.index(n);
            pool.tell(BackendId(leaver as u32), ShownState::Down, Moment::now());
            let mut expected = vec![k; n];
            expected[leaver] = 0;
            prop_assert_eq!(count(&mut pool, k * (n - 1)), expected);
        }
    }

    #[test]
    fn least_busy_one_by_weight_is_first(condition in any_condition()) {
        let mut pool = condition.pool(DispatchMode::ByConnections);
        let score = |id: BackendId| {
            let member = &condition.backends[id.index()];
            f64::from((member.active + 1) * member.weight)
        };
        let expected = first_least(&condition.candidates(), score);

        let chosen = pool.dispatch(condition.client(), &condition.tried());

        prop_assert_eq!(chosen.map(|ticket| ticket.backend()), expected);
    }

    #[test]
    fn least_figure_by_weight_is_first(
        condition in any_condition(),
        mode in prop::sample::select(vec![
            DispatchMode::BySize(over(0)),
            DispatchMode::BySize(over(2)),
            DispatchMode::ByDuration(over(0)),
            DispatchMode::ByDuration(over(2)),
        ]),
    ) {
        let mut pool = condition.pool(mode);
        let figures: Vec<_> = condition.members().map(|(id, _)| pool.view(id).usage).collect();
        let score = |id: BackendId| {
            figures[id.index()] * f64::from(condition.backends[id.index()].weight)
        };
        let expected = first_least(&condition.candidates(), score);

        let chosen = pool.dispatch(condition.client(), &condition.tried());

        prop_assert_eq!(chosen.map(|ticket| ticket.backend()), expected);
    }

    #[test]
    fn random_repeats_for_a_seed_and_prefers_small_weights(
        seed in any::<u64>(),
        weights in prop::collection::vec(1..1_000_u32, 2..6),
    ) {
        let counts = || {
            let configured = weights.iter().enumerate().map(|(at, &of)| PoolBackend {
                weight: weight(of),
                ..backend(&format!("b{at}"))
            });
            let settings = PoolSettings {
                seed,
                ..settings(DispatchMode::Random, configured.collect())
            };
            let mut pool = Pool::new(settings, Moment::now());
            let mut counts = vec![0_i32; weights.len()];
            (0..400).for_each(|_| counts[serve(&mut pool, |_| bytes(1)).index()] += 1);
            counts
        };

        let first = counts();

        prop_assert_eq!(&first, &counts());
        for (a, b) in [(0, 1), (1, 0)] {
            if weights[a] >= 4 * weights[b] {
                prop_assert!(first[a] < first[b], "{:?} {:?}", weights, first);
            }
        }
    }
}
