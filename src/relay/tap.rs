//! Shows the bytes of a pair to whoever its plan names.
//!
//! What a client sent before its back end was connected is kept here and shown
//! once, when it is known which back end that is and whether it is tapped.

use std::time::Instant;

use crate::base::tap::{ByteTap, Origin};
use crate::relay::engine::Engine;
use crate::relay::host::{Host, RelayKey};
use crate::relay::pair::Pair;
use crate::relay::side::Side;

/// The tap of a pair, or what is kept for one that may come.
#[derive(Debug)]
pub(super) enum Tap {
    /// No back end is connected yet; what the client has sent, and when.
    Waiting(Vec<u8>, Instant),
    /// Blocks are shown.
    Open(Box<dyn ByteTap>),
}

impl Tap {
    /// Shows what was read from `from` just now.
    pub(super) fn block(&mut self, from: Side, bytes: &[u8]) {
        if let Self::Open(tap) = self {
            tap.block(from.into(), bytes, Instant::now());
        }
    }
}

impl From<Side> for Origin {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::Backend => Self::Backend,
        }
    }
}

impl<H: Host> Engine<H> {
    /// Keeps the first `early` bytes of the scratch if they may be shown: it is
    /// used again before it is known to whom.
    pub(super) fn keep_for_tap(&mut self, key: RelayKey, early: usize) {
        if early > 0
            && let Some(relay) = self.relays.get_mut(key)
            && self.host.may_tap(&relay.session)
        {
            let early = self.core.scratch[..early].to_vec();
            relay.pair.tap = Some(Box::new(Tap::Waiting(early, Instant::now())));
        }
    }
}

impl Pair {
    /// The back end is connected, and its traffic seen by `given` or by nobody.
    pub(super) fn begin_tap(&mut self, given: Option<Box<dyn ByteTap>>) {
        let kept = self.tap.take();
        let Some(mut tap) = given else { return };
        if let Some(Tap::Waiting(early, at)) = kept.as_deref() {
            tap.block(Origin::Client, early, *at);
        }
        for side in Side::BOTH {
            self.flows[side].pace.copy_only();
        }
        self.tap = Some(Box::new(Tap::Open(tap)));
    }
}
