//! What needs `type http`, and cookies that cannot work.

use std::collections::HashMap;

use crate::base::clock::Clock;
use crate::base::id::BackendId;
use crate::base::template::{TemplateBackend, TemplateContext};
use crate::config::diagnostic::Code;
use crate::config::directives::Slot;
use crate::config::draft::{BackendDraft, HeaderDraft, ServiceDraft, Value};
use crate::config::findings::{Finding, Findings};
use crate::config::model::{HeaderAction, HeaderInspection, HeaderSide, Reuse};
use crate::config::source::quoted;

/// What a service may set for `type http`.
const OF_A_SERVICE: [Slot; 9] = [
    Slot::HeaderInspection,
    Slot::Reuse,
    Slot::ReuseMax,
    Slot::ReuseAge,
    Slot::HeadTimeout,
    Slot::KeepaliveTimeout,
    Slot::ResponseTimeout,
    Slot::MaxHeaderSize,
    Slot::MaxHeaders,
];

/// W03, W04, W07, W08, W15, W23.
pub(super) fn check(service: &ServiceDraft, findings: &mut Findings) {
    if service.settings.is_spoilt(Slot::Type) {
        return;
    }
    if !service.is_http() {
        return without_effect(service, findings);
    }
    for header in service.backends.iter().flat_map(|backend| &backend.headers) {
        if header.managed {
            let message = format!(
                "the daemon manages the header {} itself; ignored",
                quoted(&header.header.name.to_lossy())
            );
            findings.push(Finding::new(Code::W15, header.argument, message));
        }
        second_host(header, findings);
    }
    nothing_to_reuse(service, findings);
    cookies(service, findings);
}

/// W23: a request has a `Host` already; in effect all the same, since old files
/// may have it.
fn second_host(draft: &HeaderDraft, findings: &mut Findings) {
    let header = &draft.header;
    if header.side != HeaderSide::Server || !header.is_about("Host") {
        return;
    }
    let does = match header.action {
        HeaderAction::Add => "puts a second `Host` beside",
        HeaderAction::Append => "joins a second host to",
        HeaderAction::Set => return,
    };
    let message = format!(
        "`{}` {does} that of the request, and servers refuse two",
        draft.row.word
    );
    let finding = Finding::new(Code::W23, draft.argument, message);
    findings.push(finding.suggest(Some("setserverheader")));
}

/// W04: `reusemax` and `reuseage` without `reuse safe`, and that where nobody
/// sees where a request ends.
fn nothing_to_reuse(service: &ServiceDraft, findings: &mut Findings) {
    let settings = &service.settings;
    let mut report = |slot, why: &str| {
        if let Some(setting) = settings.find(slot) {
            let message = format!("`{}` has no effect {why}", setting.row.word);
            findings.push(Finding::new(Code::W04, setting.word, message));
        }
    };
    let shallow = Value::Inspection(HeaderInspection::Shallow);
    match settings.reuse() {
        Reuse::Never if settings.is_spoilt(Slot::Reuse) => {}
        Reuse::Never => {
            report(Slot::ReuseMax, "without `reuse safe`");
            report(Slot::ReuseAge, "without `reuse safe`");
        }
        Reuse::Safe if settings.value(Slot::HeaderInspection) == Some(&shallow) => {
            let why = "with `headerinspection shallow`: behind the first request of a client \
                       nobody sees where one ends";
            report(Slot::Reuse, why);
        }
        Reuse::Safe => {}
    }
}

/// W03: what a `type any` service does not look at.
fn without_effect(service: &ServiceDraft, findings: &mut Findings) {
    let mut report = |word: &str, place| {
        let message = format!("`{word}` has no effect in a `type any` service");
        findings.push(Finding::new(Code::W03, place, message));
    };
    for setting in OF_A_SERVICE
        .iter()
        .filter_map(|slot| service.settings.find(*slot))
    {
        report(setting.row.word, setting.word);
    }
    for file in &service.error_files {
        report(file.row.word, file.word);
    }
    for backend in &service.backends {
        if let Some(setting) = backend.settings.find(Slot::StickyCookie) {
            report(setting.row.word, setting.word);
        }
        for header in &backend.headers {
            report(header.row.word, header.word);
        }
    }
}

/// W07 and W08: cookies that nothing sets, and that lead elsewhere.
fn cookies(service: &ServiceDraft, findings: &mut Findings) {
    let backends: Vec<_> = service.backends.iter().map(as_seen).collect();
    let (backends, gmt) = (backends.as_slice(), Clock::gmt());
    let mut context = context(service, &backends, &gmt);
    let mut seen = HashMap::new();
    for (index, backend) in service.backends.iter().enumerate() {
        let Some(setting) = backend.settings.find(Slot::StickyCookie) else {
            continue;
        };
        let Some(cookie) = backend.settings.text(Slot::StickyCookie) else {
            continue;
        };
        let shown = quoted(&cookie.to_lossy());
        if let Some((place, name)) = seen.get(cookie) {
            let message = format!("back end `{name}` has the same cookie {shown} and gets it");
            let finding = Finding::new(Code::W08, setting.argument, message);
            findings.push(finding.note(*place, "first used here"));
        } else {
            seen.insert(cookie, (setting.argument, backend.name()));
        }
        context.current = u32::try_from(index).ok().map(BackendId);
        let mut headers = backend.headers.iter();
        if !headers.any(|header| pair_of(header, &context) == cookie.as_bytes()) {
            let message = format!(
                "nothing sets the cookie {shown}: add \
                 `addclientheader \"Set-Cookie: {}\";` to this back end",
                cookie.to_lossy()
            );
            findings.push(Finding::new(Code::W07, setting.argument, message));
        }
    }
}

/// The pair that a `Set-Cookie` directive sets, empty for other directives.
fn pair_of(draft: &HeaderDraft, context: &TemplateContext<'_>) -> Vec<u8> {
    let header = &draft.header;
    let adds = matches!(header.action, HeaderAction::Add | HeaderAction::Set);
    if header.side != HeaderSide::Client || !adds || !header.is_about("Set-Cookie") {
        return Vec::new();
    }
    let value = header.value.expand(context);
    let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
    pair.trim_ascii().to_vec()
}

/// Names and weights are known already, and all that a cookie can be made of.
fn context<'a>(
    service: &'a ServiceDraft,
    backends: &'a &'a [TemplateBackend<'a>],
    zone: &'a Clock,
) -> TemplateContext<'a> {
    TemplateContext {
        service: service.name(),
        backends,
        current: None,
        client: None,
        host: "",
        process: 0,
        epoch: 0,
        zone,
    }
}

fn as_seen(backend: &BackendDraft) -> TemplateBackend<'_> {
    TemplateBackend {
        name: backend.name(),
        weight: u16::try_from(backend.weight()).unwrap_or(1),
        usable: true,
    }
}
