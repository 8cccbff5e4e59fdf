//! A timer wheel with one timer for each place of the table.
//!
//! Two rings of 256 slots: the near one holds single ticks of 8 ms (2 s in
//! all), the far one blocks of 256 ticks (8.7 minutes in all); what lies
//! further waits in the last block and is sorted in again there. Each slot is
//! a doubly linked list through `nodes`, so that a timer is set, moved and
//! taken out in constant time and without allocation.
//!
//! A timer never fires early, and at most one tick late as far as the wheel is
//! turned in time.

use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(8);
const SLOTS: u64 = 256;
const NONE: u32 = u32::MAX;

/// The timers of one engine.
pub(super) struct Wheel {
    origin: Instant,
    /// The last tick that was carried out.
    now: u64,
    nodes: Vec<Node>,
    near: Ring,
    far: Ring,
}

#[derive(Clone, Copy)]
struct Node {
    prev: u32,
    next: u32,
    due: u64,
    place: Place,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Unset,
    Near(u8),
    Far(u8),
}

/// 256 lists and which of them have members.
struct Ring {
    heads: [u32; SLOTS as usize],
    used: [u64; 4],
}

impl Ring {
    fn new() -> Self {
        Self {
            heads: [NONE; SLOTS as usize],
            used: [0; 4],
        }
    }

    fn is_empty(&self) -> bool {
        self.used == [0; 4]
    }

    fn set_head(&mut self, slot: u8, head: u32) {
        self.heads[usize::from(slot)] = head;
        let bit = 1 << (slot % 64);
        let word = &mut self.used[usize::from(slot / 64)];
        *word = if head == NONE {
            *word & !bit
        } else {
            *word | bit
        };
    }

    /// How many slots after `start` (cyclic, 0 to 255) the first used one is.
    fn first_used_from(&self, start: u8) -> Option<u64> {
        let (word, bit) = (usize::from(start / 64), u32::from(start % 64));
        let first = self.used[word] >> bit;
        if first != 0 {
            return Some(u64::from(first.trailing_zeros()));
        }
        let mut offset = u64::from(64 - bit);
        for step in 1..=4 {
            let used = self.used[(word + step) % 4];
            if used != 0 {
                return Some(offset + u64::from(used.trailing_zeros()));
            }
            offset += 64;
        }
        None
    }
}

impl Wheel {
    pub(super) fn new(origin: Instant) -> Self {
        Self {
            origin,
            now: 0,
            nodes: Vec::new(),
            near: Ring::new(),
            far: Ring::new(),
        }
    }

    /// Sets the timer of place `index`; an earlier setting is forgotten.
    pub(super) fn set(&mut self, index: u32, at: Instant) {
        let late = at.saturating_duration_since(self.origin);
        let due = (late.as_nanos().div_ceil(TICK.as_nanos())) as u64;
        self.cancel(index);
        if self.nodes.len() <= index as usize {
            let unset = Node {
                prev: NONE,
                next: NONE,
                due: 0,
                place: Place::Unset,
            };
            self.nodes.resize(index as usize + 1, unset);
        }
        self.nodes[index as usize].due = due.max(self.now + 1);
        self.link(index);
    }

    /// Takes the timer of place `index` out, if it is set.
    pub(super) fn cancel(&mut self, index: u32) {
        let Some(&node) = self.nodes.get(index as usize) else {
            return;
        };
        if node.place == Place::Unset {
            return;
        }
        if node.next != NONE {
            self.nodes[node.next as usize].prev = node.prev;
        }
        if node.prev == NONE {
            self.set_head(node.place, node.next);
        } else {
            self.nodes[node.prev as usize].next = node.next;
        }
        self.nodes[index as usize].place = Place::Unset;
    }

    /// Turns the wheel to `now` and puts the places whose timer fired into
    /// `fired`.
    pub(super) fn advance(&mut self, now: Instant, fired: &mut Vec<u32>) {
        let past = now.saturating_duration_since(self.origin);
        let target = (past.as_nanos() / TICK.as_nanos()) as u64;
        while self.now < target {
            self.skip_empty(target);
            if self.now >= target {
                break;
            }
            self.now += 1;
            if self.now.is_multiple_of(SLOTS) {
                self.take(
                    Place::Far((self.now / SLOTS % SLOTS) as u8),
                    |wheel, index| {
                        wheel.link(index);
                    },
                );
            }
            self.take(Place::Near((self.now % SLOTS) as u8), |_, index| {
                fired.push(index);
            });
        }
    }

