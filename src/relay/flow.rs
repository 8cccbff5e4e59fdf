//! How bytes move in one direction of a pair: by copy or by splice.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::relay::buffers::Buffers;
use crate::relay::engine::Core;
use crate::relay::host::Host;
use crate::relay::pair::{Cut, Pair};
use crate::relay::poll::Poll;
use crate::relay::side::Side;

/// Rounds for one direction before others get their turn.
const ROUNDS: u32 = 4;

/// The bytes of one direction after which there is no further round: about
/// 0.3 ms of moving.
pub(super) const SHARE: u64 = 1024 * 1024;

/// The most bytes of messages that are read at once.
pub(super) const MOST_READ: usize = 64 * 1024;

/// What one round found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Round {
    /// There may be more to move.
    More,
    /// Nothing more for the moment.
    Done,
}

/// What comes behind the bytes of one write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Behind {
    /// Nobody knows: they leave at once.
    Unknown,
    /// More of them, or the end of the connection, before anything is waited
    /// for: both may travel in one segment.
    More,
}

impl Behind {
    fn flags(self) -> SendFlags {
        match self {
            Self::Unknown => SendFlags::empty(),
            Self::More => SendFlags::MORE,
        }
    }
}

impl Pair {
    /// Moves what `from` has sent, for a few rounds; whether there may be more.
    pub(super) fn pump<H: Host>(
        &mut self,
        from: Side,
        core: &mut Core,
        host: &mut H,
    ) -> Result<bool, Cut> {
        let before = self.flows[from].moved;
        for _ in 0..ROUNDS {
            if self.round(from, core, host)? == Round::Done {
                return Ok(false);
            }
            if self.flows[from].moved - before >= SHARE {
                break;
            }
        }
        Ok(true)
    }

