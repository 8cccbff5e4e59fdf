//! Bytes of a status segment: whatever they are, reading them gives a snapshot
//! or an error, and a snapshot can be printed in every form.

#![no_main]

use crossroads::cli::render::{Form, RunningService, ServiceStatus, StatusReport, TextStyle};
use crossroads::status::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(snapshot) = read::parse(bytes) else {
        return;
    };
    let running = RunningService {
        snapshot,
        heartbeat_age: 0,
        heartbeat_limit: 10,
        in_file: true,
    };
    let report = StatusReport {
        services: vec![ServiceStatus::Running(Box::new(running))],
        now: 1_700_000_000,
    };
    for form in [
        Form::Text(TextStyle::default()),
        Form::Terse,
        Form::Json,
        Form::Xml,
    ] {
        let text = report.render(form);
        // A service without back ends, which only a damaged segment has, has no
        // line in the terse form.
        assert!(text.is_empty() || text.ends_with('\n'));
        assert!(!text.contains('\u{1b}'));
    }
});
