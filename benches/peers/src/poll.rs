//! The epoll set, and the keys by which its events are told apart.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Whom an event is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Key {
    /// The place among its kind.
    pub(crate) index: u32,
    /// Counts the sockets that had this place, so that a late event of a
    /// closed socket does not meet the next one. 0 is for everything that is
    /// no connection.
    pub(crate) generation: u32,
}

impl Key {
    /// The key of something that is no connection, e.g. a listener.
    pub(crate) const fn fixture(index: u32) -> Self {
        Self {
            index,
            generation: 0,
        }
    }

    fn encode(self) -> EventData {
        EventData::new_u64(u64::from(self.generation) << 32 | u64::from(self.index))
    }

    fn decode(data: EventData) -> Self {
        let data = data.u64();
        Self {
            index: data as u32,
            generation: (data >> 32) as u32,
        }
    }
}

/// Events taken at once: few, so that what they touch stays in the caches.
const BATCH: usize = 32;

/// An epoll set and its last batch of events.
#[derive(Debug)]
pub(crate) struct Poll {
    set: OwnedFd,
}

impl Poll {
    /// An empty set.
    pub(crate) fn new() -> io::Result<Self> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { set })
    }

    /// Watches `fd`; closing it ends that.
    pub(crate) fn add(&self, fd: impl AsFd, key: Key, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.set, fd, key.encode(), flags)?)
    }

    /// Watches for something else.
    pub(crate) fn modify(&self, fd: impl AsFd, key: Key, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.set, fd, key.encode(), flags)?)
    }

    /// Waits up to `limit` for events and puts them into `events`. A signal
    /// ends the wait without an event.
    pub(crate) fn wait(
        &self,
        events: &mut Vec<(Key, EventFlags)>,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        events.clear();
        let limit = limit.map(|limit| Timespec::try_from(limit).unwrap_or(A_DAY));
        let mut batch = [MaybeUninit::<Event>::uninit(); BATCH];
        match epoll::wait(&self.set, &mut batch, limit.as_ref()) {
            Ok((found, _)) => {
                let found = found.iter();
                events.extend(found.map(|event| (Key::decode(event.data), event.flags)));
                Ok(())
            }
            Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

const A_DAY: Timespec = Timespec {
    tv_sec: 86_400,
    tv_nsec: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_survives_the_event() {
        let key = Key {
            index: u32::MAX - 1,
            generation: 0x8000_0001,
        };

        assert_eq!(Key::decode(key.encode()), key);
    }
}
