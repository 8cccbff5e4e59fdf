//! Lines about single clients and connections.

use super::words::{Activity, At, Figures};
use super::{Say, Wanted};
use crate::base::clock::Clock;
use crate::base::event::{Event, ListSide, Served};
use crate::base::outcome::Transfer;
use crate::telemetry::level::Level;

/// What a client meets before a back end is chosen.
pub(super) fn describe_client(event: &Event<'_>, say: &mut Say<'_>) {
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
        Event::Answered {
            service,
            connection,
            client,
            code,
            why,
            ..
        } => {
            let text = format_args!(
                "{}: connection {connection} of {client} answered {code}: {why}",
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

/// What came of reaching a back end, and of its hooks.
pub(super) fn describe_attempt(event: &Event<'_>, say: &mut Say<'_>) {
    match event {
        Event::ConnectFailed {
            backend,
            connection,
            failure,
            ..
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
            let text = format_args!("{}: probe: {}", At(backend), failure.reason);
            say(Level::Info, None, text);
        }
        Event::HookFailed {
            backend,
            hook,
            status,
        } => {
            let text = format_args!("{}: {hook} exit status {status}", At(backend));
            say(Level::Info, None, text);
        }
        _ => {}
    }
}

/// The start of a connection, for `-a` and for `verbosity`.
pub(super) fn describe_start(
    served: &Served<'_>,
    wanted: Wanted,
    clock: &Clock,
    say: &mut Say<'_>,
) {
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

/// The end of a connection, for `-a` and for `verbosity`.
pub(super) fn describe_end(
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
