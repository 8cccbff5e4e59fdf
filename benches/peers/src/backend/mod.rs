//! The back end of the comparison: one thread which serves small and large
//! replies on any number of listeners.
//!
//! It promises little CPU time per exchange, so that the balancer before it
//! is what gets measured. It is no web server: it knows four paths, no chunked
//! bodies, and closes the connection of everything else.

mod connection;
mod reply;
mod request;
mod server;

use std::io::{self, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;

use clap::Args;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use thiserror::Error;

use crate::limits;
use server::{Listener, Server};

/// The options of `peers backend`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to listen; port 0 means a free one.
    #[arg(long)]
    listen: SocketAddrV4,
    /// The number of listeners; from a given port on, each has the next one.
    #[arg(long, default_value = "1")]
    count: NonZeroU16,
    /// The bytes of body of a small reply.
    #[arg(long, default_value_t = 128)]
    small: usize,
}

/// Why the back end ended.
#[derive(Debug, Error)]
pub(crate) enum BackendError {
    #[error("cannot raise the limit of open descriptors")]
    Limit(#[source] io::Error),
    #[error("no port {count} places behind {first}: 65535 is the last")]
    Port { first: SocketAddrV4, count: u16 },
    #[error("cannot listen on {at}")]
    Listen {
        at: SocketAddrV4,
        #[source]
        source: io::Error,
    },
    #[error("cannot print the addresses")]
    Print(#[source] io::Error),
    #[error("cannot accept connections")]
    Accept(#[source] io::Error),
    #[error("cannot watch sockets")]
    Watch(#[source] io::Error),
}

/// Serves until the standard input ends.
///
/// # Errors
///
/// [`BackendError`], for an address that is taken and the like.
pub(crate) fn run(options: &Options) -> Result<(), BackendError> {
    limits::raise_descriptors().map_err(BackendError::Limit)?;
    let listeners = listen_all(options)?;
    announce(&listeners).map_err(BackendError::Print)?;
    Server::new(listeners, options.small)?.serve()
}

fn listen_all(options: &Options) -> Result<Vec<Listener>, BackendError> {
    let first = options.listen;
    (0..options.count.get())
        .map(|count| {
            let port = match first.port() {
                0 => 0,
                port => port
                    .checked_add(count)
                    .ok_or(BackendError::Port { first, count })?,
            };
            let at = SocketAddrV4::new(*first.ip(), port);
            listen(at).map_err(|source| BackendError::Listen { at, source })
        })
        .collect()
}

/// The longest queue of connections that are not accepted yet; the system may
/// know a smaller one.
const BACKLOG: i32 = 4096;

fn listen(at: SocketAddrV4) -> io::Result<Listener> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Accepted sockets inherit it: one call for all of them.
    sockopt::set_tcp_nodelay(&socket, true)?;
    net::bind(&socket, &at)?;
    net::listen(&socket, BACKLOG)?;
    let address = SocketAddr::try_from(net::getsockname(&socket)?)?;
    Ok(Listener { socket, address })
}

fn announce(listeners: &[Listener]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for listener in listeners {
        writeln!(out, "listening {}", listener.address)?;
    }
    writeln!(out, "ready")?;
    out.flush()
}
