//! How bytes move in one direction of a pair: by copy or by splice.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::relay::engine::Core;
use crate::relay::host::Host;
use crate::relay::pair::{Cut, Pair};
use crate::relay::side::Side;

/// Rounds for one direction before others get their turn.
const ROUNDS: u32 = 4;

/// What one round found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Round {
    /// There may be more to move.
    More,
    /// Nothing more for the moment.
    Done,
}

impl Pair {
    /// Moves what `from` has sent, for a few rounds; whether there may be more.
    pub(super) fn pump<H: Host>(
        &mut self,
        from: Side,
        core: &mut Core,
        host: &mut H,
    ) -> Result<bool, Cut> {
        for _ in 0..ROUNDS {
            if self.round(from, core, host)? == Round::Done {
                return Ok(false);
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
            self.splice(from, core, host)
        } else {
            self.copy(from, core)
        }
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
        if let Some(tap) = &mut self.tap {
            tap.block(from, &core.scratch[..read]);
        }
        let more = self.more_or_not(from);
        let (sent, error) = write(self.socket(from.other())?, &core.scratch[..read], more);
        self.count(from, sent);
        if let Some(errno) = error {
            return Err(Cut::from_errno(from.other(), errno));
        }
        if sent < read {
            self.flows[from].rest = core.buffers.keep(&core.scratch[sent..read]);
            self.flows[from].written = 0;
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

    fn write_rest(&mut self, from: Side, core: &mut Core) -> Result<Round, Cut> {
        let more = self.more_or_not(from);
        let flow = &self.flows[from];
        let rest = &flow.rest[flow.written..];
        let length = rest.len();
        let (sent, error) = write(self.socket(from.other())?, rest, more);
        self.count(from, sent);
        if sent > 0 {
            self.ledger.touch(core.now);
        }
        if let Some(errno) = error {
            return Err(Cut::from_errno(from.other(), errno));
        }
        let flow = &mut self.flows[from];
        flow.written += sent;
        if sent < length {
            return self.block(from, core);
        }
        core.buffers.give_back(std::mem::take(&mut flow.rest));
        flow.written = 0;
        Ok(Round::More)
    }

    fn splice<H: Host>(&mut self, from: Side, core: &mut Core, host: &mut H) -> Result<Round, Cut> {
        let held = self.flows[from].pipe.take();
        let Some(mut pipe) = held.or_else(|| core.pipes.take(host)) else {
            self.flows[from].pace.back_to_copying();
            return self.copy(from, core);
        };
        let filled = pipe.fill(self.socket(from)?);
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
                return self.write_pipe(from, core, host);
            }
            Err(Errno::AGAIN) => {
                self.flows[from].readable = false;
                return Ok(Round::Done);
            }
            Err(Errno::INTR) => {}
            Err(Errno::INVAL) => self.flows[from].pace.copy_only(),
            Err(errno) => return Err(Cut::from_errno(from, errno)),
        }
        Ok(Round::More)
    }

    fn write_pipe<H: Host>(
        &mut self,
        from: Side,
        core: &mut Core,
        host: &mut H,
    ) -> Result<Round, Cut> {
        let Some(mut pipe) = self.flows[from].pipe.take() else {
            return Ok(Round::More);
        };
        let (sent, error) = pipe.drain(self.socket(from.other())?);
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
        self.watch(from.other(), core)?;
        Ok(Round::Done)
    }

    /// The last bytes travel in one segment with the end.
    fn more_or_not(&self, from: Side) -> SendFlags {
        if self.flows[from].ended && !self.flows[from.other()].closed {
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
