//! Sets of back ends as bits, so that 64 of them are looked at at once.

/// How many back ends share one word.
pub(crate) const WORD: usize = 64;

/// A set of back ends by their position.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// The empty set with room for `len` back ends.
    pub(crate) fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(WORD)])
    }

    /// The empty set with as much room.
    pub(crate) fn emptied(&self) -> Self {
        Self(vec![0; self.0.len()])
    }

    /// How many words there are.
    pub(crate) fn words(&self) -> usize {
        self.0.len()
    }

    /// The back ends from `word` x 64 on; none behind the last word.
    pub(crate) fn word(&self, word: usize) -> u64 {
        self.0.get(word).copied().unwrap_or(0)
    }

    /// Whether `at` is in the set.
    pub(crate) fn contains(&self, at: usize) -> bool {
        self.word(at / WORD) & bit(at) != 0
    }

    /// Takes `at` in; it must be one of those there is room for.
    pub(crate) fn insert(&mut self, at: usize) {
        self.0[at / WORD] |= bit(at);
    }

    /// Leaves `at` out; it must be one of those there is room for.
    pub(crate) fn remove(&mut self, at: usize) {
        self.0[at / WORD] &= !bit(at);
    }
}

/// The bit that stands for `at` in its word.
pub(crate) fn bit(at: usize) -> u64 {
    1 << (at % WORD)
}

/// The positions in `bits`, smallest first, when they are word number `word`.
pub(crate) fn positions(word: usize, mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = bits.trailing_zeros() as usize;
        if bits == 0 {
            return None;
        }
        bits &= bits - 1;
        Some(word * WORD + first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_keeps_what_was_inserted_and_not_removed() {
        let mut bits = Bits::new(130);

        [0, 63, 64, 129].into_iter().for_each(|at| bits.insert(at));
        bits.remove(63);

        let all = (0..bits.words()).flat_map(|word| positions(word, bits.word(word)));
        assert_eq!(all.collect::<Vec<_>>(), [0, 64, 129]);
        assert!(bits.contains(129) && !bits.contains(63));
    }

    #[test]
    fn nothing_is_in_a_set_behind_its_end() {
        let bits = Bits::new(64);

        assert_eq!((bits.words(), bits.word(1)), (1, 0));
        assert!(!bits.contains(1_000));
        assert_eq!(Bits::new(0).words(), 0);
    }
}
