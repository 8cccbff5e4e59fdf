//! How the bytes of an exchange move, one step of one direction at a time.

use crate::relay::engine::Core;
use crate::relay::flow::{Behind, Round, SHARE};
use crate::relay::host::Host;
use crate::relay::http1::session::BackendEnd;
use crate::relay::pair::{Cut, Pair};
use crate::relay::side::Side;
use crate::relay::web::exchange::{Exchange, Outcome, show};

/// Rounds for one client before others get their turn, as long as less than the
/// [`SHARE`] of a direction was moved.
const ROUNDS: u32 = 8;

/// A body of which at least so many bytes are still to come may be spliced.
const SPLICED_BODY: u64 = 32 * 1024;

/// Two segments of an ordinary network: so many bytes are acknowledged without
/// being asked.
const SHORT: usize = 2 * 1_460;

/// What one step of one direction did.
pub(super) enum Did {
    Nothing,
    Something,
    Came(Outcome),
}

impl From<Round> for Did {
    fn from(round: Round) -> Self {
        match round {
            Round::More => Self::Something,
            Round::Done => Self::Nothing,
        }
    }
}

impl Exchange {
    /// Moves what can be moved, until something else has to be done.
    pub(in crate::relay) fn advance<H: Host>(
        &mut self,
        pair: &mut Pair,
        session: &mut H::Session,
        core: &mut Core,
        host: &mut H,
    ) -> Result<Outcome, Cut> {
        let before = pair.moved();
        for _ in 0..ROUNDS {
            if pair.moved().saturating_sub(before) >= SHARE {
                break;
            }
            let client = self.client(pair, session, core, host)?;
            if let Did::Came(outcome) = client {
                return Ok(outcome);
            }
            let backend = self.backend(pair, session, core, host)?;
            if let Did::Came(outcome) = backend {
                return Ok(outcome);
            }
            if matches!((client, backend), (Did::Nothing, Did::Nothing)) {
                // Only now: what was received before a reset is still there.
                pair.check(Side::Client)?;
                if pair.has_backend() {
                    pair.check(Side::Backend)?;
                }
                return Ok(Outcome::Wait);
            }
        }
        Ok(Outcome::Again)
    }

    fn client<H: Host>(
        &mut self,
        pair: &mut Pair,
        session: &mut H::Session,
        core: &mut Core,
        host: &mut H,
    ) -> Result<Did, Cut> {
        const FROM: Side = Side::Client;
        let before = pair.flows[FROM].moved;
        let did = self.client_step(pair, session, core, host);
        if pair.flows[FROM].moved != before {
            self.asked = core.now;
        }
        match did {
            Err(Cut::Reset(Side::Backend) | Cut::Broken(Side::Backend))
                if !self.session.client_is_raw() =>
            {
                self.stop_sending(pair, core, host);
                Ok(Did::Something)
            }
            other => other,
        }
    }

    /// The back end takes no more. What it sent before may still be read.
    fn stop_sending<H: Host>(&mut self, pair: &mut Pair, core: &mut Core, host: &mut H) {
        self.deaf = true;
        let flow = &mut pair.flows[Side::Client];
        flow.rest.clear(&mut core.buffers);
        flow.blocked = false;
        if let Some(pipe) = flow.pipe.take() {
            core.pipes.give_back(pipe, host);
        }
        pair.flows[Side::Backend].readable = true;
    }

    fn client_step<H: Host>(
        &mut self,
        pair: &mut Pair,
        session: &mut H::Session,
        core: &mut Core,
        host: &mut H,
    ) -> Result<Did, Cut> {
        const FROM: Side = Side::Client;
        if self.session.client_is_raw() {
            return self.raw(FROM, pair, core, host);
        }
        if let Some(did) = send_rest(FROM, pair, core, host)? {
            return Ok(did);
        }
        if self.deaf || self.session.is_sent() {
            return Ok(Did::Nothing);
        }
        let holds = !self.held[FROM].is_empty();
        if holds && !self.starved[FROM] {
            return self.digest(FROM, 0, pair, session, core, host);
        }
        let left = self.session.client_body_left();
        if !holds && left >= SPLICED_BODY && pair.flows[FROM].pace.splices() {
            let (round, moved) = pair.splice(FROM, left, core, host)?;
            self.session.skip_client_body(moved);
            return Ok(round.into());
        }
        match pair.read(FROM, core)? {
            None => Ok(Did::Nothing),
            Some(0) if self.session.reads_head() => Ok(Did::Came(Outcome::ClientGone)),
            Some(0) => Ok(Did::Came(Outcome::Spoilt(None))),
            Some(read) => {
                let did = self.digest(FROM, read, pair, session, core, host)?;
                // An empty line alone begins no head.
                if self.session.reads_head() && !holds && self.holds_input() {
                    self.since = core.now;
                }
                let goes_on = !matches!(did, Did::Came(_)) && !self.session.is_sent();
                if read < SHORT && goes_on {
                    pair.acknowledge(FROM);
                }
                Ok(did)
            }
        }
    }

