//! `byorder`: the first usable one in order of definition, each time.

use crate::base::id::BackendId;
use crate::policy::dispatch::{Ask, Candidates, Mode};

/// Source: documented (7.2).
#[derive(Debug)]
pub(crate) struct ByOrder;

impl Mode for ByOrder {
    fn pick(&mut self, from: &Candidates<'_>, _ask: &Ask) -> Option<BackendId> {
        from.first_from(0)
    }
}
