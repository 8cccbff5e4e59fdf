//! `byconnections`: the one with the fewest connections now.

use crate::base::id::BackendId;
use crate::policy::dispatch::{Ask, Candidates, Mode};

/// Smallest (active + 1) x weight; active includes reserved places.
///
/// Source: fewest active documented, formula decided (7.2).
#[derive(Debug)]
pub(crate) struct ByConnections;

impl Mode for ByConnections {
    fn pick(&mut self, from: &Candidates<'_>, _ask: &Ask) -> Option<BackendId> {
        from.least()
    }
}
