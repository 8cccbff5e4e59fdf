//! `byorder`: the first usable one in order of definition, each time.

use crate::base::id::BackendId;
use crate::policy::dispatch::Candidates;

/// Source: documented (7.2).
#[derive(Debug)]
pub(crate) struct ByOrder;

impl ByOrder {
    /// Chooses the first candidate.
    pub(crate) fn pick(&self, from: &Candidates<'_>) -> Option<BackendId> {
        from.iter().next().map(|(backend, _)| backend)
    }
}
