//! The external handler of one service: what it is asked, and what its answer
//! means.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::base::endpoint::ClientAddr;
use crate::base::id::{BackendId, ConnectionId};
use crate::base::template::{Template, TemplateKind};
use crate::base::text::Text;
use crate::config::model::HandlerKind;
use crate::policy::pool::Tried;
use crate::process::handler::Handlers;
use crate::process::question::{Fault, Question, Wake};
use crate::process::resident::Resident;
use crate::service::programs::resident::PROTOCOL;
use crate::service::programs::{Facts, Ingredients};
use crate::service::table::BackendTable;

/// Chooses back ends by a program.
pub struct Chooser {
    facts: Arc<Facts>,
    table: Arc<BackendTable>,
    way: Way,
}

enum Way {
    Classic {
        command: Arc<Template>,
        handlers: Handlers,
        limit: Duration,
    },
    Persistent {
        resident: Resident,
        limit: Duration,
    },
}

/// A program was asked and has not answered yet.
pub struct Asking {
    question: Question,
    /// When an answer comes too late.
    pub until: Instant,
}

/// Why the answer of a handler is no choice; `roundrobin` stands in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotChosen {
    /// It gave none.
    Fault(Fault),
    /// An empty line.
    Empty,
    /// No back end is called so.
    Unknown,
    /// Several are, but for their case.
    Ambiguous,
    /// It was tried for this client already.
    Tried,
    /// It is not available, or full.
    NotUsable,
}

impl NotChosen {
    /// The words for a log line.
    ///
    /// Source: decided (7.5, 13.3).
    pub fn reason(self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.reason(),
            Self::Empty => "empty answer",
            Self::Unknown => "no such back end",
            Self::Ambiguous => "ambiguous name of a back end",
            Self::Tried => "back end already tried",
            Self::NotUsable => "back end not usable",
        }
    }
}

/// What a persistent handler is asked for one client.
#[derive(Serialize)]
struct Request<'a> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    id: u64,
    time: f64,
    service: &'a str,
    connection: u32,
    client: std::net::IpAddr,
    tried: Vec<&'a str>,
    backends: Vec<Standing<'a>>,
}

#[derive(Serialize)]
struct Standing<'a> {
    name: &'a str,
    usable: bool,
    active: u64,
    weight: u16,
}

impl Chooser {
    /// The chooser of a service; `None` unless its mode is a handler.
    /// `resident` is its persistent handler, `limit` that of a classic one.
    pub fn new(
        ingredients: &Ingredients<'_>,
        table: &Arc<BackendTable>,
        resident: Option<&Resident>,
        limit: Duration,
    ) -> Option<Self> {
        let handler = ingredients.config.handler.as_ref()?;
        let way = match (handler.kind, resident) {
            (HandlerKind::Persistent, Some(resident)) => Way::Persistent {
                resident: resident.clone(),
                limit: ingredients.config.handler_timeout.duration(),
            },
            _ => Way::Classic {
                command: Arc::new(parse(&handler.command)),
                handlers: ingredients.programs.handlers.clone(),
                limit,
            },
        };
        Some(Self {
            facts: Arc::new(ingredients.facts()),
            table: Arc::clone(table),
            way,
        })
    }

    /// Asks which back end is to serve a client; `None` without asking if no
    /// candidate is left.
    ///
    /// Source: documented (7.5); fresh values each time decided.
    pub fn ask(
        &self,
        connection: ConnectionId,
        client: ClientAddr,
        tried: &Tried,
        wake: Wake,
    ) -> Option<Asking> {
        if !self.table.has_candidates(tried) {
            return None;
        }
        let now = Instant::now();
        let (question, limit) = match &self.way {
            Way::Classic {
                command,
                handlers,
                limit,
            } => {
                let (facts, table) = (Arc::clone(&self.facts), Arc::clone(&self.table));
                let command = Arc::clone(command);
                let line =
                    move || facts.expand(&command, || table.usable(), None, Some(client.ip()));
                let account = self.facts.account.clone();
                (handlers.ask(line, account, wake), *limit)
            }
            Way::Persistent { resident, limit } => {
                let request = |id| self.request(id, connection, client, tried);
                (resident.ask(request, wake), *limit)
            }
        };
        let until = now + limit;
        Some(Asking { question, until })
    }

    fn request(
        &self,
        id: u64,
        connection: ConnectionId,
        client: ClientAddr,
        tried: &Tried,
    ) -> Vec<u8> {
        let names = || (0..).map(BackendId).zip(&self.facts.backends);
        let standings = self.table.standings();
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let request = Request {
            v: PROTOCOL,
            kind: "dispatch",
            id,
            time: time.map_or(0.0, |time| time.as_micros() as f64 / 1e6),
            service: self.facts.service.as_str(),
            connection: connection.get(),
            client: client.ip(),
            tried: names()
                .filter(|(id, _)| tried.contains(*id))
                .map(|(_, (name, _))| name.as_str())
                .collect(),
            backends: names()
                .zip(standings)
                .map(|((_, (name, weight)), (usable, active))| Standing {
                    name: name.as_str(),
                    usable,
                    active,
                    weight: *weight,
                })
                .collect(),
        };
        // Names, numbers and addresses can always be written.
        serde_json::to_vec(&request).unwrap_or_default()
    }

    /// The back end that `answer` names: exactly, else without regard to case
    /// if only one is called so.
    ///
    /// # Errors
    ///
    /// [`NotChosen`] when it names none.
    ///
    /// Source: decided (7.5).
    pub fn named(&self, answer: &[u8]) -> Result<BackendId, NotChosen> {
        if answer.is_empty() {
            return Err(NotChosen::Empty);
        }
        let names = || (0..).map(BackendId).zip(&self.facts.backends);
        let exact = names().find(|(_, (name, _))| name.as_str().as_bytes() == answer);
        if let Some((id, _)) = exact {
            return Ok(id);
        }
        let alike = |name: &str| name.as_bytes().eq_ignore_ascii_case(answer);
        let mut found = names().filter(|(_, (name, _))| alike(name.as_str()));
        match (found.next(), found.next()) {
            (Some((id, _)), None) => Ok(id),
            (Some(_), Some(_)) => Err(NotChosen::Ambiguous),
            (None, _) => Err(NotChosen::Unknown),
        }
    }
}

fn parse(command: &Text) -> Template {
    Template::parse(command.as_bytes(), TemplateKind::Handler).0
}

impl Asking {
    /// What the program says, once it has answered or its time is over.
    pub fn answer(&self) -> Option<Result<Vec<u8>, NotChosen>> {
        if let Some(answer) = self.question.answer() {
            return Some(answer.map_err(NotChosen::Fault));
        }
        let late = Instant::now() >= self.until;
        late.then_some(Err(NotChosen::Fault(Fault::TimedOut)))
    }
}
