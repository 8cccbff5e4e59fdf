//! The clients of the comparison: the same load for every balancer.
//!
//! One thread (or a few) moves all connections as small state machines; there
//! is no task, no timer and no allocation per exchange, so that the balancer
//! is what gets measured. Every reply is checked.
//!
//! On the standard output: `ready` when the connections are open; `begin` and
//! `end` around the measured time; then the report, a line of JSON. The end of
//! the standard input ends the measured time early. With `--linger` it also
//! decides when the connections are closed, so that somebody else can look at
//! them before.

mod conductor;
mod connection;
mod engine;
mod load;
mod opener;
mod plan;
mod rehearsal;
mod reply;
mod schedule;
mod shared;
mod tally;

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use thiserror::Error;

use plan::{PlanError, Work};

pub(crate) use conductor::run;

/// The options of `peers client`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The address to put load on.
    #[arg(long)]
    to: SocketAddrV4,
    /// What to do.
    #[arg(long, value_enum)]
    work: Work,
    /// Connections at the same time.
    #[arg(long, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    connections: u32,
    /// Seconds that are measured.
    #[arg(long, value_parser = seconds)]
    seconds: f64,
    /// Seconds of load before.
    #[arg(long, value_parser = seconds, default_value = "0.3")]
    warm: f64,
    /// Requests a second (fixed, fixed-conn).
    #[arg(long)]
    rate: Option<f64>,
    /// Bytes of a large request or reply.
    #[arg(long, default_value_t = 64 << 20)]
    size: u64,
    /// Readers which do not read (slow).
    #[arg(long, default_value_t = 0)]
    stalled: u32,
    /// A further header of every request, as `Name: value`.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Threads which share the connections.
    #[arg(long, default_value_t = 1, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    threads: u32,
    /// Keep the connections open after the report, until the standard input
    /// ends.
    #[arg(long)]
    linger: bool,
}

/// The longest time that is measured, in seconds.
const LONGEST: f64 = 86_400.0;

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=LONGEST).contains(&seconds) => Ok(seconds),
        _ => Err(format!("expected seconds, 0 to {LONGEST}")),
    }
}

/// Why the client could not do its work.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("cannot raise the limit of open descriptors")]
    Limit(#[source] io::Error),
    #[error("{wanted} connections need more descriptors than the limit of {limit}")]
    Descriptors { wanted: u64, limit: u64 },
    #[error("cannot watch sockets")]
    Watch(#[source] io::Error),
    #[error("cannot count latencies")]
    Histogram(#[from] hdrhistogram::CreationError),
    #[error(
        "{ready} of {wanted} connections to {to} came up, none in the last {patience:?}: {failure}"
    )]
    Rehearsal {
        to: SocketAddrV4,
        wanted: u32,
        ready: u32,
        patience: Duration,
        failure: String,
    },
    #[error("cannot write the report")]
    Print(#[source] io::Error),
    #[error("cannot watch the standard input")]
    Input(#[source] io::Error),
    #[error("a thread of the client ended by a panic")]
    Panic,
}
