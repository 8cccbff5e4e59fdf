//! Decay against a twin that touches every sample, and the binding arithmetic.

use proptest::prelude::*;

use super::numbers::SMALLEST_SCALE;
use super::*;
use crate::policy::testing::{backend, over, percent, property_config};

/// One back end, beside another that foreign connections go to.
#[derive(Debug)]
struct Usage(Figures);

impl Usage {
    fn record(&mut self, x: f64) {
        self.0.add(0, x);
    }

    fn decay(&mut self) {
        self.0.decay_others(1);
    }

    fn figure(&self) -> f64 {
        self.0.figure(0)
    }

    fn scale(&self) -> f64 {
        self.0.numbers.scale(0)
    }

    fn stored(&self) -> f64 {
        self.0.numbers.stored(0)
    }

    fn check_invariants(&self) {
        self.0.check_invariants(&Bits::new(2));
    }
}

/// The figure as 7.3 defines it, without scale: every sample is touched.
struct Twin {
    window: Option<usize>,
    remainder: f64,
    samples: Vec<f64>,
}

impl Twin {
    fn new(window: u32, decay: u32) -> Self {
        Self {
            window: over(window).window(),
            remainder: percent(decay).remainder(),
            samples: Vec::new(),
        }
    }

    fn record(&mut self, x: f64) {
        if self.window == Some(self.samples.len()) {
            self.samples.remove(0);
        }
        self.samples.push(x);
    }

    fn decay(&mut self) {
        for sample in &mut self.samples {
            *sample *= self.remainder;
        }
    }

    fn figure(&self) -> f64 {
        let sum: f64 = self.samples.iter().sum();
        match self.window {
            Some(_) if !self.samples.is_empty() => sum / self.samples.len() as f64,
            _ => sum,
        }
    }
}

fn usage(window: u32, decay: u32) -> Usage {
    let decaying = PoolBackend {
        decay: percent(decay),
        ..backend("decaying")
    };
    let both = [decaying, backend("foreign")];
    Usage(Figures::new(Measure::Bytes, over(window), &both))
}

fn is_near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs() + 1e-250
}

#[test]
fn fresh_back_end_has_figure_zero() {
    assert_eq!(usage(0, 0).figure(), 0.0);
    assert_eq!(usage(4, 20).figure(), 0.0);
}

#[test]
fn figure_is_the_sum_of_everything_or_the_mean_of_what_is_there() {
    let (mut sum, mut mean) = (usage(0, 0), usage(3, 0));

    for x in [1.0, 2.0, 6.0] {
        sum.record(x);
        mean.record(x);
    }
    assert_eq!((sum.figure(), mean.figure()), (9.0, 3.0));
    mean.record(10.0);

    assert_eq!(mean.figure(), 6.0);
}

#[test]
fn three_foreign_connections_bring_200_to_84_375() {
    let mut usage = usage(0, 25);
    usage.record(200.0);

    let falling = [(); 3].map(|()| {
        usage.decay();
        usage.figure()
    });

    assert_eq!(falling, [150.0, 112.5, 84.375]);
}

#[test]
fn later_samples_do_not_fall_with_earlier_ones() {
    let mut usage = usage(2, 50);
    usage.record(100.0);
    usage.decay();
    usage.record(100.0);

    assert_eq!(usage.figure(), 75.0);
}

#[test]
fn decay_100_forgets_everything_and_keeps_the_places() {
    let mut usage = usage(4, 100);
    usage.record(700.0);
    usage.record(900.0);

    usage.decay();
    assert_eq!(usage.figure(), 0.0);
    usage.record(300.0);

    assert_eq!(usage.figure(), 100.0);
    assert_eq!(usage.scale(), 1.0);
}

#[test]
fn decay_0_leaves_the_figure_alone() {
    let mut usage = usage(0, 0);
    usage.record(0.1);

    (0..10_000).for_each(|_| usage.decay());

    assert_eq!(usage.figure(), 0.1);
}

