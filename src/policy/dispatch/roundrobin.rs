//! `roundrobin`: the next in line.

use crate::base::id::BackendId;
use crate::policy::dispatch::{Ask, Candidates, Mode};

/// A pointer that goes round; the first candidate at or behind it is next.
///
/// Source: line documented, pointer decided (7.2).
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    /// Where the search begins, counted from 0.
    pointer: u32,
}

impl Mode for RoundRobin {
    fn pick(&mut self, from: &Candidates<'_>, _ask: &Ask) -> Option<BackendId> {
        // The search from the start ends before the pointer, where nothing was.
        let next = from
            .first_from(self.pointer)
            .or_else(|| from.first_from(0))?;
        let behind = next.index() + 1;
        self.pointer = if behind < from.configured() {
            next.0 + 1
        } else {
            0
        };
        Some(next)
    }
}
