//! Everything a case needs around the program under test.
//!
//! A case builds a [`Setup`] (one configuration, in a [`Sandbox`] of its own),
//! starts it as a [`Proxy`], and plays both ends with [`Client`] and
//! [`Backend`]. What the program left behind is asserted when the sandbox is
//! dropped: no process, no socket, no shared memory.

mod backend;
mod blackhole;
mod client;
mod deadline;
mod golden;
pub(crate) mod http;
pub(crate) mod http_faults;
mod namespace;
mod ports;
mod procfs;
mod program;
mod proxy;
mod sandbox;
mod segment;
mod setup;
mod status;
mod syslog;

pub(crate) use backend::{Backend, Peer};
pub(crate) use blackhole::Blackhole;
pub(crate) use client::{Client, Ending};
pub(crate) use deadline::{Deadline, eventually, pace, until};
pub(crate) use golden::Golden;
pub(crate) use namespace::{in_own_network, mounted, root_only};
pub(crate) use ports::Port;
pub(crate) use procfs::Process;
pub(crate) use program::{Run, Running};
pub(crate) use proxy::Proxy;
pub(crate) use sandbox::{Sandbox, binary_under_test};
pub(crate) use segment::{FIRST_BACKEND, PID, Segment};
pub(crate) use setup::Setup;
pub(crate) use status::Status;
pub(crate) use syslog::{Level, Line};
