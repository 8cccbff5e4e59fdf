//! Sockets of back ends that serve one client after another.
//!
//! The events of such a socket carry a link instead of a place in the table of
//! clients. So it can change hands without a word to the kernel, and a late
//! event of a socket that was replaced reaches nobody.

use std::os::fd::OwnedFd;

use crate::relay::host::{PoolKey, RelayKey};
use crate::relay::pair::Watched;

/// Whose events a link brings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::relay) enum LinkOwner {
    /// The back end's side of this client.
    Relay(RelayKey),
    /// Nobody's: it is kept among the idle connections to this back end.
    Idle(PoolKey),
}

/// A connected socket between two clients.
#[derive(Debug)]
pub(in crate::relay) struct Loose {
    pub(in crate::relay) socket: OwnedFd,
    pub(in crate::relay) link: RelayKey,
    pub(in crate::relay) watched: Watched,
}
