//! W22: logs of different kinds in one file.

use std::collections::HashMap;

use crate::base::text::Text;
use crate::config::ast::Span;
use crate::config::diagnostic::Code;
use crate::config::directives::Slot;
use crate::config::draft::{ServiceDraft, Settings, Value};
use crate::config::findings::{Finding, Findings};

/// One warning for each statement whose file is that of another kind of log.
pub(super) fn check(services: &[ServiceDraft], findings: &mut Findings) {
    let mut first: HashMap<&Text, (Slot, Span)> = HashMap::new();
    for service in services {
        let backends = service.backends.iter().map(|backend| &backend.settings);
        for settings in std::iter::once(&service.settings).chain(backends) {
            for slot in [Slot::TrafficLog, Slot::ThroughputLog, Slot::Capture] {
                if let Some((file, place)) = file_of(settings, slot) {
                    let (kind, other) = *first.entry(file).or_insert((slot, place));
                    if kind != slot {
                        findings.push(mixed(file, place, (kind, other)));
                    }
                }
            }
        }
    }
}

fn file_of(settings: &Settings, slot: Slot) -> Option<(&Text, Span)> {
    let setting = settings.find(slot)?;
    let file = match &setting.value {
        Value::Text(file) => file,
        Value::Capture(capture) => &capture.file,
        _ => return None,
    };
    Some((file, setting.argument))
}

fn mixed(file: &Text, place: Span, (kind, other): (Slot, Span)) -> Finding {
    let word = match kind {
        Slot::TrafficLog => "trafficlog",
        Slot::ThroughputLog => "throughputlog",
        _ => "capture",
    };
    let message =
        format!("`{file}` is the file of a `{word}` as well: nothing reads such a mixture");
    Finding::new(Code::W22, place, message).note(other, format!("the `{word}`"))
}
