//! One connection of the back end.

use std::io;

use super::reply::{Outgoing, Reply, Stock};
use super::request::{self, Ending, Request, Wish};
use crate::stream::{Stream, Taken};

/// What a connection wants after its turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// An event.
    Wait,
    /// Another turn; others first.
    Again,
    /// To be closed.
    Close,
}

/// Reads and writes of one turn, so that no connection starves the others.
const ROUNDS: usize = 8;

/// One accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// What came of requests that are not complete or not begun.
    pending: Vec<u8>,
    /// Bytes of the request's body that are still to come.
    body: u64,
    /// The reply for when the request's body is there.
    after_body: Option<Reply>,
    outgoing: Outgoing,
    ending: Ending,
    /// The client has ended its half.
    ended: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            pending: Vec::new(),
            body: 0,
            after_body: None,
            outgoing: Outgoing::default(),
            ending: Ending::Kept,
            ended: false,
        }
    }

    /// Reads and writes what is possible now.
    ///
    /// # Errors
    ///
    /// Of the socket, and `InvalidData` for what is not understood; either
    /// way the connection is to be closed.
    pub(super) fn turn(&mut self, stock: &mut Stock) -> io::Result<Turn> {
        for _ in 0..ROUNDS {
            let moved = self.outgoing.send(&mut self.stream, stock)?;
            if self.outgoing.is_done() && self.body == 0 {
                if self.ending == Ending::Closed {
                    return Ok(Turn::Close);
                }
                if !self.pending.is_empty() {
                    let pending = std::mem::take(&mut self.pending);
                    if self.understand(&pending, stock)? {
                        continue;
                    }
                }
                if self.ended {
                    return Ok(Turn::Close);
                }
            }
            if !self.read(stock)? && !moved {
                return Ok(Turn::Wait);
            }
        }
        Ok(Turn::Again)
    }

    /// Whether anything was read.
    fn read(&mut self, stock: &mut Stock) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.body > 0 {
            return self.drop_body(stock);
        }
        if !self.outgoing.is_done() {
            // One request at a time: the next one waits in the socket.
            return Ok(false);
        }
        let mut scratch = std::mem::take(&mut stock.scratch);
        let taken = self.stream.receive(&mut scratch);
        let result = match taken {
            Ok(Taken::Bytes(found)) => self.understand(&scratch[..found], stock).map(|_| true),
            Ok(Taken::End) => {
                self.ended = true;
                Ok(true)
            }
            Ok(Taken::Nothing) => Ok(false),
            Err(error) => Err(error),
        };
        stock.scratch = scratch;
        result
    }

    fn drop_body(&mut self, stock: &mut Stock) -> io::Result<bool> {
        let limit = self.body.min(stock.payload.len() as u64) as usize;
        match self.stream.discard(&mut stock.payload[..limit])? {
            Taken::Bytes(found) => self.count_body(found as u64),
            Taken::Nothing => return Ok(false),
            Taken::End => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(true)
    }

    fn count_body(&mut self, found: u64) {
        self.body -= found;
        if self.body == 0
            && let Some(reply) = self.after_body.take()
        {
            self.outgoing.begin(reply, self.ending);
        }
    }

    /// Begins the request at the head of `bytes`, if it is complete, and keeps
    /// the rest. Whether a request was begun.
    fn understand(&mut self, bytes: &[u8], stock: &mut Stock) -> io::Result<bool> {
        let joined;
        let bytes = if self.pending.is_empty() {
            bytes
        } else {
            self.pending.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.pending);
            &joined
        };
        let Some(request) = request::parse(bytes)? else {
            self.pending.extend_from_slice(bytes);
            return Ok(false);
        };
        let rest = &bytes[request.head..];
        let of_body = request.body.min(rest.len() as u64);
        self.pending.extend_from_slice(&rest[of_body as usize..]);
        self.begin(&request);
        self.count_body(of_body);
        self.outgoing.send(&mut self.stream, stock)?;
        Ok(true)
    }

    fn begin(&mut self, request: &Request) {
        self.ending = request.ending;
        self.body = request.body;
        match request.wish {
            Wish::Small => self.after_body = Some(Reply::Small),
            Wish::Bulk(bytes) => self.outgoing.begin(Reply::Bulk(bytes), self.ending),
            Wish::Unknown => {
                self.ending = Ending::Closed;
                self.after_body = Some(Reply::NotFound);
            }
        }
    }
}
