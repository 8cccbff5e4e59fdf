//! Says what should happen, never does it.
//!
//! Everything here is pure: no sockets, no clock, no tasks, no randomness of
//! its own. Time comes in as a [`crate::base::moment::Moment`], chance as a
//! [`crate::base::random::Random`].

pub mod access;
pub mod dispatch;
#[cfg(test)]
mod testing;
