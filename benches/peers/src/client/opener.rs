//! Opens connections, from further addresses when the ports of one run out.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

use super::plan::Lifetime;
use crate::stream::Stream;

/// The last of the addresses 127.0.0.x that connections come from.
const LAST_SOURCE: u8 = 20;

/// Opens connections to one address.
#[derive(Debug)]
pub(super) struct Opener {
    to: SocketAddrV4,
    lifetime: Lifetime,
    /// The last byte of the source address 127.0.0.x; 0 leaves the choice to
    /// the system, which saves a call.
    source: u8,
}

impl Opener {
    pub(super) fn new(to: SocketAddrV4, lifetime: Lifetime) -> Self {
        Self {
            to,
            lifetime,
            source: 0,
        }
    }

    /// Begins a connection.
    ///
    /// # Errors
    ///
    /// Of the system; most errors of connect() appear later, with the first
    /// use of the socket.
    pub(super) fn open(&mut self) -> io::Result<Stream> {
        let mut result = self.attempt();
        for _ in 0..LAST_SOURCE {
            if !matches!(result, Err(Errno::ADDRNOTAVAIL)) || !self.to.ip().is_loopback() {
                break;
            }
            self.source = self.source % LAST_SOURCE + 1;
            result = self.attempt();
        }
        Ok(Stream::connecting(result?))
    }

    fn attempt(&self) -> Result<OwnedFd, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        if self.lifetime == Lifetime::Kept {
            // A single small request is sent at once anyway.
            sockopt::set_tcp_nodelay(&socket, true)?;
        }
        if self.source != 0 {
            let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, self.source), 0);
            match net::bind(&socket, &source) {
                Err(Errno::ADDRINUSE) => return Err(Errno::ADDRNOTAVAIL),
                other => other?,
            }
        }
        match net::connect(&socket, &self.to) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(error) => Err(error),
        }
    }
}
