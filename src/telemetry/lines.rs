//! What each event says in the log, and whether it is said at all.
//!
//! Pure. Texts are handed over unformatted, so an event that nobody wants, or
//! that is held back as a repetition, costs no formatting.

use std::fmt::Arguments;

use crate::base::clock::Clock;
use crate::base::event::{AtBackend, Event, InService, ListSide, Served};
use crate::base::outcome::Transfer;
use crate::base::state::{Reason, ShownState, StateChange};
use crate::telemetry::level::Level;
use crate::telemetry::repeats::Subject;

mod words;

pub use words::Plain;
use words::{Activity, At, Figures, Side};

/// What is logged beyond the lines that always are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// `-a`: start and end of every connection.
    pub activity: bool,
    /// `-v`: as if every block said `verbosity on`.
    pub verbose: bool,
}

/// One thing to say: how grave it is, what it repeats if traffic can cause
/// it, and the text.
pub type Say<'a> = dyn FnMut(Level, Option<Subject>, Arguments<'_>) + 'a;

/// Says what `event` says in the log: nothing, one line or two.
///
/// Source: decided (13.3, 13.4).
pub fn describe(event: &Event<'_>, wanted: Wanted, clock: &Clock, say: &mut Say<'_>) {
    match event {
        Event::Listening { .. }
        | Event::Stopped { .. }
        | Event::StateChanged { .. }
        | Event::ServerChanged { .. }
        | Event::ListRead { .. }
        | Event::ListNotRead { .. } => describe_change(event, say),
        Event::NoBackend { .. }
        | Event::ServiceFull { .. }
        | Event::OutOfDescriptors { .. }
        | Event::CannotAccept { .. }
        | Event::CannotConnectFromHere { .. }
        | Event::HandlerFailed { .. }
        | Event::HookOverdue { .. }
        | Event::HookDropped { .. }
        | Event::Fault { .. } => describe_trouble(event, say),
        Event::Accepted { service, .. }
        | Event::Aborted { service, .. }
        | Event::Refused { service, .. } => {
            if wanted.verbose || service.verbose {
                describe_client(event, say);
            }
        }
        Event::ConnectFailed { backend, .. }
        | Event::Probed { backend, .. }
        | Event::HookFailed { backend, .. } => {
            if wanted.verbose || backend.verbose {
                describe_attempt(event, say);
            }
        }
        Event::Started(served) => describe_start(served, wanted, clock, say),
        Event::Ended { served, transfer } => describe_end(served, transfer, wanted, clock, say),
    }
}

/// Changes of state and configuration; never held back.
fn describe_change(event: &Event<'_>, say: &mut Say<'_>) {
    match event {
        Event::Listening {
            service,
            at,
            backends,
        } => {
            let name = service.name;
            say(
                Level::Notice,
                None,
                format_args!("{name}: listening on {at}, {backends} back ends"),
            );
        }
        Event::Stopped { service, cut } => {
            let name = service.name;
            say(
                Level::Notice,
                None,
                format_args!("{name}: stopped, {cut} connections cut"),
            );
        }
        Event::StateChanged { backend, change } => {
            if let Some(level) = level_of(change) {
                let StateChange {
                    from, to, reason, ..
                } = change;
                say(
                    level,
                    None,
                    format_args!("{}: {from} -> {to} ({reason})", At(backend)),
                );
            }
        }
        Event::ServerChanged { backend, old, new } => {
            let backend = At(backend);
            say(
                Level::Notice,
                None,
                format_args!("{backend}: server {old} -> {new} (told)"),
            );
        }
        Event::ListRead {
            service,
            list,
            file,
            filters,
        } => {
            let (name, list) = (service.name, Side(*list));
            if *filters == 0 {
                let text = format_args!("{name}: {list} list read from {file} is empty");
                say(Level::Warning, None, text);
            } else {
                let text = format_args!("{name}: {list} list read from {file}, {filters} filters");
                say(Level::Notice, None, text);
            }
        }
        Event::ListNotRead {
            service,
            list,
            file,
            reason,
        } => {
            let (name, list) = (service.name, Side(*list));
            let text =
                format_args!("{name}: {list} list not read from {file}: {reason}, old list kept");
            say(Level::Error, None, text);
        }
        _ => {}
    }
}

/// A probe moves a back end between `unavailable` and `waking` again and
/// again; that is no news.
fn level_of(change: &StateChange) -> Option<Level> {
    match change.reason {
        Reason::Told | Reason::Revived => Some(Level::Notice),
        _ if change.to == ShownState::Unavailable && change.from == ShownState::Available => {
            Some(Level::Warning)
        }
        _ => None,
    }
}

/// What traffic can cause again and again, at a level that is always written.
fn describe_trouble(event: &Event<'_>, say: &mut Say<'_>) {
    match event {
        Event::NoBackend { service, client } => {
            let text = format_args!("{}: no usable back end for {client}", service.name);
            say(
                Level::Warning,
                Some(in_service(service, "no back end")),
                text,
            );
        }
        Event::ServiceFull { service, limit } => {
            let text = format_args!(
                "{}: maxconnections {} reached, clients wait",
                service.name,
                limit.as_number()
            );
            say(Level::Warning, Some(in_service(service, "full")), text);
        }
        Event::OutOfDescriptors { service } => {
            let text = format_args!("{}: out of descriptors, clients wait", service.name);
            say(
                Level::Warning,
                Some(in_service(service, "descriptors")),
                text,
            );
        }
        Event::CannotAccept { service, error } => {
            let text = format_args!("{}: cannot accept: {}", service.name, Plain(error));
            say(Level::Error, Some(in_service(service, "accept")), text);
        }
        Event::HandlerFailed { service, reason } => {
            let text = format_args!("{}: handler: {reason}, using roundrobin", service.name);
            let subject = Subject {
                reason,
                ..in_service(service, "handler")
            };
            say(Level::Warning, Some(subject), text);
        }
        Event::Fault { what } => {
            let subject = Subject {
                kind: "fault",
                ..Subject::default()
            };
            say(
                Level::Error,
                Some(subject),
                format_args!("internal fault: {what}"),
            );
        }
        _ => describe_backend_trouble(event, say),
    }
}

