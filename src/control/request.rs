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

/// What kind of refusal a reply is.
///
/// Source: decided (14.5).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorCode {
    /// The line is no request.
    BadRequest,
    /// No service has that name.
    NoSuchService,
    /// The service has no back end of that name.
    NoSuchBackend,
    /// The peer is neither root nor the daemon's own account.
    NotPermitted,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 4] = [
        Self::BadRequest,
        Self::NoSuchService,
        Self::NoSuchBackend,
        Self::NotPermitted,
    ];

    /// The word on the line.
    pub fn word(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::NoSuchService => "no-such-service",
            Self::NoSuchBackend => "no-such-backend",
            Self::NotPermitted => "not-permitted",
        }
    }

    /// The code with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }
}

/// What the daemon answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// The back end was told.
    Told {
        /// The service, as configured.
        service: String,
        /// The back end, as configured.
        backend: String,
        /// State or address before.
        old: String,
        /// State or address now.
        new: String,
    },
    /// The listeners are closed; the daemon ends within the grace.
    Stopping,
    /// The listeners are closed and the shared memory is removed.
    Released,
    /// Who answers.
    Pong {
        /// Process id of the daemon.
        pid: u32,
        /// Path of its configuration; may hold blanks.
        config: String,
    },
    /// Nothing was done.
    Error {
        /// What kind of refusal.
        code: ErrorCode,
        /// What is wrong, for the operator.
        text: String,
    },
}

/// A line that no daemon of this protocol answers.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the answer cannot be understood")]
pub struct ReplyError;

impl Reply {
    /// Reads a reply from a line, with or without its line feed.
    ///
    /// # Errors
    ///
    /// [`ReplyError`] for a line that is none.
    pub fn parse(line: &[u8]) -> Result<Self, ReplyError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() >= MAX_REPLY || line.iter().any(u8::is_ascii_control) {
            return Err(ReplyError);
        }
        let text = std::str::from_utf8(line).map_err(|_| ReplyError)?;
        match text.split_once(' ') {
            Some(("ok", rest)) => Self::parse_ok(rest),
            Some(("error", rest)) => {
                let (word, text) = rest.split_once(' ').ok_or(ReplyError)?;
                let code = ErrorCode::from_word(word).ok_or(ReplyError)?;
                Ok(Self::Error {
                    code,
                    text: text.to_owned(),
                })
            }
            _ => Err(ReplyError),
        }
    }

    /// A name never begins with a digit and two words are never four, so the
    /// four forms of `ok` cannot be mistaken for each other.
    fn parse_ok(rest: &str) -> Result<Self, ReplyError> {
        match rest {
            "stopping" => return Ok(Self::Stopping),
            "released" => return Ok(Self::Released),
            _ => {}
        }
        let (first, others) = rest.split_once(' ').ok_or(ReplyError)?;
        if let Some(pid) = parse_digits(first) {
            let config = Some(others).filter(|path| !path.is_empty());
            let config = config.ok_or(ReplyError)?.to_owned();
            return Ok(Self::Pong { pid, config });
        }
        let fields: Vec<&str> = rest.split(' ').collect();
        match fields.as_slice() {
            [service, backend, old, new] if !old.is_empty() && !new.is_empty() => Ok(Self::Told {
                service: parse_name(service).map_err(|_| ReplyError)?,
                backend: parse_name(backend).map_err(|_| ReplyError)?,
                old: (*old).to_owned(),
                new: (*new).to_owned(),
            }),
            _ => Err(ReplyError),
        }
    }

    /// The reply as the line to send, with its line feed. Control characters
    /// in a text or path are sent as `?`, so that it stays one line.
    pub fn to_line(&self) -> String {
        let plain = |c: char| if c.is_ascii_control() { '?' } else { c };
        let mut line: String = self.to_string().chars().map(plain).collect();
        line.push('\n');
        line
    }
}

/// The line without its line feed.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told {
                service,
                backend,
                old,
                new,
            } => {
                write!(f, "ok {service} {backend} {old} {new}")
            }
            Self::Stopping => f.write_str("ok stopping"),
            Self::Released => f.write_str("ok released"),
            Self::Pong { pid, config } => write!(f, "ok {pid} {config}"),
            Self::Error { code, text } => write!(f, "error {} {text}", code.word()),
        }
    }
}

#[cfg(test)]
mod tests;
