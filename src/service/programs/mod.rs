//! External programs as one service uses them: its hooks, its handler, and who
//! is told of its connections.
//!
//! What they are told is put together here, from the templates of the
//! configuration and the state of the back ends; how they are run is the
//! business of `process`.

mod handler;
mod hooks;
mod resident;

use std::sync::Arc;

use crate::base::clock::Clock;
use crate::base::event::{EventSink, InService};
use crate::base::id::BackendId;
use crate::base::moment::Moment;
use crate::base::name::{BackendName, ServiceName};
use crate::base::template::{BackendList, Template, TemplateContext};
use crate::config::model;
use crate::process::account::{Account, AccountError};
use crate::process::handler::Handlers;
use crate::process::hooks::HookQueue;
use crate::process::runner::Runner;

pub use handler::{Asking, Chooser, NotChosen};
pub use hooks::{EndHook, ServiceHooks};
pub use resident::Residents;

/// What the programs of all services have in common.
pub struct Programs {
    /// All hooks.
    pub hooks: HookQueue,
    /// All classic handlers.
    pub handlers: Handlers,
    /// Where they run.
    pub runner: Runner,
    /// What they are told about this machine.
    pub machine: Arc<Machine>,
}

/// What specifiers say about the daemon and its machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Host name, harmless to a shell.
    pub host: String,
    /// Process id of the daemon.
    pub process: u32,
    /// The zone of `%l` and `%t`.
    pub clock: Clock,
}

/// Whether a service runs any external program.
pub fn uses_programs(service: &model::Service) -> bool {
    service.handler.is_some() || service.on_events.is_some() || uses_hooks(service)
}

/// Whether a back end of a service has a hook.
pub fn uses_hooks(service: &model::Service) -> bool {
    let mut backends = service.backends.iter();
    backends.any(|backend| {
        backend.on_start.is_some() || backend.on_end.is_some() || backend.on_fail.is_some()
    })
}

/// The account that the programs of a service run as; `None` = the daemon's own.
///
/// # Errors
///
/// [`AccountError`]: then the service must not run.
pub fn account(service: &model::Service) -> Result<Option<Arc<Account>>, AccountError> {
    let name = service.user_account.as_ref();
    let account = name.map(|name| Account::look_up(name.as_bytes()));
    Ok(account.transpose()?.map(Arc::new))
}

/// What specifiers say about a service.
struct Facts {
    service: ServiceName,
    verbose: bool,
    backends: Vec<(BackendName, u16)>,
    machine: Arc<Machine>,
    account: Option<Arc<Account>>,
}

impl Facts {
    fn new(
        config: &model::Service,
        verbose: bool,
        machine: Arc<Machine>,
        account: Option<Arc<Account>>,
    ) -> Self {
        let backends = config.backends.iter();
        Self {
            service: config.name.clone(),
            verbose: config.verbosity || verbose,
            backends: backends
                .map(|backend| (backend.name.clone(), backend.weight.get()))
                .collect(),
            machine,
            account,
        }
    }

    fn named(&self) -> InService<'_> {
        InService {
            name: &self.service,
            verbose: self.verbose,
        }
    }

    /// Expands `template`; `usable` gives the usability of all back ends and is
    /// asked only where the template wants it.
    fn expand(
        &self,
        template: &Template,
        usable: impl FnOnce() -> Vec<bool>,
        current: Option<BackendId>,
        client: Option<std::net::IpAddr>,
    ) -> Vec<u8> {
        let usable = match template.asks_usability() {
            true => usable(),
            false => Vec::new(),
        };
        let now = match template.needs_clock() {
            true => Moment::now().unix,
            false => 0,
        };
        template.expand(&TemplateContext {
            service: self.service.as_str(),
            backends: &BackendList {
                known: &self.backends,
                usable: &usable,
            },
            current,
            client,
            host: &self.machine.host,
            process: self.machine.process,
            epoch: now,
            zone: &self.machine.clock,
        })
    }
}

/// What the programs of one service are made of.
pub struct Ingredients<'a> {
    /// The service.
    pub config: &'a model::Service,
    /// Whether every block is as if it said `verbosity on`.
    pub verbose: bool,
    /// What all services share.
    pub programs: &'a Programs,
    /// The account of this service, looked up.
    pub account: Option<Arc<Account>>,
    /// Who hears of trouble.
    pub sink: Arc<dyn EventSink>,
}

impl Ingredients<'_> {
    fn facts(&self) -> Facts {
        Facts::new(
            self.config,
            self.verbose,
            Arc::clone(&self.programs.machine),
            self.account.clone(),
        )
    }
}

#[cfg(test)]
mod tests;
