//! The state of a service in shared memory: written by the daemon, read by
//! everybody else.

pub mod snapshot;
