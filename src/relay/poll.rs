//! Tokens and interests of the epoll set.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::relay::host::RelayKey;
use crate::relay::side::Side;

/// What every socket of a connection is watched for.
pub(super) const WATCH: EventFlags = EventFlags::IN
    .union(EventFlags::PRI)
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// The same, and when it can be written to.
pub(super) const WATCH_AND_WRITE: EventFlags = WATCH.union(EventFlags::OUT);

/// Whom an event is for.
///
/// A token is a generation (32 bits), an index (30 bits) and a kind (2 bits).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token {
    /// One socket of a connection.
    Relay(RelayKey, Side),
    /// A listener, by its place.
    Listener(u32),
    /// The mailbox.
    Mailbox,
    /// A back end's socket, whoever has it now.
    Link(RelayKey),
}

/// The greatest index that a token can carry.
pub(super) const MAX_INDEX: u32 = (1 << 30) - 1;

/// No listener has this index, so it stands for the mailbox.
const MAILBOX: u32 = MAX_INDEX;

impl Token {
    fn encode(self) -> u64 {
        let (generation, index, kind) = match self {
            Self::Relay(key, Side::Client) => (key.generation, key.index, 0),
            Self::Relay(key, Side::Backend) => (key.generation, key.index, 1),
            Self::Listener(index) => (0, index, 2),
            Self::Mailbox => (0, MAILBOX, 2),
            Self::Link(key) => (key.generation, key.index, 3),
        };
        u64::from(generation) << 32 | u64::from(index) << 2 | kind
    }

    /// The token in an event's data.
    fn decode(data: u64) -> Self {
        let index = (data as u32) >> 2;
        let generation = (data >> 32) as u32;
        let key = RelayKey { index, generation };
        match data & 3 {
            0 => Self::Relay(key, Side::Client),
            1 => Self::Relay(key, Side::Backend),
            3 => Self::Link(key),
            _ if index == MAILBOX => Self::Mailbox,
            _ => Self::Listener(index),
        }
    }
}

/// An epoll set.
pub(super) struct Poll {
    set: OwnedFd,
}

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { set })
    }

    pub(super) fn add<Fd: AsFd>(&self, fd: Fd, token: Token, flags: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(token.encode());
        Ok(epoll::add(&self.set, fd, data, flags)?)
    }

    pub(super) fn modify<Fd: AsFd>(
        &self,
        fd: Fd,
        token: Token,
        flags: EventFlags,
    ) -> io::Result<()> {
        let data = EventData::new_u64(token.encode());
        Ok(epoll::modify(&self.set, fd, data, flags)?)
    }

    /// Takes a socket out before it is closed: somebody else may hold it as
    /// well, and then closing alone would leave it in the set.
    pub(super) fn remove<Fd: AsFd>(&self, fd: Fd) {
        // Fails only for a socket that is not in the set.
        let _ = epoll::delete(&self.set, fd);
    }

    /// Waits for events and puts up to [`BATCH`] into `events`. A signal ends
    /// the wait without an event.
    pub(super) fn wait(
        &self,
        events: &mut Vec<(Token, EventFlags)>,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        events.clear();
        // A limit beyond what fits means "very long" as well.
        let limit = limit.map(|limit| Timespec::try_from(limit).unwrap_or(A_DAY));
        let mut batch = [MaybeUninit::<Event>::uninit(); BATCH];
        match epoll::wait(&self.set, &mut batch, limit.as_ref()) {
            Ok((found, _)) => {
                let found = found.iter();
                events.extend(found.map(|event| (Token::decode(event.data.u64()), event.flags)));
                Ok(())
            }
            Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Events taken at once; small batches keep what they touch in the caches.
pub(super) const BATCH: usize = 32;

const A_DAY: Timespec = Timespec {
    tv_sec: 86_400,
    tv_nsec: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        let key = RelayKey {
            index: MAX_INDEX,
            generation: u32::MAX,
        };
        for token in [
            Token::Relay(key, Side::Client),
            Token::Relay(key, Side::Backend),
            Token::Listener(4096),
            Token::Mailbox,
            Token::Link(key),
        ] {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
