//! What a mode sees of the back ends.

use crate::base::bits::{WORD, positions};
use crate::base::id::BackendId;
use crate::policy::dispatch::Standings;
use crate::policy::pool::Tried;

/// Up to so many back ends are compared one by one.
const FEW: usize = 8;

/// The usable back ends that were not tried yet for this client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates<'a> {
    standings: &'a Standings,
    tried: &'a Tried,
}

impl<'a> Candidates<'a> {
    /// The candidates among all back ends of a service in order of definition.
    pub(crate) fn new(standings: &'a Standings, tried: &'a Tried) -> Self {
        Self { standings, tried }
    }

    /// How many back ends are configured, candidates or not.
    pub(crate) fn configured(&self) -> usize {
        self.standings.len()
    }

    /// How all back ends stand that are configured.
    pub(crate) fn standings(&self) -> &'a Standings {
        self.standings
    }

    /// Whether this one was tried for the client.
    pub(crate) fn was_tried(&self, backend: BackendId) -> bool {
        self.tried.contains(backend)
    }

    /// Whether this one may be chosen.
    pub(crate) fn contains(&self, backend: BackendId) -> bool {
        self.standings.usable().contains(backend.index()) && !self.tried.contains(backend)
    }

    /// How many words of [`WORD`] back ends there are.
    pub(crate) fn words(&self) -> usize {
        self.standings.usable().words()
    }

    /// The candidates from `word` x 64 on, as bits.
    pub(crate) fn word(&self, word: usize) -> u64 {
        self.standings.usable().word(word) & !self.tried.word(word)
    }

    /// The usable back ends from `word` x 64 on that were tried, as bits.
    pub(crate) fn tried_word(&self, word: usize) -> u64 {
        self.standings.usable().word(word) & self.tried.word(word)
    }

    /// The candidates in order of definition.
    pub(crate) fn iter(&self) -> impl Iterator<Item = BackendId> + use<'a> {
        let from = *self;
        (0..self.words())
            .flat_map(move |word| positions(word, from.word(word)))
            .map(|at| BackendId(at as u32))
    }

    /// The first candidate at `start` or behind it.
    #[inline]
    pub(crate) fn first_from(&self, start: u32) -> Option<BackendId> {
        let word = start as usize / WORD;
        let bits = self.word(word) & (u64::MAX << (start as usize % WORD));
        if bits == 0 {
            return self.first_behind(word);
        }
        Some(first_in(word, bits))
    }

    /// The first candidate behind a word.
    fn first_behind(&self, word: usize) -> Option<BackendId> {
        let mut words = (word + 1..self.words()).map(|word| (word, self.word(word)));
        let (word, bits) = words.find(|&(_, bits)| bits != 0)?;
        Some(first_in(word, bits))
    }

    /// The candidate with the smallest score; of equal ones the first defined.
    ///
    /// Source: decided (7.1).
    #[inline]
    pub(crate) fn least(&self) -> Option<BackendId> {
        let scores = self.standings.scores();
        if scores.len() <= FEW {
            return self.least_of_few(scores);
        }
        self.least_of_many(scores)
    }

    /// Where more than a look at each is not worth its while.
    #[inline]
    fn least_of_few(&self, scores: &[f64]) -> Option<BackendId> {
        let mut best = (f64::INFINITY, None);
        for at in positions(0, self.word(0)) {
            if scores[at] < best.0 {
                best = (scores[at], Some(BackendId(at as u32)));
            }
        }
        best.1
    }

    #[inline(never)]
    fn least_of_many(&self, scores: &[f64]) -> Option<BackendId> {
        let mut best = (f64::INFINITY, 0);
        for (word, scores) in scores.chunks(WORD).enumerate() {
            let least = match self.tried_word(word) {
                // What is not usable has an infinite score.
                0 => least_of(scores),
                _ => self.least_in(word),
            };
            if least < best.0 {
                best = (least, word);
            }
        }
        let (least, word) = best;
        positions(word, self.word(word))
            .find(|&at| scores[at] == least)
            .map(|at| BackendId(at as u32))
    }

    /// The smallest score of the candidates in a word.
    fn least_in(&self, word: usize) -> f64 {
        let scores = self.standings.scores();
        positions(word, self.word(word))
            .map(|at| scores[at])
            .fold(f64::INFINITY, lesser)
    }
}

/// The first back end in the `bits` of a word, of which there are some.
fn first_in(word: usize, bits: u64) -> BackendId {
    BackendId((word * WORD) as u32 + bits.trailing_zeros())
}

/// The smallest of some scores; several at once, as nothing waits for another.
fn least_of(scores: &[f64]) -> f64 {
    let (eights, rest) = scores.as_chunks::<8>();
    let rest = rest.iter().copied().fold(f64::INFINITY, lesser);
    if eights.is_empty() {
        return rest;
    }
    let mut least = [f64::INFINITY; 8];
    for eight in eights {
        for (least, &score) in least.iter_mut().zip(eight) {
            *least = lesser(*least, score);
        }
    }
    least.into_iter().fold(rest, lesser)
}

/// The smaller of two scores, which are numbers; a single instruction, unlike
/// `f64::min`.
fn lesser(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}
