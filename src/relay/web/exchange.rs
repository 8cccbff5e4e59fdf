//! The exchanges of one client connection with the sockets of its pair.
//!
//! [`Session`] says what bytes mean; here they are read, fed to it and sent on.
//! What is more than moving bytes (a back end to choose, an answer of the
//! daemon's own, an end) is an [`Outcome`] for the engine.

use std::sync::Arc;
use std::time::Instant;

use crate::base::endpoint::BackendAddr;
use crate::relay::buffers::Buffers;
use crate::relay::engine::Core;
use crate::relay::host::{Host, Plan, PoolKey, WebSettings};
use crate::relay::http1::head::Fault;
use crate::relay::http1::rewrite::Editor;
use crate::relay::http1::session::{FromClient, Session};
use crate::relay::pair::Pair;
use crate::relay::side::{Side, Sides};

/// What a client of `type http` needs beside its pair. Boxed: other services
/// do without.
pub(in crate::relay) struct Exchange {
    pub(in crate::relay) session: Session,
    pub(in crate::relay) settings: Arc<WebSettings>,
    /// What was received and not taken yet.
    pub(super) held: Sides<Vec<u8>>,
    /// Whether what is held is of no use before more has come.
    pub(super) starved: Sides<bool>,
    /// The head of a request that may be sent once more.
    pub(super) repeat: Vec<u8>,
    /// How the session goes on when the back end is connected.
    pub(super) ahead: Option<Ahead>,
    /// Whether the back end connection has served an exchange before.
    pub(super) kept: bool,
    /// Where the back end connection is kept when this client needs it no more,
    /// and where it leads.
    pub(in crate::relay) home: Option<(PoolKey, BackendAddr)>,
    /// Whether no idle connection may serve: one has just failed.
    pub(super) fresh_only: bool,
    /// Whether the client has not been answered yet.
    pub(super) first: bool,
    /// Whether the back end connection ended, or spoke unasked.
    pub(super) tainted: bool,
    /// The back end takes no more bytes; it may have answered all the same.
    pub(super) deaf: bool,
    /// Whether the first byte of a reply was seen.
    pub(super) answered: bool,
    /// The client has got a part of a head: no answer would be understood.
    pub(in crate::relay) mute: bool,
    /// Since when the client is waited for: accept, last reply, or the first
    /// byte of a head.
    pub(in crate::relay) since: Instant,
    /// When the last byte of a request was passed on.
    pub(in crate::relay) asked: Instant,
    /// When the timer of this client fires, if it is set.
    pub(in crate::relay) armed: Option<Instant>,
}

/// What a client of `type http` costs beside the others, when it is idle.
const _: () = assert!(size_of::<Exchange>() <= 400);

/// A request that was made ready for a back end that is being connected.
pub(super) struct Ahead {
    session: Session,
    /// How much of what the client has sent it takes.
    taken: usize,
    /// How much of that is the head.
    head: usize,
}

/// What is to be done when bytes alone do not help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::relay) enum Outcome {
    /// Wait for an event.
    Wait,
    /// Come again: the rounds are used up.
    Again,
    /// A request needs a back end.
    Choose,
    /// The request is refused.
    Refuse(Fault),
    /// The reply is complete and sent.
    Done,
    /// The back end connection ended before it replied.
    NoReply,
    /// The reply is refused, and nothing of it was sent.
    BadReply(Fault),
    /// The reply broke off: the client has to learn that it is not whole.
    Broken,
    /// The body of the request is faulty, or broke off.
    Spoilt(Option<Fault>),
    /// An idle back end connection ended, or spoke unasked.
    BackendGone,
    /// The client left between two requests, or within a head.
    ClientGone,
    /// From here on bytes pass unread.
    Raw,
}

impl Exchange {
    pub(in crate::relay) fn new(settings: Arc<WebSettings>, now: Instant) -> Self {
        Self {
            session: Session::new(),
            settings,
            held: Sides::default(),
            starved: Sides::default(),
            repeat: Vec::new(),
            ahead: None,
            kept: false,
            home: None,
            fresh_only: false,
            first: true,
            tainted: false,
            deaf: false,
            answered: false,
            mute: false,
            since: now,
            asked: now,
            armed: None,
        }
    }

