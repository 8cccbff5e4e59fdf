//! Places that are used again, with a generation that tells users apart.

use crate::relay::host::RelayKey;
use crate::relay::poll::MAX_INDEX;

/// A table whose keys never lead to a later user of the same place.
pub(super) struct Arena<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    live: usize,
}

struct Slot<T> {
    generation: u32,
    entry: Option<T>,
}

impl<T> Arena<T> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            live: 0,
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Stores what `make` builds for the new key; `None` when there are more
    /// entries than a key can number.
    pub(super) fn insert_with(&mut self, make: impl FnOnce(RelayKey) -> T) -> Option<RelayKey> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        let slot = &mut self.slots[index as usize];
        let key = RelayKey {
            index,
            generation: slot.generation,
        };
        slot.entry = Some(make(key));
        self.live += 1;
        Some(key)
    }

    fn grow(&mut self) -> Option<u32> {
        let index = u32::try_from(self.slots.len()).ok();
        let index = index.filter(|&index| index < MAX_INDEX)?;
        self.slots.push(Slot {
            generation: 0,
            entry: None,
        });
        Some(index)
    }

    pub(super) fn get_mut(&mut self, key: RelayKey) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation {
            slot.entry.as_mut()
        } else {
            None
        }
    }

    pub(super) fn remove(&mut self, key: RelayKey) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let entry = slot.entry.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        self.live -= 1;
        Some(entry)
    }

    /// The key of whoever uses place `index` now.
    pub(super) fn key_at(&self, index: u32) -> Option<RelayKey> {
        let slot = self.slots.get(index as usize)?;
        slot.entry.as_ref().map(|_| RelayKey {
            index,
            generation: slot.generation,
        })
    }

    /// The keys of all entries.
    pub(super) fn keys(&self) -> Vec<RelayKey> {
        let count = self.slots.len() as u32;
        (0..count).filter_map(|index| self.key_at(index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_key_does_not_reach_the_next_user_of_its_place() {
        let mut arena = Arena::new();
        let first = arena.insert_with(|_| "first").unwrap();
        assert_eq!(arena.remove(first), Some("first"));

        let second = arena.insert_with(|_| "second").unwrap();

        assert_eq!(second.index, first.index);
        assert_eq!(arena.get_mut(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get_mut(second), Some(&mut "second"));
        assert_eq!(arena.keys(), vec![second]);
        assert_eq!(arena.len(), 1);
    }
}
