//! The worked examples of section 7 with the very numbers, and what else a mode promises.

use std::time::Duration;

use super::*;
use crate::base::moment::Moment;
use crate::base::state::ShownState;
use crate::policy::pool::{Pool, PoolBackend, PoolSettings, Sample, Ticket, Tried};
use crate::policy::testing::*;

/// Clients that come one after the other and leave at once.
fn sequence(pool: &mut Pool, clients: usize, sample: impl Fn(BackendId) -> Sample) -> String {
    letters((0..clients).map(|_| serve(pool, &sample)))
}

fn clients(pool: &mut Pool, clients: usize) -> String {
    sequence(pool, clients, |_| bytes(1))
}

fn weight_of(backends: &[PoolBackend], of: usize) -> f64 {
    f64::from(backends[of].weight.get())
}

#[track_caller]
fn assert_near(found: f64, expected: f64, digits: i32) {
    let most = 0.5 * 10_f64.powi(-digits) * 1.000_001;
    assert!(
        (found - expected).abs() <= most,
        "{found} is not {expected}"
    );
}

mod roundrobin_mode {
    use super::*;

    #[test]
    fn r1_all_usable_go_round() {
        let mut pool = three(DispatchMode::RoundRobin);

        assert_eq!(clients(&mut pool, 7), "m b c m b c m");
    }

    #[test]
    fn r2_one_that_goes_down_is_passed_over() {
        let mut pool = three(DispatchMode::RoundRobin);

        assert_eq!(clients(&mut pool, 2), "m b");
        pool.tell(BIRCH, ShownState::Down, Moment::now());

        assert_eq!(clients(&mut pool, 5), "c m c m c");
    }

    #[test]
    fn r3_failed_connect_moves_the_pointer_and_the_same_client_goes_on() {
        let retrying = |backend: PoolBackend| PoolBackend {
            retries: 5,
            ..backend
        };
        let backends = weighted([1, 1, 1]).into_iter().map(retrying).collect();
        let mut pool = pool(DispatchMode::RoundRobin, backends);
        let now = Moment::now();

        let ways: Vec<_> = (0..4)
            .map(|_| letters(fail_over(&mut pool, &[BIRCH], now)))
            .collect();

        assert_eq!(ways, ["m", "b c", "m", "b c"]);
    }

    #[test]
    fn choice_of_a_cookie_moves_no_pointer() {
        let mut pool = three(DispatchMode::RoundRobin);

        assert_eq!(clients(&mut pool, 1), "m");
        let bound = pool.dispatch_to(CEDAR, &Tried::default()).unwrap();
        pool.connected(&bound);

        assert_eq!(clients(&mut pool, 3), "b c m");
        pool.finish(bound, bytes(1));
    }

    #[test]
    fn bad_answer_of_a_handler_falls_back_to_roundrobin() {
        let mut pool = three(DispatchMode::ExternalHandler);

        assert_eq!(clients(&mut pool, 4), "m b c m");
    }
}

mod random_mode {
    use super::*;

    fn draws(seed: u64, count: usize) -> Vec<usize> {
        let settings = PoolSettings {
            seed,
            ..settings(DispatchMode::Random, weighted([1, 2, 4]))
        };
        let mut pool = Pool::new(settings, Moment::now());
        let mut drawn = Vec::new();
        for _ in 0..count {
            drawn.push(serve(&mut pool, |_| bytes(1)).index());
        }
        drawn
    }

    #[test]
    fn n1_chances_are_those_of_the_weights() {
        let mut counts = [0_i64; 3];

        draws(7, 70_000).into_iter().for_each(|at| counts[at] += 1);

        for (count, expected) in counts.into_iter().zip([40_000, 20_000, 10_000]) {
            assert!((count - expected).abs() <= 600, "{counts:?}");
        }
    }

    #[test]
    fn same_seed_draws_the_same_and_another_seed_does_not() {
        assert_eq!(draws(3, 100), draws(3, 100));
        assert_ne!(draws(3, 100), draws(4, 100));
    }

    #[test]
    fn chances_are_shared_among_the_candidates_only() {
        let mut pool = pool(DispatchMode::Random, weighted([1, 2, 4]));
        pool.tell(MAPLE, ShownState::Down, Moment::now());

        let birch = (0..30_000)
            .filter(|_| serve(&mut pool, |_| bytes(1)) == BIRCH)
            .count();

        assert!((19_500..=20_500).contains(&birch), "{birch}");
    }
}

mod byorder_mode {
    use super::*;

