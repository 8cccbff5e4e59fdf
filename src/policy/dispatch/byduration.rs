//! `byduration`: the one whose connections took the shortest time.

use crate::base::id::BackendId;
use crate::policy::dispatch::{Ask, Candidates, Mode};

/// Smallest figure x weight; the figure counts seconds of service
/// ([`Measure`](crate::policy::usage::Measure)).
///
/// Source: documented (7.3).
#[derive(Debug)]
pub(crate) struct ByDuration;

impl Mode for ByDuration {
    fn pick(&mut self, from: &Candidates<'_>, _ask: &Ask) -> Option<BackendId> {
        from.least()
    }
}
