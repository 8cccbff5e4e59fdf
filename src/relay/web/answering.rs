//! Answers of the daemon's own, and clients that get nothing more (section
//! 9.10).

use crate::relay::connection::Phase;
use crate::relay::engine::Engine;
use crate::relay::flow::Behind;
use crate::relay::host::{Host, RelayKey};
use crate::relay::http1::answer::Answer;
use crate::relay::http1::head::Method;
use crate::relay::pair::Cut;
use crate::relay::side::Side;

/// How much is thrown away after an answer of the daemon's own.
///
/// Source: decided (9.10).
const MOST_DISCARDED: usize = 64 * 1024;

/// A client that gets nothing more.
pub(in crate::relay) struct Discarding {
    /// How much it may still send.
    left: usize,
    /// Whether it was told so.
    hung_up: bool,
}

impl<H: Host> Engine<H> {
    /// Answers the request of a client that has no back end, and ends with it.
    pub(in crate::relay) fn answer(&mut self, key: RelayKey, code: u16, why: &'static str) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let Some(exchange) = &relay.exchange else {
            return;
        };
        self.host.answered(&mut relay.session, code, why);
        if exchange.mute {
            relay.pair.break_client();
            return self.leave(key);
        }
        let settings = &exchange.settings;
        let head_only = match exchange.session.reads_head() {
            true => exchange.input().starts_with(b"HEAD "),
            false => exchange.session.request().method == Method::Head,
        };
        let answer = Answer {
            code,
            page: settings.pages.iter().find(|page| page.code == code),
            retry_after: settings.retry_after,
            head_only,
        };
        let core = &mut self.core;
        core.out.clear();
        answer.write(&mut core.out);
        let sent = relay.pair.send(
            Side::Backend,
            (&core.out, Behind::More),
            &mut core.buffers,
            &core.poll,
        );
        core.wheel
            .set(key.index, core.now + exchange.settings.head_limit);
        match sent {
            Ok(()) => self.linger(key),
            Err(_) => self.leave(key),
        }
    }

    /// Sends what is left, tells the client that nothing more comes, and reads
    /// on for a while: closing with unread bytes would take the answer away.
    pub(super) fn linger(&mut self, key: RelayKey) {
        if let Some(relay) = self.relays.get_mut(key) {
            relay.pair.flows[Side::Client].readable = true;
            relay.phase = Phase::Discarding(Discarding {
                left: MOST_DISCARDED,
                hung_up: false,
            });
        }
        self.discard(key);
    }

    /// Goes on with a client that gets nothing more.
    pub(in crate::relay) fn discard(&mut self, key: RelayKey) {
        while let Some(relay) = self.relays.get_mut(key) {
            let (Phase::Discarding(state), Some(exchange)) = (&mut relay.phase, &relay.exchange)
            else {
                return;
            };
            let core = &mut self.core;
            let pair = &mut relay.pair;
            let answer = &pair.flows[Side::Backend];
            let more = if answer.blocked {
                Ok(false)
            } else if !answer.rest.is_empty() {
                pair.write_rest(Side::Backend, core).map(|_| true)
            } else if !state.hung_up {
                state.hung_up = true;
                pair.hang_up();
                let until = core.now + exchange.settings.discard_limit;
                core.wheel.set(key.index, until);
                Ok(true)
            } else {
                match pair.read(Side::Client, core) {
                    Ok(Some(read @ 1..)) if read <= state.left => {
                        state.left -= read;
                        Ok(true)
                    }
                    Ok(None) => Ok(false),
                    Ok(Some(_)) => Err(Cut::Broken(Side::Client)),
                    Err(cut) => Err(cut),
                }
            };
            match more {
                Ok(true) => {}
                Ok(false) => {
                    if pair.watch(Side::Client, &core.poll).is_err() {
                        self.leave(key);
                    }
                    return;
                }
                Err(_) => return self.leave(key),
            }
        }
    }

    /// The client connection ends, and nothing is owed to anybody.
    pub(in crate::relay) fn leave(&mut self, key: RelayKey) {
        if let Some(relay) = self.remove(key) {
            let session = relay.close(&mut self.core, &mut self.host);
            self.host.left(session);
        }
    }
}
