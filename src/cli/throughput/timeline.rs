//! How durations changed in the course of a log, in a fixed number of spans.
//!
//! A throughput log has no time of day, so the course is that of its lines.
//! Each span covers so many of them; when all spans are used, two become one
//! and each covers twice as many. Exchanges may come in any order: the end of
//! most is only known when their connection is forgotten.

/// The greatest number of spans, and of exchanges that are kept one by one.
pub(super) const SPANS: usize = 256;

/// Steps of a doubling: percentiles of a span are within 5 % of the truth.
const STEPS: u32 = 16;

/// Steps in all, for durations up to 2^40 microseconds, 12 days.
const ALL_STEPS: usize = 40 * STEPS as usize;

/// The course of durations.
pub(super) struct Timeline {
    spans: Vec<Span>,
    /// How many lines a span covers.
    width: u64,
    /// Line and duration of the first exchanges.
    points: Vec<(u64, u64)>,
    count: u64,
}

/// The exchanges that begin in some lines after each other.
pub(super) struct Span {
    count: u64,
    /// How many durations fall on each step.
    steps: Box<[u32]>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            spans: Vec::new(),
            width: 1,
            points: Vec::new(),
            count: 0,
        }
    }
}

impl Timeline {
    /// Takes note of the duration, in microseconds, of an exchange that begins
    /// in this line.
    pub(super) fn add(&mut self, line: u64, duration: u64) {
        self.count += 1;
        if self.points.len() < SPANS {
            self.points.push((line, duration));
        }
        while line / self.width >= SPANS as u64 {
            self.halve();
        }
        let place = (line / self.width) as usize;
        if self.spans.len() <= place {
            self.spans.resize_with(place + 1, Span::default);
        }
        self.spans[place].add(duration);
    }

    fn halve(&mut self) {
        self.width *= 2;
        let mut spans = std::mem::take(&mut self.spans).into_iter();
        while let Some(mut span) = spans.next() {
            if let Some(next) = spans.next() {
                span.join(&next);
            }
            self.spans.push(span);
        }
    }

    /// Line and duration of each exchange, if they are few.
    pub(super) fn points(&self) -> Option<&[(u64, u64)]> {
        (self.count <= SPANS as u64).then_some(&self.points)
    }

    /// The spans in which exchanges begin, each with the line in its middle.
    pub(super) fn spans(&self) -> impl Iterator<Item = (f64, &Span)> {
        let width = self.width as f64;
        let middle = move |place: usize| (place as f64 + 0.5) * width;
        let spans = self.spans.iter().enumerate();
        spans
            .filter(|(_, span)| span.count > 0)
            .map(move |(place, span)| (middle(place), span))
    }
}

impl Default for Span {
    fn default() -> Self {
        Self {
            count: 0,
            steps: vec![0; ALL_STEPS].into(),
        }
    }
}

impl Span {
    fn add(&mut self, duration: u64) {
        self.count += 1;
        if let Some(step) = self.steps.get_mut(step_of(duration)) {
            *step = step.saturating_add(1);
        }
    }

    fn join(&mut self, other: &Self) {
        self.count += other.count;
        for (own, others) in self.steps.iter_mut().zip(&other.steps) {
            *own = own.saturating_add(*others);
        }
    }

    /// The duration in microseconds that `part` of all do not exceed.
    pub(super) fn quantile(&self, part: f64) -> f64 {
        let rank = (part * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (step, count) in self.steps.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return duration_of(step);
            }
        }
        1.0
    }
}

fn step_of(duration: u64) -> usize {
    let doublings = (duration.max(1) as f64).log2();
    ((doublings * f64::from(STEPS)).round() as usize).min(ALL_STEPS - 1)
}

fn duration_of(step: usize) -> f64 {
    (step as f64 / f64::from(STEPS)).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_durations_are_kept_one_by_one() {
        let mut timeline = Timeline::default();
        timeline.add(1_000_000, 7);
        timeline.add(3, 8);

        assert_eq!(timeline.points(), Some(&[(1_000_000, 7), (3, 8)][..]));
    }

    #[test]
    fn many_durations_share_spans_and_none_is_lost() {
        let mut timeline = Timeline::default();
        // Not in the order of their lines.
        for number in 0..100_000 {
            let line = number * 7_919 % 100_000;
            timeline.add(line, 100 + line);
        }

        assert_eq!(timeline.points(), None);
        let spans: Vec<(f64, &Span)> = timeline.spans().collect();
        assert_eq!((timeline.width, spans.len()), (512, 196));
        let counts = spans.iter().map(|(_, span)| span.count);
        assert_eq!(counts.sum::<u64>(), 100_000);
        for (middle, span) in &spans[..195] {
            let median = span.quantile(0.5);
            assert!(
                (median / (middle + 100.0) - 1.0).abs() < 0.05,
                "{median} at {middle}"
            );
        }
    }

    #[test]
    fn durations_of_any_size_are_taken() {
        let mut timeline = Timeline::default();
        timeline.add(0, 0);
        timeline.add(u64::MAX, u64::MAX);

        let quantiles: Vec<f64> = timeline
            .spans()
            .map(|(_, span)| span.quantile(0.99))
            .collect();
        assert_eq!(quantiles[0], 1.0);
        assert!(quantiles[1] > 1e11);
    }
}
