//! `byconnections`: the one with the fewest connections now.

use crate::base::id::BackendId;
use crate::policy::dispatch::{Candidates, Standing};

/// Smallest (active + 1) x weight; active includes reserved places.
///
/// Source: fewest active documented, formula decided (7.2).
#[derive(Debug)]
pub(crate) struct ByConnections;

impl ByConnections {
    /// Chooses the candidate with the smallest score.
    pub(crate) fn pick(&self, from: &Candidates<'_>) -> Option<BackendId> {
        from.least(score)
    }
}

fn score(standing: &Standing) -> f64 {
    (standing.active + 1) as f64 * f64::from(standing.weight.get())
}
