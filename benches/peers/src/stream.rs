//! A non-blocking TCP socket which knows whether it is worth asking.
//!
//! The sockets are watched edge triggered, so every event is remembered until
//! a system call has shown that nothing is left. A call that could only say
//! "would block" is not made: after a short read the socket is empty, and a
//! short read after the peer's FIN was announced is followed by the end.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{self, RecvFlags, SendFlags};

use crate::poll::{Key, Poll};

const READ: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);
const READ_AND_WRITE: EventFlags = READ.union(EventFlags::OUT);

/// What the epoll set watches a socket for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Watched {
    Nothing,
    Reading,
    Both,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Taken {
    /// That many bytes, at least one.
    Bytes(usize),
    /// The peer sends no more.
    End,
    /// Nothing for now.
    Nothing,
}

/// Whether more is sent at once after some bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Push {
    Now,
    WithTheNext,
}

/// A connected (or connecting) socket.
#[derive(Debug)]
pub(crate) struct Stream {
    fd: OwnedFd,
    watched: Watched,
    readable: bool,
    writable: bool,
    /// The peer's FIN is here, behind what is still to be read.
    ends: bool,
    /// An error waits to be read: the end is not what it seems.
    broken: bool,
}

impl Stream {
    /// An accepted socket: the peer may have sent already.
    pub(crate) fn accepted(fd: OwnedFd) -> Self {
        Self {
            readable: true,
            ..Self::connecting(fd)
        }
    }

    /// A socket whose connect() has begun. On the loopback device it is
    /// connected by now, so sending is worth a try.
    pub(crate) fn connecting(fd: OwnedFd) -> Self {
        Self {
            fd,
            watched: Watched::Nothing,
            readable: false,
            writable: true,
            ends: false,
            broken: false,
        }
    }

    /// Remembers an event.
    pub(crate) fn note(&mut self, flags: EventFlags) {
        let broken = flags.intersects(EventFlags::ERR);
        let ends = flags.intersects(EventFlags::RDHUP | EventFlags::HUP);
        self.broken |= broken;
        self.ends |= ends;
        self.readable |= ends || broken || flags.intersects(EventFlags::IN);
        self.writable |= broken || flags.intersects(EventFlags::OUT);
    }

    /// All that was expected has been read: what comes from now on makes an
    /// event of its own.
    pub(crate) fn settle(&mut self) {
        self.readable &= self.broken;
    }

    /// Whether the peer is known to send no more than what is here.
    pub(crate) fn ends(&self) -> bool {
        self.ends
    }

    /// Watches the socket, also for writing once a write was cut short.
    pub(crate) fn watch(&mut self, poll: &Poll, key: Key) -> io::Result<()> {
        let (wanted, flags) = if self.writable {
            (Watched::Reading, READ)
        } else {
            (Watched::Both, READ_AND_WRITE)
        };
        match (self.watched, wanted) {
            (Watched::Nothing, _) => poll.add(&self.fd, key, flags)?,
            (Watched::Reading, Watched::Both) => poll.modify(&self.fd, key, flags)?,
            _ => return Ok(()),
        }
        self.watched = wanted;
        Ok(())
    }

    /// Reads into `buffer`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Taken> {
        self.take(buffer, RecvFlags::empty())
    }

    /// Drops up to `buffer.len()` bytes of what the peer sent. They are not
    /// copied: the buffer only gives the number.
    pub(crate) fn discard(&mut self, buffer: &mut [u8]) -> io::Result<Taken> {
        self.take(buffer, RecvFlags::TRUNC)
    }

    fn take(&mut self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<Taken> {
        if !self.readable {
            return Ok(if self.ends {
                Taken::End
            } else {
                Taken::Nothing
            });
        }
        let asked = buffer.len();
        match retry_on_intr(|| net::recv(&self.fd, &mut *buffer, flags)) {
            Ok((_, 0)) => Ok(Taken::End),
            Ok((_, found)) => {
                self.readable = found == asked || self.broken;
                Ok(Taken::Bytes(found))
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Ok(Taken::Nothing)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what fits of `bytes`; 0 means that it has to wait.
    pub(crate) fn send(&mut self, bytes: &[u8], push: Push) -> io::Result<usize> {
        if !self.writable {
            return Ok(0);
        }
        let flags = match push {
            Push::Now => SendFlags::NOSIGNAL,
            Push::WithTheNext => SendFlags::NOSIGNAL | SendFlags::MORE,
        };
        match retry_on_intr(|| net::send(&self.fd, bytes, flags)) {
            Ok(sent) => {
                self.writable = sent == bytes.len();
                Ok(sent)
            }
            Err(Errno::AGAIN) => {
                self.writable = false;
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }
}