#[test]
fn smallest_scale_is_two_to_the_power_of_minus_500() {
    assert_eq!(SMALLEST_SCALE, 2.0_f64.powi(-500));
}

#[test]
fn scale_returns_to_one_when_it_has_become_too_small() {
    let mut usage = usage(0, 50);
    usage.record(1e30);

    (0..500).for_each(|_| usage.decay());
    assert_eq!(usage.scale(), SMALLEST_SCALE);
    assert_eq!(usage.stored(), 1e30);
    let before = usage.figure();
    usage.decay();

    assert_eq!(usage.scale(), 1.0);
    assert_eq!(usage.figure(), before / 2.0);
    assert_eq!(usage.stored(), before / 2.0);
}

#[test]
fn greatest_samples_stay_finite_at_the_smallest_scale() {
    let mut usage = usage(10_000, 50);
    (0..500).for_each(|_| usage.decay());

    (0..10_000).for_each(|_| usage.record(u64::MAX as f64));

    assert!(is_near(usage.figure(), u64::MAX as f64));
    usage.check_invariants();
}

#[test]
fn large_window_sums_exactly_what_it_holds() {
    let mut usage = usage(10_000, 0);

    (0..25_000).for_each(|x| usage.record(f64::from(x)));

    let sum: u64 = (15_000..25_000).sum();
    assert_eq!(usage.figure(), sum as f64 / 10_000.0);
}

#[test]
fn seconds_are_whole_microseconds() {
    let sample = Sample {
        bytes: 9,
        duration: Duration::from_nanos(1_500_999),
        first_byte: None,
    };

    assert_eq!(Measure::Seconds.of_sample(&sample), 0.001_5);
    assert_eq!(Measure::Bytes.of_sample(&sample), 9.0);
}

/// A connection of its own with this many bytes, or so many foreign ones.
#[derive(Clone, Debug)]
enum Step {
    Own(u64),
    Foreign(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..1_u64 << 40).prop_map(Step::Own),
        2 => (1..4_u32).prop_map(Step::Foreign),
        1 => (1..400_u32).prop_map(Step::Foreign),
    ]
}

proptest! {
    #![proptest_config(property_config(512))]

    #[test]
    fn lazy_decay_agrees_with_a_twin_that_touches_every_sample(
        window in prop_oneof![Just(0_u32), 1..10_u32, 120..300_u32],
        decay in 0..=100_u32,
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let (mut usage, mut twin) = (usage(window, decay), Twin::new(window, decay));
        for step in steps {
            match step {
                Step::Own(x) => {
                    usage.record(x as f64);
                    twin.record(x as f64);
                }
                Step::Foreign(times) => for _ in 0..times {
                    usage.decay();
                    twin.decay();
                }
            }
            usage.check_invariants();
            let (found, expected) = (usage.figure(), twin.figure());
            prop_assert!(is_near(found, expected), "{} is not {}", found, expected);
        }
    }

    #[test]
    fn n_foreign_connections_multiply_by_the_nth_power(
        window in 0..5_u32,
        decay in 0..=100_u32,
        first in 1..1_000_000_u64,
        times in 0..30_u32,
    ) {
        let mut usage = usage(window, decay);
        usage.record(first as f64);
        let before = usage.figure();

        (0..times).for_each(|_| usage.decay());

        let power = percent(decay).remainder().powi(times as i32);
        prop_assert!(is_near(usage.figure(), before * power));
    }

    #[test]
    fn window_forgets_a_spike_after_so_many_connections(
        window in 1..200_u32,
        spike in 1..u64::MAX,
        decay in 0..100_u32,
        foreign in 0..3_u32,
    ) {
        let (mut with, mut without) = (usage(window, decay), usage(window, decay));
        with.record(spike as f64);

        for sample in 0..window {
            for usage in [&mut with, &mut without] {
                (0..foreign).for_each(|_| usage.decay());
                usage.record(f64::from(sample));
            }
        }

        prop_assert!(is_near(with.figure(), without.figure()));
    }
}
