//! The resident programs of one service: its persistent handler, and the
//! program that is told of its connections. They are one where both directives
//! have the same command.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::base::change::ChangeMark;
use crate::base::event::{Event, EventSink};
use crate::base::template::{Template, TemplateKind};
use crate::base::text::Text;
use crate::config::model::HandlerKind;
use crate::process::account::Account;
use crate::process::resident::{Resident, ResidentOwner};
use crate::service::programs::{Facts, Ingredients};

/// The version of the lines that resident programs are told.
pub(super) const PROTOCOL: u32 = 1;

/// The resident programs of one service.
#[derive(Clone, Default)]
pub struct Residents {
    /// The persistent handler.
    pub handler: Option<Resident>,
    /// Who is told of connections.
    pub events: Option<Resident>,
    /// Whether these two are the same program.
    shared: bool,
}

impl Residents {
    /// Starts those of a service; at the end each gets `patience` to end by
    /// itself.
    pub fn start(ingredients: &Ingredients<'_>, patience: Duration) -> Self {
        let config = ingredients.config;
        let handler = config.handler.as_ref();
        let handler = handler.filter(|handler| handler.kind == HandlerKind::Persistent);
        let command = handler.map(|handler| &handler.command);
        let start = |role, command: &Text| {
            let owner = Owner::new(ingredients, role, command);
            let runtime = ingredients.programs.runner.handle();
            Resident::start(runtime, Box::new(owner), patience)
        };
        let handler = command.map(|command| start("handler", command));
        let shared = config.on_events.is_some() && config.on_events.as_ref() == command;
        let events = match (&config.on_events, &handler) {
            (Some(_), Some(handler)) if shared => Some(handler.clone()),
            (Some(command), _) => Some(start("onevents", command)),
            (None, _) => None,
        };
        Self {
            handler,
            events,
            shared,
        }
    }

    /// Has `mark` set whenever a line is dropped.
    pub fn mark_dropped(&self, mark: &Arc<ChangeMark>) {
        for resident in self.handler.iter().chain(&self.events) {
            resident.mark_dropped(mark);
        }
    }

    /// How many lines they were too slow, or too dead, to read.
    pub fn dropped(&self) -> u64 {
        let dropped = |resident: &Option<Resident>| resident.as_ref().map_or(0, Resident::dropped);
        match self.shared {
            true => dropped(&self.handler),
            false => dropped(&self.handler) + dropped(&self.events),
        }
    }
}

struct Owner {
    facts: Facts,
    role: &'static str,
    command: Template,
    servers: Vec<String>,
    sink: Arc<dyn EventSink>,
}

impl Owner {
    fn new(ingredients: &Ingredients<'_>, role: &'static str, command: &Text) -> Self {
        let backends = ingredients.config.backends.iter();
        Self {
            facts: ingredients.facts(),
            role,
            command: Template::parse(command.as_bytes(), TemplateKind::Resident).0,
            servers: backends.map(|backend| backend.server.to_string()).collect(),
            sink: Arc::clone(&ingredients.sink),
        }
    }
}

/// The first line that a resident program is told.
#[derive(Serialize)]
struct Greeting<'a> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    service: &'a str,
    pid: u32,
    version: &'static str,
    backends: Vec<Known<'a>>,
}

#[derive(Serialize)]
struct Known<'a> {
    name: &'a str,
    server: &'a str,
    weight: u16,
}

impl ResidentOwner for Owner {
    fn command_line(&self) -> Vec<u8> {
        self.facts.expand(&self.command, Vec::new, None, None)
    }

    fn account(&self) -> Option<&Account> {
        self.facts.account.as_deref()
    }

    fn greeting(&self) -> Vec<u8> {
        let backends = self.facts.backends.iter().zip(&self.servers);
        let greeting = Greeting {
            v: PROTOCOL,
            kind: "hello",
            service: self.facts.service.as_str(),
            pid: self.facts.machine.process,
            version: crate::VERSION,
            backends: backends
                .map(|((name, weight), server)| Known {
                    name: name.as_str(),
                    server,
                    weight: *weight,
                })
                .collect(),
        };
        // Names and numbers can always be written.
        serde_json::to_vec(&greeting).unwrap_or_default()
    }

    fn ended(&self, reason: &str, pause: Duration) {
        self.sink.emit(&Event::HelperEnded {
            service: self.facts.named(),
            role: self.role,
            reason,
            pause,
        });
    }

    fn behind(&self) {
        self.sink.emit(&Event::HelperBehind {
            service: self.facts.named(),
            role: self.role,
        });
    }
}
