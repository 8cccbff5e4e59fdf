//! The form for people (14.1, 2.5).

use crate::base::state::{Reason, ShownState};
use crate::config::model::Config;
use crate::status::snapshot::{BackendFacts, BackendNumbers, Record};

use super::fields::{bind_word, kind, kind_word, mode, state_word};
use super::{Colours, Detail, RunningService, ServiceStatus, StatusReport, TextStyle, amount};

/// The columns of the table; the first three and the last are left-aligned.
const HEADINGS: [&str; 14] = [
    "BACKEND", "SERVER", "STATE", "SINCE", "WEIGHT", "ACTIVE", "MAX", "TOTAL", "FAILED", "IN",
    "OUT", "MEAN", "USAGE", "REASON",
];
const STATE: usize = 2;
const REASON: usize = 13;

type Row = [String; HEADINGS.len()];

/// The output of `status`.
pub(super) fn status(report: &StatusReport, style: TextStyle) -> String {
    let mut out = String::new();
    for service in &report.services {
        match service {
            ServiceStatus::Running(running) => {
                push_running(&mut out, running, report.now, style);
            }
            ServiceStatus::NotRunning { name } => {
                let stopped = paint("not running", Colour::Red, style);
                out.push_str(&format!("{name}: {stopped}\n"));
            }
            ServiceStatus::LeftOver { name, pid } => {
                let stopped = paint("not running", Colour::Red, style);
                out.push_str(&format!("{name}: {stopped} (left over from pid {pid})\n"));
            }
        }
    }
    out
}

/// The output of `services`.
pub(super) fn services(config: &Config) -> String {
    let mut out = String::new();
    for service in &config.services {
        let (name, kind, bind) = (&service.name, kind(service), service.bind);
        let (port, mode) = (service.port, mode(service));
        let first = format!("{name}: type {kind}, bindto {bind}, port {port}, dispatchmode {mode}");
        out.push_str(&first.replace(char::is_control, " "));
        out.push('\n');
        for backend in &service.backends {
            out.push_str(&format!("  {}: {}\n", backend.name, backend.server));
        }
    }
    out
}

fn push_running(out: &mut String, running: &RunningService, now: u64, style: TextStyle) {
    out.push_str(&identity_line(running, style));
    out.push_str(&numbers_line(running));
    out.push_str(&lists_line(running, now));
    out.push_str(&answered_line(running));
    out.push_str(&dropped_line(running));
    let backends = running.snapshot.backends.iter();
    let rows: Vec<_> = backends.map(|backend| row(backend, now, style)).collect();
    let headings = HEADINGS.map(str::to_owned);
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(|column| {
        let cells = rows.iter().chain([&headings]);
        let lengths = cells.map(|row| row[column].chars().count());
        lengths.max().unwrap_or_default()
    });
    push_row(out, &headings, &widths, None);
    for (row, backend) in rows.iter().zip(&running.snapshot.backends) {
        let colour = (style.colours == Colours::On).then(|| colour_of(backend.value.1.state));
        push_row(out, row, &widths, colour);
    }
    let http = running.snapshot.service.value.0.http;
    if http && style.detail == Detail::Full {
        let backends = running.snapshot.backends.iter();
        out.extend(backends.map(|backend| requests_line(&backend.value)));
    }
}

fn identity_line(running: &RunningService, style: TextStyle) -> String {
    let (facts, _) = &running.snapshot.service.value;
    let mut line = format!(
        "{}: type {}, bindto {}, port {}, dispatchmode {}, pid {}",
        facts.name,
        kind_word(facts),
        bind_word(facts),
        facts.port,
        facts.mode,
        running.snapshot.header.pid,
    );
    if running.heartbeat_age > running.heartbeat_limit {
        let silence = format!("(no sign of life for {} s)", running.heartbeat_age);
        line.push(' ');
        line.push_str(&paint(&silence, Colour::Yellow, style));
    }
    if !running.in_file {
        line.push_str(" (not in the file)");
    }
    line + "\n"
}

fn numbers_line(running: &RunningService) -> String {
    let (facts, numbers) = &running.snapshot.service.value;
    let limit = match facts.max_connections {
        0 => String::new(),
        limit => format!(" of {limit}"),
    };
    let mark = if running.snapshot.service.torn {
        "?"
    } else {
        ""
    };
    format!(
        "  active {}{limit}, accepted {}, refused {}, without back end {}{mark}\n",
        numbers.active,
        numbers.accepted,
        numbers.refused_deny.saturating_add(numbers.refused_allow),
        numbers.no_backend,
    )
}

/// The access lists, if there are any: `  deny 1 filter (refused 0), allow 3
/// filters (read 5m10s ago, refused 2)`.
fn lists_line(running: &RunningService, now: u64) -> String {
    let (_, numbers) = &running.snapshot.service.value;
    let sides = [
        (
            "deny",
            numbers.deny_filters,
            numbers.deny_read,
            numbers.refused_deny,
        ),
        (
            "allow",
            numbers.allow_filters,
            numbers.allow_read,
            numbers.refused_allow,
        ),
    ];
    let lists = sides
        .into_iter()
        .filter(|&(_, filters, read, _)| filters > 0 || read > 0);
    let lists = lists.map(|(side, filters, read, refused)| {
        let filters = counted(filters, "filter");
        let read = match read {
            0 => String::new(),
            at => format!("read {} ago, ", amount::age(now.saturating_sub(at))),
        };
        format!("{side} {filters} ({read}refused {refused})")
    });
    indented(&lists.collect::<Vec<_>>().join(", "))
}

