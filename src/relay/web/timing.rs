//! What a client or its back end has to do in time.

use std::time::{Duration, Instant};

use crate::base::outcome::Ended;
use crate::relay::connection::Phase;
use crate::relay::engine::Engine;
use crate::relay::host::{Host, RelayKey};
use crate::relay::pair::Pair;
use crate::relay::side::Side;
use crate::relay::web::exchange::Exchange;
use crate::relay::web::steer::Parting;

/// What a client, or its back end, has failed to do in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::relay) enum Due {
    /// Complete the head of a request.
    Head,
    /// Begin a request.
    Silent,
    /// Move anything.
    Idle,
    /// Begin a reply.
    NoReply,
}

impl Exchange {
    /// When something has to be done if nothing comes, and what.
    pub(in crate::relay) fn deadline(&self, pair: &Pair) -> Option<(Instant, Due)> {
        let settings = &self.settings;
        let after = |from: Instant, limit: Duration| from.checked_add(limit);
        let idle = pair.ledger.idle_at().map(|at| (at, Due::Idle));
        let own = if !self.session.reads_head() {
            let waits = self.session.is_sent() && self.session.awaits_reply();
            let limit = settings.response_limit.filter(|_| waits);
            let at = limit.and_then(|limit| after(self.asked, limit));
            at.map(|at| (at, Due::NoReply))
        } else if self.holds_input() {
            after(self.since, settings.head_limit).map(|at| (at, Due::Head))
        } else {
            let limit = match self.first {
                true => settings.idle_limit,
                false => settings.keepalive_limit,
            };
            let at = limit.and_then(|limit| after(self.since, limit));
            at.map(|at| (at, Due::Silent))
        };
        idle.into_iter().chain(own).min_by_key(|(at, _)| *at)
    }

    /// Looks for news on both sockets whatever was noted.
    pub(in crate::relay) fn look_again(&self, pair: &mut Pair) {
        if !self.session.is_sent() {
            pair.flows[Side::Client].readable = true;
        }
        pair.flows[Side::Backend].readable = pair.has_backend();
        for side in Side::BOTH {
            pair.flows[side].blocked = false;
        }
    }
}

impl<H: Host> Engine<H> {
    /// Sets the timer of a client that waits, and watches its sockets.
    pub(super) fn arm(&mut self, key: RelayKey) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let (Phase::Unpacking, Some(exchange)) = (&relay.phase, &mut relay.exchange) else {
            return;
        };
        let pair = &mut relay.pair;
        if let Some((at, _)) = exchange.deadline(pair)
            && exchange.armed.is_none_or(|armed| at < armed)
        {
            self.core.wheel.set(key.index, at);
            exchange.armed = Some(at);
        }
        if pair.watch(Side::Client, &self.core.poll).is_err() {
            match relay.pair.has_backend() {
                true => self.end(key, Ended::Failed),
                false => self.leave(key),
            }
        }
    }

    /// The timer of a client has fired.
    pub(in crate::relay) fn on_deadline(&mut self, key: RelayKey) {
        if !self.is_due(key, Exchange::look_again) {
            return self.arm(key);
        }
        // The news may have come in the same turn.
        self.unpack(key);
        let due = match self.relays.get_mut(key) {
            Some(relay) if matches!(relay.phase, Phase::Unpacking) => {
                let exchange = relay.exchange.as_deref();
                exchange.and_then(|exchange| exchange.deadline(&relay.pair))
            }
            _ => return,
        };
        match due {
            Some((at, due)) if at <= self.core.now => self.too_late(key, due),
            _ => self.arm(key),
        }
    }

    /// Whether the time of a client is over; then `note` is called for it.
    fn is_due(&mut self, key: RelayKey, note: impl FnOnce(&Exchange, &mut Pair)) -> bool {
        let Some(relay) = self.relays.get_mut(key) else {
            return false;
        };
        let Some(exchange) = relay.exchange.as_deref_mut() else {
            return false;
        };
        exchange.armed = None;
        let due = exchange.deadline(&relay.pair);
        let over = due.is_some_and(|(at, _)| at <= self.core.now);
        if over {
            note(exchange, &mut relay.pair);
        }
        over
    }

    fn too_late(&mut self, key: RelayKey, due: Due) {
        let awaits = match self.relays.get_mut(key).map(|relay| &relay.exchange) {
            Some(Some(exchange)) => exchange.session.awaits_reply(),
            _ => return,
        };
        match due {
            Due::Head => {
                self.part(key, Ended::ByClient, Parting::Closed);
                self.answer(key, 408, "the head took too long");
            }
            Due::NoReply => {
                self.part(key, Ended::Idle, Parting::Cut);
                self.answer(key, 504, "no reply in time");
            }
            Due::Idle if awaits => {
                self.part(key, Ended::Idle, Parting::Cut);
                self.answer(key, 504, "nothing moved in time");
            }
            Due::Idle => self.break_off(key, Ended::Idle),
            Due::Silent => {
                self.part(key, Ended::Idle, Parting::Closed);
                self.leave(key);
            }
        }
    }
}
