//! Lines about external programs that get into trouble: handlers, resident
//! programs, hooks. Traffic can cause them again and again.

use std::fmt::Arguments;

use super::Say;
use super::trouble::{at_backend, in_service};
use super::words::{At, Plain};
use crate::base::event::{AtBackend, Event, InService};
use crate::telemetry::level::Level::{Error, Warning};
use crate::telemetry::repeats::Subject;

/// Says what is wrong with a program of a service.
pub(super) fn describe_programs(event: &Event<'_>, say: &mut Say<'_>) {
    let mut of = |service: &InService<'_>, kind, text: Arguments<'_>| {
        say(Warning, Some(in_service(service, kind)), text);
    };
    match event {
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
            of(service, role, text);
        }
        Event::HelperBehind { service, role } => {
            let text = format_args!("{}: {role} does not read, lines dropped", service.name);
            of(service, "helper behind", text);
        }
        Event::HooksAbandoned { hooks } => {
            let text = format_args!("{hooks} hooks dropped by the stop");
            say(Warning, None, text);
        }
        _ => describe_hooks(event, say),
    }
}

fn describe_hooks(event: &Event<'_>, say: &mut Say<'_>) {
    let mut at = |level, backend: &AtBackend<'_>, kind, text: Arguments<'_>| {
        say(level, Some(at_backend(backend, kind)), text);
    };
    match event {
        Event::HookOverdue {
            backend,
            hook,
            limit,
        } => {
            let seconds = limit.as_secs_f64();
            let text = format_args!("{}: {hook} over {seconds} s, terminated", At(backend));
            at(Warning, backend, "hook overdue", text);
        }
        Event::HookDropped { backend, hook } => {
            let text = format_args!("{}: hook queue full, {hook} dropped", At(backend));
            at(Warning, backend, "hook dropped", text);
        }
        Event::HookNotRun {
            backend,
            hook,
            error,
        } => {
            let text = format_args!("{}: cannot run {hook}: {}", At(backend), Plain(error));
            at(Error, backend, "hook not run", text);
        }
        _ => {}
    }
}
