//! `restart`: checks the file, then lets a new daemon take over from the old
//! one, which drains meanwhile.

use std::time::Instant;

use crate::cli::exit::Outcome;
use crate::cli::session::{Known, Session};
use crate::cli::{start, stop};
use crate::config::Purpose;
use crate::control::request::Request;

/// Stops what runs and starts anew; with a faulty file nothing is touched.
///
/// The old daemon closes its listeners and gives its objects away before it
/// answers, so the new one can begin at once.
///
/// Source: documented (manual page); check and hand-over decided (2.3, 2.6).
pub(super) fn run(session: &Session) -> Outcome {
    let began = Instant::now();
    let config = session.load(Purpose::Start)?;
    let survey = session.survey(&Known::of(&config));
    let request = Request::Release {
        grace: session.limits().grace,
    };
    stop::order(session, &survey.daemons, &request).outcome?;
    start::launch(session, &config, began)
}
