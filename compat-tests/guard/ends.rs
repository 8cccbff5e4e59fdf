//! Both ends of a relayed connection, played by one thread step by step.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};

use crate::trace::Worker;

/// One end; it never waits by itself.
pub(crate) struct End {
    stream: TcpStream,
    received: Vec<u8>,
}

impl End {
    /// A client that says nothing at first.
    pub(crate) fn connected(to: SocketAddr) -> Self {
        Self::of(TcpStream::connect(to).expect("connect"))
    }

    /// A client whose first bytes are there when it is accepted.
    pub(crate) fn saying(to: SocketAddr, bytes: &[u8]) -> Self {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("a socket");
        // The last step of the handshake waits for the first bytes and comes
        // with them.
        sockopt::set_tcp_quickack(&socket, false).expect("TCP_QUICKACK");
        rustix::net::connect(&socket, &to).expect("connect");
        let mut end = Self::of(TcpStream::from(socket));
        end.send(bytes);
        end
    }

    /// The back end's side of a connection, when there is one.
    pub(crate) fn accepted(listener: &TcpListener) -> Option<Self> {
        match listener.accept() {
            Ok((stream, _)) => Some(Self::of(stream)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("accept: {error}"),
        }
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_nonblocking(true).expect("non-blocking");
        let received = Vec::new();
        Self { stream, received }
    }

    /// Sends bytes; they have to be few enough to need no waiting.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send");
    }

    /// Sends bytes and the end of the direction in one segment.
    pub(crate) fn send_last(&mut self, bytes: &[u8]) {
        let sent = rustix::net::send(&self.stream, bytes, SendFlags::MORE).expect("send");
        assert_eq!(sent, bytes.len());
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }

    /// Lets the worker go on until `mark` has come and it sleeps again; gives
    /// what came before it, and the mark.
    #[track_caller]
    pub(crate) fn hear(&mut self, mark: &[u8], worker: &mut Worker) -> Vec<u8> {
        worker.until("what the other end sends", || {
            assert!(!self.has_ended(), "the connection ended too early");
            self.received.ends_with(mark).then_some(())
        });
        std::mem::take(&mut self.received)
    }

    /// The same up to the end of the connection; gives all that came before.
    #[track_caller]
    pub(crate) fn hear_end(&mut self, worker: &mut Worker) -> Vec<u8> {
        worker.until("the end of the connection", || {
            self.has_ended().then_some(())
        });
        std::mem::take(&mut self.received)
    }

    /// The same until `amount` bytes have come, which are not kept.
    #[track_caller]
    pub(crate) fn hear_bytes(&mut self, amount: usize, worker: &mut Worker) {
        let mut missing = amount;
        worker.until("as many bytes", || {
            missing -= self.discard(missing);
            (missing == 0).then_some(())
        });
    }

    /// Streams `amount` bytes to `to`, each as soon as there is room.
    #[track_caller]
    pub(crate) fn stream(&mut self, amount: usize, to: &mut Self, worker: &mut Worker) {
        let chunk = vec![7; 1 << 20];
        let (mut unsent, mut missing) = (amount, amount);
        worker.until("the end of the stream", || {
            let next = &chunk[..chunk.len().min(unsent)];
            unsent -= or_wait(self.stream.write(next));
            missing -= to.discard(missing);
            (missing == 0).then_some(())
        });
    }

    /// The daemon's socket at the other end of this one; or why this machine does
    /// not give it.
    pub(crate) fn other_end(&self, worker: &Worker) -> Result<OwnedFd, Errno> {
        let local = self.stream.local_addr().expect("an address").into();
        let other_end = worker.descriptors()?.into_iter().find(|descriptor| {
            rustix::net::getpeername(descriptor).is_ok_and(|peer| peer.as_ref() == Some(&local))
        });
        Ok(other_end.expect("the daemon's socket"))
    }

    /// Reads of what is there as much as is wanted; how many bytes that were.
    fn discard(&mut self, wanted: usize) -> usize {
        // As large as a piece on loopback, small enough to be made each time.
        let mut buffer = [0; 64 << 10];
        let mut read = 0;
        loop {
            let room = buffer.len().min(wanted - read);
            if room == 0 {
                return read;
            }
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) => panic!("the connection ended, {} bytes too early", wanted - read),
                moved => match or_wait(moved) {
                    0 => return read,
                    more => read += more,
                },
            }
        }
    }

    /// Reads what is there; whether that was the end.
    fn has_ended(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("receive: {error}"),
            }
        }
    }
}

/// What a socket moved; nothing when it would have had to wait.
#[track_caller]
fn or_wait(moved: std::io::Result<usize>) -> usize {
    match moved {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        moved => moved.expect("a connection"),
    }
}
