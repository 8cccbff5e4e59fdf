//! How grave a line is, and which part of the system it is said to come from.

use std::fmt;
use std::str::FromStr;

use syslog::Severity;
use thiserror::Error;

/// How grave a line is.
///
/// Source: decided (13.3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Level {
    /// An operator must act.
    Error,
    /// The daemon coped.
    Warning,
    /// A state or the configuration changed.
    Notice,
    /// About one connection; off by default.
    Info,
}

impl Level {
    /// The word in console lines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
        }
    }
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::LOG_ERR,
            Level::Warning => Self::LOG_WARNING,
            Level::Notice => Self::LOG_NOTICE,
            Level::Info => Self::LOG_INFO,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A syslog facility that `-l` accepts; `daemon` unless one is given.
///
/// Source: decided (2.2).
#[derive(Clone, Copy, Debug)]
pub struct Facility(syslog::Facility);

/// Why a text is no facility.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is not a syslog facility")]
pub struct FacilityError(String);

impl Facility {
    /// The word of every facility, in the order in which a message lists them.
    pub const WORDS: [&str; 20] = [
        "auth", "authpriv", "cron", "daemon", "ftp", "kern", "local0", "local1", "local2",
        "local3", "local4", "local5", "local6", "local7", "lpr", "mail", "news", "syslog", "user",
        "uucp",
    ];

    /// The facility without `-l`.
    pub const DAEMON: Self = Self(syslog::Facility::LOG_DAEMON);

    /// The number that begins a syslog line of this facility and `severity`
    /// (RFC 3164, 4.1.1).
    pub fn priority(self, severity: Severity) -> u8 {
        self.0 as u8 | severity as u8
    }
}

impl Default for Facility {
    fn default() -> Self {
        Self::DAEMON
    }
}

impl PartialEq for Facility {
    fn eq(&self, other: &Self) -> bool {
        self.0 as u8 == other.0 as u8
    }
}

impl Eq for Facility {}

impl FromStr for Facility {
    type Err = FacilityError;

    /// Reads a facility in any case, with or without `LOG_` before it.
    fn from_str(text: &str) -> Result<Self, FacilityError> {
        let error = || FacilityError(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let word = lower.strip_prefix("log_").unwrap_or(&lower);
        // The crate knows facilities that `-l` does not.
        if !Self::WORDS.contains(&word) {
            return Err(error());
        }
        word.parse().map(Self).map_err(|()| error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facility_is_read_in_any_case_and_with_its_prefix() {
        for (text, number) in [
            ("daemon", 3),
            ("LOCAL7", 23),
            ("LOG_MAIL", 2),
            ("log_authPriv", 10),
        ] {
            let priority = text
                .parse::<Facility>()
                .unwrap()
                .priority(Severity::LOG_ERR);
            assert_eq!(priority, number * 8 + 3, "{text}");
        }
        for bad in ["", "log_", "local8", "LOG_LOG_MAIL", "ntp", " daemon"] {
            assert_eq!(bad.parse::<Facility>(), Err(FacilityError(bad.to_owned())));
        }
    }

    #[test]
    fn every_facility_has_its_own_priority() {
        let priority = |word: &str| {
            let facility: Facility = word.parse().unwrap();
            facility.priority(Level::Notice.into())
        };
        let mut priorities = Facility::WORDS.map(priority);
        priorities.sort_unstable();

        assert!(priorities.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(Facility::default().priority(Level::Notice.into()), 29);
    }

    #[test]
    fn every_level_has_its_severity() {
        let levels = [Level::Error, Level::Warning, Level::Notice, Level::Info];

        assert_eq!(
            levels.map(|level| Severity::from(level) as u8),
            [3, 4, 5, 6]
        );
    }
}
