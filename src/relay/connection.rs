//! The steps of one client connection, from the admission to its account.

use std::time::Instant;

use rustix::event::epoll::EventFlags;

use crate::base::endpoint::BackendAddr;
use crate::base::outcome::Ended;
use crate::relay::connect::{Connecting, Dial};
use crate::relay::engine::{Core, Engine};
use crate::relay::host::{Abandoned, AttemptFailure, Host, Next, RelayKey};
use crate::relay::pair::{Pair, Step};
use crate::relay::side::Side;
use crate::relay::web::Discarding;
use crate::relay::web::Exchange;

/// An idle connection costs no more than this, besides what the host keeps and
/// what a tap needs.
const _: () = assert!(size_of::<Relay<()>>() <= 224);

/// A client connection and how far it came.
pub(super) struct Relay<S> {
    pub(super) session: S,
    pub(super) pair: Pair,
    pub(super) phase: Phase,
    /// Where messages are unpacked: how far they are.
    pub(super) exchange: Option<Box<Exchange>>,
}

pub(super) enum Phase {
    /// Its host decides at this moment.
    Asking,
    /// Its host waits for something.
    Waiting { give_up_at: Instant },
    /// A back end is being connected.
    ///
    /// Boxed: most connects succeed at once, and an idle client pays for the
    /// greatest phase.
    Connecting(Box<Connecting>),
    /// Bytes move unread.
    Relaying,
    /// Messages are unpacked; a back end may be connected.
    Unpacking,
    /// The client gets nothing more; what it still sends is thrown away.
    Discarding(Discarding),
}

impl<S> Relay<S> {
    /// Closes its sockets, and gives back what was borrowed.
    pub(super) fn close<H: Host<Session = S>>(self, core: &mut Core, host: &mut H) -> S {
        self.pair.close(core, host);
        if let Some(exchange) = self.exchange {
            exchange.close(&mut core.buffers);
        }
        self.session
    }
}

impl<H: Host> Engine<H> {
    /// A place in the table for an admitted client.
    pub(super) fn insert(
        &mut self,
        session: H::Session,
        pair: impl FnOnce(RelayKey) -> Pair,
    ) -> Option<RelayKey> {
        let key = self.relays.insert_with(|key| Relay {
            session,
            pair: pair(key),
            phase: Phase::Asking,
            exchange: None,
        });
        self.current = key;
        key
    }

    pub(super) fn remove(&mut self, key: RelayKey) -> Option<Relay<H::Session>> {
        let relay = self.relays.remove(key)?;
        self.core.wheel.cancel(key.index);
        Some(relay)
    }

    /// Asks the host until the client is connected, waits or is closed.
    /// `early` is how much of its first bytes lies in the scratch.
    pub(super) fn dispatch(&mut self, key: RelayKey, early: usize) {
        loop {
            let Some(relay) = self.relays.get_mut(key) else {
                return;
            };
            relay.phase = Phase::Asking;
            let dial = match self.host.next_backend(&mut relay.session, key) {
                Next::Close if relay.exchange.is_some() => {
                    return self.answer(key, 503, "no back end");
                }
                Next::Close => return self.close(key),
                Next::Wait { give_up_at } => {
                    let flow = &mut relay.pair.flows[Side::Client];
                    if flow.rest.is_empty() {
                        let early = &self.core.scratch[..early];
                        flow.rest.keep(early, &mut self.core.buffers);
                    }
                    relay.phase = Phase::Waiting { give_up_at };
                    Dial::Pending
                }
                Next::Connect(attempt) => {
                    if let Some(exchange) = &mut relay.exchange {
                        let (core, host) = (&mut self.core, &mut self.host);
                        exchange.prepare(&mut relay.pair, &mut relay.session, core, host);
                    }
                    if let Some(to) = self.lease(key, &attempt) {
                        return self.begin(key, to, true);
                    }
                    let Some(relay) = self.relays.get_mut(key) else {
                        return;
                    };
                    let mut connecting = Connecting::new(attempt, Instant::now());
                    let dial = connecting.dial(&mut relay.pair, early, &mut self.core);
                    if matches!(dial, Dial::Pending) {
                        relay.phase = Phase::Connecting(Box::new(connecting));
                    }
                    dial
                }
            };
            if !self.settle(key, dial) {
                return;
            }
        }
    }

