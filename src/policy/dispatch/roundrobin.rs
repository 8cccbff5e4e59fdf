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
        let end = u32::try_from(from.configured()).unwrap_or(u32::MAX);
        let next = (self.pointer..end)
            .chain(0..self.pointer)
            .map(BackendId)
            .find(|&backend| from.contains(backend))?;
        self.pointer = (next.0 + 1) % end;
        Some(next)
    }
}
