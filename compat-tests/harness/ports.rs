//! Ports that stay ours although nobody listens on them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// A TCP port that was given by the system and is held for as long as this
/// value lives.
///
/// It is held by a socket that is bound with SO_REUSEADDR and never listens: a
/// connect to it is refused, a listener that sets SO_REUSEADDR (the daemon's, a
/// mock back end's) can still take it, and the kernel gives it to nobody else.
/// So cases run side by side, and a back end can die and come back at its
/// place.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _held: OwnedFd,
}

impl Port {
    /// Takes a free port, on every IPv4 address of the machine.
    pub(crate) fn reserve() -> Self {
        let held = bound(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let name = rustix::net::getsockname(&held).expect("the port that was given");
        let name = SocketAddr::try_from(name).expect("an IPv4 address");
        Self {
            number: name.port(),
            _held: held,
        }
    }

    /// The port's number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.number))
    }
}

/// A TCP socket that is bound to `address` with SO_REUSEADDR.
pub(crate) fn bound(address: SocketAddr) -> OwnedFd {
    let family = match address.ip() {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .expect("a socket");
    sockopt::set_socket_reuseaddr(&socket, true).expect("SO_REUSEADDR");
    rustix::net::bind(&socket, &address).unwrap_or_else(|error| panic!("{address}: {error}"));
    socket
}
