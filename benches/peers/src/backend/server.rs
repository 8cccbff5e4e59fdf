//! The loop of the back end: accepts, and gives each connection its turn.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{self, SocketFlags};
use rustix::stdio;

use super::BackendError;
use super::connection::{Connection, Turn};
use super::reply::Stock;
use crate::poll::{Key, Poll};
use crate::stream::Stream;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: OwnedFd,
    pub(super) address: SocketAddr,
}

/// The standard input, whose end ends the back end.
const LEASH: Key = Key::fixture(u32::MAX);

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    connection: Option<Connection>,
}

/// All connections, and what they share.
pub(super) struct Server {
    poll: Poll,
    listeners: Vec<Listener>,
    places: Vec<Place>,
    free: Vec<u32>,
    /// Connections which stopped although they could have gone on.
    again: Vec<Key>,
    stock: Stock,
}

impl Server {
    pub(super) fn new(listeners: Vec<Listener>, small: usize) -> Result<Self, BackendError> {
        let poll = Poll::new().map_err(BackendError::Watch)?;
        for (listener, index) in listeners.iter().zip(0..) {
            poll.add(&listener.socket, Key::fixture(index), EventFlags::IN)
                .map_err(BackendError::Watch)?;
        }
        // A file cannot be watched; then only a signal ends the back end.
        let _ = poll.add(stdio::stdin(), LEASH, EventFlags::IN);
        Ok(Self {
            poll,
            listeners,
            places: Vec::new(),
            free: Vec::new(),
            again: Vec::new(),
            stock: Stock::new(small),
        })
    }

    /// Serves until the standard input ends.
    pub(super) fn serve(&mut self) -> Result<(), BackendError> {
        let mut events = Vec::new();
        let mut again = Vec::new();
        loop {
            let limit = (!self.again.is_empty()).then_some(Duration::ZERO);
            self.poll
                .wait(&mut events, limit)
                .map_err(BackendError::Watch)?;
            std::mem::swap(&mut self.again, &mut again);
            for key in again.drain(..) {
                self.advance(key, EventFlags::empty());
            }
            for &(key, flags) in &events {
                match key {
                    LEASH if leash_is_off() => return Ok(()),
                    LEASH => {}
                    Key {
                        generation: 0,
                        index,
                    } => self.accept(index)?,
                    key => self.advance(key, flags),
                }
            }
        }
    }

    /// Accepts one connection: the listeners are watched level triggered, so
    /// that no call is made in vain and the others get their turn.
    fn accept(&mut self, index: u32) -> Result<(), BackendError> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let listener = &self.listeners[index as usize];
        match net::accept_with(&listener.socket, flags) {
            Ok(socket) => {
                let key = self.place(Connection::new(Stream::accepted(socket)));
                self.advance(key, EventFlags::empty());
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(()),
            Err(error) => Err(BackendError::Accept(error.into())),
        }
    }

    fn place(&mut self, connection: Connection) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.connection = Some(connection);
        // 0 is for the listeners.
        place.generation = place.generation.wrapping_add(1).max(1);
        Key {
            index,
            generation: place.generation,
        }
    }

    fn advance(&mut self, key: Key, flags: EventFlags) {
        let place = &mut self.places[key.index as usize];
        let Some(connection) = &mut place.connection else {
            return;
        };
        if place.generation != key.generation {
            return;
        }
        connection.stream.note(flags);
        let turn = connection.turn(&mut self.stock);
        let watched = match turn {
            Ok(Turn::Close) | Err(_) => false,
            Ok(Turn::Wait) => connection.stream.watch(&self.poll, key).is_ok(),
            Ok(Turn::Again) => {
                self.again.push(key);
                true
            }
        };
        if !watched {
            place.connection = None;
            self.free.push(key.index);
        }
    }
}

/// Whether the standard input has ended; what comes by it means nothing.
fn leash_is_off() -> bool {
    let mut dropped = [0; 64];
    matches!(
        rustix::io::read(stdio::stdin(), &mut dropped),
        Ok(0) | Err(_)
    )
}
