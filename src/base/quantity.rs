//! Numbers with a meaning: limits, weights, percentages, seconds.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU64};
use std::time::Duration;

use thiserror::Error;

/// A number of connections that may not be exceeded; may stand for "no limit".
///
/// Range 0 to 4294967295, 0 = no limit.
///
/// Source: documented (limits chapter); 0 as default documented.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConnectionLimit(Option<NonZeroU64>);

impl ConnectionLimit {
    /// No limit at all.
    pub const NONE: Self = Self(None);

    /// The limit as a file gives it: 0 is none.
    pub fn new(value: u32) -> Self {
        Self(NonZeroU64::new(u64::from(value)))
    }

    /// Whether one more fits beside `active`.
    pub fn admits(self, active: u64) -> bool {
        self.0.is_none_or(|limit| active < limit.get())
    }

    /// The number, or `None` for no limit.
    pub fn get(self) -> Option<u64> {
        self.0.map(NonZeroU64::get)
    }

    /// The number as files and shared memory have it: 0 for no limit.
    pub fn as_number(self) -> u64 {
        self.0.map_or(0, NonZeroU64::get)
    }
}

/// How much weaker than its peers a back end is; 1 is the strongest.
///
/// Usage is multiplied by the weight before back ends are compared, so a
/// *bigger* weight draws *less* traffic. Range 1 to 65535.
///
/// Source: documented (tips chapter); default 1 inferred.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Weight(NonZeroU16);

/// A weight of 0: every usage would compare as equal.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a weight is 1 to 65535")]
pub struct WeightError;

impl Weight {
    /// Takes `value` as a weight.
    ///
    /// # Errors
    ///
    /// [`WeightError`] for 0 and for more than 65535.
    pub fn new(value: u32) -> Result<Self, WeightError> {
        let value = u16::try_from(value).map_err(|_| WeightError)?;
        NonZeroU16::new(value).map(Self).ok_or(WeightError)
    }

    /// The number, 1 to 65535.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(NonZeroU16::MIN)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A share of a hundred, 0 to 100.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Percent(u8);

/// More than a hundred.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a percentage is 0 to 100")]
pub struct PercentError;

impl Percent {
    /// Takes `value` as a percentage.
    ///
    /// # Errors
    ///
    /// [`PercentError`] above 100.
    pub fn new(value: u32) -> Result<Self, PercentError> {
        match u8::try_from(value) {
            Ok(value) if value <= 100 => Ok(Self(value)),
            _ => Err(PercentError),
        }
    }

    /// The number, 0 to 100.
    pub fn get(self) -> u8 {
        self.0
    }

    /// What is left after this share is taken away: 1 - P/100, from 0 to 1.
    pub fn remainder(self) -> f64 {
        1.0 - f64::from(self.0) / 100.0
    }
}

/// Whole seconds as a file gives them, 0 to 31536000 (a year); 0 often means
/// "never" or "none", which [`Seconds::duration`] gives as `None`.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Seconds(u32);

impl Seconds {
    /// The greatest number of seconds a directive accepts: a year.
    pub const MAX: u32 = 31_536_000;

    /// Takes `value`, or `None` above [`Seconds::MAX`].
    pub const fn new(value: u32) -> Option<Self> {
        if value <= Self::MAX {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The number as it was written.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The time, or `None` for 0.
    pub fn duration(self) -> Option<Duration> {
        (self.0 > 0).then(|| Duration::from_secs(u64::from(self.0)))
    }
}

/// Milliseconds as a file gives them, 1 to 60000 (a minute).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Milliseconds(NonZeroU16);

/// What an answer of a persistent handler may take: 250 ms.
impl Default for Milliseconds {
    fn default() -> Self {
        const QUARTER: NonZeroU16 = NonZeroU16::new(250).unwrap();
        Self(QUARTER)
    }
}

impl Milliseconds {
    /// The greatest number of milliseconds a directive accepts: a minute.
    pub const MAX: u16 = 60_000;

    /// Takes `value`, or `None` outside 1 to [`Milliseconds::MAX`].
    pub fn new(value: u32) -> Option<Self> {
        let value = u16::try_from(value).ok().filter(|&ms| ms <= Self::MAX)?;
        NonZeroU16::new(value).map(Self)
    }

    /// The number as it was written.
    pub fn get(self) -> u16 {
        self.0.get()
    }

    /// The time.
    pub fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_of_zero_admits_any_number() {
        assert!(ConnectionLimit::new(0).admits(u64::MAX));
        assert!(ConnectionLimit::new(2).admits(1));
        assert!(!ConnectionLimit::new(2).admits(2));
    }

    #[test]
    fn weight_refuses_zero_and_more_than_65535() {
        assert_eq!(Weight::new(0), Err(WeightError));
        assert_eq!(Weight::new(65_536), Err(WeightError));
        assert_eq!(Weight::new(65_535).map(Weight::get), Ok(65_535));
    }

    #[test]
    fn percent_leaves_the_rest() {
        assert_eq!(Percent::new(101), Err(PercentError));
        assert_eq!(Percent::new(20).map(Percent::remainder), Ok(0.8));
        assert_eq!(Percent::new(100).map(Percent::remainder), Ok(0.0));
    }

    #[test]
    fn milliseconds_begin_at_one_and_end_at_a_minute() {
        assert_eq!(Milliseconds::new(0), None);
        assert_eq!(Milliseconds::new(60_001), None);
        let most = Milliseconds::new(60_000).map(Milliseconds::duration);
        assert_eq!(most, Some(Duration::from_secs(60)));
    }

    #[test]
    fn seconds_end_at_a_year() {
        assert_eq!(Seconds::new(31_536_001), None);
        assert_eq!(Seconds::new(0).and_then(Seconds::duration), None);
    }
}
