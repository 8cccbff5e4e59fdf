//! Who sees the bytes of a connection besides its two ends: logs of traffic.
//!
//! The relay hands blocks to a [`ByteTap`]; the service asks its [`ServiceTaps`]
//! for one when a back end is connected; who keeps logs implements both. None
//! of these calls may block: they run where bytes move.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::base::change::ChangeMark;
use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::id::{BackendId, ConnectionId};
use crate::base::name::ServiceName;

/// The end of a connection that sent something.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Origin {
    /// Whoever connected to the service.
    Client,
    /// The back end that serves it.
    Backend,
}

/// Sees the bytes of one connection. Dropped when the connection has ended.
pub trait ByteTap: fmt::Debug + Send {
    /// Takes one block as it was read from `from` at the moment `at`, before
    /// anything changes it. Blocks of one direction come in order and hold at
    /// least one byte.
    fn block(&mut self, from: Origin, bytes: &[u8], at: Instant);
}

/// A connection that is about to be tapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tapped {
    /// The back end that it is connected to.
    pub backend: BackendId,
    /// Its number in the logs.
    pub connection: ConnectionId,
    /// The client.
    pub client: ClientAddr,
    /// The address of the back end.
    pub to: BackendAddr,
}

/// Gives taps for the connections of one service.
pub trait ServiceTaps: fmt::Debug + Send + Sync {
    /// Whether a connection of `client` may be tapped, at whatever back end: then
    /// what it sends before it is connected has to be kept.
    fn may_tap(&self, client: ClientAddr) -> bool;

    /// The tap of a connection that was made now; `None` leaves it alone.
    fn tap(&self, connection: &Tapped) -> Option<Box<dyn ByteTap>>;

    /// Blocks of `backend` that could not be logged, since the start.
    fn lost(&self, backend: BackendId) -> u64;

    /// Has `mark` set whenever a block is lost.
    fn mark_losses(&self, mark: &Arc<ChangeMark>);
}

/// Gives the taps of services.
pub trait Taps: fmt::Debug + Send + Sync {
    /// Those of the service called `service`; `None` if none of its traffic is
    /// logged.
    fn of_service(&self, service: &ServiceName) -> Option<Arc<dyn ServiceTaps>>;
}
