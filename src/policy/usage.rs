//! How much a back end was used: the figure that `bysize` and `byduration`
//! compare (7.3).
//!
//! ```text
//!   figure = s x (sum of all samples)             without `over`
//!   figure = s x (mean of the last N samples)     `over N`
//! ```
//!
//! Decay is lazy: a foreign connection multiplies the scale s alone, and a
//! sample x is stored as x/s, so that what was there falls and what comes later
//! does not. Only when s has become very small is everything stored multiplied
//! by it once. The arithmetic is binding, because rounding can break a tie.
//!
//! A connection moves the scales of all other back ends. So the numbers of four
//! back ends lie side by side, and are worked on at once; with them goes what is
//! compared, figure x weight.

use std::time::Duration;

use crate::base::bits::{Bits, positions};
use crate::policy::dispatch::{DispatchMode, Over};
use crate::policy::pool::PoolBackend;

mod numbers;
#[cfg(test)]
pub(crate) mod plain;
mod ring;

use numbers::{LANES, Numbers};

/// What one ended connection adds to the account of its back end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sample {
    /// Payload bytes written to the client and to the back end.
    pub bytes: u64,
    /// From the end of the connect to the end of the connection.
    pub duration: Duration,
    /// From the end of the connect to the first byte of the back end, if any
    /// came.
    pub first_byte: Option<Duration>,
}

/// What of a connection counts in a mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Measure {
    /// Bytes, both directions together.
    Bytes,
    /// Seconds, taken in whole microseconds.
    Seconds,
}

impl Measure {
    /// What `mode` measures over which window; `None` for a mode without figure.
    pub(crate) fn of_mode(mode: DispatchMode) -> Option<(Self, Over)> {
        match mode {
            DispatchMode::BySize(over) => Some((Self::Bytes, over)),
            DispatchMode::ByDuration(over) => Some((Self::Seconds, over)),
            _ => None,
        }
    }

    /// The sample that a connection gives.
    pub(crate) fn of_sample(self, sample: &Sample) -> f64 {
        match self {
            Self::Bytes => sample.bytes as f64,
            Self::Seconds => sample.duration.as_micros() as f64 / 1e6,
        }
    }
}

/// Up to so many back ends decay one by one: to read four numbers at once right
/// after one of them was written takes the processor longer.
const FEW: usize = 32;

/// What decays; the others cost nothing.
#[derive(Debug)]
enum Decaying {
    /// These back ends of a few.
    Few(Vec<usize>),
    /// These fours of many, where at least one of each decays.
    Fours(Vec<usize>),
}

/// The figures of all back ends of a service, and what is compared of them.
#[derive(Debug)]
pub(crate) struct Figures {
    measure: Measure,
    numbers: Numbers,
    decaying: Decaying,
    /// Those of `decay 100`.
    forgetful: Bits,
    /// Those of `decay 100` that have something to forget.
    remembering: Bits,
}

impl Figures {
    /// Nothing used yet, and nothing usable.
    pub(crate) fn new(measure: Measure, over: Over, backends: &[PoolBackend]) -> Self {
        let forgetful = forgetful(backends);
        Self {
            measure,
            numbers: Numbers::new(over, backends),
            decaying: Decaying::new(backends),
            remembering: forgetful.emptied(),
            forgetful,
        }
    }

    /// The figure of a back end, without weight; 0 for a fresh one.
    pub(crate) fn figure(&self, at: usize) -> f64 {
        self.numbers.figure(at)
    }

    /// Figure x weight of each back end, infinite for what is not usable.
    pub(crate) fn scores(&self) -> &[f64] {
        self.numbers.scores()
    }

    /// A back end has become usable.
    pub(crate) fn take_in(&mut self, at: usize) {
        self.numbers.set_bar(at, 0.0);
    }

    /// A back end is not usable any more.
    pub(crate) fn leave_out(&mut self, at: usize) {
        self.numbers.set_bar(at, f64::INFINITY);
    }

    /// A connection to this back end ended and gave a sample.
    pub(crate) fn record(&mut self, at: usize, sample: &Sample) {
        self.add(at, self.measure.of_sample(sample));
    }

    fn add(&mut self, at: usize, x: f64) {
        self.numbers.add(at, x);
        if self.forgetful.contains(at) {
            self.remembering.insert(at);
        }
    }

    /// A connection was made to this back end of the service.
    pub(crate) fn decay_others(&mut self, at: usize) {
        match &self.decaying {
            Decaying::Few(each) => self.numbers.decay_each(each, at),
            Decaying::Fours(fours) => self.numbers.decay_fours(fours, at),
        }
        self.forget_others(at);
    }

    /// Decay 100: the samples become 0 and keep their places.
    fn forget_others(&mut self, own: usize) {
        for word in 0..self.remembering.words() {
            for at in positions(word, self.remembering.word(word)) {
                if at != own {
                    self.remembering.remove(at);
                    self.numbers.forget(at);
                }
            }
        }
    }

    /// What must hold between two calls.
    pub(crate) fn check_invariants(&self, usable: &Bits) {
        for (at, score) in self.scores().iter().enumerate() {
            self.numbers.check_invariants(at);
            debug_assert_eq!(score.is_finite(), usable.contains(at), "{at} {self:?}");
        }
    }
}

impl Decaying {
    fn new(backends: &[PoolBackend]) -> Self {
        // What forgets everything has no scale that falls.
        let falls = |backend: &PoolBackend| !forgets(backend) && backend.decay.get() > 0;
        let each = (0..backends.len()).filter(|&at| falls(&backends[at]));
        if backends.len() <= FEW {
            return Self::Few(each.collect());
        }
        let mut decaying: Vec<_> = each.map(|at| at / LANES).collect();
        decaying.dedup();
        Self::Fours(decaying)
    }
}

/// Whether a foreign connection leaves nothing of its samples.
fn forgets(backend: &PoolBackend) -> bool {
    backend.decay.remainder() == 0.0
}

/// Those of `decay 100`.
fn forgetful(backends: &[PoolBackend]) -> Bits {
    // Without room when there is none, so that there is nothing to look at.
    let any = backends.iter().any(forgets);
    let mut forgetful = Bits::new(if any { backends.len() } else { 0 });
    for (at, _) in backends.iter().enumerate().filter(|(_, one)| forgets(one)) {
        forgetful.insert(at);
    }
    forgetful
}

#[cfg(test)]
mod tests;
