//! N01: what is accepted but does nothing in this version yet.

use std::collections::HashMap;

use crate::config::ast::Span;
use crate::config::diagnostic::Code;
use crate::config::directives::{Directive, Slot};
use crate::config::draft::{ServiceDraft, Value};
use crate::config::findings::{Finding, Findings};

/// What a service does instead, for the message.
fn instead(word: &str) -> &'static str {
    match word {
        "type http" => ": bytes pass unread, as with `type any`",
        _ => "",
    }
}

/// One note for each directive, at its first place.
pub(super) fn check(services: &[ServiceDraft], findings: &mut Findings) {
    let mut uses: HashMap<&'static str, (Span, usize)> = HashMap::new();
    let mut count = |word: &'static str, place: Span| {
        let (first, uses) = uses.entry(word).or_insert((place, 0));
        if place.start < first.start {
            *first = place;
        }
        *uses += 1;
    };
    for service in services {
        if let Some(setting) = service.settings.find(Slot::Type)
            && setting.value == Value::Http(true)
        {
            count("type http", setting.argument);
        }
        let rows = service.later.iter();
        for (row, place) in rows.filter(|(row, _)| service.is_http() || !needs_http(row)) {
            count(row.replaced_by.unwrap_or(row.word), *place);
        }
    }
    for (word, (place, uses)) in uses {
        let further = match uses {
            1 => String::new(),
            2 => " (and 1 further use)".to_owned(),
            more => format!(" (and {} further uses)", more - 1),
        };
        let text = instead(word);
        let message = format!("`{word}` is not yet in effect in this version{text}{further}");
        findings.push(Finding::new(Code::N01, place, message));
    }
}

/// Whether W03 says already that it has no effect in a `type any` service.
fn needs_http(row: &Directive) -> bool {
    matches!(
        row.slot,
        Slot::HeaderInspection | Slot::StickyCookie | Slot::Header
    )
}
