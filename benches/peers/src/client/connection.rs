//! One connection of the client, and the exchange that it is at.
//!
//! ```text
//! Free --start--> Busy(Probe | Main) --reply complete--> Free
//! Free --stall--> Stalled            (asks, and never reads)
//! ```

use std::io;

use super::plan::{Lifetime, Script};
use super::reply::{self, Failure};
use crate::poll::Key;
use crate::stream::{Push, Stream, Taken};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Nothing.
    Free,
    /// The small exchange before the load.
    Probe,
    /// An exchange of the load.
    Main,
    /// It asks for a large reply and does not read it.
    Stalled,
}

/// How far an exchange came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    Waiting,
    /// It could go on; others first.
    Again,
    Finished,
}

/// What is missing of the reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Missing {
    Head,
    Body(u64),
    /// The end of the connection, or nothing if it is kept.
    End,
}

/// Reads and writes of one turn, so that no connection starves the others.
const ROUNDS: usize = 8;
/// Bytes of one large write, and of one large read.
const CHUNK: usize = 1 << 20;
const SCRATCH: usize = 16 * 1024;

/// What all connections of a thread share.
#[derive(Debug)]
pub(super) struct Buffers {
    payload: Vec<u8>,
    scratch: Vec<u8>,
    /// Bytes of bodies sent since the engine looked.
    pub(super) sent: u64,
    /// Bytes received since the engine looked.
    pub(super) received: u64,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            payload: vec![b'u'; CHUNK],
            scratch: vec![0; SCRATCH],
            sent: 0,
            received: 0,
        }
    }
}

/// One connection, or the place of one.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) key: Key,
    pub(super) stream: Option<Stream>,
    pub(super) phase: Phase,
    /// When the exchange began, or was due.
    pub(super) started: u64,
    /// When something moved last.
    pub(super) touched: u64,
    /// The peer said that it closes after this reply.
    pub(super) closes: bool,
    head_sent: usize,
    body_unsent: u64,
    missing: Missing,
    /// The head of the reply, while it is not complete.
    pending: Vec<u8>,
}

impl Connection {
    pub(super) fn new(index: u32) -> Self {
        Self {
            key: Key::fixture(index),
            stream: None,
            phase: Phase::Free,
            started: 0,
            touched: 0,
            closes: false,
            head_sent: 0,
            body_unsent: 0,
            missing: Missing::Head,
            pending: Vec::new(),
        }
    }

    /// Takes a fresh socket; late events of the one before are not for it.
    pub(super) fn open(&mut self, stream: Stream) {
        self.key.generation = self.key.generation.wrapping_add(1).max(1);
        self.stream = Some(stream);
    }

    /// Closes the socket, if there is one.
    pub(super) fn close(&mut self) {
        self.stream = None;
        self.phase = Phase::Free;
    }

    /// Begins an exchange, or asks for what is never read.
    pub(super) fn start(&mut self, phase: Phase, script: &Script, started: u64) {
        self.phase = phase;
        self.started = started;
        self.closes = script.lifetime == Lifetime::OneExchange;
        self.head_sent = 0;
        self.body_unsent = script.body;
        self.missing = Missing::Head;
        self.pending.clear();
        if let Some(stream) = &mut self.stream {
            stream.settle();
        }
    }

    /// Whether the head of the reply is here.
    pub(super) fn has_head(&self) -> bool {
        self.missing != Missing::Head
    }

    /// Notes that a reply begins which is not read.
    pub(super) fn note_reply(&mut self) {
        self.missing = Missing::End;
    }

    /// Sends and reads what is possible now.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the connection is of no more use then.
    pub(super) fn advance(
        &mut self,
        script: &Script,
        buffers: &mut Buffers,
    ) -> Result<Progress, Failure> {
        for _ in 0..ROUNDS {
            let sent = self.send(script, buffers)?;
            let received = match self.phase {
                Phase::Stalled => false,
                _ => self.receive(script, buffers)?,
            };
            if self.is_complete(script) {
                return Ok(Progress::Finished);
            }
            if !sent && !received {
                return Ok(Progress::Waiting);
            }
        }
        Ok(Progress::Again)
    }

