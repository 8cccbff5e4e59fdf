//! Holds back lines that traffic could repeat without end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::name::{BackendName, ServiceName};

/// What makes two lines repetitions of each other. All parts come from the
/// configuration or from fixed texts, so there are only so many.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Subject {
    /// The service, if the line names one.
    pub service: Option<ServiceName>,
    /// The back end, if the line names one.
    pub backend: Option<BackendName>,
    /// What kind of line it is.
    pub kind: &'static str,
    /// The reason, for kinds that are told apart by it, else empty.
    pub reason: &'static str,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    held_back: u64,
}

/// Lets one line of a subject through in each interval and counts the rest.
///
/// Source: decided (13.3).
#[derive(Debug)]
pub struct Repeats {
    interval: Duration,
    told: Mutex<HashMap<Subject, Told>>,
}

impl Repeats {
    /// Lets one line through each `interval`.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            told: Mutex::default(),
        }
    }

    /// Whether a line about `subject` may be written at `now`, and then how
    /// many were held back since the one before.
    pub fn admit(&self, subject: &Subject, now: Instant) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = told.get_mut(subject) else {
            told.insert(
                subject.clone(),
                Told {
                    at: now,
                    held_back: 0,
                },
            );
            return Some(0);
        };
        if now.saturating_duration_since(last.at) < self.interval {
            last.held_back += 1;
            return None;
        }
        last.at = now;
        Some(std::mem::take(&mut last.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(kind: &'static str) -> Subject {
        Subject {
            service: Some(ServiceName::new("www").unwrap()),
            kind,
            ..Subject::default()
        }
    }

    #[test]
    fn one_line_an_interval_gets_through_and_tells_of_the_others() {
        let repeats = Repeats::new(Duration::from_secs(60));
        let start = Instant::now();
        let admitted: Vec<Option<u64>> = [0, 1, 59, 60, 61, 119, 121, 300]
            .map(|second| repeats.admit(&subject("full"), start + Duration::from_secs(second)))
            .into();

        let expected = [Some(0), None, None, Some(2), None, None, Some(2), Some(0)];
        assert_eq!(admitted, expected);
    }

    #[test]
    fn service_back_end_kind_and_reason_are_counted_apart() {
        let repeats = Repeats::new(Duration::from_secs(60));
        let now = Instant::now();
        let other_service = Subject {
            service: Some(ServiceName::new("mail").unwrap()),
            ..subject("full")
        };
        let with_backend = Subject {
            backend: Some(BackendName::new("two").unwrap()),
            ..subject("full")
        };
        let with_reason = Subject {
            reason: "empty answer",
            ..subject("full")
        };

        for one in [
            subject("full"),
            subject("none"),
            other_service,
            with_backend,
            with_reason,
        ] {
            assert_eq!(repeats.admit(&one, now), Some(0), "{one:?}");
            assert_eq!(repeats.admit(&one, now), None, "{one:?}");
        }
    }
}
