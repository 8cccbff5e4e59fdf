//! Numbers that stand for something: a service, a back end, a connection.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

/// The position of a service in its configuration, from 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServiceId(pub u32);

impl ServiceId {
    /// The position as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The position of a back end in the order of definition, from 0. Operators
/// count from 1 (`%1b`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BackendId(pub u32);

impl BackendId {
    /// The position as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of a client connection in the logs: 1 to 9999999, then 1 again.
///
/// Source: decided (1.3); printed with 7 digits and leading zeros.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ConnectionId(u32);

impl ConnectionId {
    /// The greatest connection number.
    pub const MAX: u32 = 9_999_999;

    /// The number itself, 1 to [`ConnectionId::MAX`].
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:07}", self.0)
    }
}

/// Gives out connection numbers; one counter serves the whole daemon.
#[derive(Debug, Default)]
pub struct ConnectionCounter(AtomicU32);

impl ConnectionCounter {
    /// The next number; the first is 1, and 1 follows [`ConnectionId::MAX`].
    pub fn next(&self) -> ConnectionId {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let next = if seen >= ConnectionId::MAX {
                1
            } else {
                seen + 1
            };
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return ConnectionId(next),
                Err(other) => seen = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_numbers_begin_at_one_and_wrap_after_seven_digits() {
        let counter = ConnectionCounter::default();
        assert_eq!(counter.next().to_string(), "0000001");

        counter.0.store(ConnectionId::MAX - 1, Ordering::Relaxed);
        assert_eq!(counter.next().get(), 9_999_999);
        assert_eq!(counter.next().get(), 1);
    }
}
