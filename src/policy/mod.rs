//! Decisions about one service: who may connect, which back end serves, what
//! state a back end is in. Says what should happen, never does it.
//!
//! ```text
//!  access     may this client connect?            (lists, 12)
//!  admission  is there a place in the service?    (one atomic, 8.1)
//!  sticky     which back end does a cookie name?  (9.6)
//!  pool       which back end, and what of it?     (5, steps 4 to 9)
//!    ├ dispatch   the rule that chooses           (7.1, 7.2, 7.4)
//!    ├ usage      the figure of a back end        (7.3)
//!    └ backend    the state of a back end         (6)
//! ```
//!
//! Everything here is pure: no sockets, no clock, no tasks, no randomness of
//! its own. Time comes in as a [`crate::base::moment::Moment`], chance as a
//! [`crate::base::random::Random`].

pub mod access;
pub mod admission;
mod backend;
pub mod dispatch;
pub mod pool;
#[cfg(test)]
mod sim;
pub mod sticky;
#[cfg(test)]
pub(crate) mod testing;
mod usage;
