//! `start`: checks everything that can be checked, then lets a daemon go.
//!
//! ```text
//! file ─► objects ─► listeners ─► left-overs ─► detach ─┬─► daemon ─► ready
//!   │        │           │           away               │               │
//!   └────────┴───────────┴─ message, exit 1             └─ waits ◄──────┘
//! ```
//! Nothing is left behind when a step fails: the steps before it only looked,
//! or hold what ends with this process.

mod clear;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use crate::cli::exit::{self, Failure, Outcome, causes};
use crate::cli::find::Expected;
use crate::cli::session::{Session, expect};
use crate::config::Purpose;
use crate::config::model::Config;
use crate::daemon::{self, Listeners, Places, RunError};
use crate::process::background::{self, Notifier, Role, Waiter};
use crate::process::holder::{Holder, holder_of};
use crate::process::{identity, spawn};
use crate::telemetry;

/// Starts all services of the file.
///
/// Source: documented (manual page); order of the steps decided (2.6).
pub(super) fn run(session: &Session) -> Outcome {
    let began = Instant::now();
    let config = session.load(Purpose::Start)?;
    launch(session, &config, Places::default(), began)
}

/// Starts all services of a configuration that is free of errors, on the
/// `places` that some may have already; the limit of the start counts from
/// `began`.
pub(super) fn launch(
    session: &Session,
    config: &Config,
    places: Places,
    began: Instant,
) -> Outcome {
    let services: Vec<Expected> = config.services.iter().map(expect).collect();
    let remains = clear::look(session, &services)?;
    remains.outlast();
    let options = daemon_options(session);
    let listeners = listen(session, config, &options, places)?;
    remains.remove(session)?;
    // Before there are other threads, and before the daemon's own handlers.
    spawn::undo_ignored_signals();
    if session.options.foreground {
        background::keep_inherited().map_err(|error| {
            Failure::message(format!("cannot look at inherited descriptors: {error}"))
        })?;
        return serve(config, &options, listeners, || ()).map_err(Failure::Message);
    }
    session.console.step("going into the background");
    let role = background::detach().map_err(|error| {
        let remedy = match exit::is_out_of_descriptors(&error) {
            true => exit::MORE_DESCRIPTORS,
            false => "",
        };
        Failure::message(format!("cannot go into the background: {error}{remedy}"))
    })?;
    match role {
        Role::Child(notifier) => serve_behind(notifier, config, &options, listeners),
        Role::Parent(waiter) => {
            // Only the daemon keeps the ports.
            drop(listeners);
            wait(session, &services, waiter, began)
        }
    }
}

/// Binds and listens for all services; each one that cannot is named.
pub(super) fn listen(
    session: &Session,
    config: &Config,
    options: &daemon::Options,
    places: Places,
) -> Result<Listeners, Failure> {
    // Many services times many workers may need more than the soft limit; if
    // it cannot be raised, the listener that finds no descriptor says so.
    let _ = identity::raise_descriptor_limit();
    for service in &config.services {
        session.console.step(format_args!(
            "service {}: listening on {}",
            service.name,
            service.listen_address()
        ));
    }
    daemon::listen(config, options, places).map_err(|errors| {
        for error in errors {
            let remedy = remedy(error.address, &error.source, holder_of);
            session.console.error(format_args!("{error}{remedy}"));
        }
        Failure::Told
    })
}

/// What an operator can do about a port that cannot be had, with a blank in
/// front; empty if nothing is known.
fn remedy(
    address: SocketAddr,
    error: &io::Error,
    holder_of: impl Fn(SocketAddr) -> Option<Holder>,
) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => match holder_of(address) {
            Some(Holder { pid, name }) => format!(" (by pid {pid}, {name})"),
            None => " (by a process that cannot be seen from here)".to_owned(),
        },
        _ if exit::is_out_of_descriptors(error) => exit::MORE_DESCRIPTORS.to_owned(),
        io::ErrorKind::PermissionDenied if address.port() < 1_024 => {
            " (ports below 1024 need root or CAP_NET_BIND_SERVICE)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => " (see bindto)".to_owned(),
        _ => String::new(),
    }
}

