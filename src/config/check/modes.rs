//! What dispatch modes leave without effect, and what looks like a mistake.

use crate::config::ast::Span;
use crate::config::diagnostic::Code;
use crate::config::directives::Slot;
use crate::config::draft::{BackendDraft, ServiceDraft, Value};
use crate::config::findings::{Finding, Findings};
use crate::policy::dispatch::DispatchMode;

/// W04, W17, W19, W20.
pub(super) fn check(service: &ServiceDraft, findings: &mut Findings) {
    never_back(service, findings);
    let Some(mode) = service.mode() else {
        return;
    };
    without_effect(service, mode, findings);
    nobody_to_time(service, findings);
    if mode.uses_weight() {
        inverted_weights(service, findings);
    }
    never_forgotten(service, mode, findings);
}

/// W04: `decay` and `weight` where the mode looks at neither.
fn without_effect(service: &ServiceDraft, mode: DispatchMode, findings: &mut Findings) {
    for backend in &service.backends {
        let rules = [
            (Slot::Decay, mode.uses_decay(), 0, "bysize or byduration"),
            (
                Slot::Weight,
                mode.uses_weight(),
                1,
                "random, bysize, byduration, byconnections or externalhandler",
            ),
        ];
        for (slot, used, default, modes) in rules {
            let setting = backend.settings.find(slot).filter(|_| !used);
            let Some(setting) = setting else { continue };
            if backend.settings.number(slot) != Some(default) {
                let word = setting.row.word;
                let message =
                    format!("`{word}` has no effect with `{mode}`; it works with {modes}");
                findings.push(Finding::new(Code::W04, setting.word, message));
            }
        }
    }
}

/// W04: `handlertimeout` without a persistent handler.
fn nobody_to_time(service: &ServiceDraft, findings: &mut Findings) {
    let persistent = match service.settings.value(Slot::DispatchMode) {
        Some(Value::Mode(_, Some(handler))) => handler.is_persistent(),
        _ => false,
    };
    if let Some(setting) = service.settings.find(Slot::HandlerTimeout)
        && !persistent
    {
        let message = "`handlertimeout` has no effect without `externalhandler persistent`; \
                       a handler that is run for each client has 10 s";
        findings.push(Finding::new(Code::W04, setting.word, message));
    }
}

/// W17: one refused connect takes a back end out until somebody says `tell`.
fn never_back(service: &ServiceDraft, findings: &mut Findings) {
    let settings = &service.settings;
    let revived = settings.number(Slot::RevivingInterval).unwrap_or(0) > 0
        || settings.is_spoilt(Slot::RevivingInterval);
    let mut fragile = service.backends.iter().filter(|backend| {
        let settings = &backend.settings;
        settings.number(Slot::Retries).unwrap_or(0) == 0 && !settings.is_spoilt(Slot::Retries)
    });
    if revived || service.backends.len() < 2 {
        return;
    }
    if let Some(backend) = fragile.next() {
        let message = format!(
            "one refused connection takes back end `{}` out until `tell`; \
             `revivinginterval 10;` in the service brings it back by itself",
            backend.name()
        );
        findings.push(Finding::new(Code::W17, service.place(), message));
    }
}

/// W19: a spare back end that would be the first choice.
fn inverted_weights(service: &ServiceDraft, findings: &mut Findings) {
    const SPARE: [&str; 5] = ["backup", "spare", "fallback", "reserve", "slow"];
    let weights = || service.backends.iter().map(BackendDraft::weight);
    let (Some(least), Some(most)) = (weights().min(), weights().max()) else {
        return;
    };
    let spoilt = |slot| {
        service
            .backends
            .iter()
            .any(|backend| backend.settings.is_spoilt(slot))
    };
    if least == most || spoilt(Slot::Weight) {
        return;
    }
    for backend in &service.backends {
        let name = backend.name().to_ascii_lowercase();
        if backend.weight() == least && SPARE.iter().any(|word| name.contains(word)) {
            let message = format!(
                "back end `{}` has the smallest weight of its service and so gets the most \
                 connections: a larger weight means fewer",
                backend.name()
            );
            let set = backend.settings.find(Slot::Weight);
            let place = set.map_or(backend.place(), |set| set.argument);
            findings.push(Finding::new(Code::W19, place, message));
        }
    }
}

/// W20: usage that is never forgotten.
fn never_forgotten(service: &ServiceDraft, mode: DispatchMode, findings: &mut Findings) {
    let (DispatchMode::BySize(over) | DispatchMode::ByDuration(over)) = mode else {
        return;
    };
    let decays = service.backends.iter().any(|backend| {
        let settings = &backend.settings;
        settings.number(Slot::Decay).unwrap_or(0) > 0 || settings.is_spoilt(Slot::Decay)
    });
    let message = if over.window().is_none() {
        format!(
            "`{mode}` counts everything since the start: a back end that comes back, or moved much \
             once, is favoured or shunned for very long; `over NUMBER` forgets"
        )
    } else if !decays {
        format!(
            "`{mode}` without `decay` in any back end never forgets a spike: who is shunned makes \
             no new connections to replace it"
        )
    } else {
        return;
    };
    let set = service.settings.find(Slot::DispatchMode);
    let place: Span = set.map_or(service.place(), |set| set.argument);
    findings.push(Finding::new(Code::W20, place, message));
}
