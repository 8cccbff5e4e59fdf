//! What the daemon answers: one line.

use std::fmt;

use thiserror::Error;

use super::{MAX_REPLY, parse_digits, parse_name};

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
