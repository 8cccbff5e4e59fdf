//! What is learned from one throughput log, in memory that does not grow with
//! it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hdrhistogram::Histogram;

use super::timeline::Timeline;
use crate::cli::input::Faults;
use crate::telemetry::read::exchanges::{Answer, Beginning, Exchange, Exchanges};
use crate::telemetry::read::lines::{LONGEST, Line, Lines};
use crate::telemetry::read::throughput::ThroughputLine;
use crate::telemetry::read::traffic::TrafficLine;
use crate::telemetry::read::{Fault, Place};

/// How many of the slowest exchanges are kept.
const SLOWEST: usize = 10;

/// Significant digits of medians and percentiles.
const DIGITS: u8 = 3;

/// Reads one log.
pub(super) struct Analysis {
    name: String,
    lines: Lines,
    exchanges: Exchanges,
    tally: Tally,
    faults: Faults,
    count: u64,
}

/// What was learned from one log.
pub(super) struct Findings {
    /// How messages name the file.
    pub(super) name: String,
    /// How many lines it has.
    pub(super) lines: u64,
    /// Those of them that could not be read.
    pub(super) faults: Faults,
    /// How many connections.
    pub(super) connections: u64,
    /// The exchanges.
    pub(super) tally: Tally,
}

/// What was learned from exchanges.
#[derive(Default)]
pub(super) struct Tally {
    /// How many were answered.
    pub(super) answered: u64,
    /// How many were not.
    pub(super) unanswered: u64,
    /// Times to the first block of the back end.
    pub(super) first_byte: Durations,
    /// Times to its last block.
    pub(super) whole: Durations,
    /// How the times to the last block changed in the course of the log.
    pub(super) timeline: Timeline,
    slowest: BinaryHeap<Reverse<Slow>>,
}

/// One exchange among the slowest; the greater is the slower, or of two equally
/// slow ones the earlier.
#[derive(Clone, Debug)]
pub(super) struct Slow {
    /// How long it took.
    pub(super) answer: Answer,
    /// The number of its connection.
    pub(super) connection: u64,
    /// The line of its first block.
    pub(super) line: u64,
    /// How its first block begins.
    pub(super) request: Beginning,
}

impl Slow {
    fn rank(&self) -> (u64, Reverse<u64>) {
        (self.answer.whole, Reverse(self.line))
    }
}

impl Ord for Slow {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Slow {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Slow {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Slow {}

impl Analysis {
    /// Begins with the file called `name`.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            lines: Lines::default(),
            exchanges: Exchanges::default(),
            tally: Tally::default(),
            faults: Faults::default(),
            count: 0,
        }
    }

    /// Takes more of the file.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |number, line| self.line(number, line));
        self.lines = lines;
    }

    /// The file ends here.
    pub(super) fn end(mut self) -> Findings {
        let mut lines = std::mem::take(&mut self.lines);
        lines.end(|number, line| self.line(number, line));
        self.exchanges.end(|exchange| self.tally.add(&exchange));
        Findings {
            name: self.name,
            lines: self.count,
            faults: self.faults,
            connections: self.exchanges.connections(),
            tally: self.tally,
        }
    }

    fn line(&mut self, number: u64, line: Line<'_>) {
        self.count = number;
        let parsed = match line {
            Line::Whole(line) => {
                ThroughputLine::parse(line).map_err(|error| match TrafficLine::parse(line) {
                    Ok(_) => "a line of a traffic log; 'crossroads trafficlog' shows it".to_owned(),
                    Err(_) => error.to_string(),
                })
            }
            Line::TooLong => Err(format!("has more than {LONGEST} bytes")),
        };
        match parsed {
            Ok(line) => {
                let tally = &mut self.tally;
                self.exchanges
                    .block(number, &line, |exchange| tally.add(&exchange));
            }
            Err(what) => self.faults.add(Fault {
                place: Place::Line(number),
                what,
            }),
        }
    }
}

impl Tally {
    fn add(&mut self, exchange: &Exchange) {
        let Some(answer) = exchange.answer else {
            self.unanswered += 1;
            return;
        };
        self.answered += 1;
        self.first_byte.add(answer.first_byte);
        self.whole.add(answer.whole);
        self.timeline.add(exchange.line, answer.whole);
        let slow = Slow {
            answer,
            connection: exchange.connection,
            line: exchange.line,
            request: exchange.request,
        };
        if self.slowest.len() < SLOWEST {
            self.slowest.push(Reverse(slow));
        } else if let Some(mut fastest) = self.slowest.peek_mut()
            && slow > fastest.0
        {
            *fastest = Reverse(slow);
        }
    }

