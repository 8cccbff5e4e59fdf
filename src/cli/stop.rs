//! `stop`: orders every daemon of the configuration to end, and waits for it.

use std::time::{Duration, Instant};

use crate::base::limits::Limits;
use crate::cli::exit::{Failure, Outcome, causes};
use crate::cli::find::Daemon;
use crate::cli::session::Session;
use crate::cli::watch::Watch;
use crate::control::client::ask;
use crate::control::request::{Reply, Request};

/// How long a daemon may need from the removal of its socket to its end.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// Stops the running daemons; nothing running is no error.
///
/// Source: documented (manual page); what it waits for decided (2.6).
pub(super) fn run(session: &Session) -> Outcome {
    let known = session.know()?;
    let survey = session.survey(&known);
    let unreadable = survey.unreadable();
    for line in &unreadable {
        session.console.error(line);
    }
    if survey.daemons.is_empty() && unreadable.is_empty() {
        session.console.error("nothing to stop");
        return known.found_nothing();
    }
    let request = Request::Stop {
        grace: session.limits().grace,
    };
    let ending = order(session, &survey.daemons, &request);
    let limit = patience(session.limits());
    let mut outcome = match unreadable.is_empty() {
        true => ending.outcome,
        // What could not be read may be a service that runs on.
        false => Err(Failure::Told),
    };
    for (daemon, watch) in ending.watched {
        let pid = daemon.pid;
        session.console.step(format_args!("waiting for pid {pid}"));
        if !watch.ends_by(ending.since + limit) {
            let seconds = limit.as_secs_f64();
            session
                .console
                .error(format_args!("pid {pid} is still running after {seconds} s"));
            outcome = Err(Failure::Told);
        }
    }
    outcome
}

/// What `stop` waits for a process.
fn patience(limits: &Limits) -> Duration {
    limits.grace + limits.stop_wait
}

/// Daemons that took an order to end.
pub(super) struct Ending<'a> {
    /// Those whose end is to come.
    watched: Vec<(&'a Daemon, Watch)>,
    /// When they were ordered.
    since: Instant,
    /// Whether all of them took the order.
    pub(super) outcome: Outcome,
}

/// Gives every daemon an order to end; what went wrong is printed.
pub(super) fn order<'a>(session: &Session, daemons: &'a [Daemon], request: &Request) -> Ending<'a> {
    let mut ending = Ending {
        watched: Vec::new(),
        since: Instant::now(),
        outcome: Ok(()),
    };
    for daemon in daemons {
        // Watched before it is asked, so that its pid cannot become another's.
        let Some(watch) = Watch::begin(daemon.pid, daemon.start) else {
            continue;
        };
        session
            .console
            .step(format_args!("asking pid {}", daemon.pid));
        match order_one(session, daemon, request) {
            Ok(()) => ending.watched.push((daemon, watch)),
            // It was about to end: its socket goes before the process.
            Err(_) if watch.ends_by(Instant::now() + LAST_STEPS) => {}
            Err(why) => {
                let pid = daemon.pid;
                session.console.error(format_args!(
                    "pid {pid}: {why}; 'kill {pid}' ends it without its socket"
                ));
                ending.outcome = Err(Failure::Told);
            }
        }
    }
    ending
}

fn order_one(session: &Session, daemon: &Daemon, request: &Request) -> Result<(), String> {
    match ask(&daemon.socket, request, session.limits().control) {
        Ok(Reply::Stopping | Reply::Released) => Ok(()),
        Ok(Reply::Error { text, .. }) => Err(text),
        Ok(_) => Err("the answer does not fit the order".to_owned()),
        Err(error) => Err(causes(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_the_grace_and_ten_seconds() {
        let limits = Limits {
            grace: Duration::from_secs(30),
            ..Limits::default()
        };

        assert_eq!(patience(&limits), Duration::from_secs(40));
    }
}
