//! What was counted and measured.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::plan::Unit;
use super::reply::Failure;
use crate::failure;

/// The measured time, in nanoseconds of the client's clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Window {
    pub(super) begin: u64,
    pub(super) end: u64,
}

impl Window {
    pub(super) fn contains(self, time: u64) -> bool {
        (self.begin..self.end).contains(&time)
    }
}

/// The counts of one thread, or of all.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) exchanges: u64,
    /// Bytes received, heads included.
    pub(super) received: u64,
    /// Bytes of bodies sent.
    pub(super) sent: u64,
    /// Connections open at the end.
    pub(super) open: u64,
    errors: u64,
    first_error: Option<String>,
    /// Nanoseconds.
    latency: Histogram<u64>,
}

/// The greatest latency that is told from a greater one: a minute.
const LONGEST: u64 = 60_000_000_000;

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    ///
    /// None in practice: only for bounds that make no histogram.
    pub(super) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            exchanges: 0,
            received: 0,
            sent: 0,
            open: 0,
            errors: 0,
            first_error: None,
            latency: Histogram::new_with_bounds(1, LONGEST, 3)?,
        })
    }

    /// Counts one latency in nanoseconds.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.latency.saturating_record(nanoseconds);
    }

    /// Counts an error, or as many as it stands for.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.errors += match failure {
            Failure::Overdue(count) => *count,
            _ => 1,
        };
        self.first_error
            .get_or_insert_with(|| failure::text(failure));
    }

    /// Adds the counts of another thread.
    pub(super) fn add(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.received += other.received;
        self.sent += other.sent;
        self.open += other.open;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        // Both have the same bounds, so every value fits.
        let _ = self.latency.add(&other.latency);
    }

    /// The report of a measured time of that many seconds.
    pub(super) fn report(&self, unit: Unit, seconds: f64) -> Report {
        let both = self.received + self.sent;
        Report {
            units: match unit {
                Unit::Exchanges => self.exchanges,
                Unit::Received => self.received >> 20,
                Unit::Sent => self.sent >> 20,
                Unit::Both => both >> 20,
                Unit::Open => self.open,
            },
            bytes: match unit {
                Unit::Sent => self.sent,
                Unit::Both => both,
                _ => self.received,
            },
            seconds,
            errors: self.errors,
            first_error: self.first_error.clone(),
            latency_us: Latency::new(&self.latency),
        }
    }
}

/// The line that the client prints at its end.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    units: u64,
    bytes: u64,
    seconds: f64,
    errors: u64,
    first_error: Option<String>,
    latency_us: Latency,
}

/// Microseconds, to a thousandth of the value.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
    mean: f64,
    count: u64,
}

impl Latency {
    fn new(nanoseconds: &Histogram<u64>) -> Self {
        let at = |quantile| nanoseconds.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: nanoseconds.max() as f64 / 1000.0,
            mean: nanoseconds.mean() / 1000.0,
            count: nanoseconds.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_reported_in_microseconds() {
        let mut tally = Tally::new().unwrap();
        for nanoseconds in [1000, 1000, 1000, 250_000] {
            tally.record(nanoseconds);
        }

        let latency = tally.report(Unit::Exchanges, 1.0).latency_us;

        assert!((latency.p50 - 1.0).abs() < 0.01, "{latency:?}");
        assert!((latency.p99 - 250.0).abs() < 0.5, "{latency:?}");
        assert_eq!(latency.count, 4);
    }

    #[test]
    fn units_of_bytes_are_whole_mebibytes() {
        let mut tally = Tally::new().unwrap();
        tally.received = (3 << 20) + 1;
        tally.sent = (1 << 20) - 1;

        assert_eq!(tally.report(Unit::Received, 1.0).units, 3);
        assert_eq!(tally.report(Unit::Sent, 1.0).units, 0);
        assert_eq!(tally.report(Unit::Both, 1.0).units, 4);
    }

    #[test]
    fn first_error_is_kept_with_its_cause() {
        let mut tally = Tally::new().unwrap();
        let mut other = Tally::new().unwrap();
        other.fail(&Failure::Open(std::io::ErrorKind::ConnectionRefused.into()));
        other.fail(&Failure::Overdue(7));

        tally.add(other);

        let report = tally.report(Unit::Exchanges, 1.0);
        assert_eq!(report.errors, 8);
        let text = report.first_error.unwrap();
        assert_eq!(text, "cannot open a connection: connection refused");
    }
}
