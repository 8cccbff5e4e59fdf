//! How the back ends of a service stand, kept so that a choice among a thousand
//! costs little.
//!
//! Beside the plain [`Standing`] of each back end stands what the mode looks
//! at: who is usable as bits, and numbers side by side in one array. They are
//! brought up to date when something changes, which is for one back end at a
//! time (except decay), instead of being worked out for each choice.

use crate::base::bits::Bits;
use crate::base::id::BackendId;
use crate::base::quantity::{ConnectionLimit, Weight};
use crate::base::state::ShownState;
use crate::policy::dispatch::DispatchMode;
use crate::policy::dispatch::random::Shares;
use crate::policy::pool::PoolBackend;
use crate::policy::usage::{Figures, Measure, Sample};

/// How one back end stands, apart from its figure.
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
}

impl Standing {
    /// Whether it may be given a new connection now.
    ///
    /// Source: documented (6.3).
    pub(crate) fn is_usable(&self) -> bool {
        self.available && self.limit.admits(self.active)
    }

    /// Whether it has just as many connections, of which there are some, as it
    /// may have.
    fn is_at_limit(&self) -> bool {
        self.active == self.limit.as_number()
    }

    /// (active + 1) x weight, what `byconnections` compares.
    ///
    /// Source: decided (7.2).
    pub(crate) fn load(&self) -> f64 {
        (self.active + 1) as f64 * f64::from(self.weight.get())
    }
}

/// What the mode looks at, ready for the next choice.
#[derive(Debug)]
enum Compared {
    /// Nothing but who is usable.
    Nothing,
    /// The figures.
    Figures(Figures),
    /// The shares of chance.
    Shares(Shares),
}

/// How all back ends of a service stand, in order of definition.
#[derive(Debug)]
pub(crate) struct Standings {
    each: Vec<Standing>,
    usable: Bits,
    /// The load of each back end, infinite where it is not usable; empty unless
    /// the mode is `byconnections`.
    loads: Vec<f64>,
    compared: Compared,
}

impl Standings {
    /// All available, without connections, fresh.
    pub(crate) fn new(mode: DispatchMode, backends: &[PoolBackend]) -> Self {
        let standing = |backend: &PoolBackend| Standing {
            available: true,
            active: 0,
            limit: backend.limit,
            weight: backend.weight,
        };
        let mut new = Self {
            each: backends.iter().map(standing).collect(),
            usable: Bits::new(backends.len()),
            loads: match mode {
                DispatchMode::ByConnections => vec![f64::INFINITY; backends.len()],
                _ => Vec::new(),
            },
            compared: Compared::new(mode, backends),
        };
        for at in 0..backends.len() {
            new.look_at_usability(at);
            new.look_at_load(at);
        }
        new
    }

    /// How many back ends are configured.
    pub(crate) fn len(&self) -> usize {
        self.each.len()
    }

    /// How one back end stands.
    pub(crate) fn of(&self, backend: BackendId) -> &Standing {
        &self.each[backend.index()]
    }

