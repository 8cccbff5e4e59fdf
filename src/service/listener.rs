//! Listening sockets: each worker has its own for each service.
//!
//! They share the port by SO_REUSEPORT. The first socket of an address is bound
//! *without* that option, which is set on it afterwards: so a second daemon,
//! whose first socket lacks it too, gets "address in use" instead of a part of
//! the clients. Only the daemon that takes over from a running one ([`Claim`])
//! listens beside it for a moment, so that no client is refused in between.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, sockopt};
use thiserror::Error;

use crate::config::model::Service;

/// The greatest number of listening sockets with one for each worker; above it
/// each service has a single one.
pub const MAX_LISTENERS: usize = 4096;

/// The backlog where the system's maximum can't be read.
const FALLBACK_BACKLOG: u32 = 4096;

/// Whether somebody else may listen at an address already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// Nobody may.
    Alone,
    /// The daemon that is being replaced does, and is about to close its
    /// sockets.
    Beside,
}

/// The listening sockets of one service; one for each worker, or a single one.
#[derive(Debug)]
pub struct Listeners(Vec<OwnedFd>);

/// A service that cannot listen.
#[derive(Debug, Error)]
#[error("service {service}: cannot listen on {address}: {}", reason(source))]
pub struct ListenError {
    /// Name of the service.
    pub service: String,
    /// Where it should listen.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

/// The reason in the trade's words, without the error's number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

impl Listeners {
    /// Binds and listens, `count` times on the same address.
    ///
    /// # Errors
    ///
    /// [`ListenError`]; then nothing is left bound.
    pub fn open(service: &Service, count: usize, claim: Claim) -> Result<Self, ListenError> {
        let address = service.listen_address();
        let opened = Self::bind_all(address, count, claim).and_then(|sockets| {
            let backlog = backlog_for_each(service.backlog, count);
            sockets
                .iter()
                .try_for_each(|socket| listen(socket, backlog))?;
            Ok(sockets)
        });
        opened.map(Self).map_err(|source| ListenError {
            service: service.name.to_string(),
            address,
            source: source.into(),
        })
    }

    fn bind_all(
        address: SocketAddr,
        count: usize,
        claim: Claim,
    ) -> rustix::io::Result<Vec<OwnedFd>> {
        let first = socket_for(address)?;
        sockopt::set_socket_reuseport(&first, claim == Claim::Beside)?;
        bind(&first, &address)?;
        // Set on a single socket too: the next daemon may take over beside it.
        sockopt::set_socket_reuseport(&first, true)?;
        let mut sockets = vec![first];
        for _ in 1..count {
            let next = socket_for(address)?;
            sockopt::set_socket_reuseport(&next, true)?;
            bind(&next, &address)?;
            sockets.push(next);
        }
        Ok(sockets)
    }

    /// The sockets.
    pub fn into_sockets(self) -> Vec<OwnedFd> {
        self.0
    }
}

/// How many sockets each service gets with so many services and workers.
pub fn sockets_for_each(services: usize, workers: usize) -> usize {
    if services.saturating_mul(workers) > MAX_LISTENERS {
        1
    } else {
        workers
    }
}

/// A socket whose accepted connections inherit TCP_NODELAY and SO_KEEPALIVE.
fn socket_for(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if family == AddressFamily::INET6 {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    Ok(socket)
}

/// A positive backlog is divided over the sockets, rounded up; 0 gives each the
/// system's maximum.
fn backlog_for_each(backlog: u16, sockets: usize) -> i32 {
    let each = match usize::from(backlog) {
        0 => system_backlog() as usize,
        total => total.div_ceil(sockets.max(1)),
    };
    i32::try_from(each).unwrap_or(i32::MAX)
}

fn system_backlog() -> u32 {
    let text = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    text.trim().parse().unwrap_or(FALLBACK_BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    fn free_address() -> SocketAddr {
        let probe = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        probe.local_addr().unwrap()
    }

    #[test]
    fn backlog_is_divided_over_the_sockets_and_rounded_up() {
        assert_eq!(backlog_for_each(10, 4), 3);
        assert_eq!(backlog_for_each(1, 4), 1);
        assert_eq!(
            backlog_for_each(0, 4),
            i32::try_from(system_backlog()).unwrap()
        );
    }

    #[test]
    fn more_than_4096_sockets_become_one_for_each_service() {
        assert_eq!(sockets_for_each(1024, 4), 4);
        assert_eq!(sockets_for_each(1025, 4), 1);
    }

    #[test]
    fn workers_share_a_port_that_a_second_daemon_cannot_join() {
        let address = free_address();

        let sockets = opened(address, 2, Claim::Alone).unwrap();

        assert_eq!(sockets.len(), 2);
        assert!(TcpStream::connect(address).is_ok());
        let second = opened(address, 2, Claim::Alone);
        assert_eq!(second.unwrap_err(), rustix::io::Errno::ADDRINUSE);
    }

    #[test]
    fn successor_listens_beside_the_daemon_that_it_replaces() {
        for count in [1, 2] {
            let address = free_address();
            let old = opened(address, count, Claim::Alone).unwrap();

            let new = opened(address, count, Claim::Beside).unwrap();

            drop(old);
            assert!(TcpStream::connect(address).is_ok());
            let third = opened(address, count, Claim::Alone);
            assert_eq!(third.unwrap_err(), rustix::io::Errno::ADDRINUSE);
            drop(new);
        }
    }

    fn opened(address: SocketAddr, count: usize, claim: Claim) -> rustix::io::Result<Vec<OwnedFd>> {
        let sockets = Listeners::bind_all(address, count, claim)?;
        sockets.iter().try_for_each(|socket| listen(socket, 8))?;
        Ok(sockets)
    }
}
