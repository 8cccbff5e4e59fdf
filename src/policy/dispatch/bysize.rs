//! `bysize`: the one that moved the fewest bytes.

use crate::base::id::BackendId;
use crate::policy::dispatch::{Ask, Candidates, Mode};

/// Smallest figure x weight; the figure counts bytes moved
/// ([`Measure`](crate::policy::usage::Measure)).
///
/// Source: documented (7.3).
#[derive(Debug)]
pub(crate) struct BySize;

impl Mode for BySize {
    fn pick(&mut self, from: &Candidates<'_>, _ask: &Ask) -> Option<BackendId> {
        from.least()
    }
}
