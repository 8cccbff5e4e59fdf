//! What needs `type http`, and cookies that cannot work.

use std::collections::HashMap;

use crate::base::clock::Clock;
use crate::base::id::BackendId;
use crate::base::template::{Template, TemplateBackend, TemplateContext, TemplateKind};
use crate::config::diagnostic::Code;
use crate::config::directives::Slot;
use crate::config::draft::{BackendDraft, HeaderDraft, ServiceDraft};
use crate::config::findings::{Finding, Findings};
use crate::config::model::{HeaderAction, HeaderSide};
use crate::config::source::quoted;

/// W03, W07, W08, W15.
pub(super) fn check(service: &ServiceDraft, text: &str, findings: &mut Findings) {
    if service.settings.is_spoilt(Slot::Type) {
        return;
    }
    if !service.is_http() {
        return without_effect(service, findings);
    }
    for backend in &service.backends {
        for header in backend.headers.iter().filter(|header| header.managed) {
            let name = header.argument.of(text).trim_start_matches(['"', '\'']);
            let name = name.split(':').next().unwrap_or_default();
            let message = format!(
                "the daemon manages the header {} itself; ignored",
                quoted(name)
            );
            findings.push(Finding::new(Code::W15, header.argument, message));
        }
    }
    cookies(service, findings);
}

/// W03: what a `type any` service does not look at.
fn without_effect(service: &ServiceDraft, findings: &mut Findings) {
    let mut report = |word: &str, place| {
        let message = format!("`{word}` has no effect in a `type any` service");
        findings.push(Finding::new(Code::W03, place, message));
    };
    if let Some(setting) = service.settings.find(Slot::HeaderInspection) {
        report(setting.row.word, setting.word);
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
        if !is_set(cookie.as_bytes(), index, backend, service) {
            let message = format!(
                "nothing sets the cookie {shown}: add \
                 `addclientheader \"Set-Cookie: {}\";` to this back end",
                cookie.to_lossy()
            );
            findings.push(Finding::new(Code::W07, setting.argument, message));
        }
    }
}

/// Whether a header directive of the back end sets the pair.
fn is_set(cookie: &[u8], index: usize, backend: &BackendDraft, service: &ServiceDraft) -> bool {
    backend
        .headers
        .iter()
        .any(|header| pair_of(header, index, service) == cookie)
}

/// The pair that a `Set-Cookie` directive sets, empty for other directives.
fn pair_of(header: &HeaderDraft, index: usize, service: &ServiceDraft) -> Vec<u8> {
    let sets = header.header.side == HeaderSide::Client
        && matches!(header.header.action, HeaderAction::Add | HeaderAction::Set);
    let bytes = header.header.text.as_bytes();
    let value = bytes.iter().position(|byte| *byte == b':');
    let Some(colon) = value.filter(|_| sets) else {
        return Vec::new();
    };
    if !bytes[..colon].eq_ignore_ascii_case(b"set-cookie") {
        return Vec::new();
    }
    let value = expanded(&bytes[colon + 1..], index, service);
    let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
    pair.trim_ascii().to_vec()
}

/// The value with names and weights filled in; they are known already.
fn expanded(value: &[u8], index: usize, service: &ServiceDraft) -> Vec<u8> {
    if !value.contains(&b'%') {
        return value.to_vec();
    }
    let backends = service.backends.iter().map(|backend| TemplateBackend {
        name: backend.name(),
        weight: u16::try_from(backend.weight()).unwrap_or(1),
        usable: true,
    });
    let backends: Vec<_> = backends.collect();
    let (template, _) = Template::parse(value, TemplateKind::Header);
    template.expand(&TemplateContext {
        service: service.name(),
        backends: &backends.as_slice(),
        current: u32::try_from(index).ok().map(BackendId),
        client: None,
        host: "",
        process: 0,
        epoch: 0,
        zone: &Clock::gmt(),
    })
}
