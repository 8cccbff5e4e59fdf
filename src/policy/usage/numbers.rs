//! The numbers behind the figures, laid out so that a thousand scales fall
//! quickly.
//!
//! ```text
//!   four 0:   scale 0 1 2 3   stored 0 1 2 3   remainder 0 1 2 3   ...
//!   four 1:   scale 4 5 6 7   ...
//!   scores:   0 1 2 3 4 5 6 7 ...        what is compared, side by side
//! ```

use crate::policy::dispatch::Over;
use crate::policy::pool::PoolBackend;
use crate::policy::usage::ring::Ring;

/// Below this scale what is stored is brought back to scale 1: 2^-500. With
/// samples up to 2^64 nothing stored comes near to the end of the range.
pub(super) const SMALLEST_SCALE: f64 = f64::from_bits((1023 - 500) << 52);

/// How many back ends are worked on at once.
pub(super) const LANES: usize = 4;

/// The numbers of four back ends.
#[derive(Clone, Debug)]
struct Four {
    scale: [f64; LANES],
    /// Sum or mean of what is stored, so that the figure is one product.
    stored: [f64; LANES],
    /// What a foreign connection leaves of the scale: 1 - P/100, but 1 for
    /// `decay 100`, which leaves nothing of what is stored.
    remainder: [f64; LANES],
    weight: [f64; LANES],
    /// The score is at least this: 0, or infinity for what is not usable.
    bar: [f64; LANES],
}

impl Four {
    /// Four that are not there.
    const NONE: Self = Self {
        scale: [1.0; LANES],
        stored: [0.0; LANES],
        remainder: [1.0; LANES],
        weight: [1.0; LANES],
        bar: [f64::INFINITY; LANES],
    };

    /// Up to four fresh back ends, not usable yet.
    fn new(backends: &[PoolBackend]) -> Self {
        let mut new = Self::NONE;
        for (lane, backend) in backends.iter().enumerate() {
            let remainder = backend.decay.remainder();
            new.remainder[lane] = if remainder > 0.0 { remainder } else { 1.0 };
            new.weight[lane] = f64::from(backend.weight.get());
        }
        new
    }
    /// Figure x weight, held at the bar.
    fn score(&self, lane: usize) -> f64 {
        let score = self.scale[lane] * self.stored[lane] * self.weight[lane];
        if score < self.bar[lane] {
            self.bar[lane]
        } else {
            score
        }
    }

    /// A connection was made elsewhere.
    fn decay(&mut self, scores: &mut [f64; LANES]) {
        for (lane, score) in scores.iter_mut().enumerate() {
            self.scale[lane] *= self.remainder[lane];
            *score = self.score(lane);
        }
    }

    fn has_small_scale(&self) -> bool {
        self.scale.iter().any(|&scale| scale < SMALLEST_SCALE)
    }
}

/// The numbers of all back ends of a service.
#[derive(Debug)]
pub(super) struct Numbers {
    len: usize,
    fours: Vec<Four>,
    /// Figure x weight, infinite for what is not usable.
    scores: Vec<[f64; LANES]>,
    /// The samples of `over N`; empty without.
    rings: Vec<Ring>,
}

impl Numbers {
    /// Nothing used yet, and nothing usable.
    pub(super) fn new(over: Over, backends: &[PoolBackend]) -> Self {
        let ring = |window| backends.iter().map(move |_| Ring::new(window)).collect();
        let fours: Vec<_> = backends.chunks(LANES).map(Four::new).collect();
        Self {
            len: backends.len(),
            scores: vec![[f64::INFINITY; LANES]; fours.len()],
            rings: over.window().map(ring).unwrap_or_default(),
            fours,
        }
    }

    /// Scale x what is stored.
    pub(super) fn figure(&self, at: usize) -> f64 {
        self.scale(at) * self.stored(at)
    }

    /// What later samples are divided by.
    pub(super) fn scale(&self, at: usize) -> f64 {
        self.fours[at / LANES].scale[at % LANES]
    }

