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

use std::time::Duration;

use crate::base::quantity::Percent;
use crate::policy::dispatch::{DispatchMode, Over};

/// Below this scale what is stored is brought back to scale 1: 2^-500. With
/// samples up to 2^64 nothing stored comes near to the end of the range.
const SMALLEST_SCALE: f64 = f64::from_bits((1023 - 500) << 52);

/// How many samples share one partial sum.
const BLOCK: usize = 128;

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

/// The figure of one back end.
#[derive(Debug)]
pub(crate) struct Usage {
    scale: f64,
    /// Sum or mean of what is stored, so that the figure is one product.
    stored: f64,
    /// What a foreign connection leaves: 1 - P/100.
    remainder: f64,
    /// The samples of `over N`; boxed to keep what is compared close together.
    ring: Option<Box<Ring>>,
}

impl Usage {
    /// Nothing used yet.
    pub(crate) fn new(over: Over, decay: Percent) -> Self {
        Self {
            scale: 1.0,
            stored: 0.0,
            remainder: decay.remainder(),
            ring: over.window().map(|window| Box::new(Ring::new(window))),
        }
    }

    /// The figure, without weight; 0 for a fresh back end.
    pub(crate) fn figure(&self) -> f64 {
        self.scale * self.stored
    }

    /// A connection to this back end ended and gave the sample `x`.
    pub(crate) fn record(&mut self, x: f64) {
        let x = x / self.scale;
        match &mut self.ring {
            None => self.stored += x,
            Some(ring) => {
                ring.push(x);
                self.stored = ring.mean();
            }
        }
    }

    /// A connection was made to another back end of the service.
    pub(crate) fn decay(&mut self) {
        if self.remainder == 0.0 {
            self.forget();
            return;
        }
        self.scale *= self.remainder;
        if self.scale < SMALLEST_SCALE {
            self.rebase();
        }
    }

    /// Decay 100: the samples become 0 and keep their places.
    fn forget(&mut self) {
        if self.stored > 0.0 {
            self.multiply_stored(0.0);
        }
        self.scale = 1.0;
    }

    fn rebase(&mut self) {
        self.multiply_stored(self.scale);
        self.scale = 1.0;
    }

    fn multiply_stored(&mut self, factor: f64) {
        match &mut self.ring {
            None => self.stored *= factor,
            Some(ring) => {
                ring.multiply(factor);
                self.stored = ring.mean();
            }
        }
    }

    /// What must hold between two calls.
    pub(crate) fn check_invariants(&self) {
        debug_assert!((SMALLEST_SCALE..=1.0).contains(&self.scale), "{self:?}");
        debug_assert!(self.stored >= 0.0 && self.stored.is_finite(), "{self:?}");
    }
}

/// The last N samples, with partial sums, so that a new sample of a large
/// window costs some two hundred additions and no rounding error adds up.
#[derive(Debug)]
struct Ring {
    window: usize,
    samples: Vec<f64>,
    /// Where the next sample goes once the window is full: at the oldest.
    oldest: usize,
    /// The sum of each [`BLOCK`] samples.
    blocks: Vec<f64>,
}

impl Ring {
    fn new(window: usize) -> Self {
        Self {
            window,
            samples: Vec::new(),
            oldest: 0,
            blocks: Vec::new(),
        }
    }

    fn push(&mut self, x: f64) {
        let place = if self.samples.len() < self.window {
            self.samples.push(x);
            self.samples.len() - 1
        } else {
            let place = self.oldest;
            self.samples[place] = x;
            self.oldest = (place + 1) % self.window;
            place
        };
        self.sum_block(place / BLOCK);
    }

    fn multiply(&mut self, factor: f64) {
        for sample in &mut self.samples {
            *sample *= factor;
        }
        for block in 0..self.blocks.len() {
            self.sum_block(block);
        }
    }

    fn sum_block(&mut self, block: usize) {
        let end = self.samples.len().min((block + 1) * BLOCK);
        let sum = self.samples[block * BLOCK..end].iter().sum();
        match self.blocks.get_mut(block) {
            Some(kept) => *kept = sum,
            None => self.blocks.push(sum),
        }
    }

    fn mean(&self) -> f64 {
        if self.samples.is_empty() {
            return 0.0;
        }
        self.blocks.iter().sum::<f64>() / self.samples.len() as f64
    }
}

#[cfg(test)]
mod tests;
