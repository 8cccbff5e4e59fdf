//! External programs of all services: where they run, and who is told.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Options, RunError};
use crate::base::clock::Clock;
use crate::base::event::{Event, EventSink};
use crate::base::limits::{HOOKS_RUNNING, Limits};
use crate::base::name::ServiceName;
use crate::config::model::{Config, HandlerKind, Service};
use crate::process::account::Account;
use crate::process::handler::{HANDLERS_RUNNING, Handlers};
use crate::process::hooks::{HookLimits, HookQueue};
use crate::process::identity;
use crate::process::resident::{self, Resident};
use crate::process::runner::{self, Runner};
use crate::service::programs::{
    Ingredients, Machine, Programs, Residents, account, uses_hooks, uses_programs,
};
use crate::telemetry::story;

/// What one running hook takes: the handle of its process.
const DESCRIPTORS_OF_A_HOOK: usize = 1;

/// What one running handler takes: that, and the pipe from it.
const DESCRIPTORS_OF_A_HANDLER: usize = 2;

/// What the start of one program takes for a moment.
const DESCRIPTORS_OF_A_START: usize = 6;

/// The programs of all services; nothing where no service uses any.
pub(super) struct Outside {
    programs: Option<Programs>,
    /// Of each service, in order of the file.
    accounts: Vec<Option<Arc<Account>>>,
    residents: Vec<Residents>,
    limits: Limits,
    verbose: bool,
}

impl Outside {
    /// Looks up accounts and starts what runs from the beginning.
    pub(super) fn start(
        config: &Config,
        options: &Options,
        sink: &Arc<dyn EventSink>,
    ) -> Result<Self, RunError> {
        let accounts = config.services.iter().map(|service| {
            account(service).map_err(|source| RunError::Account {
                service: service.name.to_string(),
                source,
            })
        });
        let mut outside = Self {
            accounts: accounts.collect::<Result<_, _>>()?,
            programs: programs(config, options)?,
            residents: Vec::new(),
            limits: options.limits,
            verbose: options.verbose,
        };
        let patience = options.limits.hook_kill;
        let residents = |(index, service)| match outside.ingredients(index, service, sink) {
            Some(ingredients) => Residents::start(&ingredients, patience),
            None => Residents::default(),
        };
        outside.residents = config.services.iter().enumerate().map(residents).collect();
        Ok(outside)
    }

    /// What the programs of the service at `index` are made of.
    pub(super) fn ingredients<'a>(
        &'a self,
        index: usize,
        config: &'a Service,
        sink: &Arc<dyn EventSink>,
    ) -> Option<Ingredients<'a>> {
        let programs = self.programs.as_ref()?;
        Some(Ingredients {
            config,
            verbose: self.verbose,
            programs,
            account: self.accounts.get(index).cloned().flatten(),
            sink: Arc::clone(sink),
        })
    }

    /// The resident programs of the service at `index`.
    pub(super) fn residents(&self, index: usize) -> Residents {
        self.residents.get(index).cloned().unwrap_or_default()
    }

    /// A sink that also tells the resident programs that want to know.
    pub(super) fn witness(&self, config: &Config, sink: Arc<dyn EventSink>) -> Arc<dyn EventSink> {
        let told = config.services.iter().zip(&self.residents);
        let told: HashMap<_, _> = told
            .filter_map(|(service, residents)| {
                Some((service.name.clone(), residents.events.clone()?))
            })
            .collect();
        match told.is_empty() {
            true => sink,
            false => Arc::new(Witness { sink, told }),
        }
    }

    /// Ends the programs: hooks that wait get some time to begin, but not once
    /// `hurry` is over; resident programs some to end by themselves.
    pub(super) async fn end(&self, sink: &dyn EventSink, hurry: impl Future<Output = ()>) {
        let Some(programs) = &self.programs else {
            return;
        };
        let hooks = async {
            tokio::select! {
                () = programs.hooks.emptied() => {}
                () = tokio::time::sleep(self.limits.stop_hooks) => {}
                () = hurry => {}
            }
            let hooks = programs.hooks.abandon();
            if hooks > 0 {
                sink.emit(&Event::HooksAbandoned { hooks });
            }
        };
        // Each has a limit of its own, and none waits for another.
        let residents = self.residents.iter();
        let residents = residents.flat_map(|one| [one.handler.clone(), one.events.clone()]);
        let dismissals: Vec<_> = residents
            .flatten()
            .map(|resident| tokio::task::spawn_local(async move { resident.dismiss().await }))
            .collect();
        hooks.await;
        for dismissal in dismissals {
            // It neither panics nor is it cancelled before this.
            let _ = dismissal.await;
        }
    }
}

fn programs(config: &Config, options: &Options) -> io::Result<Option<Programs>> {
    if !config.services.iter().any(uses_programs) {
        return Ok(None);
    }
    let runner = Runner::start()?;
    let runtime = runner.handle().clone();
    let limits = options.limits;
    let hooks = HookLimits::new(limits.hook, limits.hook_kill);
    Ok(Some(Programs {
        hooks: HookQueue::new(runtime.clone(), hooks),
        handlers: Handlers::new(runtime, limits.handler),
        runner,
        machine: machine(),
    }))
}

/// What specifiers say about this machine and process.
pub(super) fn machine() -> Arc<Machine> {
    Arc::new(Machine {
        host: identity::host_name(),
        process: std::process::id(),
        clock: Clock::local(),
    })
}

/// Descriptors that the programs of `config` may take.
pub(super) fn descriptors(config: &Config) -> usize {
    let services = || config.services.iter();
    if !services().any(uses_programs) {
        return 0;
    }
    let answers = |service: &Service, kind| {
        let handler = service.handler.as_ref();
        handler.is_some_and(|handler| handler.kind == kind)
    };
    let resident = |service: &Service| {
        usize::from(answers(service, HandlerKind::Persistent))
            + usize::from(service.on_events.is_some())
    };
    let residents: usize = services().map(resident).sum();
    let hooks = match services().any(uses_hooks) {
        true => HOOKS_RUNNING * DESCRIPTORS_OF_A_HOOK,
        false => 0,
    };
    let handlers = match services().any(|service| answers(service, HandlerKind::Classic)) {
        true => HANDLERS_RUNNING * DESCRIPTORS_OF_A_HANDLER,
        false => 0,
    };
    runner::DESCRIPTORS
        + DESCRIPTORS_OF_A_START
        + hooks
        + handlers
        + residents * resident::DESCRIPTORS
}

/// Passes events on, and tells resident programs of them.
struct Witness {
    sink: Arc<dyn EventSink>,
    told: HashMap<ServiceName, Resident>,
}

impl EventSink for Witness {
    fn emit(&self, event: &Event<'_>) {
        self.sink.emit(event);
        let service = story::service_of(event);
        let Some(resident) = service.and_then(|service| self.told.get(service)) else {
            return;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0.0, |now| now.as_micros() as f64 / 1e6);
        if let Some(line) = story::line_of(event, now) {
            resident.tell(line);
        }
    }
}