    fn backend<H: Host>(
        &mut self,
        pair: &mut Pair,
        session: &mut H::Session,
        core: &mut Core,
        host: &mut H,
    ) -> Result<Did, Cut> {
        const FROM: Side = Side::Backend;
        if !pair.has_backend() {
            return Ok(Did::Nothing);
        }
        if self.session.backend_is_raw() {
            return self.raw(FROM, pair, core, host);
        }
        if let Some(did) = send_rest(FROM, pair, core, host)? {
            return Ok(did);
        }
        if self.session.is_complete() {
            return Ok(Did::Came(Outcome::Done));
        }
        let holds = !self.held[FROM].is_empty();
        if holds && !self.starved[FROM] {
            return self.digest(FROM, 0, pair, session, core, host);
        }
        let left = self.session.backend_body_left();
        if !holds && left >= SPLICED_BODY && pair.flows[FROM].pace.splices() {
            let (round, moved) = pair.splice(FROM, left, core, host)?;
            self.session.skip_backend_body(moved);
            return Ok(round.into());
        }
        match pair.read(FROM, core) {
            Ok(None) => Ok(Did::Nothing),
            Ok(Some(0)) => Ok(self.backend_end()),
            Ok(Some(read)) => {
                let did = self.digest(FROM, read, pair, session, core, host)?;
                if read < SHORT && !self.session.is_complete() {
                    pair.acknowledge(FROM);
                }
                Ok(did)
            }
            Err(Cut::Reset(FROM) | Cut::Broken(FROM)) => Ok(self.backend_failed()),
            Err(cut) => Err(cut),
        }
    }

    /// The back end sends nothing more.
    fn backend_end(&mut self) -> Did {
        self.tainted = true;
        match self.session.backend_end() {
            BackendEnd::Idle => Did::Came(Outcome::BackendGone),
            BackendEnd::NoReply => Did::Came(Outcome::NoReply),
            // What is complete is sent first.
            BackendEnd::Complete => Did::Something,
            BackendEnd::Broken => Did::Came(Outcome::Broken),
        }
    }

    /// The back end reset its connection, or the network did.
    fn backend_failed(&mut self) -> Did {
        self.tainted = true;
        Did::Came(match () {
            () if self.session.is_idle() => Outcome::BackendGone,
            () if !self.session.has_replied() => Outcome::NoReply,
            () => Outcome::Broken,
        })
    }

    /// What a cut that was found out of turn means.
    pub(in crate::relay) fn failure_of_backend(&mut self) -> Option<Outcome> {
        if self.session.is_complete() {
            // What is left of the reply is sent first.
            self.tainted = true;
            return Some(Outcome::Wait);
        }
        match self.backend_failed() {
            Did::Came(outcome) => Some(outcome),
            Did::Nothing | Did::Something => None,
        }
    }

    /// Bytes pass unread in this direction.
    fn raw<H: Host>(
        &mut self,
        from: Side,
        pair: &mut Pair,
        core: &mut Core,
        host: &mut H,
    ) -> Result<Did, Cut> {
        let held = std::mem::take(&mut self.held[from]);
        if !held.is_empty() {
            show(pair, from, &held);
            let bytes = (&held[..], Behind::Unknown);
            pair.send(from, bytes, &mut core.buffers, &core.poll)?;
            core.buffers.give_back(held);
            return Ok(Did::Something);
        }
        if self.session.client_is_raw() && self.session.backend_is_raw() {
            // The other direction may hold something.
            if self.held[from.other()].is_empty() {
                return Ok(Did::Came(Outcome::Raw));
            }
        }
        match pair.pump(from, core, host)? {
            true => Ok(Did::Something),
            false => Ok(Did::Nothing),
        }
    }
}

/// Sends what is left of earlier bytes first; `None`: nothing is.
fn send_rest<H: Host>(
    from: Side,
    pair: &mut Pair,
    core: &mut Core,
    host: &mut H,
) -> Result<Option<Did>, Cut> {
    let flow = &pair.flows[from];
    if flow.blocked {
        return Ok(Some(Did::Nothing));
    }
    if !flow.rest.is_empty() {
        return Ok(Some(pair.write_rest(from, core)?.into()));
    }
    if flow.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty()) {
        return Ok(Some(pair.write_pipe(from, core, host)?.into()));
    }
    Ok(None)
}
