//! How grave a line is, and which part of the system it is said to come from.

use std::fmt;
use std::str::FromStr;

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

    /// The severity of RFC 3164, 4.1.1.
    pub fn severity(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
            Self::Notice => 5,
            Self::Info => 6,
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
/// Source: decided (2.2); numbers of RFC 3164, 4.1.1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Facility {
    word: &'static str,
    number: u8,
}

/// Why a text is no facility.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{0}` is not a syslog facility")]
pub struct FacilityError(String);

impl Facility {
    /// Every facility, in the order in which a usage text lists them.
    pub const ALL: [Self; 20] = [
        Self::new("auth", 4),
        Self::new("authpriv", 10),
        Self::new("cron", 9),
        Self::new("daemon", 3),
        Self::new("ftp", 11),
        Self::new("kern", 0),
        Self::new("local0", 16),
        Self::new("local1", 17),
        Self::new("local2", 18),
        Self::new("local3", 19),
        Self::new("local4", 20),
        Self::new("local5", 21),
        Self::new("local6", 22),
        Self::new("local7", 23),
        Self::new("lpr", 6),
        Self::new("mail", 2),
        Self::new("news", 7),
        Self::new("syslog", 5),
        Self::new("user", 1),
        Self::new("uucp", 8),
    ];

    /// The facility without `-l`.
    pub const DAEMON: Self = Self::new("daemon", 3);

    const fn new(word: &'static str, number: u8) -> Self {
        Self { word, number }
    }

    /// Its word, as `-l` lists it.
    pub fn word(self) -> &'static str {
        self.word
    }

    /// Its number, 0 to 23.
    pub fn number(self) -> u8 {
        self.number
    }

    /// The number that begins a syslog line of this facility and `level`.
    pub fn priority(self, level: Level) -> u8 {
        self.number * 8 + level.severity()
    }
}

impl Default for Facility {
    fn default() -> Self {
        Self::DAEMON
    }
}

impl FromStr for Facility {
    type Err = FacilityError;

    /// Reads a facility in any case, with or without `LOG_` before it.
    fn from_str(text: &str) -> Result<Self, FacilityError> {
        let lower = text.to_ascii_lowercase();
        let word = lower.strip_prefix("log_").unwrap_or(&lower);
        Self::ALL
            .into_iter()
            .find(|facility| facility.word == word)
            .ok_or_else(|| FacilityError(text.to_owned()))
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word)
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
            assert_eq!(text.parse::<Facility>().unwrap().number(), number, "{text}");
        }
        for bad in ["", "log_", "local8", "LOG_LOG_MAIL", "ntp", " daemon"] {
            assert_eq!(bad.parse::<Facility>(), Err(FacilityError(bad.to_owned())));
        }
    }

    #[test]
    fn every_facility_has_its_own_number_and_priority() {
        let mut numbers = Facility::ALL.map(Facility::number);
        numbers.sort_unstable();

        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(Facility::default().priority(Level::Notice), 29);
    }
}
