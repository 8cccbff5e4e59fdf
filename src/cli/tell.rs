//! `tell`: finds who is meant, asks its daemon, prints what it answers.

use std::path::Path;

use crate::base::name::{Lookup, look_up};
use crate::cli::arguments::Order;
use crate::cli::exit::{Failure, Outcome, causes};
use crate::cli::find::{Sighting, Standing, Survey};
use crate::cli::nearest;
use crate::cli::session::Session;
use crate::control::client::ask;
use crate::control::request::{Reply, Request};
use crate::status::snapshot::ServiceSnapshot;

/// Sets the state or the address of a back end in the running daemon.
///
/// Source: documented (manual page); steps and texts decided (14.5).
pub(super) fn run(session: &Session, order: &Order) -> Outcome {
    let known = session.know()?;
    let survey = session.survey(&known);
    let segment = service(&survey, &order.service, &known.file)?;
    let name = &segment.service.value.0.name;
    let request = Request::Tell {
        service: name.clone(),
        backend: backend(segment, &order.backend)?.to_owned(),
        tell: order.tell.clone(),
    };
    let socket = Path::new(&segment.header.socket);
    session
        .console
        .step(format_args!("asking pid {}", segment.header.pid));
    match ask(socket, &request, session.limits().control) {
        Ok(Reply::Told {
            service,
            backend,
            old,
            new,
        }) => session
            .console
            .print(format!("{service} {backend}: {old} -> {new}\n")),
        Ok(Reply::Error { text, .. }) => Err(Failure::message(text)),
        Ok(_) => Err(Failure::message("the answer does not fit the request")),
        Err(error) => Err(Failure::message(causes(&error))),
    }
}

/// The segment of the service that `asked` means.
fn service<'a>(
    survey: &'a Survey,
    asked: &str,
    file: &str,
) -> Result<&'a ServiceSnapshot, Failure> {
    let sightings = by_name(survey);
    let names: Vec<&str> = sightings.iter().map(|one| one.name.as_str()).collect();
    let found = choose(asked, &names)
        .map_err(|hint| Failure::message(format!("no service '{asked}' in {file}{hint}")))?;
    match &sightings[found].standing {
        Standing::Running(snapshot) => Ok(snapshot),
        Standing::Unreadable(why) => Err(Failure::message(format!(
            "service '{}': {why}",
            names[found]
        ))),
        Standing::NotRunning | Standing::LeftOver { .. } => Err(Failure::message(format!(
            "service '{}': not running",
            names[found]
        ))),
    }
}

/// One sighting for each name: of two with the same name, one from the file and
/// one from a daemon that runs, the one that runs.
fn by_name(survey: &Survey) -> Vec<&Sighting> {
    let runs = |one: &Sighting| matches!(one.standing, Standing::Running(_));
    let mut sightings: Vec<&Sighting> = Vec::new();
    for one in &survey.services {
        match sightings.iter_mut().find(|known| known.name == one.name) {
            Some(known) if !runs(known) && runs(one) => *known = one,
            Some(_) => {}
            None => sightings.push(one),
        }
    }
    sightings
}

/// The name of the back end that `asked` means, as configured.
fn backend<'a>(segment: &'a ServiceSnapshot, asked: &str) -> Result<&'a str, Failure> {
    let names: Vec<&str> = segment
        .backends
        .iter()
        .map(|record| record.value.0.name.as_str())
        .collect();
    let service = &segment.service.value.0.name;
    choose(asked, &names)
        .map(|found| names[found])
        .map_err(|hint| {
            Failure::message(format!(
                "no back end '{asked}' in service '{service}'{hint}"
            ))
        })
}

/// The position of the name that `asked` means, or a hint at what might be.
fn choose(asked: &str, names: &[&str]) -> Result<usize, String> {
    match look_up(asked, names.iter().copied()) {
        Lookup::Found(position) => Ok(position),
        Lookup::Unknown => Err(nearest::hint(asked, names.iter().copied())),
        Lookup::Ambiguous(positions) => {
            let alike: Vec<&str> = positions.iter().map(|&position| names[position]).collect();
            Err(format!(" (ambiguous: {})", alike.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::find::Place;
    use crate::cli::find::tests::snapshot;

    fn running(name: &str, key: u32, place: Place) -> Sighting {
        Sighting {
            name: name.to_owned(),
            place,
            standing: Standing::Running(Box::new(snapshot(key, 10, name, &["maple", "birch"]))),
        }
    }

    fn stopped(name: &str) -> Sighting {
        Sighting {
            name: name.to_owned(),
            place: Place::InFile,
            standing: Standing::NotRunning,
        }
    }

    fn survey(services: Vec<Sighting>) -> Survey {
        Survey {
            services,
            daemons: Vec::new(),
        }
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
        match result {
            Err(Failure::Message(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn other_case_is_found_where_only_one_name_fits() {
        let survey = survey(vec![running("shop", 1, Place::InFile)]);

        let segment = service(&survey, "SHOP", "x.conf").unwrap();

        assert_eq!(backend(segment, "Birch").unwrap(), "birch");
    }

    #[test]
    fn unknown_names_come_with_their_neighbours() {
        let survey = survey(vec![running("shop", 1, Place::InFile)]);
        let segment = service(&survey, "shop", "x.conf").unwrap();

        assert_eq!(
            refusal(service(&survey, "shpo", "x.conf")),
            "no service 'shpo' in x.conf (did you mean 'shop'?)"
        );
        assert_eq!(
            refusal(backend(segment, "birhc")),
            "no back end 'birhc' in service 'shop' (did you mean 'birch'?)"
        );
        assert_eq!(
            refusal(backend(segment, "oak")),
            "no back end 'oak' in service 'shop'"
        );
    }

    #[test]
    fn ambiguous_names_are_listed() {
        let survey = survey(vec![
            running("www", 1, Place::InFile),
            running("WWW", 2, Place::InFile),
        ]);

        assert_eq!(
            refusal(service(&survey, "Www", "x.conf")),
            "no service 'Www' in x.conf (ambiguous: www, WWW)"
        );
        assert!(service(&survey, "WWW", "x.conf").is_ok());
    }

    #[test]
    fn service_that_does_not_run_cannot_be_told() {
        let survey = survey(vec![stopped("shop")]);

        assert_eq!(
            refusal(service(&survey, "Shop", "x.conf")),
            "service 'shop': not running"
        );
    }

    #[test]
    fn service_that_moved_in_the_file_is_told_where_it_runs() {
        let survey = survey(vec![stopped("shop"), running("shop", 5, Place::NotInFile)]);

        let segment = service(&survey, "shop", "x.conf").unwrap();

        assert_eq!(segment.header.key, 5);
    }
}