    /// Sum or mean of what is stored.
    pub(super) fn stored(&self, at: usize) -> f64 {
        self.fours[at / LANES].stored[at % LANES]
    }

    /// Figure x weight of each back end, infinite for what is not usable.
    pub(super) fn scores(&self) -> &[f64] {
        let scores = self.scores.as_flattened();
        scores.get(..self.len).unwrap_or(scores)
    }

    /// Keeps the score at `bar` or above from now on: 0 or infinity.
    pub(super) fn set_bar(&mut self, at: usize, bar: f64) {
        self.fours[at / LANES].bar[at % LANES] = bar;
        self.compare(at);
    }

    /// Works out again what is compared of a back end.
    fn compare(&mut self, at: usize) {
        self.scores[at / LANES][at % LANES] = self.fours[at / LANES].score(at % LANES);
    }

    /// Adds a sample to what is stored.
    pub(super) fn add(&mut self, at: usize, x: f64) {
        let (four, lane) = (&mut self.fours[at / LANES], at % LANES);
        let x = x / four.scale[lane];
        four.stored[lane] = match self.rings.get_mut(at) {
            None => four.stored[lane] + x,
            Some(ring) => {
                ring.push(x);
                ring.mean()
            }
        };
        self.compare(at);
    }

    /// The scales of `each` fall, except that of `own`.
    pub(super) fn decay_each(&mut self, each: &[usize], own: usize) {
        for &at in each.iter().filter(|&&at| at != own) {
            let (four, lane) = (&mut self.fours[at / LANES], at % LANES);
            four.scale[lane] *= four.remainder[lane];
            if four.scale[lane] < SMALLEST_SCALE {
                self.rebase(at);
            } else {
                self.compare(at);
            }
        }
    }

    /// The scales in `fours` fall, except that of `own`.
    pub(super) fn decay_fours(&mut self, fours: &[usize], own: usize) {
        let (four, lane) = (own / LANES, own % LANES);
        let kept = (self.fours[four].scale[lane], self.scores[four][lane]);
        for &at in fours {
            self.fours[at].decay(&mut self.scores[at]);
        }
        (self.fours[four].scale[lane], self.scores[four][lane]) = kept;
        for &at in fours {
            if self.fours[at].has_small_scale() {
                (at * LANES..(at + 1) * LANES).for_each(|at| self.rebase(at));
            }
        }
    }

    /// Brings what is stored back to scale 1 if its scale has become too small.
    #[cold]
    fn rebase(&mut self, at: usize) {
        let scale = self.fours[at / LANES].scale[at % LANES];
        if scale < SMALLEST_SCALE {
            self.multiply_stored(at, scale);
        }
    }

    /// What is stored is multiplied by the scale, which returns to 1.
    fn multiply_stored(&mut self, at: usize, scale: f64) {
        let (four, lane) = (&mut self.fours[at / LANES], at % LANES);
        match self.rings.get_mut(at) {
            None => four.stored[lane] *= scale,
            Some(ring) => {
                ring.multiply(scale);
                four.stored[lane] = ring.mean();
            }
        }
        four.scale[lane] = 1.0;
        self.compare(at);
    }

    /// Every sample becomes 0 and keeps its place.
    pub(super) fn forget(&mut self, at: usize) {
        self.fours[at / LANES].stored[at % LANES] = 0.0;
        if let Some(ring) = self.rings.get_mut(at) {
            ring.forget();
        }
        self.compare(at);
    }

    /// What must hold between two calls.
    pub(super) fn check_invariants(&self, at: usize) {
        let (four, lane) = (&self.fours[at / LANES], at % LANES);
        let (scale, stored) = (four.scale[lane], four.stored[lane]);
        debug_assert!((SMALLEST_SCALE..=1.0).contains(&scale), "{at} {four:?}");
        debug_assert!(stored >= 0.0 && stored.is_finite(), "{at} {four:?}");
        debug_assert_eq!(self.scores()[at], four.score(lane), "{at} {four:?}");
    }
}
