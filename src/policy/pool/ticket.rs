//! What the service holds in hand while something of a back end is under way.

use crate::base::bits::{WORD, bit};
use crate::base::id::BackendId;
use crate::policy::backend::Epoch;

/// A reserved place at a back end: its active number counts one more as long as
/// the ticket lives.
///
/// It ends in exactly one of [`connect_failed`], [`release`] and [`finish`].
/// Dropping it instead is a mistake of the caller: the place is lost until the
/// pool is, and a back end with a limit fills up with ghosts.
///
/// [`connect_failed`]: crate::policy::pool::Pool::connect_failed
/// [`release`]: crate::policy::pool::Pool::release
/// [`finish`]: crate::policy::pool::Pool::finish
#[derive(Debug)]
#[must_use = "a ticket that is dropped keeps its place for ever"]
pub struct Ticket {
    pub(super) backend: BackendId,
    pub(super) began: Epoch,
}

impl Ticket {
    /// The back end where the place is.
    pub fn backend(&self) -> BackendId {
        self.backend
    }

    /// Takes the ticket out of the world.
    pub(super) fn redeem(self) -> (BackendId, Epoch) {
        (self.backend, self.began)
    }
}

/// A probe under way. It ends in exactly one [`probe_ended`]; dropped instead,
/// the back end stays `waking` until an operator sets its state.
///
/// [`probe_ended`]: crate::policy::pool::Pool::probe_ended
#[derive(Debug)]
#[must_use = "a probe whose end is not told leaves its back end waking"]
pub struct ProbeTicket {
    pub(super) backend: BackendId,
    pub(super) began: Epoch,
}

impl ProbeTicket {
    /// The back end that is probed.
    pub fn backend(&self) -> BackendId {
        self.backend
    }

    /// Takes the ticket out of the world.
    pub(super) fn redeem(self) -> (BackendId, Epoch) {
        (self.backend, self.began)
    }
}

/// Why a place is given back before the back end was connected, without being
/// held against it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Released {
    /// The client reset its connection; counted as aborted.
    Aborted,
    /// The daemon's own side failed, or there was no time left; not counted.
    NotHeldAgainst,
}

/// The back ends that were tried for one client (`type any`) or request.
///
/// Up to 64 back ends need no memory of their own.
///
/// Source: each at most once, decided (5).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tried {
    first: u64,
    further: Vec<u64>,
}

impl Tried {
    /// Notes that `backend` was tried.
    pub fn insert(&mut self, backend: BackendId) {
        let (word, bit) = place(backend);
        if word == 0 {
            self.first |= bit;
            return;
        }
        if self.further.len() < word {
            self.further.resize(word, 0);
        }
        self.further[word - 1] |= bit;
    }

    /// Whether `backend` was tried.
    pub fn contains(&self, backend: BackendId) -> bool {
        let (word, bit) = place(backend);
        self.word(word) & bit != 0
    }

    /// Those that were tried from `word` x 64 on, as bits.
    pub(crate) fn word(&self, word: usize) -> u64 {
        match word {
            0 => self.first,
            _ => self.further.get(word - 1).copied().unwrap_or(0),
        }
    }
}

/// The word and the bit in it that stand for a back end.
fn place(backend: BackendId) -> (usize, u64) {
    (backend.index() / WORD, bit(backend.index()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_remembered_on_both_sides_of_64() {
        let mut tried = Tried::default();
        let some = [0, 1, 63, 64, 65, 127, 128, 1_000];

        for id in some {
            assert!(!tried.contains(BackendId(id)));
            tried.insert(BackendId(id));
        }

        for id in 0..1_100 {
            assert_eq!(tried.contains(BackendId(id)), some.contains(&id), "{id}");
        }
    }

    #[test]
    fn up_to_64_back_ends_take_no_memory_of_their_own() {
        let mut tried = Tried::default();

        (0..64).map(BackendId).for_each(|id| tried.insert(id));

        assert_eq!(tried.further.capacity(), 0);
    }
}