    #[test]
    fn first_usable_one_gets_everything_until_it_leaves() {
        let mut pool = three(DispatchMode::ByOrder);
        let now = Moment::now();

        assert_eq!(clients(&mut pool, 3), "m m m");
        pool.tell(MAPLE, ShownState::Unavailable, now);
        assert_eq!(clients(&mut pool, 2), "b b");
        pool.tell(MAPLE, ShownState::Available, now);

        assert_eq!(clients(&mut pool, 1), "m");
    }

    #[test]
    fn full_one_is_passed_over_until_a_place_is_free() {
        let mut backends = weighted([1, 1, 1]);
        backends[0].limit = limit(1);
        let mut pool = pool(DispatchMode::ByOrder, backends);

        let first = stay(&mut pool).unwrap();
        let second = stay(&mut pool).unwrap();
        assert_eq!(letters([first.backend(), second.backend()]), "m b");
        pool.finish(first, bytes(1));

        assert_eq!(clients(&mut pool, 1), "m");
        pool.finish(second, bytes(1));
    }
}

mod byconnections_mode {
    use super::*;

    #[test]
    fn b1_weights_share_clients_that_stay() {
        let mut pool = pool(DispatchMode::ByConnections, weighted([1, 2, 4]));

        let staying: Vec<_> = (0..14).map(|_| stay(&mut pool).unwrap()).collect();

        let way = letters(staying.iter().map(Ticket::backend));
        assert_eq!(way, "m m b m m b c m m b m m b c");
        let active = [MAPLE, BIRCH, CEDAR].map(|id| pool.view(id).active);
        assert_eq!(active, [8, 4, 2]);
    }

    #[test]
    fn b2_first_defined_of_the_least_busy_is_next() {
        let mut pool = three(DispatchMode::ByConnections);
        for (backend, count) in [(MAPLE, 3), (BIRCH, 1), (CEDAR, 1)] {
            for _ in 0..count {
                let ticket = pool.dispatch_to(backend, &Tried::default()).unwrap();
                pool.connected(&ticket);
            }
        }

        assert_eq!(stay(&mut pool).unwrap().backend(), BIRCH);
    }

    #[test]
    fn reserved_places_count_before_they_are_connected() {
        let mut pool = three(DispatchMode::ByConnections);

        let reserved: Vec<_> = (0..3)
            .map(|_| pool.dispatch(CLIENT, &Tried::default()).unwrap())
            .collect();

        assert_eq!(letters(reserved.iter().map(Ticket::backend)), "m b c");
    }
}

mod usage_modes {
    use super::*;

    #[test]
    fn s1_totals_are_compared_and_a_tie_goes_to_the_first() {
        let mut pool = pool(DispatchMode::BySize(over(0)), two());
        let sample = |id| bytes(if id == MAPLE { 1_000 } else { 400 });

        assert_eq!(sequence(&mut pool, 7, sample), "m b b b m b b");
        assert_eq!(pool.view(MAPLE).usage, 2_000.0);
        assert_eq!(pool.view(BIRCH).usage, 2_000.0);
        assert_eq!(sequence(&mut pool, 3, sample), "m b b");
    }

    #[test]
    fn s2_double_weight_gets_half_the_connections() {
        let mut backends = two();
        backends[1].weight = weight(2);
        let mut pool = pool(DispatchMode::BySize(over(0)), backends);

        let way = sequence(&mut pool, 12, |_| bytes(1_000));

        assert_eq!(way, "m b m m b m m b m m b m");
    }

    #[test]
    fn s3_decay_brings_the_heavy_one_back() {
        let mut pool = pool(DispatchMode::BySize(over(4)), decaying_two([20, 20]));
        let sample = |id| bytes(if id == MAPLE { 4_000 } else { 1_000 });
        let mut way = Vec::new();
        let mut maple_before = Vec::new();
        let mut birch_before = Vec::new();

        for _ in 0..16 {
            maple_before.push(pool.view(MAPLE).usage);
            birch_before.push(pool.view(BIRCH).usage);
            way.push(serve(&mut pool, sample));
        }

        assert_eq!(letters(way), "m b b b b b b b m b b b b m b b");
        for (client, figure) in [
            (2, 4_000.0),
            (3, 3_200.0),
            (4, 2_560.0),
            (8, 1_048.576),
            (9, 838.860_8),
            (10, 2_419.430_4),
            (14, 990.998_692),
        ] {
            assert_near(maple_before[client - 1], figure, 6);
        }
        assert_near(birch_before[10 - 1], 800.0, 6);
        assert_near(birch_before[14 - 1], 1_000.0, 6);
    }