fn describe_backend_trouble(event: &Event<'_>, say: &mut Say<'_>) {
    match event {
        Event::CannotConnectFromHere {
            backend,
            to: Some(to),
            error,
        } => {
            let (at, error) = (At(backend), Plain(error));
            let text = format_args!("{at}: cannot connect from here to {to}: {error}");
            say(Level::Error, Some(at_backend(backend, "own side")), text);
        }
        Event::CannotConnectFromHere {
            backend,
            to: None,
            error,
        } => {
            let text = format_args!(
                "{}: cannot connect from here: {}",
                At(backend),
                Plain(error)
            );
            say(Level::Error, Some(at_backend(backend, "own side")), text);
        }
        Event::HookOverdue {
            backend,
            hook,
            limit,
        } => {
            let seconds = limit.as_secs_f64();
            let text = format_args!("{}: {hook} over {seconds} s, terminated", At(backend));
            say(
                Level::Warning,
                Some(at_backend(backend, "hook overdue")),
                text,
            );
        }
        Event::HookDropped { backend, hook } => {
            let text = format_args!("{}: hook queue full, {hook} dropped", At(backend));
            say(
                Level::Warning,
                Some(at_backend(backend, "hook dropped")),
                text,
            );
        }
        _ => {}
    }
}

fn describe_client(event: &Event<'_>, say: &mut Say<'_>) {
    match event {
        Event::Accepted {
            service,
            connection,
            client,
        } => {
            let text = format_args!("{}: connection {connection} from {client}", service.name);
            say(Level::Info, None, text);
        }
        Event::Aborted {
            service,
            connection,
            client,
        } => {
            let text = format_args!(
                "{}: connection {connection} aborted by {client}",
                service.name
            );
            say(Level::Info, None, text);
        }
        Event::Refused {
            service,
            client,
            by: ListSide::Deny,
        } => {
            let text = format_args!("{}: {client} refused by the deny list", service.name);
            say(Level::Info, None, text);
        }
        Event::Refused {
            service,
            client,
            by: ListSide::Allow,
        } => {
            let text = format_args!("{}: {client} not on the allow list", service.name);
            say(Level::Info, None, text);
        }
        _ => {}
    }
}

fn describe_attempt(event: &Event<'_>, say: &mut Say<'_>) {
    match event {
        Event::ConnectFailed {
            backend,
            connection,
            failure,
        } => {
            let (at, reason) = (At(backend), failure.reason);
            let text = format_args!("{at}: connection {connection} connect failed: {reason}");
            say(Level::Info, None, text);
        }
        Event::Probed {
            backend,
            result: Ok(()),
        } => {
            say(
                Level::Info,
                None,
                format_args!("{}: probe: ok", At(backend)),
            );
        }
        Event::Probed {
            backend,
            result: Err(failure),
        } => {
            say(
                Level::Info,
                None,
                format_args!("{}: probe: {}", At(backend), failure.reason),
            );
        }
        Event::HookFailed {
            backend,
            hook,
            status,
        } => {
            say(
                Level::Info,
                None,
                format_args!("{}: {hook} exit status {status}", At(backend)),
            );
        }
        _ => {}
    }
}

fn describe_start(served: &Served<'_>, wanted: Wanted, clock: &Clock, say: &mut Say<'_>) {
    let Served {
        backend,
        connection,
        to,
        ..
    } = served;
    if wanted.activity {
        say(
            Level::Notice,
            None,
            format_args!("starting {}", Activity { served, clock }),
        );
    }
    if wanted.verbose || backend.verbose {
        let text = format_args!("{}: connection {connection} to {to}", At(backend));
        say(Level::Info, None, text);
    }
}

fn describe_end(
    served: &Served<'_>,
    transfer: &Transfer,
    wanted: Wanted,
    clock: &Clock,
    say: &mut Say<'_>,
) {
    let Served {
        backend,
        connection,
        ..
    } = served;
    if wanted.activity {
        let activity = Activity { served, clock };
        let text = format_args!("ending {activity}, {}", Figures(transfer));
        say(Level::Notice, None, text);
    }
    if wanted.verbose || backend.verbose {
        let (at, figures) = (At(backend), Figures(transfer));
        say(
            Level::Info,
            None,
            format_args!("{at}: connection {connection} ended: {figures}"),
        );
    }
}

fn in_service(service: &InService<'_>, kind: &'static str) -> Subject {
    Subject {
        service: Some(service.name.clone()),
        kind,
        ..Subject::default()
    }
}

fn at_backend(backend: &AtBackend<'_>, kind: &'static str) -> Subject {
    Subject {
        service: Some(backend.service.clone()),
        backend: Some(backend.name.clone()),
        kind,
        reason: "",
    }
}

#[cfg(test)]
mod tests;
