//! `random`: by chance, weak back ends less often.

use crate::base::id::BackendId;
use crate::base::random::Random;
use crate::policy::dispatch::{Ask, Candidates, Mode, Standing};

/// Chance of a candidate = (1/w) / (sum of 1/w over the candidates).
///
/// Source: weight documented, formula decided (7.2).
#[derive(Debug)]
pub(crate) struct ByChance {
    random: Random,
}

impl ByChance {
    /// Draws with this generator.
    pub(crate) fn new(random: Random) -> Self {
        Self { random }
    }
}

impl Mode for ByChance {
    fn pick(&mut self, from: &Candidates<'_>, _ask: &Ask) -> Option<BackendId> {
        let total: f64 = from.iter().map(|(_, standing)| share(standing)).sum();
        let mut rest = self.random.next_f64() * total;
        let mut last = None;
        for (backend, standing) in from.iter() {
            last = Some(backend);
            rest -= share(standing);
            if rest < 0.0 {
                break;
            }
        }
        // Rounding can leave a rest behind the last one: then the last is it.
        last
    }
}

fn share(standing: &Standing) -> f64 {
    1.0 / f64::from(standing.weight.get())
}
