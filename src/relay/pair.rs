//! One client connection: its two sockets and the two directions between them.
//!
//! A pair exists from the accept on; its back end's socket comes, and may be
//! replaced, until one is connected. Each direction is a small state machine:
//!
//! ```text
//!          read            written
//! open ──────────► rest ────────────► open
//!   │ end of input   │ end of input known
//!   ▼                ▼
//! ended ◄─── written ┘ ── shutdown of the other socket ──► closed
//! ```
//!
//! The pair is over when both directions are closed, or when a socket fails.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown, sockopt};

use crate::base::outcome::{Ended, Manner, Transfer};
use crate::relay::choose::Pace;
use crate::relay::engine::Core;
use crate::relay::flow::is_quiet;
use crate::relay::host::{Host, Plan, RelayKey};
use crate::relay::ledger::Ledger;
use crate::relay::poll::{Poll, Token, WATCH, WATCH_AND_WRITE};
use crate::relay::rest::Rest;
use crate::relay::side::{Side, Sides};
use crate::relay::splice::Pipe;
use crate::relay::tap::Tap;
use crate::relay::web::{LinkOwner, Loose};

/// So many bytes fit into one segment of any path with packets of 576 bytes or
/// more, whatever options of TCP are in use.
const ONE_SEGMENT: usize = 496;

/// One socket and how the epoll set knows it.
#[derive(Default)]
pub(super) struct End {
    socket: Option<OwnedFd>,
    watched: Watched,
    /// The kernel reported an error that was not looked at yet.
    failed: bool,
    /// TCP_NODELAY is to be set before the next write.
    delays: Cell<bool>,
    /// It was connected in the mode in which what is sent carries the
    /// acknowledgements, and nothing came from it yet.
    saves_acks: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Watched {
    #[default]
    Not,
    Reads,
    ReadsAndWrites,
}

/// The bytes on their way from one side to the other.
#[derive(Default)]
pub(super) struct Flow {
    /// What was read and not written yet.
    pub(super) rest: Rest,
    /// Held while it carries something, or from one round to the next.
    pub(super) pipe: Option<Pipe>,
    /// Payload bytes that were written.
    pub(super) moved: u64,
    pub(super) pace: Pace,
    /// An edge was seen, and reading has not drained the socket since.
    pub(super) readable: bool,
    /// The kernel has the end of input behind what is still to be read.
    pub(super) end_in_sight: bool,
    /// Urgent data came: a short read does not mean "drained" here, and the
    /// mark can be passed by a copy only.
    pub(super) urgent: bool,
    /// The other side takes no more for the moment.
    pub(super) blocked: bool,
    /// Everything was read.
    pub(super) ended: bool,
    /// Everything was written, and the end passed on.
    pub(super) closed: bool,
}

/// A client, its back end, and the state of both directions.
pub(super) struct Pair {
    key: RelayKey,
    pub(super) flows: Sides<Flow>,
    ends: Sides<End>,
    first_end: Option<Side>,
    pub(super) ledger: Ledger,
    /// Boxed: hardly any connection has one.
    pub(super) tap: Option<Box<Tap>>,
    /// Whether it stands on the list of those whose turn comes again.
    pub(super) queued: bool,
    /// How it ended, as far as its sockets said.
    manner: Manner,
    /// Whether back ends come and go while the client stays: then the events
    /// of each carry a link of its own.
    pub(super) linked: bool,
    /// That of the back end, if its events carry one.
    link: Option<RelayKey>,
}

/// What a pair needs next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// An event.
    Wait,
    /// Another turn: it has used up its rounds.
    Again,
    /// Nothing: relaying is over.
    Over(Ended),
}

/// Why a pair cannot go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cut {
    /// This side reset its connection.
    Reset(Side),
    /// The connection to this side broke in another way.
    Broken(Side),
    /// The epoll set does not take the socket.
    Unwatched,
}

impl Cut {
    /// What an error of a read or a write on `side` means.
    pub(super) fn from_errno(side: Side, errno: Errno) -> Self {
        match errno {
            // EPIPE: a reset after the end of input, or one reported before.
            Errno::CONNRESET | Errno::PIPE => Self::Reset(side),
            _ => Self::Broken(side),
        }
    }
}

