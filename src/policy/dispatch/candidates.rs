//! What a mode sees of the back ends.

use crate::base::id::BackendId;
use crate::base::quantity::{ConnectionLimit, Weight};
use crate::policy::pool::Tried;
use crate::policy::usage::Usage;

/// How one back end stands: what modes compare, kept close together because a
/// mode may look at every back end for every client.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Whether its shown state is `available`.
    pub(crate) available: bool,
    /// Connections to it now, reserved places included.
    pub(crate) active: u64,
    /// How many it may have.
    pub(crate) limit: ConnectionLimit,
    /// How much weaker than its peers it is.
    pub(crate) weight: Weight,
    /// Its figure; stays 0 in modes without one.
    pub(crate) usage: Usage,
}

impl Standing {
    /// Whether it may be given a new connection now.
    ///
    /// Source: documented (6.3).
    pub(crate) fn is_usable(&self) -> bool {
        self.available && self.limit.admits(self.active)
    }
}

/// The usable back ends that were not tried yet for this client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates<'a> {
    standings: &'a [Standing],
    tried: &'a Tried,
}

impl<'a> Candidates<'a> {
    /// The candidates among all back ends of a service in order of definition.
    pub(crate) fn new(standings: &'a [Standing], tried: &'a Tried) -> Self {
        Self { standings, tried }
    }

    /// How many back ends are configured, candidates or not.
    pub(crate) fn configured(&self) -> usize {
        self.standings.len()
    }

    /// All back ends that are configured.
    pub(crate) fn standings(&self) -> &'a [Standing] {
        self.standings
    }

    /// Whether this one was tried for the client.
    pub(crate) fn was_tried(&self, backend: BackendId) -> bool {
        self.tried.contains(backend)
    }

    /// Whether this one may be chosen.
    pub(crate) fn contains(&self, backend: BackendId) -> bool {
        let usable = |standing: &Standing| standing.is_usable();
        self.standings.get(backend.index()).is_some_and(usable) && !self.tried.contains(backend)
    }

    /// The candidates in order of definition.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (BackendId, &'a Standing)> + use<'a> {
        let tried = self.tried;
        (0..)
            .map(BackendId)
            .zip(self.standings)
            .filter(move |(backend, standing)| standing.is_usable() && !tried.contains(*backend))
    }

    /// The candidate with the smallest score; of equal ones the first defined.
    ///
    /// Source: decided (7.1).
    pub(crate) fn least(&self, score: impl Fn(&Standing) -> f64) -> Option<BackendId> {
        let mut best: Option<(BackendId, f64)> = None;
        for (backend, standing) in self.iter() {
            let score = score(standing);
            if best.is_none_or(|(_, least)| score < least) {
                best = Some((backend, score));
            }
        }
        best.map(|(backend, _)| backend)
    }
}
