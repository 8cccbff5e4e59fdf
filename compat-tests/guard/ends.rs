//! Both ends of a relayed connection, played by one thread step by step.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

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

    /// The socket, for what needs threads.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream.set_nonblocking(false).expect("blocking");
        self.stream
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
