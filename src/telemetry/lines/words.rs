//! Parts that several lines have in common.

use std::fmt;
use std::io;

use crate::base::clock::Clock;
use crate::base::event::{AtBackend, ListSide, Served};
use crate::base::outcome::Transfer;

/// `SERVICE BACKEND`.
pub(super) struct At<'a>(pub(super) &'a AtBackend<'a>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.service, self.0.name)
    }
}

pub(super) struct Side(pub(super) ListSide);

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ListSide::Allow => "allow",
            ListSide::Deny => "deny",
        })
    }
}

/// What both lines of `-a` have in common.
pub(super) struct Activity<'a> {
    pub(super) served: &'a Served<'a>,
    pub(super) clock: &'a Clock,
}

impl fmt::Display for Activity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Served {
            backend,
            connection,
            client,
            to,
            at,
        } = self.served;
        let date = self.clock.calendar(at.unix);
        write!(f, "{} from {client} to {to} at {date}, ", backend.service)?;
        write!(f, "back end {}, connection {connection}", backend.name)
    }
}

/// Bytes of both directions together, seconds, and why it ended.
pub(super) struct Figures<'a>(pub(super) &'a Transfer);

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.to_client.saturating_add(self.0.to_backend);
        let (seconds, micros) = (self.0.duration.as_secs(), self.0.duration.subsec_micros());
        write!(
            f,
            "{bytes} bytes, {seconds}.{micros:06} s, {}",
            self.0.ended.word()
        )
    }
}

/// An error of the system in the words of a log line: lower case, no number.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a io::Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.to_string();
        let text = match self.0.raw_os_error() {
            Some(number) => whole.trim_end_matches(&format!(" (os error {number})")),
            None => &whole,
        };
        let mut letters = text.chars();
        match letters.next() {
            // "RPC ..." and the like keep their capitals.
            Some(first) if !letters.as_str().starts_with(char::is_uppercase) => {
                write!(f, "{}{}", first.to_lowercase(), letters.as_str())
            }
            _ => f.write_str(text),
        }
    }
}