/// Runs a daemon in this process until it ends.
///
/// The name is what `killall` looks for, however the program was called.
pub(super) fn serve(
    config: &Config,
    options: &daemon::Options,
    listeners: Listeners,
    ready: impl FnOnce(),
) -> Result<(), String> {
    identity::take_name().map_err(|error| format!("cannot set the process name: {error}"))?;
    daemon::run(config, options, listeners, ready)
        .map_err(|error| format!("{}{}", causes(&error), remedy_for_run(&error)))
}

/// What an operator can do when the daemon did not begin to serve, as
/// [`remedy`].
fn remedy_for_run(error: &RunError) -> &'static str {
    match error {
        _ if exit::is_out_of_descriptors(error) => exit::MORE_DESCRIPTORS,
        RunError::RunDir(_) | RunError::Control { .. } => {
            " (CROSSROADS_RUN_DIR can name another directory, the same for all commands)"
        }
        RunError::Account { .. } => " (see useraccount)",
        RunError::System(_) | RunError::Segment { .. } | RunError::TooFewDescriptors { .. } => "",
    }
}

/// What the flags and the environment say about a daemon.
pub(super) fn daemon_options(session: &Session) -> daemon::Options {
    let options = &session.options;
    let syslog = std::env::var_os("CROSSROADS_SYSLOG").filter(|path| !path.is_empty());
    let console = match options.foreground {
        true => telemetry::console::Console::foreground(|name| std::env::var_os(name)),
        false => telemetry::console::Console::Off,
    };
    daemon::Options {
        workers: options.workers,
        buffer_size: options.buffer_size,
        dns_ttl: options.dns_ttl,
        limits: options.limits,
        activity: options.activity,
        records: options.records,
        facility: options.facility,
        verbose: options.verbose,
        console,
        run_dir: session.run_dir.clone(),
        syslog: syslog.map(PathBuf::from),
    }
}

/// The daemon in the background; its messages go to the parent as long as that
/// waits.
fn serve_behind(
    notifier: Notifier,
    config: &Config,
    options: &daemon::Options,
    listeners: Listeners,
) -> Outcome {
    let notifier = Cell::new(Some(notifier));
    let ready = || {
        if let Some(notifier) = notifier.take() {
            notifier.ready();
        }
    };
    serve(config, options, listeners, ready).map_err(|why| {
        if let Some(notifier) = notifier.take() {
            notifier.failed(&[why]);
        }
        Failure::Told
    })
}

/// Waits until the daemon serves; if it does not, nothing of it stays.
fn wait(session: &Session, services: &[Expected], waiter: Waiter, began: Instant) -> Outcome {
    let pid = waiter.child();
    session.console.step(format_args!("waiting for pid {pid}"));
    let limit = session.limits().start;
    let waited = waiter
        .wait(limit.saturating_sub(began.elapsed()))
        .map_err(|error| Failure::message(format!("lost sight of pid {pid}: {error}")))?;
    let why = match waited {
        background::Outcome::Ready => {
            session.console.step(format_args!("pid {pid} serves"));
            return Ok(());
        }
        background::Outcome::Failed(messages) => messages,
        background::Outcome::Died(status) => {
            vec![format!("pid {pid} ended before it could serve: {status}")]
        }
        background::Outcome::TimedOut => {
            let seconds = limit.as_secs_f64();
            vec![format!("not ready within {seconds} s, undone")]
        }
    };
    clear::undo(session, services, pid);
    for line in why {
        session.console.error(line);
    }
    Err(Failure::Told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy_for(kind: io::ErrorKind, address: &str, holder: Option<&Holder>) -> String {
        remedy(address.parse().unwrap(), &kind.into(), |_| holder.cloned())
    }

    #[test]
    fn holder_of_a_port_is_named_if_it_can_be_seen() {
        let nginx = Holder {
            pid: 17,
            name: "nginx".to_owned(),
        };

        let seen = remedy_for(io::ErrorKind::AddrInUse, "0.0.0.0:80", Some(&nginx));
        let unseen = remedy_for(io::ErrorKind::AddrInUse, "0.0.0.0:80", None);

        assert_eq!(seen, " (by pid 17, nginx)");
        assert_eq!(unseen, " (by a process that cannot be seen from here)");
    }

    #[test]
    fn low_port_without_permission_is_explained() {
        let denied = io::ErrorKind::PermissionDenied;

        assert!(remedy_for(denied, "0.0.0.0:80", None).contains("root"));
        assert_eq!(remedy_for(denied, "0.0.0.0:8080", None), "");
    }
}
