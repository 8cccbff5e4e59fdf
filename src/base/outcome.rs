//! How the relaying of one connection ended.

use std::time::Duration;

/// What one connection to a back end moved, and how it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transfer {
    /// Payload bytes written to the client.
    pub to_client: u64,
    /// Payload bytes written to the back end.
    pub to_backend: u64,
    /// From the end of the connect to the end of the connection.
    pub duration: Duration,
    /// From the end of the connect to the first byte of the back end, if any
    /// came; in `type http` from its first request to the first byte of its
    /// first reply.
    pub first_byte: Option<Duration>,
    /// Who or what ended it.
    pub ended: Ended,
    /// How it ended.
    pub manner: Manner,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Manner {
    /// Both directions came to their end.
    Closed,
    /// One side reset it, which was passed on.
    Reset,
    /// It broke, or was cut by this daemon.
    Cut,
}

impl Manner {
    /// The word for lines of JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Cut => "cut",
        }
    }
}

/// Who or what ended a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ended {
    /// The client ended its direction first, or reset the connection.
    ByClient,
    /// The back end ended its direction first, or reset the connection.
    ByBackend,
    /// Nothing moved for as long as `connectiontimeout` allows.
    Idle,
    /// The daemon was told to stop.
    Ordered,
    /// The daemon's own side failed.
    Failed,
}

impl Ended {
    /// The word for logs.
    ///
    /// Source: decided (13.3, WHY).
    pub fn word(self) -> &'static str {
        match self {
            Self::ByClient => "client",
            Self::ByBackend => "backend",
            Self::Idle => "idle",
            Self::Ordered => "stopped",
            Self::Failed => "error",
        }
    }
}
