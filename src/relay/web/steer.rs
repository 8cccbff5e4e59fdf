//! Services of `type http`: what a request, a reply, their ends and their
//! faults mean for the two connections (sections 9.5, 9.8 to 9.10).

use std::sync::Arc;

use crate::base::outcome::Ended;
use crate::relay::accept::Accepting;
use crate::relay::connection::Phase;
use crate::relay::engine::Engine;
use crate::relay::host::{Host, RelayKey, WebSettings};
use crate::relay::http1::head::{Fault, FaultKind};
use crate::relay::pair::Cut;
use crate::relay::side::Side;
use crate::relay::web::exchange::{Exchange, Outcome};

/// Exchanges of one client before others get their turn.
const EXCHANGES: u32 = 16;

/// How a client and its back end part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Parting {
    /// Between two exchanges: the connection is closed.
    Closed,
    /// Between two exchanges: others may use the connection.
    Kept,
    /// In the middle of an exchange.
    Cut,
}

impl Fault {
    /// The status of the answer to a faulty request.
    fn code(self) -> u16 {
        match self.kind {
            FaultKind::Bad => 400,
            FaultKind::TooLarge => 431,
            FaultKind::Version => 505,
        }
    }
}

impl<H: Host> Engine<H> {
    /// A new client, whose first `early` bytes lie in the scratch, sends
    /// requests.
    pub(in crate::relay) fn begin_unpacking(
        &mut self,
        key: RelayKey,
        settings: Arc<WebSettings>,
        early: usize,
    ) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let core = &mut self.core;
        let mut exchange = Exchange::new(settings, core.now);
        exchange.receive(&core.scratch[..early], &mut core.buffers);
        if self.accepting != Accepting::Open {
            exchange.make_last();
        }
        relay.pair.linked = true;
        relay.exchange = Some(Box::new(exchange));
        relay.phase = Phase::Unpacking;
    }

    /// Goes on with the exchanges of a client, as far as they go. Does nothing
    /// for others.
    pub(in crate::relay) fn unpack(&mut self, key: RelayKey) {
        for _ in 0..EXCHANGES {
            let Some(relay) = self.relays.get_mut(key) else {
                return;
            };
            let (Phase::Unpacking, Some(exchange)) = (&relay.phase, &mut relay.exchange) else {
                return;
            };
            let (core, host) = (&mut self.core, &mut self.host);
            let moved = exchange.advance(&mut relay.pair, &mut relay.session, core, host);
            let outcome = match moved {
                Ok(outcome) => Some(outcome),
                Err(cut) => self.judge(key, cut),
            };
            match outcome {
                Some(Outcome::Wait) => return self.arm(key),
                Some(Outcome::Again) => break,
                Some(outcome) => self.carry(key, outcome),
                None => return,
            }
        }
        self.arm(key);
        self.come_again(key);
    }

    /// What a broken connection means; `None`: it was the end of both.
    fn judge(&mut self, key: RelayKey, cut: Cut) -> Option<Outcome> {
        let relay = self.relays.get_mut(key)?;
        let exchange = relay.exchange.as_deref_mut()?;
        let of_backend = matches!(cut, Cut::Reset(Side::Backend) | Cut::Broken(Side::Backend));
        if of_backend && !exchange.session.backend_is_raw() {
            return exchange.failure_of_backend();
        }
        let ended = relay.pair.cut(cut);
        if relay.pair.has_backend() {
            self.end(key, ended);
        } else {
            self.leave(key);
        }
        None
    }

    fn carry(&mut self, key: RelayKey, outcome: Outcome) {
        match outcome {
            Outcome::Wait | Outcome::Again => {}
            Outcome::Choose => {
                self.part(key, Ended::ByClient, Parting::Closed);
                self.dispatch(key, 0);
            }
            Outcome::Refuse(fault) => {
                self.part(key, Ended::ByClient, Parting::Closed);
                self.answer(key, fault.code(), fault.what);
            }
            Outcome::Done => self.done(key),
            Outcome::NoReply => self.no_reply(key),
            Outcome::BadReply(fault) => {
                self.part(key, Ended::ByBackend, Parting::Cut);
                self.answer(key, 502, fault.what);
            }
            Outcome::Broken => self.break_off(key, Ended::ByBackend),
            Outcome::Spoilt(None) => self.break_off(key, Ended::ByClient),
            Outcome::Spoilt(Some(fault)) => self.spoilt(key, fault),
            Outcome::BackendGone => self.part(key, Ended::ByBackend, Parting::Closed),
            Outcome::ClientGone => {
                self.part(key, Ended::ByClient, Parting::Closed);
                self.leave(key);
            }
            Outcome::Raw => self.go_raw(key),
        }
    }

    /// The exchange is complete: both connections go on, or one, or none.
    fn done(&mut self, key: RelayKey) {
        let stops = self.accepting != Accepting::Open;
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let (pair, Some(exchange)) = (&mut relay.pair, &mut relay.exchange) else {
            return;
        };
        let keeps_client = exchange.keeps_client(pair) && !stops;
        let keeps_backend = exchange.keeps_backend(pair);
        let gives_back = keeps_backend && exchange.gives_back() && !stops;
        let goes_on = keeps_client && keeps_backend;
        let whole = exchange.is_sent(pair) && !exchange.holds_input();
        let quiet = !keeps_client && whole && pair.is_quiet(Side::Client);
        if !goes_on || gives_back && !exchange.holds_input() {
            let by_client = gives_back || !exchange.session.request().persistent;
            let ended = match by_client {
                true => Ended::ByClient,
                false => Ended::ByBackend,
            };
            let parting = match gives_back {
                true => Parting::Kept,
                false => Parting::Closed,
            };
            self.part(key, ended, parting);
        }
        match keeps_client {
            true => self.next_exchange(key),
            false if quiet => self.leave(key),
            false => self.linger(key),
        }
    }

    fn next_exchange(&mut self, key: RelayKey) {
        if let Some(relay) = self.relays.get_mut(key)
            && let Some(exchange) = &mut relay.exchange
        {
            exchange.next(&mut self.core);
        }
    }

    /// The back end connection ended before it replied.
    fn no_reply(&mut self, key: RelayKey) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let again = match &mut relay.exchange {
            Some(exchange) => exchange.take_back(&mut self.core.buffers),
            None => return,
        };
        self.part(key, Ended::ByBackend, Parting::Cut);
        if !again {
            return self.answer(key, 502, "the back end closed without a reply");
        }
        if let Some(relay) = self.relays.get_mut(key) {
            self.host.route_again(&mut relay.session);
        }
        self.dispatch(key, 0);
    }

    /// The body of a request is faulty: it cannot be completed.
    fn spoilt(&mut self, key: RelayKey, fault: Fault) {
        let replied = match self.relays.get_mut(key).map(|relay| &relay.exchange) {
            Some(Some(exchange)) => exchange.session.has_replied(),
            _ => return,
        };
        if replied {
            return self.break_off(key, Ended::ByClient);
        }
        self.part(key, Ended::ByClient, Parting::Cut);
        self.answer(key, fault.code(), fault.what);
    }

    /// Ends both connections; a reply that is not whole is seen to be so.
    pub(in crate::relay) fn break_off(&mut self, key: RelayKey, ended: Ended) {
        if let Some(relay) = self.relays.get_mut(key)
            && let Some(exchange) = &relay.exchange
            && exchange.session.has_replied()
            && (!exchange.session.is_complete() || relay.pair.owes_client())
        {
            relay.pair.break_client();
        }
        self.end(key, ended);
    }

    /// The back end connection of a client is over, if it has one: accounted,
    /// and kept for others or closed.
    pub(super) fn part(&mut self, key: RelayKey, ended: Ended, parting: Parting) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        if !relay.pair.has_backend() {
            return;
        }
        let unsent = relay.pair.owes_client();
        if parting != Parting::Cut {
            relay.pair.close_well();
        }
        let transfer = relay.pair.transfer(ended);
        if parting == Parting::Kept {
            self.park(key);
        }
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let (core, host) = (&mut self.core, &mut self.host);
        relay.pair.part(core, host);
        if let Some(exchange) = &mut relay.exchange {
            exchange.part(core, unsent);
        }
        host.ended(&mut relay.session, transfer);
    }

    /// Bytes pass unread from now on.
    fn go_raw(&mut self, key: RelayKey) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        relay.phase = Phase::Relaying;
        if let Some(exchange) = relay.exchange.take() {
            exchange.close(&mut self.core.buffers);
        }
        match relay.pair.ledger.idle_at() {
            Some(at) => self.core.wheel.set(key.index, at),
            None => self.core.wheel.cancel(key.index),
        }
        self.on_turn(key);
    }

    /// Nobody new comes: clients between two requests are let go of, and the
    /// others after their reply.
    pub(in crate::relay) fn let_go_of_idle(&mut self) {
        self.empty_pool();
        for key in self.relays.keys() {
            let Some(relay) = self.relays.get_mut(key) else {
                continue;
            };
            let Some(exchange) = &mut relay.exchange else {
                continue;
            };
            exchange.make_last();
            if matches!(relay.phase, Phase::Unpacking) && exchange.is_idle() {
                self.part(key, Ended::Ordered, Parting::Closed);
                self.leave(key);
            }
        }
    }
}
