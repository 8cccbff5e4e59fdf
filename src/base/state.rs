//! The words for a back end's state, its changes and their causes.
//!
//! How states follow each other is `policy`'s business; the numbers here are
//! those of shared memory (14.3) and never change their meaning.

use std::fmt;
use std::io;

use crate::base::endpoint::Endpoint;
use crate::base::moment::Moment;

/// The state of a back end as it is shown.
///
/// Source: documented (`tell` in the manual page).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ShownState {
    /// Takes connections while below its limit.
    Available,
    /// Takes none; revived by a probe.
    Unavailable,
    /// Takes none; is being probed.
    Waking,
    /// Takes none; never revived, an operator ordered it so.
    Down,
}

impl ShownState {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Available, Self::Unavailable, Self::Waking, Self::Down];

    /// The word that operators see and type.
    pub fn word(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Unavailable => "unavailable",
            Self::Waking => "waking",
            Self::Down => "down",
        }
    }

    /// The number in shared memory.
    pub fn number(self) -> u32 {
        match self {
            Self::Available => 0,
            Self::Unavailable => 1,
            Self::Waking => 2,
            Self::Down => 3,
        }
    }

    /// The state with this number in shared memory.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The state that an operator means by `word`: `up` is `available`.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "up" => Some(Self::Available),
            _ => Self::ALL.into_iter().find(|state| state.word() == word),
        }
    }
}

impl fmt::Display for ShownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why the state of a back end changed last.
///
/// Source: decided (14.3).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Reason {
    /// No change since the start.
    #[default]
    None,
    /// An operator's `tell`.
    Told,
    /// A probe that succeeded.
    Revived,
    /// ECONNREFUSED.
    Refused,
    /// The connect limit, or ETIMEDOUT.
    TimedOut,
    /// EHOSTUNREACH, or ENETUNREACH met by a probe.
    Unreachable,
    /// A look-up without answer.
    NameDoesNotResolve,
    /// ECONNRESET while connecting.
    Reset,
    /// Any other failure.
    Other,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Told,
        Self::Revived,
        Self::Refused,
        Self::TimedOut,
        Self::Unreachable,
        Self::NameDoesNotResolve,
        Self::Reset,
        Self::Other,
    ];

    /// The name in logs, tables and machine forms.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Told => "told",
            Self::Revived => "revived",
            Self::Refused => "refused",
            Self::TimedOut => "timed out",
            Self::Unreachable => "unreachable",
            Self::NameDoesNotResolve => "name does not resolve",
            Self::Reset => "reset",
            Self::Other => "other",
        }
    }

    /// The number in shared memory.
    pub fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Told => 1,
            Self::Revived => 2,
            Self::Refused => 3,
            Self::TimedOut => 4,
            Self::Unreachable => 5,
            Self::NameDoesNotResolve => 6,
            Self::Reset => 7,
            Self::Other => 8,
        }
    }

    /// The reason with this number in shared memory.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.number() == number)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why one attempt to reach a back end came to nothing, as far as states and
/// logs need to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectFailure {
    /// The kind of failure; never `None`, `Told` or `Revived`.
    pub reason: Reason,
    /// The error number of the system with it, or 0.
    pub errno: i32,
}

impl From<&io::Error> for ConnectFailure {
    /// Sorts what the system said of a connect (14.3).
    fn from(error: &io::Error) -> Self {
        use io::ErrorKind;
        let reason = match error.kind() {
            ErrorKind::ConnectionRefused => Reason::Refused,
            ErrorKind::TimedOut => Reason::TimedOut,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Reason::Unreachable,
            // EPIPE: reset, and an earlier call has taken the error already.
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Reason::Reset,
            _ => Reason::Other,
        };
        Self {
            reason,
            errno: error.raw_os_error().unwrap_or(0),
        }
    }
}

/// One change of the shown state of a back end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StateChange {
    /// What was shown before.
    pub from: ShownState,
    /// What is shown now.
    pub to: ShownState,
    /// Why.
    pub reason: Reason,
    /// The error number of the system with it, or 0.
    pub errno: i32,
    /// When.
    pub at: Moment,
}

/// What an operator may tell a back end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tell {
    /// Set the state, whatever was observed.
    State(ShownState),
    /// Use another address from the next connect on.
    Server(Endpoint),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_states_and_reasons_lead_back_to_them() {
        for state in ShownState::ALL {
            assert_eq!(ShownState::from_number(state.number()), Some(state));
            assert_eq!(ShownState::from_word(state.word()), Some(state));
        }
        for (number, reason) in (0..).zip(Reason::ALL) {
            assert_eq!(reason.number(), number);
            assert_eq!(Reason::from_number(number), Some(reason));
        }
        assert_eq!(ShownState::from_number(4), None);
        assert_eq!(Reason::from_number(9), None);
    }

    #[test]
    fn what_the_system_says_of_a_connect_is_sorted() {
        use rustix::io::Errno;
        for (errno, reason) in [
            (Errno::CONNREFUSED, Reason::Refused),
            (Errno::TIMEDOUT, Reason::TimedOut),
            (Errno::HOSTUNREACH, Reason::Unreachable),
            (Errno::NETUNREACH, Reason::Unreachable),
            (Errno::CONNRESET, Reason::Reset),
            (Errno::PIPE, Reason::Reset),
            (Errno::ACCESS, Reason::Other),
        ] {
            let failure = ConnectFailure::from(&io::Error::from(errno));
            assert_eq!(
                failure,
                ConnectFailure {
                    reason,
                    errno: errno.raw_os_error()
                }
            );
        }
    }

    #[test]
    fn up_means_available_and_other_case_means_nothing() {
        assert_eq!(ShownState::from_word("up"), Some(ShownState::Available));
        assert_eq!(ShownState::from_word("Down"), None);
    }
}
