//! Axes: where a value is drawn, and which values are written beside it.

/// A logarithmic axis of durations in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogAxis {
    /// The logarithm to base 10 of its ends.
    low: f64,
    high: f64,
}

/// A value with a mark at an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    /// Where it is, from 0 to 1.
    pub(super) place: f64,
    /// What is written there; empty for a line alone.
    pub(super) label: String,
}

impl LogAxis {
    /// An axis that holds durations from `least` to `most`.
    pub(super) fn new(least: u64, most: u64) -> Self {
        // The next beautiful value: 1, 2 or 5 times a power of ten.
        let steps = [1.0_f64, 2.0, 5.0, 10.0].map(f64::log10);
        let (least, most) = ((least.max(1) as f64).log10(), (most.max(1) as f64).log10());
        let tiny = 1e-9;
        let below = |step: &&f64| least.floor() + **step <= least + tiny;
        let above = |step: &&f64| most.floor() + **step >= most - tiny;
        let low = least.floor() + steps.iter().rev().find(below).unwrap_or(&0.0);
        let high = most.floor() + steps.iter().find(above).unwrap_or(&1.0);
        Self {
            low,
            // One value alone still gets an axis.
            high: high.max(low + 2.0_f64.log10()),
        }
    }

    /// Where a duration is, from 0 to 1.
    pub(super) fn place(&self, micros: f64) -> f64 {
        let part = (micros.max(1.0).log10() - self.low) / (self.high - self.low);
        part.clamp(0.0, 1.0)
    }

    /// Bins of equal width on this axis: how many, and the one of a duration.
    pub(super) fn bin(&self, micros: u64, count: usize) -> usize {
        let bin = self.place(micros as f64) * count as f64;
        (bin as usize).min(count - 1)
    }

    /// The marks: 1, 2 and 5 times powers of ten; where they would be many only
    /// the powers have labels.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let decades = self.high - self.low;
        let mut marks = Vec::new();
        for power in 0..=19 {
            for digit in [1_u64, 2, 5] {
                let value = digit.saturating_mul(10_u64.saturating_pow(power));
                let log = (value as f64).log10();
                let inside = (self.low - 1e-9..=self.high + 1e-9).contains(&log);
                let labelled = digit == 1 || decades <= 2.5;
                if inside && (labelled || decades <= 5.0) {
                    marks.push(Mark {
                        place: self.place(value as f64),
                        label: match labelled {
                            true => duration(value),
                            false => String::new(),
                        },
                    });
                }
            }
        }
        marks
    }
}

/// Where values from 0 to `most` get marks on a linear axis: at most seven, at
/// 1, 2 or 5 times a power of ten.
pub(super) fn linear(most: f64) -> Vec<f64> {
    let raw = most.max(1e-9) / 6.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= raw)
        .unwrap_or(raw);
    let fits = |mark: &f64| *mark <= most * (1.0 + 1e-9);
    (0..=6)
        .map(|count| f64::from(count) * step)
        .take_while(fits)
        .collect()
}

/// A duration with three digits in the unit that fits.
pub(super) fn duration(micros: u64) -> String {
    let (value, unit) = match micros {
        0..1_000 => (micros as f64, "µs"),
        1_000..1_000_000 => (micros as f64 / 1e3, "ms"),
        _ => (micros as f64 / 1e6, "s"),
    };
    let decimals = match value {
        _ if unit == "µs" => 0,
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text} {unit}")
}

/// A count with `k` or `M` where that is shorter.
pub(super) fn count(count: f64) -> String {
    let (value, unit) = match count {
        1e9.. => (count / 1e9, "G"),
        1e6.. => (count / 1e6, "M"),
        1e4.. => (count / 1e3, "k"),
        _ => (count, ""),
    };
    let rounded = (value * 10.0).round() / 10.0;
    format!("{rounded}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (micros, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_000, "1 ms"),
            (41_877, "41.9 ms"),
            (999_000, "999 ms"),
            (1_234_567, "1.23 s"),
            (100_000_000, "100 s"),
        ] {
            assert_eq!(duration(micros), expected);
        }
    }

    #[test]
    fn axis_begins_and_ends_at_beautiful_values() {
        let marks = LogAxis::new(420, 38_000).marks();

        let labels: Vec<&str> = marks.iter().map(|mark| mark.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "200 µs", "500 µs", "1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "50 ms"
            ]
        );
        assert_eq!((marks[0].place, marks[7].place), (0.0, 1.0));
    }

    #[test]
    fn long_axis_has_labels_at_powers_of_ten() {
        let marks = LogAxis::new(1, 100_000_000).marks();

        assert_eq!(marks.len(), 9);
        assert!(marks.iter().all(|mark| !mark.label.is_empty()));
    }

    #[test]
    fn every_duration_has_a_place_and_a_bin() {
        for (least, most) in [(0, 0), (5, 5), (1, u64::MAX), (1_000, 10_000)] {
            let axis = LogAxis::new(least, most);
            for value in [0, least, most, u64::MAX] {
                assert!((0.0..=1.0).contains(&axis.place(value as f64)));
                assert!(axis.bin(value, 10) < 10);
            }
        }
    }

    #[test]
    fn linear_marks_are_few_and_round() {
        assert_eq!(linear(100.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(linear(7.3), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(linear(0.0).len(), 1);
    }

    #[test]
    fn counts_are_short() {
        for (number, expected) in [
            (0.0, "0"),
            (9_999.0, "9999"),
            (20_000.0, "20k"),
            (1.5e6, "1.5M"),
        ] {
            assert_eq!(count(number), expected);
        }
    }
}
