//! The operators' door into a running daemon.
//!
//! One line over a Unix socket asks, one line answers. [`request`] is the
//! language, [`rundir`] the place of the sockets, [`server`] the daemon's side,
//! [`client`] everybody else's. Nothing here decides what an order does: the
//! daemon implements [`server::Orders`].

pub mod client;
pub mod request;
pub mod rundir;
pub mod server;
