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
    half: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Remembers at least the `half` entries used last.
    pub fn new(half: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            half: half.max(1),
        }
    }

    /// Whether `key` is remembered; does not count as use.
    pub fn contains(&self, key: &K) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Takes out the value of `key`.
    pub fn take(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Puts a value that was taken out, or a new one, in its place; gives what
    /// had to be forgotten for it.
    pub fn put(&mut self, key: K, value: V) -> impl Iterator<Item = V> + use<K, V> {
        let mut forgotten = HashMap::new();
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        }
        self.old.remove(&key);
        self.young.insert(key, value);
        forgotten.into_values()
    }

    /// The value of `key`, which counts as use.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V>
    where
        K: Clone,
    {
        if !self.young.contains_key(key) {
            let value = self.old.remove(key)?;
            // A generation may grow beyond its half here, but never beyond both
            // together: what moves is no longer in the old one.
            self.young.insert(key.clone(), value);
        }
        self.young.get_mut(key)
    }

    /// Takes out everything.
    pub fn drain(&mut self) -> impl Iterator<Item = V> {
        self.old
            .drain()
            .chain(self.young.drain())
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_remembered_and_the_rest_is_given_back() {
        let mut recent = Recent::new(2);
        let mut forgotten = Vec::new();
        for number in 0..100 {
            forgotten.extend(recent.put(number, number));
            recent.get_mut(&0);
        }

        assert_eq!(recent.get_mut(&0), Some(&mut 0));
        assert_eq!(recent.get_mut(&99), Some(&mut 99));
        assert_eq!(recent.get_mut(&1), None);
        let kept: Vec<i32> = recent.drain().collect();
        assert!(kept.len() <= 5, "{kept:?}");
        assert_eq!(kept.len() + forgotten.len(), 100);
    }

    #[test]
    fn taken_value_is_gone_until_it_is_put_back() {
        let mut recent = Recent::new(4);
        assert_eq!(recent.put("a", 1).count(), 0);

        assert_eq!(recent.take(&"a"), Some(1));
        assert!(!recent.contains(&"a"));
        assert_eq!(recent.put("a", 2).count(), 0);
        assert_eq!(recent.get_mut(&"a"), Some(&mut 2));
    }
}