    /// Carries out how far an attempt came; whether the host has to be asked
    /// again.
    fn settle(&mut self, key: RelayKey, dial: Dial) -> bool {
        let Some(relay) = self.relays.get_mut(key) else {
            return false;
        };
        let failure = match dial {
            Dial::Connected(to) => {
                self.begin(key, to, false);
                return false;
            }
            Dial::Pending => match relay.pair.watch(Side::Client, &self.core.poll) {
                Ok(()) => {
                    let wakes_at = match &relay.phase {
                        Phase::Waiting { give_up_at } => *give_up_at,
                        Phase::Connecting(connecting) => connecting.wakes_at(),
                        _ => self.core.now,
                    };
                    self.core.wheel.set(key.index, wakes_at);
                    if let Some(exchange) = &mut relay.exchange {
                        exchange.armed = Some(wakes_at);
                    }
                    return false;
                }
                Err(_) => AttemptFailure::NoResources(rustix::io::Errno::NOSPC.into()),
            },
            Dial::Failed(failure) => failure,
        };
        relay.pair.set_backend(None, &mut self.core);
        relay.phase = Phase::Asking;
        self.host.connect_failed(&mut relay.session, failure);
        true
    }

    /// The back end is connected. Where messages are unpacked, whoever asked
    /// for it goes on with them.
    fn begin(&mut self, key: RelayKey, to: BackendAddr, leased: bool) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let plan = self.host.connected(&mut relay.session, to);
        if let Some(exchange) = &mut relay.exchange {
            // A timer that fires early is set again.
            relay.phase = Phase::Unpacking;
            exchange.begin(&mut relay.pair, (plan, to), leased, &mut self.core);
        } else {
            relay.phase = Phase::Relaying;
            relay.pair.begin(plan, Instant::now());
            match relay.pair.ledger.idle_at() {
                Some(at) => self.core.wheel.set(key.index, at),
                None => self.core.wheel.cancel(key.index),
            }
        }
        let watched = Side::BOTH
            .into_iter()
            .try_for_each(|side| relay.pair.watch(side, &self.core.poll));
        match watched {
            Ok(()) if relay.exchange.is_none() => self.on_turn(key),
            Ok(()) => {}
            Err(_) => self.end(key, Ended::Failed),
        }
    }

    /// One of the two sockets has an event.
    pub(super) fn on_event(&mut self, key: RelayKey, side: Side, flags: EventFlags) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        match (&mut relay.phase, side) {
            (Phase::Relaying, _) => {
                relay.pair.note(side, flags);
                self.on_turn(key);
            }
            (Phase::Unpacking, _) => {
                relay.pair.note(side, flags);
                if !relay.pair.queued {
                    self.unpack(key);
                }
            }
            (Phase::Discarding(_), _) => {
                relay.pair.note(side, flags);
                self.discard(key);
            }
            (_, Side::Client) => {
                relay.pair.note(side, flags);
                if relay.pair.check(side).is_err() {
                    self.abandon(key, Abandoned::ClientReset);
                }
            }
            (Phase::Connecting(connecting), Side::Backend) => {
                let dial = connecting.proceed(&mut relay.pair, &mut self.core);
                if matches!(dial, Dial::Connected(_)) {
                    relay.pair.note(side, flags);
                }
                self.settle_and_ask(key, dial);
            }
            (Phase::Asking | Phase::Waiting { .. }, Side::Backend) => {}
        }
    }

    fn settle_and_ask(&mut self, key: RelayKey, dial: Dial) {
        if self.settle(key, dial) {
            self.dispatch(key, 0);
        }
        self.unpack(key);
    }

    /// It had more to move than its share; now its turn comes again.
    pub(super) fn on_repeat(&mut self, key: RelayKey) {
        if let Some(relay) = self.relays.get_mut(key) {
            relay.pair.queued = false;
            self.on_turn(key);
            self.unpack(key);
        }
    }

    /// Moves what can be moved, unless its turn comes anyway.
    pub(super) fn on_turn(&mut self, key: RelayKey) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        if relay.pair.queued || !matches!(relay.phase, Phase::Relaying) {
            return;
        }
        let step = relay.pair.advance(&mut self.core, &mut self.host);
        self.after(key, step);
    }

    fn after(&mut self, key: RelayKey, step: Step) {
        match step {
            Step::Wait => {}
            Step::Again => self.come_again(key),
            Step::Over(ended) => self.end(key, ended),
        }
    }

    /// Its turn comes again without an event.
    pub(super) fn come_again(&mut self, key: RelayKey) {
        // Once on the list, or a busy pair would fill it.
        if let Some(relay) = self.relays.get_mut(key)
            && !std::mem::replace(&mut relay.pair.queued, true)
        {
            self.again.push(key);
        }
    }

    /// The timer of this connection has fired.
    pub(super) fn on_timer(&mut self, key: RelayKey) {
        let now = self.core.now;
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        if let Some(exchange) = &mut relay.exchange {
            exchange.armed = None;
        }
        match &mut relay.phase {
            Phase::Relaying => self.on_silence(key),
            Phase::Unpacking => self.on_deadline(key),
            Phase::Discarding(_) => self.leave(key),
            Phase::Connecting(connecting) => {
                let dial = connecting.timed_out(&mut relay.pair, &mut self.core, now);
                self.settle_and_ask(key, dial);
            }
            Phase::Waiting { give_up_at } if *give_up_at <= now => {
                self.settle_and_ask(key, Dial::Failed(AttemptFailure::OutOfTime));
            }
            Phase::Waiting { .. } => self.settle_and_ask(key, Dial::Pending),
            Phase::Asking => {}
        }
    }

    /// The idle limit may have been reached: the timer is not moved with every
    /// byte, but looked at again when it fires.
    fn on_silence(&mut self, key: RelayKey) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let now = self.core.now;
        let silent = |pair: &Pair| pair.ledger.idle_at().is_some_and(|at| at <= now);
        if silent(&relay.pair) {
            let step = relay.pair.probe(&mut self.core, &mut self.host);
            if step != Step::Wait {
                self.after(key, step);
            } else if silent(&relay.pair) {
                return self.end(key, Ended::Idle);
            }
        }
        if let Some(relay) = self.relays.get_mut(key)
            && let Some(at) = relay.pair.ledger.idle_at()
        {
            self.core.wheel.set(key.index, at);
        }
    }

    /// The host can say more about a client that waits.
    pub(super) fn go_on(&mut self, key: RelayKey) {
        if let Some(relay) = self.relays.get_mut(key)
            && matches!(relay.phase, Phase::Waiting { .. })
        {
            self.dispatch(key, 0);
            self.unpack(key);
        }
    }

    /// Ends a connection because the daemon stops.
    pub(super) fn cut(&mut self, key: RelayKey) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        match &relay.phase {
            Phase::Relaying => self.end(key, Ended::Ordered),
            Phase::Unpacking if relay.pair.has_backend() => self.break_off(key, Ended::Ordered),
            Phase::Discarding(_) => self.leave(key),
            // Nothing is cut off where nothing was said.
            Phase::Unpacking if !relay.exchange.as_ref().is_some_and(|web| web.holds_input()) => {
                self.leave(key);
            }
            _ => self.abandon(key, Abandoned::Stopped),
        }
    }

    /// Ends a connection whose back end is connected.
    pub(super) fn end(&mut self, key: RelayKey, ended: Ended) {
        if let Some(relay) = self.remove(key) {
            let transfer = relay.pair.transfer(ended);
            let mut session = relay.close(&mut self.core, &mut self.host);
            self.host.ended(&mut session, transfer);
        }
    }

    pub(super) fn abandon(&mut self, key: RelayKey, why: Abandoned) {
        if let Some(relay) = self.remove(key) {
            let session = relay.close(&mut self.core, &mut self.host);
            self.host.abandoned(session, why);
        }
    }

    pub(super) fn close(&mut self, key: RelayKey) {
        if let Some(relay) = self.remove(key) {
            drop(relay.close(&mut self.core, &mut self.host));
        }
    }
}