    /// Takes the first bytes of the client.
    pub(in crate::relay) fn receive(&mut self, early: &[u8], buffers: &mut Buffers) {
        if !early.is_empty() {
            self.held[Side::Client] = buffers.keep(early);
        }
    }

    /// Whether the client has sent something that was not taken yet.
    pub(in crate::relay) fn holds_input(&self) -> bool {
        !self.held[Side::Client].is_empty()
    }

    /// What the client has sent of a request that could not be read.
    pub(in crate::relay) fn input(&self) -> &[u8] {
        &self.held[Side::Client]
    }

    /// Whether the client is between two requests and has not begun another.
    pub(in crate::relay) fn is_idle(&self) -> bool {
        !self.first && self.session.reads_head() && !self.holds_input()
    }

    /// Makes the request that is held ready for the back end that the host has
    /// chosen, so that it can be sent as soon as it is connected.
    pub(in crate::relay) fn prepare<H: Host>(
        &mut self,
        pair: &mut Pair,
        session: &mut H::Session,
        core: &mut Core,
        host: &mut H,
    ) {
        let manner = &self.settings.manner;
        let Core {
            out, work, buffers, ..
        } = core;
        let input = &self.held[Side::Client][..];
        out.clear();
        let mut ahead = self.session;
        ahead.backend_changed();
        if !matches!(ahead.client(input, manner, work), Ok(FromClient::Choose)) {
            return;
        }
        let edit = |editor: &mut Editor<'_>| host.edit_request(session, editor);
        let head = ahead.forward(input, manner, work, edit, out);
        let mut taken = head;
        // A fault of the body is found again when the session gets there.
        let mut tried = ahead;
        while let Ok(FromClient::Body(bytes @ 1..)) = tried.client(&input[taken..], manner, work) {
            out.extend_from_slice(&input[taken..taken + bytes]);
            taken += bytes;
            ahead = tried;
        }
        let flow = &mut pair.flows[Side::Client];
        flow.rest.keep(out, buffers);
        self.ahead = Some(Ahead {
            session: ahead,
            taken,
            head,
        });
    }

    /// The back end is connected, by `leased` with a connection that served
    /// others before; the request that was made ready is on its way.
    pub(in crate::relay) fn begin(
        &mut self,
        pair: &mut Pair,
        (plan, to): (Plan, BackendAddr),
        leased: bool,
        core: &mut Core,
    ) {
        self.home = plan.pool.map(|pool| (pool, to));
        pair.begin(plan, Instant::now());
        self.kept = leased;
        self.fresh_only = false;
        self.tainted = false;
        self.deaf = false;
        self.answered = false;
        self.asked = core.now;
        self.starved[Side::Backend] = false;
        if leased {
            pair.ledger.note_reuse();
        }
        let Some(ahead) = self.ahead.take() else {
            return;
        };
        let buffers = &mut core.buffers;
        self.session = ahead.session;
        let mut held = std::mem::take(&mut self.held[Side::Client]);
        show(pair, Side::Client, &held[..ahead.taken]);
        if leased && self.session.request().is_repeatable() {
            buffers.give_back(std::mem::take(&mut self.repeat));
            self.repeat = buffers.keep(&held[..ahead.head]);
        }
        pair.ledger.note_request();
        held.drain(..ahead.taken);
        self.starved[Side::Client] = false;
        match held.is_empty() {
            true => buffers.give_back(held),
            false => self.held[Side::Client] = held,
        }
        if !self.session.is_sent() {
            pair.acknowledge(Side::Client);
        }
    }

    /// Whether an idle connection may serve the request that was made ready: a
    /// first request only if it could be repeated.
    ///
    /// Source: decided (`reuse safe`).
    pub(in crate::relay) fn may_lease(&self) -> bool {
        let repeatable = |ahead: &Ahead| ahead.session.request().is_repeatable();
        !self.fresh_only && (!self.first || self.ahead.as_ref().is_some_and(repeatable))
    }

