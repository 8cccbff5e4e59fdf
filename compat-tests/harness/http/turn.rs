//! One connection of a back end, request by request.

use std::sync::Arc;
use std::time::Duration;

use super::backend::{Log, Record};
use super::message::{Head, Kind, Message, parse};
use crate::harness::backend::Peer;
use crate::harness::{Ending, pace};

/// Of each connection so many received bytes are kept.
const KEPT: usize = 1 << 20;

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum After {
    /// It stays; what is left of the request's body is read first.
    Keep,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

/// A request that is being answered.
pub(crate) struct Turn<'a> {
    /// Its head.
    pub(crate) head: Head,
    /// Its number on that connection, from 1.
    pub(crate) number: usize,
    link: &'a mut Link,
    taken: bool,
}

impl Turn<'_> {
    /// Reads the whole request; `None` if it breaks off.
    pub(crate) fn message(&mut self) -> Option<Message> {
        let message = self.link.message();
        self.taken = message.is_some();
        message
    }

    /// Sends bytes as they are; false when the other side has gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.link.peer.send(bytes)
    }

    /// Sends bytes in pieces of `size`, each as a packet of its own.
    pub(crate) fn dribble(&mut self, bytes: impl AsRef<[u8]>, size: usize) -> bool {
        bytes.as_ref().chunks(size).all(|piece| {
            pace(Duration::from_micros(200));
            self.send(piece)
        })
    }

    /// Reads the rest of the request, sends `bytes`, of a reply to HEAD only the
    /// head, and does with the connection what the request says.
    pub(crate) fn answer(&mut self, bytes: &[u8]) -> After {
        if !self.taken && self.message().is_none() {
            return After::Close;
        }
        let bytes = match Head::parse(bytes) {
            Ok(Some(head)) if self.head.method() == "HEAD" => &bytes[..head.bytes().len()],
            _ => bytes,
        };
        match self.send(bytes) && self.head.persists() {
            true => After::Keep,
            false => After::Close,
        }
    }

    /// Reads what comes, from the first byte behind the head on; an end gives
    /// how the connection ended.
    pub(crate) fn receive(&mut self) -> Result<Vec<u8>, Ending> {
        if !self.taken {
            self.taken = true;
            self.link.buffer.drain(..self.head.bytes().len());
        }
        if self.link.buffer.is_empty() {
            self.link.more()?;
        }
        Ok(std::mem::take(&mut self.link.buffer))
    }

    /// Ends the sending direction.
    pub(crate) fn finish_sending(&mut self) {
        self.link.peer.finish_sending();
    }
}

/// One connection, with what has been read ahead.
pub(super) struct Link {
    peer: Peer,
    buffer: Vec<u8>,
    log: Arc<Log>,
    number: usize,
}

impl Link {
    pub(super) fn new(peer: Peer, log: Arc<Log>) -> Self {
        let number = {
            let mut records = log.connections.lock().expect("records");
            records.push(Record::default());
            records.len() - 1
        };
        Self {
            peer,
            buffer: Vec::new(),
            log,
            number,
        }
    }

    /// Ends it with a reset.
    pub(super) fn reset(self) {
        self.peer.reset();
    }

    /// Waits for more bytes.
    fn more(&mut self) -> Result<(), Ending> {
        let received = self.peer.try_receive();
        let mut records = self.log.connections.lock().expect("records");
        let record = &mut records[self.number];
        match received {
            Ok(bytes) => {
                let kept = bytes.len().min(KEPT.saturating_sub(record.received.len()));
                record.received.extend_from_slice(&bytes[..kept]);
                self.buffer.extend(bytes);
                Ok(())
            }
            Err(ending) => {
                record.ending = Some(ending);
                Err(ending)
            }
        }
    }

    /// Waits for a head, which stays in the buffer.
    fn head(&mut self) -> Option<Head> {
        loop {
            match Head::parse(&self.buffer) {
                Ok(Some(head)) => {
                    let mut records = self.log.connections.lock().expect("records");
                    records[self.number].heads.push(head.clone());
                    return Some(head);
                }
                Ok(None) => self.more().ok()?,
                Err(fault) => return self.fault(fault),
            }
        }
    }

    /// Waits for a whole request, and takes it out of the buffer.
    fn message(&mut self) -> Option<Message> {
        loop {
            match parse(&self.buffer, Kind::Request, false) {
                Ok(Some((message, length))) => {
                    self.buffer.drain(..length);
                    return Some(message);
                }
                Ok(None) => self.more().ok()?,
                Err(fault) => return self.fault(fault),
            }
        }
    }

    fn fault<T>(&self, fault: String) -> Option<T> {
        self.log.faults.lock().expect("faults").push(fault);
        None
    }
}

/// Serves a connection to its end.
pub(super) fn serve(link: &mut Link, answer: &impl Fn(&mut Turn<'_>) -> After) -> After {
    for number in 1.. {
        let Some(head) = link.head() else {
            return After::Close;
        };
        let mut turn = Turn {
            head,
            number,
            link,
            taken: false,
        };
        match answer(&mut turn) {
            After::Keep if turn.taken || turn.message().is_some() => {}
            After::Keep => return After::Close,
            end => return end,
        }
    }
    After::Close
}