    /// How each back end stands.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Standing> {
        self.each.iter()
    }

    /// The back ends that may be given a connection now.
    pub(crate) fn usable(&self) -> &Bits {
        &self.usable
    }

    /// The score of each back end in a mode where the smallest wins, infinite
    /// where it is not usable. Empty in the other modes.
    pub(crate) fn scores(&self) -> &[f64] {
        match &self.compared {
            Compared::Figures(figures) => figures.scores(),
            Compared::Nothing | Compared::Shares(_) => &self.loads,
        }
    }

    /// The shares of chance; `None` unless the mode is `random`.
    pub(crate) fn shares(&self) -> Option<&Shares> {
        match &self.compared {
            Compared::Shares(shares) => Some(shares),
            _ => None,
        }
    }

    /// The figure of a back end (7.3); 0 in modes without one.
    pub(crate) fn figure(&self, backend: BackendId) -> f64 {
        match &self.compared {
            Compared::Figures(figures) => figures.figure(backend.index()),
            _ => 0.0,
        }
    }

    /// Takes a place at a back end, which has one free.
    #[inline]
    pub(crate) fn reserve(&mut self, backend: BackendId) {
        let standing = &mut self.each[backend.index()];
        standing.active += 1;
        if standing.is_at_limit() {
            self.look_at_usability(backend.index());
        }
        self.look_at_load(backend.index());
    }

    /// Gives a place back.
    #[inline]
    pub(crate) fn unreserve(&mut self, backend: BackendId) {
        let standing = &mut self.each[backend.index()];
        let was_at_limit = standing.is_at_limit();
        debug_assert!(standing.active > 0, "a place was given back twice");
        standing.active = standing.active.saturating_sub(1);
        if was_at_limit {
            self.look_at_usability(backend.index());
        }
        self.look_at_load(backend.index());
    }

    /// The shown state of a back end is this one now.
    pub(crate) fn shows(&mut self, backend: BackendId, state: ShownState) {
        self.each[backend.index()].available = state == ShownState::Available;
        self.look_at_usability(backend.index());
        self.look_at_load(backend.index());
    }

    /// A connection to a back end was made: the figures of the others fall.
    pub(crate) fn connected(&mut self, backend: BackendId) {
        if let Compared::Figures(figures) = &mut self.compared {
            figures.decay_others(backend.index());
        }
    }

    /// A connection to a back end that was made has ended.
    pub(crate) fn ended(&mut self, backend: BackendId, sample: &Sample) {
        if let Compared::Figures(figures) = &mut self.compared {
            figures.record(backend.index(), sample);
        }
    }

    /// Brings up to date what follows from the usability of a back end; rare, so
    /// kept out of the way of what is not.
    #[cold]
    fn look_at_usability(&mut self, at: usize) {
        let usable = self.each[at].is_usable();
        if usable == self.usable.contains(at) {
            return;
        }
        if usable {
            self.usable.insert(at);
            self.compared.take_in(at);
        } else {
            self.usable.remove(at);
            self.compared.leave_out(at);
        }
    }

    /// Brings up to date what follows from its load.
    fn look_at_load(&mut self, at: usize) {
        if let Some(load) = self.loads.get_mut(at) {
            let standing = &self.each[at];
            let usable = standing.is_usable();
            *load = if usable {
                standing.load()
            } else {
                f64::INFINITY
            };
        }
    }

    /// What must hold between two calls.
    pub(crate) fn check_invariants(&self) {
        for (at, standing) in self.each.iter().enumerate() {
            let most = standing.limit.get().unwrap_or(u64::MAX);
            debug_assert!(standing.active <= most, "{standing:?}");
            debug_assert_eq!(self.usable.contains(at), standing.is_usable());
        }
        match &self.compared {
            Compared::Figures(figures) => figures.check_invariants(&self.usable),
            Compared::Shares(shares) => shares.check_invariants(&self.usable),
            Compared::Nothing => (),
        }
    }
}

impl Compared {
    /// What `mode` compares, of back ends that are not usable yet.
    fn new(mode: DispatchMode, backends: &[PoolBackend]) -> Self {
        match mode {
            DispatchMode::Random => Self::Shares(Shares::new(backends)),
            _ => match Measure::of_mode(mode) {
                Some((measure, over)) => Self::Figures(Figures::new(measure, over, backends)),
                None => Self::Nothing,
            },
        }
    }

    /// A back end has become usable.
    fn take_in(&mut self, at: usize) {
        match self {
            Self::Figures(figures) => figures.take_in(at),
            Self::Shares(shares) => shares.take_in(at),
            Self::Nothing => (),
        }
    }

    /// A back end is not usable any more.
    fn leave_out(&mut self, at: usize) {
        match self {
            Self::Figures(figures) => figures.leave_out(at),
            Self::Shares(shares) => shares.leave_out(at),
            Self::Nothing => (),
        }
    }
}
