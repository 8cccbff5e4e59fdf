//! Why a back end was chosen, and the others were not. Only for people: what is
//! said here follows the choice, and never makes one.

use crate::base::id::BackendId;
use crate::base::state::ShownState;
use crate::policy::dispatch::{Candidates, Dispatcher, Standing};

/// Why back ends were, or were not, chosen, as things stood before the choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What is compared of each back end, in order of definition, where the
    /// mode compares numbers: the smallest wins, or for `random` the chance.
    pub scores: Vec<Option<f64>>,
    /// Why each would not be taken: its state, `full`, `tried`; `None` for a
    /// candidate.
    pub hindrances: Vec<Option<&'static str>>,
    /// Why a candidate was not taken.
    pub outdone: &'static str,
}

impl Explanation {
    /// How the back ends stand for a client; `states` are the shown ones, in
    /// order of definition.
    pub(crate) fn of(
        dispatcher: &Dispatcher,
        from: &Candidates<'_>,
        states: impl Iterator<Item = ShownState>,
    ) -> Self {
        let hindrance = |(id, state): (u32, ShownState)| match state {
            _ if from.contains(BackendId(id)) => None,
            _ if from.was_tried(BackendId(id)) => Some("tried"),
            ShownState::Available => Some("full"),
            other => Some(other.word()),
        };
        Self {
            scores: dispatcher.scores(from),
            hindrances: (0..).zip(states).map(hindrance).collect(),
            outdone: dispatcher.outdone(),
        }
    }

    /// What is compared of a back end.
    pub fn score(&self, backend: BackendId) -> Option<f64> {
        self.scores.get(backend.index()).copied().flatten()
    }

    /// Why `backend`, which was not chosen, was not.
    pub fn why_not(&self, backend: BackendId) -> &'static str {
        let hindrance = self.hindrances.get(backend.index()).copied().flatten();
        hindrance.unwrap_or(self.outdone)
    }
}

impl Dispatcher {
    /// What is compared of each configured back end.
    fn scores(&self, from: &Candidates<'_>) -> Vec<Option<f64>> {
        let standings = from.standings();
        let all = || (0..).map(BackendId).zip(standings.iter());
        let weight = |standing: &Standing| f64::from(standing.weight.get());
        match self {
            Self::ByConnections(_) => all().map(|(_, standing)| Some(standing.load())).collect(),
            Self::BySize(_) | Self::ByDuration(_) => {
                let score = |(id, standing)| Some(standings.figure(id) * weight(standing));
                all().map(score).collect()
            }
            Self::Random(_) => {
                let share = |id| 1.0 / weight(standings.of(id));
                let total: f64 = from.iter().map(share).sum();
                let chance = |(id, _)| from.contains(id).then(|| share(id) / total);
                all().map(chance).collect()
            }
            Self::RoundRobin(_) | Self::ByOrder(_) | Self::ByClientIp(_) => {
                vec![None; from.configured()]
            }
        }
    }

    /// Why a candidate was not taken.
    fn outdone(&self) -> &'static str {
        match self {
            Self::ByConnections(_) => "more connections",
            Self::BySize(_) => "moved more",
            Self::ByDuration(_) => "took longer",
            Self::Random(_) => "chance",
            Self::RoundRobin(_) => "not its turn",
            Self::ByOrder(_) => "later in the file",
            Self::ByClientIp(_) => "not first for this client",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::base::moment::Moment;
    use crate::base::state::ShownState;
    use crate::policy::dispatch::DispatchMode;
    use crate::policy::pool::{Released, Tried};
    use crate::policy::testing::*;

    #[test]
    fn each_back_end_has_its_score_and_what_is_against_it() {
        let mut backends = weighted([1, 2, 4]);
        backends[2].limit = limit(1);
        let mut pool = pool(DispatchMode::ByConnections, backends);
        pool.tell(BIRCH, ShownState::Down, Moment::now());
        let place = pool.dispatch_to(CEDAR, &Tried::default()).unwrap();

        let why = pool.explain(&Tried::default());

        assert_eq!(why.scores, [Some(1.0), Some(2.0), Some(8.0)]);
        assert_eq!(why.hindrances, [None, Some("down"), Some("full")]);
        assert_eq!(why.why_not(CEDAR), "full");
        assert_eq!(why.score(MAPLE), Some(1.0));
        pool.release(place, Released::NotHeldAgainst);
    }

    #[test]
    fn candidate_that_was_outdone_is_told_by_what() {
        for (mode, text) in [
            (DispatchMode::RoundRobin, "not its turn"),
            (DispatchMode::Random, "chance"),
            (DispatchMode::ByOrder, "later in the file"),
            (DispatchMode::BySize(over(0)), "moved more"),
            (DispatchMode::ByDuration(over(0)), "took longer"),
            (DispatchMode::ByConnections, "more connections"),
        ] {
            let mut tried = Tried::default();
            tried.insert(MAPLE);

            let why = three(mode).explain(&tried);

            assert_eq!(why.why_not(CEDAR), text);
            assert_eq!(why.why_not(MAPLE), "tried");
        }
    }

    #[test]
    fn chances_are_those_of_the_candidates() {
        let mut pool = pool(DispatchMode::Random, weighted([1, 2, 4]));
        pool.tell(MAPLE, ShownState::Down, Moment::now());

        let why = pool.explain(&Tried::default());

        let [maple, birch, cedar] = [MAPLE, BIRCH, CEDAR].map(|id| why.score(id));
        assert_eq!(maple, None);
        assert!((birch.unwrap() - 2.0 / 3.0).abs() < 1e-9);
        assert!((cedar.unwrap() - 1.0 / 3.0).abs() < 1e-9);
    }
}
