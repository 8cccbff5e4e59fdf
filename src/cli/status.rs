//! `status`: prints what the segments of the services say.

use crate::base::limits::Limits;
use crate::base::moment::Moment;
use crate::cli::arguments::{Form, Options};
use crate::cli::console::Console;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::find::{Place, Sighting, Standing, Survey};
use crate::cli::render::{self, Detail, RunningService, ServiceStatus, StatusReport, TextStyle};
use crate::cli::session::Session;
use crate::config::diagnostic::Colours;
use crate::status::owner::heartbeat_age;
use crate::status::snapshot::ServiceSnapshot;

/// Prints state and usage of the services.
///
/// Source: documented (shared memory chapter); form decided (14.1, 14.2).
pub(super) fn run(session: &Session) -> Outcome {
    let known = session.know()?;
    let survey = session.survey(&known);
    if survey.services.is_empty() {
        return known.found_nothing();
    }
    if is_outdated(&survey, known.fingerprint) {
        session.console.error(format_args!(
            "{} was changed since the start; 'crossroads restart' puts it into effect",
            known.file
        ));
    }
    let (report, unreadable) = report(survey, session.limits());
    let form = form(&session.options, &session.console);
    session.console.print(report.render(form))?;
    for why in &unreadable {
        session.console.error(why);
    }
    if unreadable.is_empty() {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

/// Whether a service runs that was started from other text than the file has
/// now; nobody can say that of a faulty file.
fn is_outdated(survey: &Survey, fingerprint: Option<u64>) -> bool {
    fingerprint.is_some_and(|now| running(survey).any(|one| one.header.fingerprint != now))
}

fn running(survey: &Survey) -> impl Iterator<Item = &ServiceSnapshot> {
    survey
        .services
        .iter()
        .filter_map(|one| match &one.standing {
            Standing::Running(snapshot) => Some(&**snapshot),
            _ => None,
        })
}

/// What is printed, and what is said of objects that cannot be read.
fn report(survey: Survey, limits: &Limits) -> (StatusReport, Vec<String>) {
    let mut services = Vec::new();
    let mut unreadable = Vec::new();
    for Sighting {
        name,
        place,
        standing,
    } in survey.services
    {
        match standing {
            Standing::Running(snapshot) => {
                services.push(running_service(*snapshot, place, limits));
            }
            Standing::LeftOver { pid } => services.push(ServiceStatus::LeftOver { name, pid }),
            Standing::NotRunning => services.push(ServiceStatus::NotRunning { name }),
            Standing::Unreadable(why) => unreadable.push(format!("service {name}: {why}")),
        }
    }
    let now = Moment::now().unix;
    (StatusReport { services, now }, unreadable)
}

/// A service that runs, as it is printed.
pub(super) fn running_service(
    snapshot: ServiceSnapshot,
    place: Place,
    limits: &Limits,
) -> ServiceStatus {
    ServiceStatus::Running(Box::new(RunningService {
        heartbeat_age: heartbeat_age(&snapshot.header),
        heartbeat_limit: limits.heartbeat.as_secs(),
        in_file: place == Place::InFile,
        snapshot,
    }))
}

/// The form that the flags ask for; colours only for people at a terminal.
pub(super) fn form(options: &Options, console: &Console) -> render::Form {
    match options.form {
        Form::Terse => render::Form::Terse,
        Form::Json => render::Form::Json,
        Form::Xml => render::Form::Xml,
        Form::Text => render::Form::Text(TextStyle {
            detail: match options.verbose {
                true => Detail::Full,
                false => Detail::Brief,
            },
            colours: match console.results() {
                Colours::Always => render::Colours::On,
                Colours::Never => render::Colours::Off,
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::find::tests::snapshot;

    fn sighting(name: &str, standing: Standing) -> Sighting {
        Sighting {
            name: name.to_owned(),
            place: Place::InFile,
            standing,
        }
    }

    fn survey() -> Survey {
        Survey {
            services: vec![
                sighting("a", Standing::Running(Box::new(snapshot(1, 10, "a", &[])))),
                sighting("b", Standing::NotRunning),
                sighting("c", Standing::LeftOver { pid: 11 }),
                sighting("d", Standing::Unreadable("not a status segment".to_owned())),
            ],
            daemons: Vec::new(),
        }
    }

    #[test]
    fn file_is_outdated_when_a_running_service_has_another_fingerprint() {
        assert!(!is_outdated(&survey(), Some(7)));
        assert!(is_outdated(&survey(), Some(8)));
        assert!(!is_outdated(&survey(), None));
    }

    #[test]
    fn object_that_cannot_be_read_does_not_hide_the_others() {
        let (report, unreadable) = report(survey(), &Limits::default());

        assert_eq!(report.services.len(), 3);
        assert_eq!(unreadable, ["service d: not a status segment"]);
    }
}
