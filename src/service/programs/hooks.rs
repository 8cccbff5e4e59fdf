//! The hooks of the back ends of one service.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::change::{ChangeMark, Losses};
use crate::base::event::{Event, EventSink};
use crate::base::id::{BackendId, ConnectionId};
use crate::base::template::{Template, TemplateKind};
use crate::base::text::Text;
use crate::config::model;
use crate::process::account::Account;
use crate::process::hooks::{Full, Hook, HookKind, HookOwner, HookQueue};
use crate::service::programs::{Facts, Ingredients};
use crate::service::table::BackendTable;

/// Hooks of one service; the queue is that of the daemon.
pub struct ServiceHooks {
    facts: Facts,
    queue: HookQueue,
    /// By back end.
    backends: Vec<BackendHooks>,
    dropped: Losses,
}

struct BackendHooks {
    on_start: Option<Template>,
    on_end: Option<Template>,
    on_fail: Option<Template>,
    site: Arc<Site>,
}

/// A back end as the owner of its hooks.
struct Site {
    table: Arc<BackendTable>,
    backend: BackendId,
    account: Option<Arc<Account>>,
    sink: Arc<dyn EventSink>,
}

impl HookOwner for Site {
    fn account(&self) -> Option<&Account> {
        self.account.as_deref()
    }

    fn not_run(&self, hook: HookKind, error: &io::Error) {
        self.sink.emit(&Event::HookNotRun {
            backend: self.table.at(self.backend),
            hook: hook.word(),
            error,
        });
    }

    fn overdue(&self, hook: HookKind, limit: Duration) {
        self.sink.emit(&Event::HookOverdue {
            backend: self.table.at(self.backend),
            hook: hook.word(),
            limit,
        });
    }

    fn failed(&self, hook: HookKind, status: i32) {
        self.sink.emit(&Event::HookFailed {
            backend: self.table.at(self.backend),
            hook: hook.word(),
            status,
        });
    }
}

/// Whether a connection has hooks that run at its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndHook {
    /// Its place is reserved.
    Due,
    /// There is none, or the pair was dropped.
    None,
}

impl ServiceHooks {
    /// The hooks of a service; `None` if none of its back ends has any.
    pub fn new(ingredients: &Ingredients<'_>, table: &Arc<BackendTable>) -> Option<Self> {
        let configured = ingredients.config.backends.iter();
        let site = |backend| {
            Arc::new(Site {
                table: Arc::clone(table),
                backend,
                account: ingredients.account.clone(),
                sink: Arc::clone(&ingredients.sink),
            })
        };
        let backends: Vec<_> = (0..)
            .map(BackendId)
            .zip(configured)
            .map(|(id, backend)| BackendHooks::new(backend, site(id)))
            .collect();
        backends
            .iter()
            .any(|hooks| {
                hooks.on_start.is_some() || hooks.on_end.is_some() || hooks.on_fail.is_some()
            })
            .then(|| Self {
                facts: ingredients.facts(),
                queue: ingredients.programs.hooks.clone(),
                backends,
                dropped: Losses::default(),
            })
    }

    /// Step 7: a connection was made. Queues its `onstart` and reserves the
    /// place of its `onend`, or drops both.
    ///
    /// Source: decided (11.2).
    pub fn started(&self, backend: BackendId, connection: ConnectionId, client: IpAddr) -> EndHook {
        let hooks = &self.backends[backend.index()];
        if hooks.on_start.is_none() && hooks.on_end.is_none() {
            return EndHook::None;
        }
        let template = hooks.on_start.as_ref();
        let first =
            template.map(|template| self.hook(HookKind::OnStart, template, backend, client));
        match self.queue.begin(connection.get(), first) {
            Ok(()) if hooks.on_end.is_some() => EndHook::Due,
            Ok(()) => EndHook::None,
            Err(Full) => {
                let (word, count) = match (&hooks.on_start, &hooks.on_end) {
                    (Some(_), Some(_)) => ("onstart and onend", 2),
                    (Some(_), None) => ("onstart", 1),
                    (None, _) => ("onend", 1),
                };
                self.drop_hooks(hooks, word, count);
                EndHook::None
            }
        }
    }

    /// Step 9: a connection for which [`EndHook::Due`] was said has ended.
    pub fn ended(&self, backend: BackendId, connection: ConnectionId, client: IpAddr) {
        if let Some(template) = &self.backends[backend.index()].on_end {
            let hook = self.hook(HookKind::OnEnd, template, backend, client);
            self.queue.push_reserved(connection.get(), hook);
        }
    }

    /// Step 6: the back end could not be reached for a client.
    pub fn failed(&self, backend: BackendId, connection: ConnectionId, client: IpAddr) {
        let hooks = &self.backends[backend.index()];
        let Some(template) = &hooks.on_fail else {
            return;
        };
        let hook = self.hook(HookKind::OnFail, template, backend, client);
        if self.queue.push(connection.get(), hook) == Err(Full) {
            self.drop_hooks(hooks, HookKind::OnFail.word(), 1);
        }
    }

    /// Has `mark` set whenever a hook finds the queue full.
    pub fn mark_dropped(&self, mark: &Arc<ChangeMark>) {
        self.dropped.mark_by(mark);
    }

    /// How many hooks found the queue full.
    pub fn dropped(&self) -> u64 {
        self.dropped.count()
    }

    fn hook(
        &self,
        kind: HookKind,
        template: &Template,
        backend: BackendId,
        client: IpAddr,
    ) -> Hook {
        let site = &self.backends[backend.index()].site;
        let usable = || site.table.usable();
        Hook {
            kind,
            line: self
                .facts
                .expand(template, usable, Some(backend), Some(client)),
            owner: Arc::<Site>::clone(site),
        }
    }

    fn drop_hooks(&self, hooks: &BackendHooks, hook: &str, count: u64) {
        self.dropped.add(count);
        hooks.site.sink.emit(&Event::HookDropped {
            backend: hooks.site.table.at(hooks.site.backend),
            hook,
        });
    }
}

impl BackendHooks {
    fn new(config: &model::Backend, site: Arc<Site>) -> Self {
        let parse = |command: &Option<Text>| {
            let command = command.as_ref()?;
            Some(Template::parse(command.as_bytes(), TemplateKind::Hook).0)
        };
        Self {
            on_start: parse(&config.on_start),
            on_end: parse(&config.on_end),
            on_fail: parse(&config.on_fail),
            site,
        }
    }
}
