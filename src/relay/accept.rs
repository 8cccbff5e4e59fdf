//! Listeners: accepting, pausing when places run out, and the end of it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, acceptfrom_with, recv, sockopt};

use crate::base::endpoint::ClientAddr;
use crate::relay::engine::Engine;
use crate::relay::flow::MOST_READ;
use crate::relay::host::{Abandoned, Host, ListenerId, RelayKey};
use crate::relay::pair::{Cut, Pair};
use crate::relay::poll::Token;
use crate::relay::side::Side;

/// The most connections that one event of a listener brings in.
const GREATEST_BATCH: u32 = 64;

/// The first pause after an accept that failed; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// A listening socket. An accept that finds nobody costs as much as one that
/// succeeds, so the batch begins at one and doubles while it is full.
pub(super) struct Listener {
    id: ListenerId,
    socket: OwnedFd,
    batch: u32,
    open: bool,
    pause: Duration,
    /// When a failed accept is tried again.
    retry_at: Option<Instant>,
}

/// How far an engine is with accepting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Accepting {
    /// It accepts.
    Open,
    /// It empties the kernel's queues.
    Draining,
    /// It has no listeners any more.
    Closed,
}

/// What one accept brought.
enum Accepted {
    /// A client, whether or not it was served.
    Client,
    Nobody,
    NoPlace,
    Failed,
}

impl<H: Host> Engine<H> {
    /// Accepts clients from `socket`, a listening TCP socket, under the name
    /// `id`.
    ///
    /// # Errors
    ///
    /// When the socket cannot be watched or its options cannot be set, or
    /// after [`crate::relay::host::Order::StopAccepting`].
    pub fn add_listener(&mut self, id: ListenerId, socket: OwnedFd) -> io::Result<()> {
        if self.accepting != Accepting::Open {
            return Err(io::Error::other("the engine accepts nobody any more"));
        }
        // What it accepts inherits both.
        sockopt::set_tcp_nodelay(&socket, true)?;
        sockopt::set_socket_keepalive(&socket, true)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        let token = Token::Listener(self.listeners.len() as u32);
        self.core.poll.add(&socket, token, EventFlags::IN)?;
        self.listeners.push(Listener {
            id,
            socket,
            batch: 1,
            open: true,
            pause: FIRST_PAUSE,
            retry_at: None,
        });
        Ok(())
    }

    /// Somebody waits at the listener in place `index`.
    pub(super) fn accept_batch(&mut self, index: usize) {
        // While queues are emptied, their own loop accepts and places change.
        if self.accepting != Accepting::Open {
            return;
        }
        let batch = match self.listeners.get(index) {
            Some(listener) if listener.open => listener.batch,
            _ => return,
        };
        for _ in 0..batch {
            match self.accept_one(index) {
                Accepted::Client => {}
                Accepted::Nobody => {
                    self.listeners[index].batch = 1;
                    return;
                }
                Accepted::NoPlace => return self.watch_listener(index, false),
                Accepted::Failed => return self.retry_later(index),
            }
        }
        self.listeners[index].batch = (batch * 2).min(GREATEST_BATCH);
    }

    fn accept_one(&mut self, index: usize) -> Accepted {
        // A panic before the client has a place in the table is nobody else's.
        self.current = None;
        let id = self.listeners[index].id;
        if !self.host.take_place(id) {
            return Accepted::NoPlace;
        }
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match acceptfrom_with(&self.listeners[index].socket, flags) {
            Ok((client, address)) => {
                self.listeners[index].pause = FIRST_PAUSE;
                let address = address.map(SocketAddr::try_from);
                if let Some(Ok(address)) = address {
                    self.admit(id, client, ClientAddr::new(address));
                } else {
                    self.host.return_place(id);
                }
                Accepted::Client
            }
            Err(errno) => {
                self.host.return_place(id);
                self.judge_failure(id, errno)
            }
        }
    }

    fn judge_failure(&mut self, id: ListenerId, errno: Errno) -> Accepted {
        match errno {
            Errno::AGAIN => Accepted::Nobody,
            // The error of a client that has gone, or of its network.
            Errno::CONNABORTED
            | Errno::PROTO
            | Errno::INTR
            | Errno::TIMEDOUT
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH => Accepted::Client,
            _ => {
                self.host.accept_failed(id, &errno.into());
                Accepted::Failed
            }
        }
    }

