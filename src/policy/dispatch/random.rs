//! `random`: by chance, weak back ends less often.

use crate::base::bits::{Bits, WORD, positions};
use crate::base::id::BackendId;
use crate::base::random::Random;
use crate::policy::dispatch::{Ask, Candidates, Mode};
use crate::policy::pool::PoolBackend;

/// The share of a back end of weight 1: 2^48. With 65535 back ends a sum of
/// shares stays below 2^64, and with the greatest weight a share is off by less
/// than 1 in 2^32.
const WHOLE: u64 = 1 << 48;

/// Chance of a candidate = (1/w) / (sum of 1/w over the candidates), where 1/w
/// is a whole number of 2^-48, rounded down, so that a sum is the same in
/// whatever order it is taken.
///
/// Source: weight documented, formula decided (7.2).
#[derive(Debug)]
pub(crate) struct ByChance {
    random: Random,
}

impl ByChance {
    /// Draws with this generator.
    pub(crate) fn new(random: Random) -> Self {
        Self { random }
    }
}

impl Mode for ByChance {
    fn pick(&mut self, from: &Candidates<'_>, _ask: &Ask) -> Option<BackendId> {
        let shares = from.standings().shares()?;
        let total = (0..from.words()).map(|word| shares.of_word(from, word));
        let mut rest = self.random.below(total.sum());
        for word in 0..from.words() {
            let share = shares.of_word(from, word);
            if rest < share {
                return shares.find(positions(word, from.word(word)), rest);
            }
            rest -= share;
        }
        None
    }
}

/// The shares of the back ends, and of all usable ones of a word together.
#[derive(Debug)]
pub(crate) struct Shares {
    each: Vec<u64>,
    usable: Vec<u64>,
}

impl Shares {
    /// Of back ends that are not usable yet.
    pub(crate) fn new(backends: &[PoolBackend]) -> Self {
        let share = |backend: &PoolBackend| WHOLE / u64::from(backend.weight.get());
        Self {
            each: backends.iter().map(share).collect(),
            usable: vec![0; backends.len().div_ceil(WORD)],
        }
    }

    /// A back end has become usable.
    pub(crate) fn take_in(&mut self, at: usize) {
        self.usable[at / WORD] += self.each[at];
    }

    /// A back end is not usable any more.
    pub(crate) fn leave_out(&mut self, at: usize) {
        self.usable[at / WORD] -= self.each[at];
    }

    /// The shares of the candidates of a word together.
    fn of_word(&self, from: &Candidates<'_>, word: usize) -> u64 {
        self.usable[word] - self.sum(word, from.tried_word(word))
    }

    fn sum(&self, word: usize, bits: u64) -> u64 {
        positions(word, bits).map(|at| self.each[at]).sum()
    }

    /// The one among `candidates` whose share holds `rest`, when the shares are
    /// laid one behind the other.
    fn find(&self, candidates: impl Iterator<Item = usize>, mut rest: u64) -> Option<BackendId> {
        for at in candidates {
            let share = self.each[at];
            if rest < share {
                return Some(BackendId(at as u32));
            }
            rest -= share;
        }
        None
    }

    /// What must hold between two calls.
    pub(crate) fn check_invariants(&self, usable: &Bits) {
        for (word, &sum) in self.usable.iter().enumerate() {
            debug_assert_eq!(sum, self.sum(word, usable.word(word)), "{self:?}");
        }
    }
}
