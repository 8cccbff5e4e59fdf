//! `restart`: checks the file, then lets a new daemon take over from the old
//! one, which drains meanwhile.

use std::net::SocketAddr;
use std::time::Instant;

use crate::cli::exit::Outcome;
use crate::cli::find::{Daemon, Standing, Survey};
use crate::cli::session::{Known, Session};
use crate::cli::{start, stop};
use crate::config::Purpose;
use crate::config::model::Config;
use crate::control::client::ask;
use crate::control::request::Request;
use crate::daemon::{self, Places};

/// Stops what runs and starts anew; with a faulty file nothing is touched.
///
/// The new daemon listens beside the old one before that is ordered away, so
/// no client is refused in between. The old one closes its listeners and gives
/// its objects away before it answers, so the new one can begin at once.
///
/// Source: documented (manual page); check and hand-over decided (2.3, 2.6).
pub(super) fn run(session: &Session) -> Outcome {
    let began = Instant::now();
    let config = session.load(Purpose::Start)?;
    let survey = session.survey(&Known::of(&config));
    let places = places_beside(session, &config, &survey);
    let request = Request::Release {
        grace: session.limits().grace,
    };
    stop::order(session, &survey.daemons, &request).outcome?;
    start::launch(session, &config, places, began)
}

/// Listens where the running daemons do; nowhere if one of them does not
/// answer, since clients would then wait for a daemon that does not come.
fn places_beside(session: &Session, config: &Config, survey: &Survey) -> Places {
    let running = || {
        let services = survey.services.iter();
        services.filter_map(|service| match &service.standing {
            Standing::Running(snapshot) => Some(snapshot),
            _ => None,
        })
    };
    // Not asked are those that drain: their listeners are closed already.
    let serves = |daemon: &&Daemon| running().any(|one| one.header.pid == daemon.pid);
    let answers =
        |daemon: &Daemon| ask(&daemon.socket, &Request::Ping, session.limits().control).is_ok();
    if !survey.daemons.iter().filter(serves).all(answers) {
        return Places::default();
    }
    let addresses = running().map(|snapshot| {
        let facts = &snapshot.service.value.0;
        SocketAddr::new(facts.bind, facts.port)
    });
    let old: Vec<SocketAddr> = addresses.collect();
    daemon::listen_beside(config, &start::daemon_options(session), &old)
}
