//! What is said over the control socket: one line each way.
//!
//! Pure: text to value and back. A line has at most [`MAX_LINE`] bytes with
//! its line feed; fields are separated by exactly one blank; names stand as
//! they are configured, because whoever asks has resolved them already.
//!
//! ```text
//! tell SERVICE BACKEND state STATE        ok SERVICE BACKEND OLD NEW
//! tell SERVICE BACKEND server HOST:PORT   ok SERVICE BACKEND OLD NEW
//! stop SECONDS                            ok stopping
//! release SECONDS                         ok released
//! ping                                    ok PID CONFIGPATH
//! anything else                           error CODE TEXT
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::base::endpoint::{Endpoint, EndpointError};
use crate::base::limits::Limits;
use crate::base::name::{NameError, check_name};
use crate::base::state::{ShownState, Tell};

mod reply;

pub use reply::{ErrorCode, Reply, ReplyError};

/// The greatest length of a request in bytes, line feed included.
///
/// Source: decided (14.5).
pub const MAX_LINE: usize = 4096;

/// The greatest length of a reply in bytes: a `ping` gives back a path, which
/// may alone be as long as a request.
pub const MAX_REPLY: usize = 2 * MAX_LINE;

/// What an operator asks of a running daemon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// Set the state or the address of a back end.
    Tell {
        /// The service, as configured.
        service: String,
        /// The back end, as configured.
        backend: String,
        /// What to set.
        tell: Tell,
    },
    /// End the daemon.
    Stop {
        /// How long running connections may go on, 0 to one day.
        grace: Duration,
    },
    /// Hand the ports and the shared memory to a successor, then end.
    Release {
        /// How long running connections may go on, 0 to one day.
        grace: Duration,
    },
    /// Say who you are.
    Ping,
}

/// Why a line is no request.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum RequestError {
    /// More than [`MAX_LINE`] bytes.
    #[error("a request has at most {MAX_LINE} bytes")]
    TooLong,
    /// A byte that is not printable ASCII.
    #[error("a request is printable ASCII")]
    BadByte,
    /// The first word is none of ours.
    #[error("`{0}` is not tell, stop, release or ping")]
    UnknownWord(String),
    /// Too few or too many fields, or more than one blank between them.
    #[error("expected `{0}`")]
    Shape(&'static str),
    /// Neither `state` nor `server`.
    #[error("`{0}` is not state or server")]
    UnknownSubject(String),
    /// Not the name of a service or back end.
    #[error("`{name}` is not a name")]
    BadName {
        /// What stands in its place.
        name: String,
        /// Why it is none.
        #[source]
        source: NameError,
    },
    /// Not a state.
    #[error("`{0}` is not available, up, unavailable, waking or down")]
    BadState(String),
    /// Not HOST:PORT.
    #[error("`{server}` is not HOST:PORT: {source}")]
    BadServer {
        /// What stands in its place.
        server: String,
        /// Why it is none.
        #[source]
        source: EndpointError,
    },
    /// Not a number of seconds, or more than a day.
    #[error("`{0}` is not a number of seconds, 0 to 86400")]
    BadSeconds(String),
}

const TELL_SHAPE: &str = "tell SERVICE BACKEND state|server VALUE";

impl Request {
    /// Reads a request from a line, with or without its line feed.
    ///
    /// # Errors
    ///
    /// [`RequestError`] says what was expected in place of what was found.
    ///
    /// Source: decided (14.5).
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() >= MAX_LINE {
            return Err(RequestError::TooLong);
        }
        let text = printable(line).ok_or(RequestError::BadByte)?;
        let fields: Vec<&str> = text.split(' ').collect();
        match fields.as_slice() {
            ["ping"] => Ok(Self::Ping),
            ["ping", ..] => Err(RequestError::Shape("ping")),
            ["stop", seconds] => Ok(Self::Stop {
                grace: parse_seconds(seconds)?,
            }),
            ["stop", ..] => Err(RequestError::Shape("stop SECONDS")),
            ["release", seconds] => Ok(Self::Release {
                grace: parse_seconds(seconds)?,
            }),
            ["release", ..] => Err(RequestError::Shape("release SECONDS")),
            ["tell", service, backend, subject, value] => Ok(Self::Tell {
                service: parse_name(service)?,
                backend: parse_name(backend)?,
                tell: parse_tell(subject, value)?,
            }),
            ["tell", ..] => Err(RequestError::Shape(TELL_SHAPE)),
            [word, ..] => Err(RequestError::UnknownWord((*word).to_owned())),
            [] => Err(RequestError::UnknownWord(String::new())),
        }
    }

    /// The request as the line to send, with its line feed.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if the other side would not read it as this request:
    /// a name that is none, a grace of more than a day.
    pub fn to_line(&self) -> Result<String, RequestError> {
        let line = format!("{self}\n");
        match Self::parse(line.as_bytes())? {
            same if same == *self => Ok(line),
            _ => Err(RequestError::Shape(TELL_SHAPE)),
        }
    }
}

fn printable(line: &[u8]) -> Option<&str> {
    let fits = line.iter().all(|byte| matches!(byte, b' '..=b'~'));
    std::str::from_utf8(line).ok().filter(|_| fits)
}

fn parse_name(text: &str) -> Result<String, RequestError> {
    match check_name(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(source) => Err(RequestError::BadName {
            name: text.to_owned(),
            source,
        }),
    }
}

fn parse_tell(subject: &str, value: &str) -> Result<Tell, RequestError> {
    match subject {
        "state" => ShownState::from_word(value)
            .map(Tell::State)
            .ok_or_else(|| RequestError::BadState(value.to_owned())),
        "server" => {
            Endpoint::parse(value)
                .map(Tell::Server)
                .map_err(|source| RequestError::BadServer {
                    server: value.to_owned(),
                    source,
                })
        }
        _ => Err(RequestError::UnknownSubject(subject.to_owned())),
    }
}

/// Reads digits with at most nine more behind a point.
fn parse_seconds(text: &str) -> Result<Duration, RequestError> {
    let bad = || RequestError::BadSeconds(text.to_owned());
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let seconds: u64 = parse_digits(whole).ok_or_else(bad)?;
    let nanos = match fraction {
        Some(digits) if digits.len() <= 9 => {
            let number: u32 = parse_digits(digits).ok_or_else(bad)?;
            number * 10_u32.pow(9 - digits.len() as u32)
        }
        Some(_) => return Err(bad()),
        None => 0,
    };
    let grace = Duration::new(seconds, nanos);
    if grace > Limits::MAX {
        return Err(bad());
    }
    Ok(grace)
}

fn parse_digits<T: FromStr>(text: &str) -> Option<T> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

/// Whole seconds, and as many digits behind the point as are needed.
struct InSeconds(Duration);

impl fmt::Display for InSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_secs())?;
        if self.0.subsec_nanos() == 0 {
            return Ok(());
        }
        let fraction = format!("{:09}", self.0.subsec_nanos());
        write!(f, ".{}", fraction.trim_end_matches('0'))
    }
}

/// The line without its line feed.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tell {
                service,
                backend,
                tell,
            } => {
                write!(f, "tell {service} {backend} ")?;
                match tell {
                    Tell::State(state) => write!(f, "state {state}"),
                    Tell::Server(endpoint) => write!(f, "server {endpoint}"),
                }
            }
            Self::Stop { grace } => write!(f, "stop {}", InSeconds(*grace)),
            Self::Release { grace } => write!(f, "release {}", InSeconds(*grace)),
            Self::Ping => f.write_str("ping"),
        }
    }
}

#[cfg(test)]
mod tests;
