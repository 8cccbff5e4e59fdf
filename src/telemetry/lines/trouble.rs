//! Lines that traffic can cause again and again, at a level that is always
//! written; so each names what it repeats.

use std::fmt::Arguments;

use super::Say;
use super::programs::describe_programs;
use super::words::{At, Plain};
use crate::base::event::{AtBackend, Event, InService};
use crate::telemetry::level::Level;
use crate::telemetry::repeats::Subject;

/// Says what is wrong, and with which service or back end.
pub(super) fn describe_trouble(event: &Event<'_>, say: &mut Say<'_>) {
    use Level::{Error, Warning};
    let mut of = |level, service: &InService<'_>, kind, text: Arguments<'_>| {
        say(level, Some(in_service(service, kind)), text);
    };
    match event {
        Event::NoBackend { service, client } => {
            let text = format_args!("{}: no usable back end for {client}", service.name);
            of(Warning, service, "no back end", text);
        }
        Event::ServiceFull { service, limit } => {
            let (name, limit) = (service.name, limit.as_number());
            let text = format_args!("{name}: maxconnections {limit} reached, clients wait");
            of(Warning, service, "full", text);
        }
        Event::OutOfDescriptors { service } => {
            let text = format_args!("{}: out of descriptors, clients wait", service.name);
            of(Warning, service, "descriptors", text);
        }
        Event::CannotAccept { service, error } => {
            let text = format_args!("{}: cannot accept: {}", service.name, Plain(error));
            of(Error, service, "accept", text);
        }
        Event::Fault { what } => {
            let subject = Subject {
                kind: "fault",
                ..Subject::default()
            };
            say(Error, Some(subject), format_args!("internal fault: {what}"));
        }
        _ => describe_backend_trouble(event, say),
    }
}

fn describe_backend_trouble(event: &Event<'_>, say: &mut Say<'_>) {
    let mut at = |level, backend: &AtBackend<'_>, kind, text: Arguments<'_>| {
        say(level, Some(at_backend(backend, kind)), text);
    };
    match event {
        Event::Answered {
            by: Some(backend),
            connection,
            client,
            code,
            why,
            ..
        } => {
            let name = At(backend);
            let text =
                format_args!("{name}: connection {connection} of {client} answered {code}: {why}");
            at(Level::Warning, backend, "answered", text);
        }
        Event::CannotConnectFromHere {
            backend,
            to: Some(to),
            error,
        } => {
            let (name, error) = (At(backend), Plain(error));
            let text = format_args!("{name}: cannot connect from here to {to}: {error}");
            at(Level::Error, backend, "own side", text);
        }
        Event::CannotConnectFromHere {
            backend,
            to: None,
            error,
        } => {
            let (name, error) = (At(backend), Plain(error));
            let text = format_args!("{name}: cannot connect from here: {error}");
            at(Level::Error, backend, "own side", text);
        }
        Event::LogNotOpened {
            backend,
            file,
            error,
        } => {
            let text = format_args!("{}: cannot open {file}: {}", At(backend), Plain(error));
            at(Level::Warning, backend, "log not opened", text);
        }
        Event::LogDropped {
            backend,
            file,
            reason,
        } => {
            let text = format_args!("{}: blocks not logged in {file}: {reason}", At(backend));
            at(Level::Warning, backend, "log dropped", text);
        }
        _ => describe_programs(event, say),
    }
}

pub(super) fn in_service(service: &InService<'_>, kind: &'static str) -> Subject {
    Subject {
        service: Some(service.name.clone()),
        kind,
        ..Subject::default()
    }
}

pub(super) fn at_backend(backend: &AtBackend<'_>, kind: &'static str) -> Subject {
    Subject {
        service: Some(backend.service.clone()),
        backend: Some(backend.name.clone()),
        kind,
        reason: "",
    }
}
