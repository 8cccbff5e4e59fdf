//! `bysize`: the one that moved the fewest bytes.

use crate::base::id::BackendId;
use crate::policy::dispatch::{Candidates, Standing};

/// Smallest figure x weight; the figure counts bytes moved
/// ([`Measure`](crate::policy::usage::Measure)).
///
/// Source: documented (7.3).
#[derive(Debug)]
pub(crate) struct BySize;

impl BySize {
    /// Chooses the candidate with the smallest score.
    pub(crate) fn pick(&self, from: &Candidates<'_>) -> Option<BackendId> {
        from.least(score)
    }
}

fn score(standing: &Standing) -> f64 {
    standing.usage.figure() * f64::from(standing.weight.get())
}