    /// A new client: its first bytes are read at once, since most speak first.
    fn admit(&mut self, id: ListenerId, client: OwnedFd, address: ClientAddr) {
        let Some(session) = self.host.admit(id, address) else {
            return;
        };
        let now = self.core.now;
        let Some(key) = self.insert(session, |key| Pair::new(key, client, now)) else {
            return;
        };
        let web = match self.relays.get_mut(key) {
            Some(relay) => self.host.web(&relay.session),
            None => return,
        };
        let room = match web {
            Some(_) => MOST_READ,
            None => usize::MAX,
        };
        match (self.read_early(key, room), web) {
            (Ok(early), Some(settings)) => {
                self.begin_unpacking(key, settings, early);
                self.unpack(key);
            }
            (Ok(early), None) => {
                self.keep_for_tap(key, early);
                self.dispatch(key, early);
            }
            (Err(_), _) => self.abandon(key, Abandoned::ClientReset),
        }
    }

    /// Reads into the scratch what the client has sent so far, up to `room`
    /// bytes.
    fn read_early(&mut self, key: RelayKey, room: usize) -> Result<usize, Cut> {
        let Some(relay) = self.relays.get_mut(key) else {
            return Ok(0);
        };
        let pair = &mut relay.pair;
        let socket = pair.socket(Side::Client)?;
        let room = room.min(self.core.scratch.len());
        match recv(socket, &mut self.core.scratch[..room], RecvFlags::empty()) {
            Ok((0, _)) => {
                pair.note_end(Side::Client);
                Ok(0)
            }
            Ok((read, _)) => Ok(read),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(errno) => Err(Cut::from_errno(Side::Client, errno)),
        }
    }

    fn watch_listener(&mut self, index: usize, open: bool) {
        let listener = &mut self.listeners[index];
        if listener.open == open {
            return;
        }
        // Errors are reported without being asked for, but by an edge only once.
        let flags = if open { EventFlags::IN } else { EventFlags::ET };
        let token = Token::Listener(index as u32);
        // Changing an entry needs no memory, so it does not fail.
        let _ = self.core.poll.modify(&listener.socket, token, flags);
        listener.open = open;
    }

    fn retry_later(&mut self, index: usize) {
        self.watch_listener(index, false);
        let listener = &mut self.listeners[index];
        listener.retry_at = Some(self.core.now + listener.pause);
        listener.pause = (listener.pause * 2).min(LAST_PAUSE);
        self.retries.push(index);
    }

    /// When the first listener that failed is tried again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        let retries = self.retries.iter();
        retries
            .filter_map(|&index| self.listeners.get(index)?.retry_at)
            .min()
    }

    /// Opens the listeners whose pause is over.
    pub(super) fn retry_listeners(&mut self) {
        if self.retries.is_empty() {
            return;
        }
        let now = self.core.now;
        let mut retries = std::mem::take(&mut self.retries);
        retries.retain(|&index| {
            let Some(listener) = self.listeners.get_mut(index) else {
                return false;
            };
            match listener.retry_at {
                Some(at) if at > now => true,
                Some(_) => {
                    listener.retry_at = None;
                    self.watch_listener(index, true);
                    false
                }
                None => false,
            }
        });
        self.retries = retries;
    }

    /// A place is free again: the listener called `id` may try.
    pub(super) fn resume(&mut self, id: ListenerId) {
        for index in 0..self.listeners.len() {
            if self.listeners[index].id == id {
                self.listeners[index].retry_at = None;
                self.watch_listener(index, true);
            }
        }
    }

    /// Begins to empty the kernel's queues.
    pub(super) fn stop_accepting(&mut self) {
        if self.accepting == Accepting::Open {
            self.accepting = Accepting::Draining;
        }
    }

    /// Accepts what waits, a batch of each queue, and closes each listener
    /// whose queue was empty once or that cannot go on.
    pub(super) fn drain_listeners(&mut self) {
        let mut index = 0;
        while index < self.listeners.len() {
            if self.drain_one(index) {
                index += 1;
            } else {
                let listener = self.listeners.swap_remove(index);
                self.core.poll.remove(&listener.socket);
            }
        }
        if self.listeners.is_empty() {
            self.close_listeners();
        }
    }

    /// Closes what is left of the listeners and accepts nobody any more.
    pub(super) fn close_listeners(&mut self) {
        if self.accepting == Accepting::Closed {
            return;
        }
        self.accepting = Accepting::Closed;
        self.retries.clear();
        for listener in self.listeners.drain(..) {
            self.core.poll.remove(&listener.socket);
        }
        self.host.listeners_closed();
    }

    /// Whether there may be more to accept.
    fn drain_one(&mut self, index: usize) -> bool {
        (0..GREATEST_BATCH).all(|_| matches!(self.accept_one(index), Accepted::Client))
    }
}