    /// When the wheel has to be turned next; never later than the first timer.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let near = self.near.first_used_from(((self.now + 1) % SLOTS) as u8);
        let near = near.map(|offset| self.now + 1 + offset);
        let block = self.now / SLOTS + 1;
        let far = self.far.first_used_from((block % SLOTS) as u8);
        let far = far.map(|offset| (block + offset) * SLOTS);
        let tick = match (near, far) {
            (Some(near), Some(far)) => near.min(far),
            (near, far) => near.or(far)?,
        };
        Some(self.origin + TICK.saturating_mul(u32::try_from(tick).unwrap_or(u32::MAX)))
    }

    /// Passes over ticks at which nothing can fire.
    fn skip_empty(&mut self, target: u64) {
        if !self.near.is_empty() {
            return;
        }
        let last_of_block = self.now | (SLOTS - 1);
        self.now = if self.far.is_empty() {
            target
        } else {
            last_of_block.min(target)
        };
    }

    fn take(&mut self, place: Place, mut each: impl FnMut(&mut Self, u32)) {
        let mut index = self.head(place);
        self.set_head(place, NONE);
        while index != NONE {
            let next = self.nodes[index as usize].next;
            self.nodes[index as usize].place = Place::Unset;
            each(self, index);
            index = next;
        }
    }

    fn link(&mut self, index: u32) {
        let due = self.nodes[index as usize].due;
        let block = (due / SLOTS).min(self.now / SLOTS + SLOTS - 1);
        let place = if due.saturating_sub(self.now) < SLOTS {
            Place::Near((due % SLOTS) as u8)
        } else {
            Place::Far((block % SLOTS) as u8)
        };
        let head = self.head(place);
        let node = &mut self.nodes[index as usize];
        (node.prev, node.next, node.place) = (NONE, head, place);
        if head != NONE {
            self.nodes[head as usize].prev = index;
        }
        self.set_head(place, index);
    }

    fn head(&self, place: Place) -> u32 {
        match place {
            Place::Near(slot) => self.near.heads[usize::from(slot)],
            Place::Far(slot) => self.far.heads[usize::from(slot)],
            Place::Unset => NONE,
        }
    }

    fn set_head(&mut self, place: Place, head: u32) {
        match place {
            Place::Near(slot) => self.near.set_head(slot, head),
            Place::Far(slot) => self.far.set_head(slot, head),
            Place::Unset => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::random::Random;

    fn fired_by(wheel: &mut Wheel, now: Instant) -> Vec<u32> {
        let mut fired = Vec::new();
        wheel.advance(now, &mut fired);
        fired.sort_unstable();
        fired
    }

    #[test]
    fn timer_fires_once_not_early_and_at_most_a_tick_late() {
        let origin = Instant::now();
        for millis in [1, 7, 8, 2_047, 2_048, 2_049, 60_000, 3_600_000] {
            let mut wheel = Wheel::new(origin);
            let at = origin + Duration::from_millis(millis);
            wheel.set(3, at);

            let early = at - Duration::from_nanos(1);
            assert_eq!(fired_by(&mut wheel, early), [] as [u32; 0], "{millis} ms");
            assert_eq!(fired_by(&mut wheel, at + TICK), [3], "{millis} ms");
            assert_eq!(fired_by(&mut wheel, at + TICK * 1_000), [] as [u32; 0]);
        }
    }

    #[test]
    fn wheel_agrees_with_a_sorted_map_over_random_use() {
        let origin = Instant::now();
        let mut random = Random::new(11);
        let mut wheel = Wheel::new(origin);
        let mut twin: BTreeMap<u32, Instant> = BTreeMap::new();
        let mut now = origin;
        for _ in 0..20_000 {
            let index = random.below(50) as u32;
            match random.below(4) {
                0 | 1 => {
                    let span = [20, 3_000, 700_000][random.below(3) as usize];
                    let at = now + Duration::from_millis(random.below(span));
                    wheel.set(index, at);
                    twin.insert(index, at);
                }
                2 => {
                    wheel.cancel(index);
                    twin.remove(&index);
                }
                _ => now += Duration::from_millis(random.below(2_500)),
            }
            for index in fired_by(&mut wheel, now) {
                let at = twin.remove(&index).expect("fired without being set");
                assert!(at <= now, "fired early");
            }
            for at in twin.values() {
                assert!(*at + TICK * 2 > now, "fired late");
            }
            let first = twin.values().min();
            let next = wheel.next_due();
            assert_eq!(next.is_some(), first.is_some());
            if let (Some(next), Some(&first)) = (next, first) {
                assert!(next < first + TICK * 2, "would sleep too long");
                assert!(next > now, "would not sleep");
            }
        }
    }

    #[test]
    fn cancelled_timer_does_not_fire() {
        let origin = Instant::now();
        let mut wheel = Wheel::new(origin);
        for index in 0..3 {
            wheel.set(index, origin + TICK);
        }

        wheel.cancel(1);

        assert_eq!(fired_by(&mut wheel, origin + TICK * 2), [0, 2]);
        assert_eq!(wheel.next_due(), None);
    }
}
