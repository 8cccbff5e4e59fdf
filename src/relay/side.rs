//! The two sides of a connection, and things there are two of.

use std::ops::{Index, IndexMut};

use crate::base::outcome::Ended;

/// One end of a pair, and the direction that begins there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// Whoever connected to a listener.
    Client,
    /// Whom the host chose.
    Backend,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Client, Self::Backend];

    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }

    /// What an end by this side is called.
    pub(super) fn ended(self) -> Ended {
        match self {
            Self::Client => Ended::ByClient,
            Self::Backend => Ended::ByBackend,
        }
    }
}

/// Two things of one kind, one for each side.
#[derive(Default)]
pub(super) struct Sides<T>(pub(super) [T; 2]);

impl<T> Index<Side> for Sides<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        &self.0[side as usize]
    }
}

impl<T> IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        &mut self.0[side as usize]
    }
}
