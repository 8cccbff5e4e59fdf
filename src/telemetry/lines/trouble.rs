//! Lines that traffic can cause again and again, at a level that is always
//! written; so each names what it repeats.

use std::fmt::Arguments;

use super::Say;
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
        Event::HandlerFailed { service, reason } => {
            let text = format_args!("{}: handler: {reason}, using roundrobin", service.name);
            let subject = Subject {
                reason,
                ..in_service(service, "handler")
            };
            say(Warning, Some(subject), text);
        }
        Event::HelperEnded {
            service,
            role,
            reason,
            pause,
        } => {
            let (name, seconds) = (service.name, pause.as_secs_f64());
            let text = format_args!("{name}: {role}: {reason}, started again in {seconds} s");
            of(Warning, service, role, text);
        }
        Event::HelperBehind { service, role } => {
            let text = format_args!("{}: {role} does not read, lines dropped", service.name);
            of(Warning, service, "helper behind", text);
        }
        Event::HooksAbandoned { hooks } => {
            let text = format_args!("{hooks} hooks dropped by the stop");
            say(Warning, None, text);
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
        Event::HookOverdue {
            backend,
            hook,
            limit,
        } => {
            let seconds = limit.as_secs_f64();
            let text = format_args!("{}: {hook} over {seconds} s, terminated", At(backend));
            at(Level::Warning, backend, "hook overdue", text);
        }
        Event::HookDropped { backend, hook } => {
            let text = format_args!("{}: hook queue full, {hook} dropped", At(backend));
            at(Level::Warning, backend, "hook dropped", text);
        }
        Event::HookNotRun {
            backend,
            hook,
            error,
        } => {
            let text = format_args!("{}: cannot run {hook}: {}", At(backend), Plain(error));
            at(Level::Error, backend, "hook not run", text);
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
        _ => {}
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
