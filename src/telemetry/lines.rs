//! What each event says in the log, and whether it is said at all.
//!
//! Pure. Texts are handed over unformatted, so an event that nobody wants, or
//! that is held back as a repetition, costs no formatting.

use std::fmt::Arguments;

use crate::base::clock::Clock;
use crate::base::event::Event;
use crate::base::state::{Reason, ShownState, StateChange};
use crate::telemetry::level::Level;
use crate::telemetry::repeats::Subject;

mod connections;
mod programs;
mod record;
mod trouble;
mod words;

use connections::{describe_attempt, describe_client, describe_end, describe_start};
use trouble::describe_trouble;
pub use words::Plain;
use words::{At, Side};

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
        | Event::Answered { by: Some(_), .. }
        | Event::ServiceFull { .. }
        | Event::OutOfDescriptors { .. }
        | Event::CannotAccept { .. }
        | Event::CannotConnectFromHere { .. }
        | Event::HandlerFailed { .. }
        | Event::HookOverdue { .. }
        | Event::HookDropped { .. }
        | Event::HookNotRun { .. }
        | Event::HooksAbandoned { .. }
        | Event::HelperEnded { .. }
        | Event::HelperBehind { .. }
        | Event::LogNotOpened { .. }
        | Event::LogDropped { .. }
        | Event::Fault { .. } => describe_trouble(event, say),
        Event::Accepted { service, .. }
        | Event::Aborted { service, .. }
        | Event::Answered {
            service, by: None, ..
        }
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
        // Kept only where it is asked for, so always wanted.
        Event::Recorded {
            service,
            mode,
            record,
        } => {
            let json = record::Json {
                service,
                mode,
                record,
            };
            say(Level::Notice, None, format_args!("{json}"));
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
            let text = format_args!("{}: listening on {at}, {backends} back ends", service.name);
            say(Level::Notice, None, text);
        }
        Event::Stopped { service, cut } => {
            let text = format_args!("{}: stopped, {cut} connections cut", service.name);
            say(Level::Notice, None, text);
        }
        Event::StateChanged { backend, change } => {
            let StateChange {
                from, to, reason, ..
            } = change;
            if let Some(level) = level_of(change) {
                let text = format_args!("{}: {from} -> {to} ({reason})", At(backend));
                say(level, None, text);
            }
        }
        Event::ServerChanged { backend, old, new } => {
            let text = format_args!("{}: server {old} -> {new} (told)", At(backend));
            say(Level::Notice, None, text);
        }
        _ => describe_list(event, say),
    }
}

fn describe_list(event: &Event<'_>, say: &mut Say<'_>) {
    match event {
        Event::ListRead {
            service,
            list,
            file,
            filters: 0,
        } => {
            let (name, list) = (service.name, Side(*list));
            let text = format_args!("{name}: {list} list read from {file} is empty");
            say(Level::Warning, None, text);
        }
        Event::ListRead {
            service,
            list,
            file,
            filters,
        } => {
            let (name, list) = (service.name, Side(*list));
            let text = format_args!("{name}: {list} list read from {file}, {filters} filters");
            say(Level::Notice, None, text);
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

#[cfg(test)]
mod tests;