    /// Whether the back end connection goes back to where others find it, as
    /// soon as this client has nothing more to ask.
    pub(in crate::relay) fn gives_back(&self) -> bool {
        self.home.is_some() && !self.session.is_private() && self.settings.manner.managed
    }

    /// Whether the request may be sent once more, after its connection ended
    /// without a reply; then it is the client's input again.
    pub(in crate::relay) fn take_back(&mut self, buffers: &mut Buffers) -> bool {
        if !self.kept || self.answered || self.repeat.is_empty() || self.fresh_only {
            return false;
        }
        let mut request = std::mem::take(&mut self.repeat);
        let held = std::mem::take(&mut self.held[Side::Client]);
        request.extend_from_slice(&held);
        buffers.give_back(held);
        self.held[Side::Client] = request;
        self.starved[Side::Client] = false;
        self.session.again();
        self.fresh_only = true;
        true
    }

    /// Whether all of the request was sent.
    pub(in crate::relay) fn is_sent(&self, pair: &Pair) -> bool {
        let flow = &pair.flows[Side::Client];
        let piped = flow.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty());
        self.session.is_sent() && flow.rest.is_empty() && !piped && !self.deaf
    }

    /// Whether the client may send another request.
    pub(in crate::relay) fn keeps_client(&self, pair: &Pair) -> bool {
        self.is_sent(pair) && self.session.keeps_client(&self.settings.manner)
    }

    /// Whether all of the reply was taken, and the client connection ends
    /// behind it whatever comes.
    pub(super) fn is_last_of_client(&self, pair: &Pair) -> bool {
        let is_whole = self.session.is_complete()
            || self.session.ends_with_backend() && pair.flows[Side::Backend].ended;
        is_whole && self.session.ends_client(&self.settings.manner)
    }

    /// Whether the back end connection can serve another exchange.
    pub(in crate::relay) fn keeps_backend(&self, pair: &Pair) -> bool {
        self.is_sent(pair)
            && self.session.keeps_backend(&self.settings.manner)
            && !self.tainted
            && self.held[Side::Backend].is_empty()
            && !pair.flows[Side::Backend].ended
            && !pair.flows[Side::Backend].end_in_sight
    }

    /// The exchange is over, and another may begin.
    pub(in crate::relay) fn next(&mut self, core: &mut Core) {
        self.session.next();
        self.kept = true;
        self.first = false;
        self.since = core.now;
        if !self.repeat.is_empty() {
            core.buffers.give_back(std::mem::take(&mut self.repeat));
        }
    }

    /// The back end connection is over; `unsent` says whether a part of what it
    /// sent is lost for the client.
    pub(in crate::relay) fn part(&mut self, core: &mut Core, unsent: bool) {
        self.mute |= unsent;
        let held = std::mem::take(&mut self.held[Side::Backend]);
        core.buffers.give_back(held);
        self.starved[Side::Backend] = false;
        self.kept = false;
        self.tainted = false;
        self.deaf = false;
        self.ahead = None;
    }

    /// No further exchange may begin.
    pub(in crate::relay) fn make_last(&mut self) {
        self.session.make_last();
        if let Some(ahead) = &mut self.ahead {
            ahead.session.make_last();
        }
    }

    /// Gives back what was borrowed.
    pub(in crate::relay) fn close(self, buffers: &mut Buffers) {
        let Self { held, repeat, .. } = self;
        for buffer in held.0 {
            buffers.give_back(buffer);
        }
        buffers.give_back(repeat);
    }
}

/// Shows bytes as they were received to whoever logs this connection.
pub(super) fn show(pair: &mut Pair, from: Side, bytes: &[u8]) {
    if let Some(tap) = &mut pair.tap
        && !bytes.is_empty()
    {
        tap.block(from, bytes);
    }
}
