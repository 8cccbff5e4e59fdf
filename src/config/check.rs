//! Rules across statements: what a service needs, what has no effect, what
//! looks like a mistake.

mod access;
mod file;
mod logs;
mod loops;
mod modes;
mod pages;
mod web;

use std::collections::HashMap;

use super::LoadOptions;
use super::ast::{Span, Spanned};
use super::diagnostic::Code;
use super::directives::Slot;
use super::draft::{BackendDraft, ServiceDraft, Setting, Value};
use super::findings::{Finding, Findings};
use super::lower::Drafts;
use super::model::{AccessLists, ErrorPage, HandlerKind};
use super::source::SourceMap;
use super::string;
use crate::base::template::{Template, TemplateIssue, TemplateKind};

/// What the checks look at.
pub(super) struct Subject<'a> {
    /// Services and back ends.
    pub(super) drafts: &'a Drafts,
    /// The expanded text.
    pub(super) text: &'a str,
    /// How the configuration is read.
    pub(super) options: &'a LoadOptions,
    /// Whether a part is missing because of an error, so that nothing can be
    /// said about what is not there.
    pub(super) incomplete: bool,
}

/// What stands in files that a service names, as the checks read it.
#[derive(Debug)]
pub(super) struct FileContents {
    /// Both access lists.
    pub(super) access: AccessLists,
    /// The pages of error replies.
    pub(super) error_pages: Vec<ErrorPage>,
}

/// Checks everything. Allow and deny files that are read are added to `map`;
/// what files hold is given, in order of the services.
pub(super) fn check(
    subject: &Subject<'_>,
    map: &mut SourceMap,
    findings: &mut Findings,
) -> Vec<FileContents> {
    let mut contents = Vec::new();
    let mut accounts = file::Accounts::default();
    for service in &subject.drafts.services {
        required(service, subject.incomplete, findings);
        let names = service
            .backends
            .iter()
            .filter_map(|backend| backend.name.as_ref());
        unique(names, "back end", findings);
        templates(service, subject.text, findings);
        modes::check(service, findings);
        web::check(service, findings);
        contents.push(FileContents {
            access: access::check(service, subject, map, findings),
            error_pages: pages::check(service, subject, findings),
        });
        accounts.check(service, subject.options, findings);
    }
    let names = subject
        .drafts
        .services
        .iter()
        .filter_map(|service| service.name.as_ref());
    unique(names, "service", findings);
    file::check(subject, map, findings);
    loops::check(&subject.drafts.services, findings);
    logs::check(&subject.drafts.services, findings);
    contents
}

/// E30: what a service and a back end cannot do without.
fn required(service: &ServiceDraft, incomplete: bool, findings: &mut Findings) {
    if incomplete {
        return;
    }
    let mut missing = |place: Span, message: String| {
        findings.push(Finding::new(Code::E30, place, message));
    };
    let settings = &service.settings;
    if settings.find(Slot::Port).is_none() && !settings.is_spoilt(Slot::Port) {
        missing(
            service.place(),
            format!("service `{}` has no `port`", service.name()),
        );
    }
    if service.backends.is_empty() && !service.lost_backend {
        missing(
            service.place(),
            format!("service `{}` has no `backend`", service.name()),
        );
    }
    for backend in &service.backends {
        let settings = &backend.settings;
        let name = backend.name();
        let spoilt = settings.is_spoilt(Slot::Server);
        if settings.find(Slot::Server).is_none() {
            if !spoilt {
                missing(
                    backend.place(),
                    format!("back end `{name}` has no `server`"),
                );
            }
        } else if settings.find(Slot::Port).is_none() && !settings.is_spoilt(Slot::Port) && !spoilt
        {
            let message =
                format!("back end `{name}` has no port, neither in `server` nor by `port`");
            missing(backend.place(), message);
        }
    }
}

