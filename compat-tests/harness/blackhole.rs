//! An address where connects hang: the queue of its listener is full.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::ports::{Port, bound};

/// A listener whose accept queue is full, so that the kernel drops every
/// further SYN: a connect to it neither succeeds nor fails.
#[derive(Debug)]
pub(crate) struct Blackhole {
    address: SocketAddr,
    _port: Arc<Port>,
    _listener: OwnedFd,
    _filling: Vec<TcpStream>,
}

impl Blackhole {
    /// A black hole on 127.0.0.1.
    pub(crate) fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), Arc::new(Port::reserve()))
    }

    /// A black hole at an address and port of the case.
    pub(crate) fn at(ip: IpAddr, port: Arc<Port>) -> Self {
        let address = SocketAddr::new(ip, port.number());
        let listener = bound(address);
        rustix::net::listen(&listener, 0).expect("listen");
        Self {
            address,
            _port: port,
            _listener: listener,
            _filling: fill(address),
        }
    }

    /// Its address as the argument of `server`.
    pub(crate) fn server(&self) -> String {
        self.address.to_string()
    }
}

/// Connects until a connect hangs; gives the connections that came through.
fn fill(address: SocketAddr) -> Vec<TcpStream> {
    let mut filling = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        filling.push(stream);
        assert!(filling.len() < 100, "the queue of {address} never fills");
    }
    filling
}