    #[test]
    fn s4_spike_is_never_forgotten_without_decay() {
        let mut pool = pool(DispatchMode::BySize(over(2)), two());

        let first = serve(&mut pool, |_| bytes(900));
        let later =
            (1..200).map(|_| serve(&mut pool, |id| bytes(if id == MAPLE { 100 } else { 300 })));

        assert_eq!(first, MAPLE);
        assert!(later.into_iter().all(|id| id == BIRCH));
    }

    #[test]
    fn s4_spike_is_out_of_the_ring_with_decay() {
        let mut pool = pool(DispatchMode::BySize(over(2)), decaying_two([50, 0]));
        let mut way = vec![serve(&mut pool, |_| bytes(900))];
        let mut maple = Vec::new();

        for _ in 2..=7 {
            maple.push(pool.view(MAPLE).usage);
            let sample = |id| bytes(if id == MAPLE { 100 } else { 300 });
            way.push(serve(&mut pool, sample));
        }

        assert_eq!(letters(way), "m b b m m m m");
        assert_eq!(maple, [900.0, 450.0, 225.0, 162.5, 100.0, 100.0]);
    }

    #[test]
    fn s5_weights_decays_and_windows_play_together() {
        let mut backends = weighted([1, 2, 3]);
        for (backend, decay) in backends.iter_mut().zip([30, 15, 6]) {
            backend.decay = percent(decay);
        }
        let mut pool = pool(DispatchMode::BySize(over(2)), backends.clone());
        let mut scores = Vec::new();
        let mut way = Vec::new();

        for _ in 0..30 {
            let score = |id: BackendId| pool.view(id).usage * weight_of(&backends, id.index());
            scores.push([MAPLE, BIRCH, CEDAR].map(score));
            way.push(serve(&mut pool, |id| {
                bytes([2_000, 3_000, 2_500][id.index()])
            }));
        }

        let expected = "m b c m m m m m m b m m m m m b m m m m m b m m m c m m b m";
        assert_eq!(letters(way), expected);
        for (client, row, digits) in [
            (1, [0.0, 0.0, 0.0], 6),
            (2, [2000.0, 0.0, 0.0], 6),
            (3, [1400.0, 6000.0, 0.0], 6),
            (4, [980.0, 5100.0, 7500.0], 6),
            (5, [1490.0, 4335.0, 7050.0], 6),
            (6, [2000.0, 3684.75, 6627.0], 6),
            (7, [2000.0, 3132.0375, 6229.38], 6),
            (9, [2000.0, 2262.897, 5504.280], 3),
            (10, [2000.0, 1923.463, 5174.023], 3),
            (11, [1400.0, 3961.731, 4863.582], 3),
            (26, [2000.0, 2659.847, 1922.534], 3),
        ] {
            for (found, expected) in scores[client - 1].into_iter().zip(row) {
                assert_near(found, expected, digits);
            }
        }
    }

    #[test]
    fn byduration_compares_seconds_and_takes_no_notice_of_bytes() {
        let mut pool = three(DispatchMode::ByDuration(over(0)));
        let sample = |id: BackendId| Sample {
            bytes: [1, 1_000_000, 5][id.index()],
            ..lasting(Duration::from_millis([300, 100, 200][id.index()]))
        };

        assert_eq!(sequence(&mut pool, 7, sample), "m b c b b c m");
        assert_near(pool.view(BIRCH).usage, 0.3, 9);
    }

    #[test]
    fn running_connections_do_not_count() {
        let mut pool = three(DispatchMode::BySize(over(0)));

        let staying: Vec<_> = (0..5).map(|_| stay(&mut pool).unwrap()).collect();

        assert_eq!(letters(staying.iter().map(Ticket::backend)), "m m m m m");
    }

    #[test]
    fn modes_without_a_figure_show_none() {
        let mut backends = weighted([1, 1, 1]);
        backends[0].decay = percent(50);
        let mut pool = pool(DispatchMode::ByConnections, backends);

        serve(&mut pool, |_| bytes(5_000));

        assert_eq!(pool.view(MAPLE).usage, 0.0);
    }

    fn two() -> Vec<PoolBackend> {
        decaying_two([0, 0])
    }

    fn decaying_two(decays: [u32; 2]) -> Vec<PoolBackend> {
        let named = ["maple", "birch"].into_iter().zip(decays);
        let with = |(name, decay)| PoolBackend {
            decay: percent(decay),
            ..backend(name)
        };
        named.map(with).collect()
    }
}

