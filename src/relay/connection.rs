//! The steps of one client connection, from the admission to its account.

use std::time::Instant;

use rustix::event::epoll::EventFlags;

use crate::base::endpoint::BackendAddr;
use crate::base::outcome::Ended;
use crate::relay::connect::{Connecting, Dial};
use crate::relay::engine::Engine;
use crate::relay::host::{Abandoned, AttemptFailure, Host, Next, RelayKey};
use crate::relay::pair::{Pair, Step};
use crate::relay::side::Side;

/// An idle connection costs no more than this, besides what the host keeps and
/// what a tap needs.
const _: () = assert!(size_of::<Relay<()>>() <= 336);

/// A client connection and how far it came.
pub(super) struct Relay<S> {
    pub(super) session: S,
    pub(super) pair: Pair,
    phase: Phase,
}

enum Phase {
    /// Its host decides at this moment.
    Asking,
    /// Its host waits for something.
    Waiting { give_up_at: Instant },
    /// A back end is being connected.
    Connecting(Connecting),
    /// Bytes move.
    Relaying,
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
                Next::Close => return self.close(key),
                Next::Wait { give_up_at } => {
                    let flow = &mut relay.pair.flows[Side::Client];
                    if early > 0 && flow.rest.is_empty() {
                        flow.rest = self.core.buffers.keep(&self.core.scratch[..early]);
                    }
                    relay.phase = Phase::Waiting { give_up_at };
                    Dial::Pending
                }
                Next::Connect(attempt) => {
                    let mut connecting = Connecting::new(attempt, Instant::now());
                    let dial = connecting.dial(&mut relay.pair, early, &mut self.core);
                    relay.phase = Phase::Connecting(connecting);
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
                self.begin(key, to);
                return false;
            }
            Dial::Pending => match relay.pair.watch(Side::Client, &self.core) {
                Ok(()) => {
                    let wakes_at = match &relay.phase {
                        Phase::Waiting { give_up_at } => *give_up_at,
                        Phase::Connecting(connecting) => connecting.wakes_at(),
                        Phase::Asking | Phase::Relaying => self.core.now,
                    };
                    self.core.wheel.set(key.index, wakes_at);
                    return false;
                }
                Err(_) => AttemptFailure::NoResources(rustix::io::Errno::NOSPC.into()),
            },
            Dial::Failed(failure) => failure,
        };
        relay.pair.set_backend(None, &self.core);
        relay.phase = Phase::Asking;
        self.host.connect_failed(&mut relay.session, failure);
        true
    }

    fn begin(&mut self, key: RelayKey, to: BackendAddr) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        relay.phase = Phase::Relaying;
        let now = Instant::now();
        let plan = self.host.connected(&mut relay.session, to);
        relay.pair.begin(plan, now);
        match relay.pair.ledger.idle_at() {
            Some(at) => self.core.wheel.set(key.index, at),
            None => self.core.wheel.cancel(key.index),
        }
        let watched = Side::BOTH
            .into_iter()
            .try_for_each(|side| relay.pair.watch(side, &self.core));
        match watched {
            Ok(()) => self.on_turn(key),
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
    }

    /// It had more to move than its share; now its turn comes again.
    pub(super) fn on_repeat(&mut self, key: RelayKey) {
        if let Some(relay) = self.relays.get_mut(key) {
            relay.pair.queued = false;
            self.on_turn(key);
        }
    }

    /// Moves what can be moved, unless its turn comes anyway.
    fn on_turn(&mut self, key: RelayKey) {
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
            Step::Again => {
                // Once on the list, or a busy pair would fill it.
                if let Some(relay) = self.relays.get_mut(key)
                    && !std::mem::replace(&mut relay.pair.queued, true)
                {
                    self.again.push(key);
                }
            }
            Step::Over(ended) => self.end(key, ended),
        }
    }

    /// The timer of this connection has fired.
    pub(super) fn on_timer(&mut self, key: RelayKey) {
        let now = self.core.now;
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        match &mut relay.phase {
            Phase::Relaying => self.on_silence(key),
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
        }
    }

    /// Ends a connection because the daemon stops.
    pub(super) fn cut(&mut self, key: RelayKey) {
        match self.relays.get_mut(key).map(|relay| &relay.phase) {
            Some(Phase::Relaying) => self.end(key, Ended::Ordered),
            Some(_) => self.abandon(key, Abandoned::Stopped),
            None => {}
        }
    }

    fn end(&mut self, key: RelayKey, ended: Ended) {
        if let Some(relay) = self.remove(key) {
            let transfer = relay.pair.transfer(ended);
            relay.pair.close(&mut self.core, &mut self.host);
            self.host.ended(relay.session, transfer);
        }
    }

    pub(super) fn abandon(&mut self, key: RelayKey, why: Abandoned) {
        if let Some(relay) = self.remove(key) {
            relay.pair.close(&mut self.core, &mut self.host);
            self.host.abandoned(relay.session, why);
        }
    }

    fn close(&mut self, key: RelayKey) {
        if let Some(relay) = self.remove(key) {
            relay.pair.close(&mut self.core, &mut self.host);
        }
    }
}