    /// The slowest exchanges, the slowest first.
    pub(super) fn slowest(&self) -> Vec<&Slow> {
        let mut slowest: Vec<&Slow> = self.slowest.iter().map(|slow| &slow.0).collect();
        slowest.sort_unstable_by_key(|slow| Reverse(slow.rank()));
        slowest
    }
}

/// A collection of durations in microseconds.
pub(super) struct Durations {
    /// `None` if memory for the smallest one was refused.
    histogram: Option<Histogram<u64>>,
    least: u64,
    most: u64,
}

/// Durations in short, in microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Summary {
    /// The least.
    pub(super) min: u64,
    /// At most half of all are above.
    pub(super) median: u64,
    /// At most a tenth is above.
    pub(super) p90: u64,
    /// At most a hundredth is above.
    pub(super) p99: u64,
    /// The greatest.
    pub(super) max: u64,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            // Grows with the range of the values, to half a megabyte at most.
            histogram: Histogram::new(DIGITS).ok(),
            least: u64::MAX,
            most: 0,
        }
    }
}

impl Durations {
    fn add(&mut self, duration: u64) {
        if let Some(histogram) = &mut self.histogram {
            // It grows with its values, and what is above 35 years is no duration.
            let _ = histogram.record(duration.min(1 << 50));
        }
        self.least = self.least.min(duration);
        self.most = self.most.max(duration);
    }

    /// The durations in short; `None` if there are none. Least and greatest are
    /// exact, the others have three significant digits.
    pub(super) fn summary(&self) -> Option<Summary> {
        let histogram = self.histogram.as_ref().filter(|all| !all.is_empty())?;
        let quantile = |part| {
            histogram
                .value_at_quantile(part)
                .clamp(self.least, self.most)
        };
        Some(Summary {
            min: self.least,
            median: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: self.most,
        })
    }

    /// Durations and how often they occur, in rising order.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        let recorded = self.histogram.iter().flat_map(Histogram::iter_recorded);
        recorded.map(|step| (step.value_iterated_to(), step.count_at_value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analyse(log: &str) -> Findings {
        let mut analysis = Analysis::new("x.log");
        for piece in log.as_bytes().chunks(7) {
            analysis.push(piece);
        }
        analysis.end()
    }

    #[test]
    fn log_is_counted_and_its_durations_are_summed_up() {
        let mut log = "rubbish\n9 0.000001 C no answer\n".to_owned();
        for millis in 1..=1_000 {
            let (first, last) = (millis * 500 + 1, millis * 1_000 + 1);
            log += &format!(
                "{millis:07} 0.000001 C GET /{millis} HTTP/1.1\n\
                 {millis:07} {}.{:06} B head\n{millis:07} {}.{:06} B end\n",
                first / 1_000_000,
                first % 1_000_000,
                last / 1_000_000,
                last % 1_000_000
            );
        }

        let findings = analyse(&log);

        assert_eq!(findings.lines, 3_002);
        assert_eq!(findings.faults.count(), 1);
        let tally = &findings.tally;
        assert_eq!((tally.answered, tally.unanswered), (1_000, 1));
        let whole = tally.whole.summary().unwrap();
        assert_eq!((whole.min, whole.max), (1_000, 1_000_000));
        let near = |value: u64, expected: u64| value.abs_diff(expected) * 500 <= expected;
        assert!(near(whole.median, 500_000), "{whole:?}");
        assert!(
            near(whole.p90, 900_000) && near(whole.p99, 990_000),
            "{whole:?}"
        );
        let first_byte = tally.first_byte.summary().unwrap();
        assert!(near(first_byte.median, 250_000), "{first_byte:?}");
    }

    #[test]
    fn slowest_exchanges_are_kept_the_slowest_first() {
        let log: String = (1..=30)
            .map(|number| {
                let micros = 1 + number * 7_919 % 31;
                format!("{number} 0.000000 C r{number}\n{number} 0.0000{micros:02} B x\n")
            })
            .collect();

        let findings = analyse(&log);

        let slowest = findings.tally.slowest();
        let durations: Vec<u64> = slowest.iter().map(|slow| slow.answer.whole).collect();
        assert_eq!(durations, (22..=31).rev().collect::<Vec<u64>>());
    }

    #[test]
    fn empty_log_has_no_summary() {
        let findings = analyse("");

        assert_eq!((findings.lines, findings.connections), (0, 0));
        assert_eq!(findings.tally.whole.summary(), None);
        assert_eq!(findings.tally.whole.counts().count(), 0);
    }
}
