//! Everything about one client connection, kept only where a line of it is
//! asked for (`-A`).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::id::ConnectionId;
use crate::base::name::BackendName;
use crate::base::outcome::Transfer;

/// The most vain tries that are kept: a line has to stay one.
const MOST_TRIES: usize = 32;

/// One client connection from its accept to its end.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// Its number.
    pub connection: ConnectionId,
    /// The client.
    pub client: ClientAddr,
    /// When it was accepted, in seconds since 1970.
    pub accepted: f64,
    /// The back ends that were tried in vain, in order; the first 32.
    pub tries: Vec<Try>,
    /// How the last back end was chosen.
    pub choice: Option<Choice>,
    /// Where it was connected to.
    pub server: Option<BackendAddr>,
    /// From the accept to the choice of that back end.
    pub wait: Duration,
    /// What the connect took, look-up included.
    pub connect: Duration,
    /// From the accept to the end.
    pub whole: Duration,
    /// What became of it.
    pub fate: Fate,
    began: Instant,
}

/// What became of a client connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It is not over.
    Open,
    /// It was served, and this moved.
    Served(Transfer),
    /// No back end was left for it.
    NoBackend,
    /// The client reset it before a back end was connected.
    Aborted,
    /// A stop came before a back end was connected.
    Stopped,
    /// The daemon itself answered a request, with this code.
    Answered(u16),
}

/// A back end that was tried in vain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Try {
    /// The back end.
    pub backend: BackendName,
    /// Why it was in vain.
    pub reason: &'static str,
}

/// How a back end was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The back end.
    pub backend: BackendName,
    /// Who chose.
    pub by: ChosenBy,
    /// What the mode compared, where it compares numbers.
    pub score: Option<f64>,
    /// The others of the service, in order of definition.
    pub passed_over: Vec<PassedOver>,
}

/// Who chose a back end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChosenBy {
    /// The dispatch mode.
    Mode,
    /// The external handler.
    Handler,
    /// `roundrobin`, in place of a handler without a good answer.
    FallBack,
    /// A cookie of the request.
    Cookie,
    /// It has served the same client just before.
    Kept,
}

/// A back end that was not chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct PassedOver {
    /// The back end.
    pub backend: BackendName,
    /// Why.
    pub why: &'static str,
    /// What the mode compared, where it compares numbers.
    pub score: Option<f64>,
}

impl ConnectionRecord {
    /// The record of a client that was accepted now.
    pub fn new(connection: ConnectionId, client: ClientAddr) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            connection,
            client,
            accepted: now.map_or(0.0, |now| now.as_micros() as f64 / 1e6),
            tries: Vec::new(),
            choice: None,
            server: None,
            wait: Duration::ZERO,
            connect: Duration::ZERO,
            whole: Duration::ZERO,
            fate: Fate::Open,
            began: Instant::now(),
        }
    }

    /// A back end was chosen now.
    pub fn chosen(&mut self, choice: Choice) {
        self.wait = self.began.elapsed();
        self.choice = Some(choice);
    }

    /// The chosen back end could not be reached.
    pub fn failed(&mut self, backend: BackendName, reason: &'static str) {
        self.choice = None;
        if self.tries.len() < MOST_TRIES {
            self.tries.push(Try { backend, reason });
        }
    }

    /// The chosen back end was connected now, at `server`.
    pub fn connected(&mut self, server: BackendAddr) {
        self.connect = self.began.elapsed().saturating_sub(self.wait);
        self.server = Some(server);
    }

    /// It is over now.
    pub fn ended(&mut self, fate: Fate) {
        self.whole = self.began.elapsed();
        self.fate = fate;
    }
}