    fn is_complete(&self, script: &Script) -> bool {
        let replied = match script.lifetime {
            Lifetime::Kept => self.missing == Missing::End,
            // The end was seen, and the socket dropped.
            Lifetime::OneExchange => self.stream.is_none(),
        };
        replied && self.body_unsent == 0
    }

    /// Whether anything was sent.
    fn send(&mut self, script: &Script, buffers: &mut Buffers) -> Result<bool, Failure> {
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        let head = &script.request[self.head_sent..];
        if !head.is_empty() {
            let push = match script.body {
                0 => Push::Now,
                _ => Push::WithTheNext,
            };
            let sent = stream.send(head, push).map_err(unsent)?;
            self.head_sent += sent;
            return Ok(sent > 0);
        }
        if self.body_unsent == 0 {
            return Ok(false);
        }
        let chunk = self.body_unsent.min(CHUNK as u64) as usize;
        let sent = stream.send(&buffers.payload[..chunk], Push::Now);
        let sent = sent.map_err(unsent)?;
        self.body_unsent -= sent as u64;
        buffers.sent += sent as u64;
        Ok(sent > 0)
    }

    /// Whether anything was received.
    fn receive(&mut self, script: &Script, buffers: &mut Buffers) -> Result<bool, Failure> {
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        let taken = match self.missing {
            Missing::Head => stream.receive(&mut buffers.scratch),
            Missing::Body(left) => {
                let limit = left.min(CHUNK as u64) as usize;
                stream.discard(&mut buffers.payload[..limit])
            }
            Missing::End => stream.receive(&mut buffers.scratch),
        };
        let taken = taken.map_err(|source| Failure::Broken {
            during: self.place(),
            source,
        })?;
        match taken {
            Taken::Bytes(found) => {
                buffers.received += found as u64;
                self.understand(&buffers.scratch, found, script)?;
                Ok(true)
            }
            Taken::End if self.missing == Missing::End => {
                self.stream = None;
                Ok(true)
            }
            Taken::End => Err(Failure::Closed(self.place())),
            Taken::Nothing => Ok(false),
        }
    }

    /// How far the reply is, in words.
    fn place(&self) -> &'static str {
        match self.missing {
            Missing::Head if self.pending.is_empty() => "before the reply",
            Missing::Head => "within the head of the reply",
            Missing::Body(_) => "within the body of the reply",
            Missing::End => "after the reply",
        }
    }

    /// Takes `found` bytes; those of a body were dropped and are not in
    /// `scratch`.
    fn understand(&mut self, scratch: &[u8], found: usize, script: &Script) -> Result<(), Failure> {
        match self.missing {
            Missing::Head if self.pending.is_empty() => {
                self.understand_head(&scratch[..found], script)
            }
            Missing::Head => {
                let mut pending = std::mem::take(&mut self.pending);
                pending.extend_from_slice(&scratch[..found]);
                self.understand_head(&pending, script)
            }
            Missing::Body(left) => {
                self.missing = after(left - found as u64);
                Ok(())
            }
            Missing::End => Err(Failure::Surplus(found)),
        }
    }

    fn understand_head(&mut self, bytes: &[u8], script: &Script) -> Result<(), Failure> {
        let Some(head) = reply::parse(bytes)? else {
            self.pending.extend_from_slice(bytes);
            return Ok(());
        };
        if let Some(expected) = script.reply
            && head.body != expected
        {
            let found = head.body;
            return Err(Failure::Length { found, expected });
        }
        let here = (bytes.len() - head.size) as u64;
        if here > head.body {
            return Err(Failure::Surplus((here - head.body) as usize));
        }
        self.closes |= head.closes;
        self.missing = after(head.body - here);
        Ok(())
    }
}

/// Why a request could not be sent; connect() reports its error only here.
fn unsent(source: io::Error) -> Failure {
    if source.kind() == io::ErrorKind::ConnectionRefused {
        return Failure::Open(source);
    }
    let during = "while the request was sent";
    Failure::Broken { during, source }
}

fn after(left: u64) -> Missing {
    match left {
        0 => Missing::End,
        left => Missing::Body(left),
    }
}
