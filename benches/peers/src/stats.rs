//! Medians, and how far they can be trusted.

use serde::Serialize;

/// The median of some figures, and an interval around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    /// Lower and upper end of the interval that holds the true median with a
    /// probability of 95 %, whatever the distribution; of fewer than six
    /// figures simply the smallest and the greatest.
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) count: usize,
}

impl Summary {
    /// Of some figures; none if there are none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().filter(|f| f.is_finite()).collect();
        figures.sort_by(f64::total_cmp);
        let cut = cut(figures.len());
        Some(Self {
            median: median(&figures)?,
            low: *figures.get(cut)?,
            high: *figures.get(figures.len() - 1 - cut)?,
            count: figures.len(),
        })
    }

    /// Of `first / second`, pair by pair; pairs that lack one are left out.
    pub(crate) fn of_ratios(
        pairs: impl IntoIterator<Item = (Option<f64>, Option<f64>)>,
    ) -> Option<Self> {
        let ratio = |(first, second): (Option<f64>, Option<f64>)| Some(first? / second?);
        Self::of(pairs.into_iter().filter_map(ratio))
    }

    /// Whether the interval says nothing about which side of `value` it is.
    pub(crate) fn spans(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    match sorted.len() % 2 {
        1 => Some(upper),
        _ => Some(f64::midpoint(*sorted.get(middle - 1)?, upper)),
    }
}

/// How many figures may be cut off at either end of a sorted list, so that the
/// rest holds the true median with at least 95 %.
///
/// Each figure lies below the median with probability 1/2, so the number that
/// do is binomial.
fn cut(count: usize) -> usize {
    let total = f64::powi(2.0, i32::try_from(count).unwrap_or(i32::MAX));
    let (mut cut, mut outside, mut ways) = (0, 0.0, 1.0);
    while cut < count / 2 {
        outside += 2.0 * ways / total;
        if outside > 0.05 {
            return cut.saturating_sub(1);
        }
        cut += 1;
        ways *= (count - cut + 1) as f64 / cut as f64;
    }
    cut.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(last: u32) -> impl Iterator<Item = f64> {
        (1..=last).map(f64::from)
    }

    #[test]
    fn median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Summary::of([4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
    }

    #[test]
    fn of_few_figures_the_interval_is_all_of_them() {
        let summary = Summary::of(numbers(5)).unwrap();

        assert_eq!((summary.low, summary.median, summary.high), (1.0, 3.0, 5.0));
    }

    // The ranks are those of the tables for the sign test.
    #[test]
    fn interval_follows_the_table_of_the_sign_test() {
        for (count, low) in [
            (6, 1.0),
            (7, 1.0),
            (8, 1.0),
            (9, 2.0),
            (11, 2.0),
            (12, 3.0),
            (15, 4.0),
            (20, 6.0),
        ] {
            let summary = Summary::of(numbers(count)).unwrap();

            assert_eq!(summary.low, low, "of {count}");
            assert_eq!(summary.high, f64::from(count) + 1.0 - low, "of {count}");
        }
    }

    #[test]
    fn ratios_are_formed_before_the_median() {
        let pairs = [
            (Some(1.0), Some(2.0)),
            (Some(30.0), Some(10.0)),
            (Some(8.0), Some(8.0)),
            (None, Some(1.0)),
        ];

        let summary = Summary::of_ratios(pairs).unwrap();

        assert_eq!((summary.median, summary.count), (1.0, 3));
        assert!(summary.spans(1.0));
        assert!(!summary.spans(3.5));
    }

    #[test]
    fn nothing_has_no_summary() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(Summary::of([f64::NAN]), None);
    }
}
