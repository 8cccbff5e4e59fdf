//! The fixed limits of the specification (8.2), as fields of one value.
//!
//! `--limit NAME=SECONDS` changes a field for one run; nothing else in the
//! program names one of these numbers.

use std::time::Duration;

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $seconds:literal;)*) => {
        /// Every fixed limit of time.
        ///
        /// Source: decided (8.2).
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct Limits {
            $($(#[$doc])* pub $name: Duration,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: Duration::from_secs($seconds),)* }
            }
        }

        impl Limits {
            /// The words that `--limit` accepts, in the order of 8.2.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The limit called `name`.
            pub fn by_name(&self, name: &str) -> Option<Duration> {
                match name {
                    $(stringify!($name) => Some(self.$name),)*
                    _ => None,
                }
            }

            /// The limit called `name`, to be changed.
            pub fn by_name_mut(&mut self, name: &str) -> Option<&mut Duration> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

limits! {
    /// Connect to a back end: look-up and all addresses together.
    connect = 5;
    /// Failover of one client over all candidates.
    failover = 20;
    /// HTTP request head, from its first byte.
    head = 60;
    /// Discarding of input after a reply of the daemon.
    discard = 2;
    /// External handler.
    handler = 10;
    /// Hook, until SIGTERM.
    hook = 60;
    /// Hook after SIGTERM, until SIGKILL.
    hook_kill = 2;
    /// Wake-up call, look-up included.
    probe = 5;
    /// Pause before an unresolved name is tried again without `revivinginterval`.
    name_retry = 10;
    /// Control request, each side.
    control = 5;
    /// `start` as a whole.
    start = 30;
    /// Grace for running connections at a stop.
    grace = 3;
    /// Emptying of the hook queue at a stop.
    stop_hooks = 5;
    /// What `stop` waits for the process beyond the grace.
    stop_wait = 10;
    /// Age of the heartbeat from which on it is shown as missing.
    heartbeat = 10;
    /// Time after which a record in the middle of a change is taken as it is.
    record = 1;
    /// Repetition of a log line, and an episode of a full service.
    log_repeat = 60;
}

impl Limits {
    /// The smallest time that `--limit` accepts.
    pub const MIN: Duration = Duration::from_millis(1);
    /// The greatest time that `--limit` accepts.
    pub const MAX: Duration = Duration::from_secs(86_400);
}

/// Bytes that an external handler may write.
///
/// Source: decided (11.1).
pub const HANDLER_OUTPUT: usize = 4_096;

/// Hooks that run at once.
///
/// Source: decided (11.2).
pub const HOOKS_RUNNING: usize = 64;

/// Hooks that wait for their turn.
///
/// Source: decided (11.2).
pub const HOOKS_WAITING: usize = 1_024;

/// Look-ups of names that run at once.
///
/// Source: decided (4.16).
pub const LOOKUPS_RUNNING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_and_changes_its_own_field() {
        let mut limits = Limits::default();
        for (step, name) in Limits::NAMES.iter().enumerate() {
            let value = Duration::from_secs(1_000 + step as u64);
            *limits.by_name_mut(name).unwrap() = value;
        }
        for (step, name) in Limits::NAMES.iter().enumerate() {
            assert_eq!(
                limits.by_name(name),
                Some(Duration::from_secs(1_000 + step as u64))
            );
        }
        assert_eq!(limits.connect, Duration::from_secs(1_000));
        assert_eq!(limits.by_name("connects"), None);
    }
}