    fn round<H: Host>(&mut self, from: Side, core: &mut Core, host: &mut H) -> Result<Round, Cut> {
        let flow = &self.flows[from];
        if flow.blocked || flow.closed {
            return Ok(Round::Done);
        }
        if !flow.rest.is_empty() {
            return self.write_rest(from, core);
        }
        if flow.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty()) {
            return self.write_pipe(from, core, host);
        }
        if flow.ended {
            return self.pass_end_on(from);
        }
        if !flow.readable {
            return Ok(Round::Done);
        }
        if flow.pace.splices() {
            Ok(self.splice(from, u64::MAX, core, host)?.0)
        } else {
            self.copy(from, core)
        }
    }

    /// Reads into the scratch what `from` has sent: how much, 0 at the end of
    /// its stream; `None` when nothing is there.
    ///
    /// At most [`MOST_READ`], whatever size the scratch has: what a client sends
    /// ahead is moved forward with each of its requests.
    pub(super) fn read(&mut self, from: Side, core: &mut Core) -> Result<Option<usize>, Cut> {
        let room = core.scratch.len().min(MOST_READ);
        loop {
            if self.flows[from].ended {
                return Ok(Some(0));
            }
            if !self.flows[from].readable {
                return Ok(None);
            }
            match recv(
                self.socket(from)?,
                &mut core.scratch[..room],
                RecvFlags::empty(),
            ) {
                Ok((0, _)) => self.note_end(from),
                Ok((read, _)) => {
                    self.ledger.touch(core.now);
                    self.note_read(from, read, room);
                    self.acknowledge_first(from);
                    return Ok(Some(read));
                }
                Err(Errno::AGAIN) => self.flows[from].readable = false,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Cut::from_errno(from, errno)),
            }
        }
    }

    /// Writes to the other side what came from `from`; what does not go is kept
    /// as its rest.
    pub(super) fn send(
        &mut self,
        from: Side,
        (bytes, behind): (&[u8], Behind),
        buffers: &mut Buffers,
        poll: &Poll,
    ) -> Result<(), Cut> {
        if bytes.is_empty() {
            return Ok(());
        }
        let held = !self.flows[from].rest.is_empty();
        let (sent, error) = match held {
            true => (0, None),
            false => write(self.outlet(from)?, bytes, behind.flags()),
        };
        self.count(from, sent);
        if let Some(errno) = error {
            return Err(Cut::from_errno(from.other(), errno));
        }
        if sent < bytes.len() {
            let flow = &mut self.flows[from];
            flow.rest.append(&bytes[sent..], buffers);
            if held {
                // Its end promises no event that is not on its way already.
                return Ok(());
            }
            flow.blocked = true;
            self.watch(from.other(), poll)?;
        }
        Ok(())
    }

    fn copy(&mut self, from: Side, core: &mut Core) -> Result<Round, Cut> {
        let read = match recv(
            self.socket(from)?,
            &mut core.scratch[..],
            RecvFlags::empty(),
        ) {
            Ok((0, _)) => {
                self.note_end(from);
                return Ok(Round::More);
            }
            Ok((read, _)) => read,
            Err(Errno::AGAIN) => {
                self.flows[from].readable = false;
                return Ok(Round::Done);
            }
            Err(Errno::INTR) => return Ok(Round::More),
            Err(errno) => return Err(Cut::from_errno(from, errno)),
        };
        self.ledger.touch(core.now);
        self.ledger.note_first_byte(from);
        self.note_read(from, read, core.scratch.len());
        self.acknowledge_first(from);
        if let Some(tap) = &mut self.tap {
            tap.block(from, &core.scratch[..read]);
        }
        let more = self.more_or_not(from);
        let (sent, error) = write(self.outlet(from)?, &core.scratch[..read], more);
        self.count(from, sent);
        if let Some(errno) = error {
            return Err(Cut::from_errno(from.other(), errno));
        }
        if sent < read {
            let rest = &core.scratch[sent..read];
            self.flows[from].rest.keep(rest, &mut core.buffers);
            return self.block(from, core);
        }
        Ok(Round::More)
    }

    /// What a read of `read` bytes into a scratch of `room` bytes tells.
    fn note_read(&mut self, from: Side, read: usize, room: usize) {
        let flow = &mut self.flows[from];
        flow.pace.copied(read, room);
        if read < room && !flow.urgent {
            flow.readable = false;
            if flow.end_in_sight {
                self.note_end(from);
            }
        }
    }

    pub(super) fn write_rest(&mut self, from: Side, core: &mut Core) -> Result<Round, Cut> {
        let more = self.more_or_not(from);
        let outlet = self.outlet(from)?;
        let flow = &self.flows[from];
        let rest = flow.rest.unwritten();
        let length = rest.len();
        let (sent, error) = write(outlet, rest, more);
        self.count(from, sent);
        if sent > 0 {
            self.ledger.touch(core.now);
        }
        if let Some(errno) = error {
            return Err(Cut::from_errno(from.other(), errno));
        }
        self.flows[from].rest.advance(sent, &mut core.buffers);
        if sent < length {
            return self.block(from, core);
        }
        Ok(Round::More)
    }

    /// Moves up to `limit` bytes through a pipe; how many were taken from
    /// `from`. Not all of them need be written yet.
    pub(super) fn splice<H: Host>(
        &mut self,
        from: Side,
        limit: u64,
        core: &mut Core,
        host: &mut H,
    ) -> Result<(Round, u64), Cut> {
        let held = self.flows[from].pipe.take();
        let Some(mut pipe) = held.or_else(|| core.pipes.take(host)) else {
            self.flows[from].pace.back_to_copying();
            return Ok((Round::More, 0));
        };
        let filled = pipe.fill(self.socket(from)?, limit);
        if !matches!(filled, Ok(1..)) {
            core.pipes.give_back(pipe, host);
        } else {
            self.flows[from].pipe = Some(pipe);
        }
        match filled {
            // The end, or an urgent mark that looks like it: a read tells.
            Ok(0) => self.flows[from].pace.back_to_copying(),
            Ok(read) => {
                self.ledger.touch(core.now);
                self.ledger.note_first_byte(from);
                self.flows[from].pace.spliced(read);
                return Ok((self.write_pipe(from, core, host)?, read as u64));
            }
            Err(Errno::AGAIN) => {
                self.flows[from].readable = false;
                return Ok((Round::Done, 0));
            }
            Err(Errno::INTR) => {}
            Err(Errno::INVAL) => self.flows[from].pace.copy_only(),
            Err(errno) => return Err(Cut::from_errno(from, errno)),
        }
        Ok((Round::More, 0))
    }

    pub(super) fn write_pipe<H: Host>(
        &mut self,
        from: Side,
        core: &mut Core,
        host: &mut H,
    ) -> Result<Round, Cut> {
        let Some(mut pipe) = self.flows[from].pipe.take() else {
            return Ok(Round::More);
        };
        let (sent, error) = pipe.drain(self.outlet(from)?);
        let emptied = pipe.is_empty();
        if emptied && !self.flows[from].pace.splices() {
            core.pipes.give_back(pipe, host);
        } else {
            self.flows[from].pipe = Some(pipe);
        }
        self.count(from, sent);
        if sent > 0 {
            self.ledger.touch(core.now);
        }
        match error {
            Some(errno) => Err(Cut::from_errno(from.other(), errno)),
            None if emptied => Ok(Round::More),
            None => self.block(from, core),
        }
    }

    fn pass_end_on(&mut self, from: Side) -> Result<Round, Cut> {
        self.flows[from].closed = true;
        // With both directions at their end, close() says the same.
        if !self.flows[from.other()].closed {
            // Fails only when that side is gone, which an event reports.
            let _ = shutdown(self.socket(from.other())?, Shutdown::Write);
        }
        Ok(Round::Done)
    }

    /// Waits until the other side takes bytes again.
    fn block(&mut self, from: Side, core: &mut Core) -> Result<Round, Cut> {
        self.flows[from].blocked = true;
        self.watch(from.other(), &core.poll)?;
        Ok(Round::Done)
    }

    /// The last bytes travel in one segment with the end; where messages are
    /// unpacked that is not passed on, and nothing would follow.
    fn more_or_not(&self, from: Side) -> SendFlags {
        let flow = &self.flows[from];
        if flow.ended && !self.linked && !self.flows[from.other()].closed {
            SendFlags::MORE
        } else {
            SendFlags::empty()
        }
    }
}

/// Writes until `socket` takes no more: the bytes written, and the error that
/// ended it, if any but "would block".
///
/// A short write is tried again, because only EAGAIN promises an event.
pub(super) fn write(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    flags: SendFlags,
) -> (usize, Option<Errno>) {
    let mut sent = 0;
    loop {
        match send(socket, &bytes[sent..], flags | SendFlags::NOSIGNAL) {
            Ok(count) => sent += count,
            Err(Errno::AGAIN) => return (sent, None),
            Err(Errno::INTR) => {}
            Err(errno) => return (sent, Some(errno)),
        }
        if sent >= bytes.len() {
            return (sent, None);
        }
    }
}

/// Whether a read of `socket` would find nothing, not even the end.
pub(super) fn is_quiet(socket: BorrowedFd<'_>) -> bool {
    let mut byte = [0; 1];
    let peeked = recv(socket, &mut byte[..], RecvFlags::PEEK);
    matches!(peeked, Err(Errno::AGAIN))
}