/// E31 and W09: names that are used twice, or nearly.
fn unique<'a>(
    names: impl Iterator<Item = &'a Spanned<String>>,
    what: &str,
    findings: &mut Findings,
) {
    let mut exact: HashMap<&str, Span> = HashMap::new();
    let mut folded: HashMap<String, &Spanned<String>> = HashMap::new();
    for name in names {
        if let Some(first) = exact.get(name.value.as_str()) {
            let message = format!("the {what} name `{}` is used twice", name.value);
            let finding = Finding::new(Code::E31, name.span, message);
            findings.push(finding.note(*first, "first used here"));
            continue;
        }
        exact.insert(&name.value, name.span);
        match folded.get(&name.value.to_ascii_lowercase()) {
            Some(first) => {
                let message = format!(
                    "the {what} names `{}` and `{}` differ only in case",
                    first.value, name.value
                );
                let finding = Finding::new(Code::W09, name.span, message);
                findings.push(finding.note(first.span, "the other one"));
            }
            None => {
                folded.insert(name.value.to_ascii_lowercase(), name);
            }
        }
    }
}

/// E38 and W12: specifiers of hooks, header texts and the handler.
fn templates(service: &ServiceDraft, text: &str, findings: &mut Findings) {
    let checker = |value: &[u8], argument: Span, kind, findings: &mut Findings| {
        template(value, (argument, text), kind, service, findings);
    };
    if let Some(setting) = service.settings.find(Slot::DispatchMode)
        && let Value::Mode(_, Some(handler)) = &setting.value
    {
        let kind = match handler.kind {
            HandlerKind::Classic => TemplateKind::Handler,
            HandlerKind::Persistent => TemplateKind::Resident,
        };
        checker(handler.command.as_bytes(), setting.argument, kind, findings);
    }
    if let Some(setting) = service.settings.find(Slot::OnEvents)
        && let Value::Text(command) = &setting.value
    {
        let kind = TemplateKind::Resident;
        checker(command.as_bytes(), setting.argument, kind, findings);
    }
    for backend in &service.backends {
        for setting in hooks(backend) {
            if let Value::Text(command) = &setting.value {
                checker(
                    command.as_bytes(),
                    setting.argument,
                    TemplateKind::Hook,
                    findings,
                );
            }
        }
        for header in &backend.headers {
            // Only the value is a template, and `%` may stand in a name.
            let text = header.header.text.as_bytes();
            let name = header.header.name.as_bytes().len();
            let value = &text[name.saturating_add(1).min(text.len())..];
            if value.contains(&b'%') && header.argument != header.word {
                checker(value, header.argument, TemplateKind::Header, findings);
            }
        }
    }
}

fn hooks(backend: &BackendDraft) -> impl Iterator<Item = &Setting> {
    [Slot::OnStart, Slot::OnEnd, Slot::OnFail]
        .into_iter()
        .filter_map(|slot| backend.settings.find(slot))
}

fn template(
    value: &[u8],
    (argument, text): (Span, &str),
    kind: TemplateKind,
    service: &ServiceDraft,
    findings: &mut Findings,
) {
    let (template, issues) = Template::parse(value, kind);
    let count = service.backends.len();
    // The end of the value and that of the raw text correspond even where the
    // value was given another beginning (`insertcookie`) or lost it (the name of
    // a header, `externalhandler persistent`).
    let shift = shift(value, argument.of(text));
    let place = |range: std::ops::Range<usize>| {
        let raw = argument.of(text);
        let start = string::locate(raw, range.start.saturating_add_signed(-shift));
        let start = argument.start + start.min(raw.len());
        Span {
            start,
            end: start + range.len(),
        }
    };
    for reference in template.references() {
        if reference.number == 0 || reference.number > count as u64 {
            let message = format!(
                "service `{}` has no back end number {}",
                service.name(),
                reference.number
            );
            let finding = Finding::new(Code::E38, place(reference.place.clone()), message);
            findings.push(finding.accepted(format!("1 to {count}")));
        }
    }
    for issue in issues {
        let message = match issue {
            TemplateIssue::NoCurrentBackend(_) => {
                "there is no current back end: this gives nothing"
            }
            TemplateIssue::NoUsability(_) => {
                "a program that is started once cannot follow it: this gives nothing"
            }
            TemplateIssue::NoClient(_) => "there is no client: this gives nothing",
            TemplateIssue::BareNumber(_) => {
                "none of `a`, `b`, `w` follows: the digits stand for themselves"
            }
        };
        findings.push(Finding::new(Code::W12, place(issue.place()), message));
    }
}

/// How many bytes were put before the value that stands in the raw text, less
/// those that were taken away there; they are ASCII.
fn shift(value: &[u8], raw: &str) -> isize {
    let written = super::source::to_bytes(&string::value(raw));
    value.len().cast_signed() - written.len().cast_signed()
}
