//! A map that forgets what was not used for long, so that a file can name any
//! number of connections.
//!
//! It has two generations. What is used goes to the young one; when that is
//! full, the old one is forgotten and the young one becomes old. So at least
//! the `half` entries used last are remembered, and at most twice as many are
//! kept, without a list of their order.

use std::collections::HashMap;
use std::hash::Hash;

/// The map.
#[derive(Debug)]
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// The generation that was forgotten last.
    forgotten: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Remembers at least the `half` entries used last.
    pub fn new(half: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            forgotten: HashMap::new(),
            half: half.max(1),
        }
    }

    /// Whether `key` is remembered; does not count as use.
    pub fn contains(&self, key: &K) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Puts in a value, in the place of another one of that key.
    pub fn put(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        }
        self.young.insert(key, value);
    }

    /// The value of `key`, which counts as use.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V>
    where
        K: Clone,
    {
        if let Some(value) = self.old.remove(key) {
            self.put(key.clone(), value);
        }
        self.young.get_mut(key)
    }

    /// Takes what was forgotten by the last [`Recent::put`] or
    /// [`Recent::get_mut`]; what is not taken is dropped by a later one.
    pub fn take_forgotten(&mut self) -> impl Iterator<Item = V> + use<K, V> {
        // Not drained: that walks through a map's whole room, even an empty one's.
        std::mem::take(&mut self.forgotten).into_values()
    }

    /// Takes out everything.
    pub fn drain(&mut self) -> impl Iterator<Item = V> + use<'_, K, V> {
        let generations = self.old.drain().chain(self.young.drain());
        generations.map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_used_is_remembered_and_the_rest_is_forgotten() {
        let mut recent = Recent::new(2);
        for number in 0..100 {
            recent.put(number, number);
            recent.get_mut(&0);
        }

        assert_eq!(recent.get_mut(&0), Some(&mut 0));
        assert_eq!(recent.get_mut(&99), Some(&mut 99));
        assert_eq!(recent.get_mut(&1), None);
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_every_value_comes_out_once(
            half in 1_usize..6,
            uses in prop::collection::vec(0_u8..30, 0..300),
        ) {
            let mut recent = Recent::new(half);
            let (mut next, mut out, mut last) = (0, Vec::new(), Vec::new());
            for key in uses {
                if recent.get_mut(&key).is_none() {
                    prop_assert!(!last.iter().rev().take(half).any(|used| *used == key));
                    recent.put(key, next);
                    next += 1;
                }
                out.extend(recent.take_forgotten());
                last.retain(|used| *used != key);
                last.push(key);
                prop_assert!(recent.young.len() <= half && recent.old.len() <= half);
            }

            out.extend(recent.drain());
            out.sort_unstable();
            prop_assert_eq!(out, (0..next).collect::<Vec<i32>>());
        }
    }
}