mod byclientip_mode {
    use super::*;

    fn chosen(pool: &mut Pool, client: &str, tried: &Tried) -> Option<BackendId> {
        let ticket = pool.dispatch(client.parse().unwrap(), tried)?;
        let backend = ticket.backend();
        pool.connected(&ticket);
        pool.finish(ticket, bytes(1));
        Some(backend)
    }

    const FIRSTS: [(&str, BackendId); 5] = [
        ("192.0.2.1", BIRCH),
        ("192.0.2.2", BIRCH),
        ("198.51.100.20", MAPLE),
        ("203.0.113.9", CEDAR),
        ("10.0.0.1", CEDAR),
    ];

    #[test]
    fn clients_of_the_table_go_to_the_first_of_their_order() {
        for stickiness in [Stickiness::Strict, Stickiness::Lax] {
            let mut pool = three(DispatchMode::ByClientIp(stickiness));
            for (client, first) in FIRSTS {
                for _ in 0..2 {
                    let chosen = chosen(&mut pool, client, &Tried::default());
                    assert_eq!(chosen, Some(first), "{client}");
                }
            }
        }
    }

    #[test]
    fn failover_of_the_lax_mode_follows_the_orders_of_the_table() {
        for (client, order) in [
            ("192.0.2.1", "b c m"),
            ("192.0.2.2", "b c m"),
            ("198.51.100.20", "m b c"),
            ("203.0.113.9", "c m b"),
            ("10.0.0.1", "c b m"),
        ] {
            let mut pool = three(DispatchMode::ByClientIp(Stickiness::Lax));
            let mut tried = Tried::default();
            let mut way = Vec::new();

            while let Some(next) = chosen(&mut pool, client, &tried) {
                tried.insert(next);
                way.push(next);
            }

            assert_eq!(letters(way), order, "{client}");
        }
    }

    #[test]
    fn strict_gives_none_when_the_first_is_not_usable_or_was_tried() {
        let mut pool = three(DispatchMode::ByClientIp(Stickiness::Strict));

        assert_eq!(chosen(&mut pool, "192.0.2.1", &tried(&[BIRCH])), None);
        pool.tell(BIRCH, ShownState::Down, Moment::now());

        assert_eq!(chosen(&mut pool, "192.0.2.1", &Tried::default()), None);
        let other = chosen(&mut pool, "198.51.100.20", &Tried::default());
        assert_eq!(other, Some(MAPLE));
    }

    #[test]
    fn lax_goes_down_the_order_of_the_client() {
        let mut pool = three(DispatchMode::ByClientIp(Stickiness::Lax));
        pool.tell(BIRCH, ShownState::Down, Moment::now());

        let next = chosen(&mut pool, "192.0.2.1", &Tried::default());
        let last = chosen(&mut pool, "192.0.2.1", &tried(&[CEDAR]));
        let none = chosen(&mut pool, "192.0.2.1", &tried(&[CEDAR, MAPLE]));

        assert_eq!((next, last, none), (Some(CEDAR), Some(MAPLE), None));
    }

    #[test]
    fn back_end_that_leaves_moves_no_client_of_the_others() {
        let mut pool = three(DispatchMode::ByClientIp(Stickiness::Lax));
        let clients: Vec<String> = (0..200).map(|last| format!("10.9.8.{last}")).collect();
        let homes = |pool: &mut Pool| -> Vec<_> {
            let none = Tried::default();
            clients.iter().map(|c| chosen(pool, c, &none)).collect()
        };

        let before = homes(&mut pool);
        pool.tell(BIRCH, ShownState::Down, Moment::now());
        let after = homes(&mut pool);

        assert!(before.contains(&Some(BIRCH)));
        for (before, after) in before.into_iter().zip(after) {
            assert!(before == Some(BIRCH) || before == after);
        }
    }

    #[test]
    fn ipv6_clients_have_an_order_of_their_own() {
        let mut pool = three(DispatchMode::ByClientIp(Stickiness::Strict));
        let mut met = [false; 3];

        for last in 0..100 {
            let client = format!("2001:db8::{last:x}");
            let first = chosen(&mut pool, &client, &Tried::default()).unwrap();
            let again = chosen(&mut pool, &client, &Tried::default()).unwrap();
            assert_eq!(first, again);
            met[first.index()] = true;
        }

        assert_eq!(met, [true; 3]);
    }
}