impl Pair {
    pub(super) fn new(key: RelayKey, client: OwnedFd, now: Instant) -> Self {
        let mut ends = Sides::<End>::default();
        ends[Side::Client].socket = Some(client);
        Self {
            key,
            flows: Sides::default(),
            ends,
            first_end: None,
            ledger: Ledger::new(now),
            tap: None,
            queued: false,
            manner: Manner::Cut,
            linked: false,
            link: None,
        }
    }

    /// Whether there is a back end, connected or on its way.
    pub(super) fn has_backend(&self) -> bool {
        self.ends[Side::Backend].socket.is_some()
    }

    /// The socket of `side`.
    ///
    /// # Errors
    ///
    /// [`Cut::Broken`] while that side has none.
    pub(super) fn socket(&self, side: Side) -> Result<BorrowedFd<'_>, Cut> {
        let socket = self.ends[side].socket.as_ref();
        socket.map(AsFd::as_fd).ok_or(Cut::Broken(side))
    }

    /// The socket to which the bytes from `from` go.
    ///
    /// # Errors
    ///
    /// [`Cut::Broken`] while that side has none.
    pub(super) fn outlet(&self, from: Side) -> Result<BorrowedFd<'_>, Cut> {
        let socket = self.socket(from.other())?;
        if self.ends[from.other()].delays.take() {
            // Fails only on a socket that is gone, which the write reports.
            let _ = sockopt::set_tcp_nodelay(socket, true);
        }
        Ok(socket)
    }

    /// The first `length` bytes go to the back end as soon as it is connected.
    ///
    /// Nothing is to wait in its socket for what was sent before. These bytes
    /// never would where they are one segment, and for many connections they
    /// are all; then TCP_NODELAY is set only before what comes next.
    pub(super) fn expect_first(&mut self, length: usize) {
        self.ends[Side::Backend].saves_acks = length > 0;
        self.ends[Side::Backend].delays.set(true);
        if !(1..=ONE_SEGMENT).contains(&length) {
            let _ = self.outlet(Side::Client);
        }
    }

    /// Takes `socket` as the back end; an earlier one is closed.
    pub(super) fn set_backend(&mut self, socket: Option<OwnedFd>, core: &mut Core) {
        let before = std::mem::take(&mut self.ends[Side::Backend]);
        if let Some(link) = self.link.take() {
            core.links.remove(link);
        } else if let (Some(before), true) = (&before.socket, before.watched != Watched::Not) {
            // A program that is being started may hold a copy for a moment, and
            // a late event of it would carry the token of its successor. That
            // of a link reaches nobody.
            core.poll.remove(before);
        }
        let owner = LinkOwner::Relay(self.key);
        if socket.is_some() && self.linked {
            self.link = core.links.insert_with(|_| owner);
        }
        self.ends[Side::Backend].socket = socket;
        self.flows[Side::Client].blocked = false;
        self.flows[Side::Backend] = Flow::default();
    }

    /// The back end has served: takes its socket out, to be given to another
    /// pair, if it is one that can be.
    pub(super) fn take_backend(&mut self) -> Option<Loose> {
        let link = self.link.take()?;
        // It leaves as every pair expects it.
        let _ = self.outlet(Side::Client);
        let end = &mut self.ends[Side::Backend];
        let socket = end.socket.take()?;
        let watched = std::mem::take(&mut end.watched);
        Some(Loose {
            socket,
            link,
            watched,
        })
    }

    /// Takes a socket as the back end that served another pair.
    pub(super) fn adopt_backend(&mut self, loose: Loose, core: &mut Core) {
        self.set_backend(None, core);
        if let Some(owner) = core.links.get_mut(loose.link) {
            *owner = LinkOwner::Relay(self.key);
        }
        let end = &mut self.ends[Side::Backend];
        end.socket = Some(loose.socket);
        end.watched = loose.watched;
        self.link = Some(loose.link);
    }

    /// The connection to the back end is over, that to the client goes on: what
    /// was counted and held of the former is forgotten.
    pub(super) fn part<H: Host>(&mut self, core: &mut Core, host: &mut H) {
        for side in Side::BOTH {
            let flow = &mut self.flows[side];
            flow.rest.clear(&mut core.buffers);
            flow.moved = 0;
            flow.closed = false;
            flow.pace = Pace::default();
            if let Some(pipe) = flow.pipe.take() {
                core.pipes.give_back(pipe, host);
            }
        }
        self.set_backend(None, core);
        self.tap = None;
        self.ledger = Ledger::new(core.now);
        self.first_end = None;
        self.manner = Manner::Cut;
    }

    /// Whether nothing has come from `side` that was not read: neither bytes nor
    /// its end, be it that their event is still on its way.
    pub(super) fn is_quiet(&self, side: Side) -> bool {
        self.socket(side).is_ok_and(is_quiet)
    }

    /// Whether bytes of the back end wait for the client to take them.
    pub(super) fn owes_client(&self) -> bool {
        let flow = &self.flows[Side::Backend];
        let piped = flow.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty());
        piped || !flow.rest.is_empty()
    }

    /// Puts the socket of `side` into the epoll set if it is not there yet,
    /// and watches for writability from now on if the way there is blocked.
    pub(super) fn watch(&mut self, side: Side, poll: &Poll) -> Result<(), Cut> {
        let wanted = if self.flows[side.other()].blocked {
            Watched::ReadsAndWrites
        } else {
            Watched::Reads
        };
        let flags = match (self.ends[side].watched, wanted) {
            (Watched::ReadsAndWrites, _) | (Watched::Reads, Watched::Reads) => return Ok(()),
            (_, Watched::ReadsAndWrites) => WATCH_AND_WRITE,
            _ => WATCH,
        };
        let token = match (side, self.link) {
            (Side::Backend, Some(link)) => Token::Link(link),
            _ => Token::Relay(self.key, side),
        };
        let socket = self.socket(side)?;
        let done = if self.ends[side].watched == Watched::Not {
            poll.add(socket, token, flags)
        } else {
            poll.modify(socket, token, flags)
        };
        done.map_err(|_| Cut::Unwatched)?;
        self.ends[side].watched = wanted;
        Ok(())
    }

    /// Takes note of an event; nothing is moved yet.
    pub(super) fn note(&mut self, side: Side, flags: EventFlags) {
        let ends = EventFlags::RDHUP | EventFlags::HUP;
        let flow = &mut self.flows[side];
        flow.readable |= flags.intersects(EventFlags::IN | EventFlags::PRI | ends);
        if flags.contains(EventFlags::PRI) {
            flow.urgent = true;
            flow.pace.copy_only();
        }
        if flags.intersects(ends) {
            // After a reset nothing but a read tells whether the end came first.
            flow.end_in_sight = !flags.contains(EventFlags::ERR);
            self.first_end.get_or_insert(side);
        }
        if flags.intersects(EventFlags::OUT | EventFlags::ERR) {
            self.flows[side.other()].blocked = false;
        }
        self.ends[side].failed |= flags.contains(EventFlags::ERR);
    }

    /// What the socket of `side` says about the error that was reported, if it
    /// has one: a late event of an earlier socket reports nothing.
    pub(super) fn check(&mut self, side: Side) -> Result<(), Cut> {
        if !std::mem::take(&mut self.ends[side].failed) {
            return Ok(());
        }
        match sockopt::socket_error(self.socket(side)?) {
            Ok(Err(errno)) => Err(Cut::from_errno(side, errno)),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// The back end is connected: counts and clocks begin.
    pub(super) fn begin(&mut self, mut plan: Plan, now: Instant) {
        let early = self.flows[Side::Client].moved;
        self.begin_tap(plan.tap.take());
        self.ledger.begin(plan, early, now);
    }

    /// Moves what can be moved, in both directions.
    pub(super) fn advance<H: Host>(&mut self, core: &mut Core, host: &mut H) -> Step {
        match self.move_both(core, host) {
            Ok(step) => step,
            Err(cut) => Step::Over(self.cut(cut)),
        }
    }

    fn move_both<H: Host>(&mut self, core: &mut Core, host: &mut H) -> Result<Step, Cut> {
        let mut again = false;
        for from in Side::BOTH {
            again |= self.pump(from, core, host)?;
        }
        // Only now: what was received before a reset is still there to be read.
        for side in Side::BOTH {
            self.check(side)?;
        }
        if Side::BOTH.into_iter().all(|from| self.flows[from].closed) {
            let first = self.first_end.unwrap_or(Side::Backend);
            self.manner = Manner::Closed;
            return Ok(Step::Over(first.ended()));
        }
        Ok(if again { Step::Again } else { Step::Wait })
    }

    /// Says how the pair ended, and prepares to pass a reset on.
    pub(super) fn cut(&mut self, cut: Cut) -> Ended {
        match cut {
            Cut::Reset(side) => {
                self.manner = Manner::Reset;
                if let Ok(other) = self.socket(side.other()) {
                    let _ = sockopt::set_socket_linger(other, Some(Duration::ZERO));
                }
                self.first_end.unwrap_or(side).ended()
            }
            Cut::Broken(side) => self.first_end.unwrap_or(side).ended(),
            Cut::Unwatched => Ended::Failed,
        }
    }

    /// Tries both directions whatever was noted, before silence is declared.
    pub(super) fn probe<H: Host>(&mut self, core: &mut Core, host: &mut H) -> Step {
        for side in Side::BOTH {
            self.flows[side].readable = true;
            self.flows[side].blocked = false;
        }
        self.advance(core, host)
    }

    /// Counts `bytes` that came from `from` and were written to the other side.
    pub(super) fn count(&mut self, from: Side, bytes: usize) {
        let bytes = bytes as u64;
        self.flows[from].moved += bytes;
        self.ledger.count(from, bytes);
    }

    /// Payload bytes that were written, both ways.
    pub(super) fn moved(&self) -> u64 {
        Side::BOTH.map(|side| self.flows[side].moved).iter().sum()
    }

    /// Notes that `from` sends nothing more after what was read.
    pub(super) fn note_end(&mut self, from: Side) {
        self.flows[from].ended = true;
        self.flows[from].readable = false;
        self.first_end.get_or_insert(from);
    }

    /// The account of a pair that ended now.
    pub(super) fn transfer(&self, ended: Ended) -> Transfer {
        Transfer {
            to_client: self.flows[Side::Backend].moved,
            to_backend: self.flows[Side::Client].moved,
            duration: self.ledger.duration(),
            first_byte: self.ledger.first_byte(),
            ended,
            manner: self.manner,
        }
    }

    /// What was sent to the client is no whole message: closing will tell it.
    pub(super) fn break_client(&mut self) {
        if let Ok(client) = self.socket(Side::Client) {
            let _ = sockopt::set_socket_linger(client, Some(Duration::ZERO));
        }
    }

    /// The client gets nothing more.
    pub(super) fn hang_up(&mut self) {
        if let Ok(client) = self.socket(Side::Client) {
            // Fails only when the client is gone, which an event reports.
            let _ = shutdown(client, Shutdown::Write);
        }
    }

    /// Something came from `from`. Unless it was all, a sender that writes in
    /// pieces may hold the next one back until it hears of the first, and what
    /// is sent may never carry the word; or what is held back arrives
    /// behind a request that did not ask for it and is taken for its reply.
    pub(super) fn acknowledge_first(&mut self, from: Side) {
        if std::mem::take(&mut self.ends[from].saves_acks) && !self.flows[from].ended {
            self.acknowledge(from);
        }
    }

    /// Acknowledges at once what `side` has sent. More of the same message is
    /// to come, and a sender that wrote it in pieces may be holding the next
    /// one back until it knows that the one before has arrived.
    pub(super) fn acknowledge(&self, side: Side) {
        if let Ok(socket) = self.socket(side) {
            // Only a matter of speed.
            let _ = sockopt::set_tcp_quickack(socket, true);
        }
    }

    /// Both directions came to their end as they should.
    pub(super) fn close_well(&mut self) {
        self.manner = Manner::Closed;
    }

    /// Closes both sockets and gives back what was borrowed.
    pub(super) fn close<H: Host>(self, core: &mut Core, host: &mut H) {
        let Self {
            flows, ends, link, ..
        } = self;
        if let Some(link) = link {
            core.links.remove(link);
        }
        drop(ends);
        for mut flow in flows.0 {
            flow.rest.clear(&mut core.buffers);
            if let Some(pipe) = flow.pipe {
                core.pipes.give_back(pipe, host);
            }
        }
    }
}