/// Requests that the daemon answered itself: `  requests refused 3, failed 1`;
/// empty as long as there were none.
fn answered_line(running: &RunningService) -> String {
    let (_, numbers) = &running.snapshot.service.value;
    let answered = [
        ("refused", numbers.refused_requests),
        ("failed", numbers.failed_requests),
    ];
    let answered = answered.into_iter().filter(|&(_, count)| count > 0);
    let answered: Vec<_> = answered
        .map(|(how, count)| format!("{how} {count}"))
        .collect();
    match answered.is_empty() {
        true => String::new(),
        false => indented(&format!("requests {}", answered.join(", "))),
    }
}

/// What was dropped because somebody was too slow; empty as long as nothing was.
fn dropped_line(running: &RunningService) -> String {
    let (_, numbers) = &running.snapshot.service.value;
    let backends = running.snapshot.backends.iter();
    let blocks = backends.fold(0_u64, |sum, backend| {
        sum.saturating_add(backend.value.1.log_dropped)
    });
    let dropped = [
        (numbers.hooks_dropped, "hook"),
        (numbers.helper_dropped, "line to helpers"),
        (blocks, "log block"),
    ];
    let dropped = dropped.into_iter().filter(|&(count, _)| count > 0);
    let dropped: Vec<_> = dropped.map(|(count, what)| counted(count, what)).collect();
    match dropped.is_empty() {
        true => String::new(),
        false => indented(&format!("dropped {}", dropped.join(", "))),
    }
}

/// `1 filter`, `2 filters`, `2 lines to helpers`.
fn counted(count: u64, what: &str) -> String {
    match (count, what.split_once(' ')) {
        (1, _) => format!("1 {what}"),
        (_, Some(("line", rest))) => format!("{count} lines {rest}"),
        _ => format!("{count} {what}s"),
    }
}

/// A line below the first one; nothing for no text.
fn indented(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!("  {text}\n"),
    }
}

fn row(backend: &Record<(BackendFacts, BackendNumbers)>, now: u64, style: TextStyle) -> Row {
    let (facts, numbers) = &backend.value;
    let size = |bytes| match style.detail {
        Detail::Brief => amount::size(bytes),
        Detail::Full => bytes.to_string(),
    };
    let dash = || "-".to_owned();
    let limit = (facts.max_connections != 0).then(|| facts.max_connections.to_string());
    let reason = (numbers.reason != Reason::None).then(|| numbers.reason.to_string());
    let ended = numbers.total.checked_sub(numbers.active);
    [
        facts.name.clone(),
        facts.server.clone(),
        state_word(backend),
        amount::age(now.saturating_sub(numbers.since)),
        facts.weight.to_string(),
        numbers.active.to_string(),
        limit.unwrap_or_else(dash),
        numbers.total.to_string(),
        numbers.failures.to_string(),
        size(numbers.bytes_to_backend),
        size(numbers.bytes_to_client),
        amount::mean(numbers.microseconds, ended),
        format!("{:.2}", numbers.usage),
        reason.unwrap_or_else(dash),
    ]
}

/// What a back end did in `type http`: `  maple: 1201 requests, replies 1xx 0,
/// 2xx 1180, 3xx 12, 4xx 9, 5xx 0, first byte 1.2 ms`.
fn requests_line((facts, numbers): &(BackendFacts, BackendNumbers)) -> String {
    let requests = counted(numbers.requests, "request");
    let [one, two, three, four, five] = numbers.replies;
    let first_byte = amount::milliseconds(numbers.first_byte_microseconds, numbers.requests);
    indented(&format!(
        "{}: {requests}, replies 1xx {one}, 2xx {two}, 3xx {three}, 4xx {four}, 5xx {five}, \
         first byte {first_byte}",
        facts.name,
    ))
}

/// One line of the table; the colour is for the state alone and does not count
/// for the width.
fn push_row(out: &mut String, row: &Row, widths: &[usize], state: Option<Colour>) {
    let mut line = String::from("  ");
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        let gap = " ".repeat(width - cell.chars().count());
        if column > 0 {
            line.push_str("  ");
        }
        match (column, state) {
            (STATE, Some(colour)) => line.push_str(&(colour.around(cell) + &gap)),
            (0..=STATE | REASON, _) => line.push_str(&(cell.clone() + &gap)),
            _ => line.push_str(&(gap + cell)),
        }
    }
    out.push_str(line.trim_end_matches(' '));
    out.push('\n');
}

/// A colour of terminals.
#[derive(Clone, Copy)]
enum Colour {
    Red,
    Green,
    Yellow,
    Magenta,
}

impl Colour {
    fn around(self, text: &str) -> String {
        let code = match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Magenta => 35,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn colour_of(state: ShownState) -> Colour {
    match state {
        ShownState::Available => Colour::Green,
        ShownState::Unavailable => Colour::Red,
        ShownState::Waking => Colour::Yellow,
        ShownState::Down => Colour::Magenta,
    }
}

fn paint(text: &str, colour: Colour, style: TextStyle) -> String {
    match style.colours {
        Colours::On => colour.around(text),
        Colours::Off => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
