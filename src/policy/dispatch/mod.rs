//! How a back end is chosen among the candidates (section 7).
//!
//! Each mode is a file with one type behind one interface, `Mode`. It sees the
//! back ends through `Candidates` alone, which says who may be chosen and how
//! each stands; it keeps for itself what only it needs (a pointer, hashes of names).
//! Whether a choice was any good is not its business: after a failed connect it
//! is asked again with fewer candidates.

use std::fmt;
use std::net::IpAddr;

use crate::base::id::BackendId;
use crate::base::name::BackendName;
use crate::base::random::Random;

mod byclientip;
mod byconnections;
mod byduration;
mod byorder;
mod bysize;
mod candidates;
mod explain;
mod random;
mod roundrobin;
mod standings;

#[cfg(test)]
pub(crate) use byclientip::rank;
pub(crate) use candidates::Candidates;
pub use explain::Explanation;
pub(crate) use standings::{Standing, Standings};

/// The moving window of `bysize` and `byduration`: 0 (everything since the
/// start) or the last 1 to 10000 connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Over(u16);

impl Over {
    /// The greatest window.
    pub const MAX: u32 = 10_000;

    /// Takes a window, or `None` above [`Over::MAX`].
    pub fn new(connections: u32) -> Option<Self> {
        u16::try_from(connections)
            .ok()
            .filter(|&n| u32::from(n) <= Self::MAX)
            .map(Self)
    }

    /// The number of connections; `None` for everything since the start.
    pub fn window(self) -> Option<usize> {
        (self.0 > 0).then_some(usize::from(self.0))
    }
}

/// Whether `byclientip` may leave the first back end of a client's order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stickiness {
    /// The first of the order or none.
    Strict,
    /// The first candidate in the order.
    Lax,
}

/// A dispatch mode as configured.
///
/// Source: documented (DM, TIPS); `byclientip` decided (7.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DispatchMode {
    /// The next in line.
    RoundRobin,
    /// By chance, weak back ends less often.
    Random,
    /// The one that moved the fewest bytes.
    BySize(Over),
    /// The one whose connections took the shortest time.
    ByDuration(Over),
    /// The one with the fewest connections now.
    ByConnections,
    /// The first usable one in order of definition.
    ByOrder,
    /// By the address of the client.
    ByClientIp(Stickiness),
    /// By a program; its command line stands in the configuration.
    ExternalHandler,
}

impl DispatchMode {
    /// Whether weights count in this mode.
    pub fn uses_weight(self) -> bool {
        matches!(
            self,
            Self::Random
                | Self::BySize(_)
                | Self::ByDuration(_)
                | Self::ByConnections
                | Self::ExternalHandler
        )
    }

    /// Whether decay counts in this mode.
    pub fn uses_decay(self) -> bool {
        matches!(self, Self::BySize(_) | Self::ByDuration(_))
    }
}

/// The full mode text, such as `bysize over 4`, without a handler's command.
impl fmt::Display for DispatchMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, over) = match self {
            Self::RoundRobin => ("roundrobin", Over::default()),
            Self::Random => ("random", Over::default()),
            Self::BySize(over) => ("bysize", *over),
            Self::ByDuration(over) => ("byduration", *over),
            Self::ByConnections => ("byconnections", Over::default()),
            Self::ByOrder => ("byorder", Over::default()),
            Self::ByClientIp(Stickiness::Strict) => ("byclientip strict", Over::default()),
            Self::ByClientIp(Stickiness::Lax) => ("byclientip lax", Over::default()),
            Self::ExternalHandler => ("externalhandler", Over::default()),
        };
        match over.window() {
            Some(window) => write!(f, "{word} over {window}"),
            None => f.write_str(word),
        }
    }
}

/// What a mode may know of the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// Its address, a mapped one as IPv4.
    pub(crate) client: IpAddr,
}

/// The rule of one dispatch mode.
pub(crate) trait Mode {
    /// Chooses one of the candidates. What is chosen must be reserved before
    /// anything else happens: a pointer has moved past it.
    fn pick(&mut self, from: &Candidates<'_>, ask: &Ask) -> Option<BackendId>;
}

/// A mode at work for one service: a closed set, so that a choice costs no
/// indirect call.
#[derive(Debug)]
pub(crate) enum Dispatcher {
    RoundRobin(roundrobin::RoundRobin),
    Random(random::ByChance),
    BySize(bysize::BySize),
    ByDuration(byduration::ByDuration),
    ByConnections(byconnections::ByConnections),
    ByOrder(byorder::ByOrder),
    ByClientIp(byclientip::ByClientIp),
}

impl Dispatcher {
    /// The mode as it begins, for back ends of these names in order of
    /// definition. A handler is not run here: its mode is the `roundrobin` that
    /// stands in for a bad answer, with a pointer of its own (7.5).
    pub(crate) fn new<'a>(
        mode: DispatchMode,
        names: impl Iterator<Item = &'a BackendName>,
        seed: u64,
    ) -> Self {
        match mode {
            DispatchMode::RoundRobin | DispatchMode::ExternalHandler => {
                Self::RoundRobin(roundrobin::RoundRobin::default())
            }
            DispatchMode::Random => Self::Random(random::ByChance::new(Random::new(seed))),
            DispatchMode::BySize(_) => Self::BySize(bysize::BySize),
            DispatchMode::ByDuration(_) => Self::ByDuration(byduration::ByDuration),
            DispatchMode::ByConnections => Self::ByConnections(byconnections::ByConnections),
            DispatchMode::ByOrder => Self::ByOrder(byorder::ByOrder),
            DispatchMode::ByClientIp(stickiness) => {
                Self::ByClientIp(byclientip::ByClientIp::new(stickiness, names))
            }
        }
    }
}

impl Mode for Dispatcher {
    fn pick(&mut self, from: &Candidates<'_>, ask: &Ask) -> Option<BackendId> {
        match self {
            Self::RoundRobin(mode) => mode.pick(from, ask),
            Self::Random(mode) => mode.pick(from, ask),
            Self::BySize(mode) => mode.pick(from, ask),
            Self::ByDuration(mode) => mode.pick(from, ask),
            Self::ByConnections(mode) => mode.pick(from, ask),
            Self::ByOrder(mode) => mode.pick(from, ask),
            Self::ByClientIp(mode) => mode.pick(from, ask),
        }
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
