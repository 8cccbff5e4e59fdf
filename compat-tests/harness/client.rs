//! A mock client.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::Deadline;

/// How a connection ended, seen from here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// The other side ended its direction in order.
    Fin,
    /// The other side reset the connection.
    Reset,
}

/// A TCP connection of which every operation has a deadline.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects to `to`.
    #[track_caller]
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::try_connect(to).unwrap_or_else(|error| panic!("cannot connect to {to}: {error}"))
    }

    /// Connects to `to`, or says why not.
    pub(crate) fn try_connect(to: SocketAddr) -> std::io::Result<Self> {
        TcpStream::connect_timeout(&to, Deadline::usual().left()).map(Self::from)
    }

    /// Connects to `to` with the local address `from`.
    #[track_caller]
    pub(crate) fn connect_from(from: IpAddr, to: SocketAddr) -> Self {
        let socket = super::ports::bound(SocketAddr::new(from, 0));
        rustix::net::connect(&socket, &to)
            .unwrap_or_else(|error| panic!("cannot connect from {from} to {to}: {error}"));
        Self::from(TcpStream::from(socket))
    }

    /// Sends all of `bytes`.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).expect("send");
    }

    /// Sends all of `bytes`, or says why not.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream
            .set_write_timeout(Some(Deadline::usual().left()))?;
        self.stream.write_all(bytes)
    }

    /// Reads a line and gives it without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        self.try_line()
            .unwrap_or_else(|ending| panic!("the connection ended ({ending:?}) before a line"))
    }

    /// Reads a line and gives it without its end, or how the connection ended.
    #[track_caller]
    pub(crate) fn try_line(&mut self) -> Result<String, Ending> {
        let deadline = Deadline::usual();
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            match self.read_some(&mut byte, deadline) {
                Ok(0) => return Err(Ending::Fin),
                Err(ending) => return Err(ending),
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) => line.push(byte[0]),
            }
        }
        Ok(String::from_utf8(line).expect("a line of text"))
    }

    /// Reads exactly `count` bytes.
    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let deadline = Deadline::usual();
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.read_some(&mut bytes[filled..], deadline) {
                Ok(0) => panic!("the connection ended after {filled} of {count} bytes"),
                Ok(read) => filled += read,
                Err(ending) => panic!("{ending:?} after {filled} of {count} bytes"),
            }
        }
        bytes
    }

    /// Reads what is there, waiting for it; empty at the end in order.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Result<Vec<u8>, Ending> {
        let mut buffer = vec![0; 64 * 1024];
        let read = self.read_some(&mut buffer, Deadline::usual())?;
        buffer.truncate(read);
        Ok(buffer)
    }

    /// Reads up to the end of the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Ending) {
        let deadline = Deadline::usual();
        let mut all = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.read_some(&mut buffer, deadline) {
                Ok(0) => return (all, Ending::Fin),
                Ok(read) => all.extend_from_slice(&buffer[..read]),
                Err(ending) => return (all, ending),
            }
        }
    }

    /// Asserts that the other side closes without sending a byte; FIN and RST
    /// both count as closed (specification, section 5).
    #[track_caller]
    pub(crate) fn assert_closed_without_data(mut self) {
        let (bytes, _) = self.rest();
        assert_eq!(bytes, b"", "closed, but with data");
    }

    /// Asserts that sending and receiving work now, with an echoing back end.
    #[track_caller]
    pub(crate) fn assert_echo(&mut self, text: &str) {
        self.send(text);
        assert_eq!(String::from_utf8_lossy(&self.take(text.len())), text);
    }

    /// Whether neither a byte nor an end arrives within `time`.
    pub(crate) fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("timeout");
        let mut byte = [0];
        match self.stream.peek(&mut byte) {
            Ok(_) => false,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// Ends the sending direction, if the connection has not ended altogether;
    /// receiving goes on.
    pub(crate) fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))
            .expect("SO_LINGER");
    }

    /// The socket, for what only one case needs.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    #[track_caller]
    fn read_some(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<usize, Ending> {
        loop {
            self.stream
                .set_read_timeout(Some(deadline.left()))
                .expect("timeout");
            match self.stream.read(buffer) {
                Ok(read) => return Ok(read),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                        return Err(Ending::Reset);
                    }
                    _ => panic!("nothing arrived and nothing ended: {error}"),
                },
            }
        }
    }
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        Self { stream }
    }
}
