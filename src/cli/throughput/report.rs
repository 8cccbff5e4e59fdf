//! The findings as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::analysis::{Durations, Findings, Slow, Summary};
use crate::cli::render::json;
use crate::telemetry::layout::printable;
use crate::telemetry::read::throughput::first_line;

/// The findings for a person.
pub(super) fn text(all: &[Findings]) -> String {
    let parts: Vec<String> = all.iter().map(one).collect();
    parts.join("\n")
}

fn one(findings: &Findings) -> String {
    let tally = &findings.tally;
    let mut text = format!(
        "{}: {} on {}",
        findings.name,
        counted(tally.answered, "exchange"),
        counted(findings.connections, "connection")
    );
    if tally.unanswered > 0 {
        let _ = write!(text, ", {} without an answer", tally.unanswered);
    }
    if findings.faults.count() > 0 {
        let lines = counted(findings.faults.count(), "line");
        let _ = write!(text, ", {lines} not understood");
    }
    text.push('\n');
    let summaries = (tally.first_byte.summary(), tally.whole.summary());
    if let (Some(first_byte), Some(whole)) = summaries {
        let _ = write!(text, "  {:10}", "seconds");
        for head in ["min", "median", "p90", "p99", "max"] {
            let _ = write!(text, "  {head:>11}");
        }
        text.push('\n');
        row(&mut text, "first byte", &first_byte);
        row(&mut text, "whole", &whole);
        text.push_str("  slowest\n");
    }
    for slow in tally.slowest() {
        let _ = writeln!(
            text,
            "  {:>10}  connection {:07}, line {}: {}",
            seconds(slow.answer.whole),
            slow.connection,
            slow.line,
            request(slow)
        );
    }
    text
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn row(text: &mut String, name: &str, summary: &Summary) {
    let Summary {
        min,
        median,
        p90,
        p99,
        max,
    } = *summary;
    let _ = write!(text, "  {name:10}");
    for value in [min, median, p90, p99, max] {
        let _ = write!(text, "  {:>11}", seconds(value));
    }
    text.push('\n');
}

/// Microseconds as seconds, as the logs have them.
fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The first line of a request, fit for a terminal.
fn request(slow: &Slow) -> String {
    let line = first_line(slow.request.text());
    line.iter()
        .map(|byte| char::from(printable(*byte)))
        .collect()
}

#[derive(Serialize)]
struct Document<'a> {
    version: &'static str,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    file: &'a str,
    lines: u64,
    faults: u64,
    connections: u64,
    exchanges: u64,
    unanswered: u64,
    first_byte: Option<Times>,
    whole: Option<Times>,
    slowest: Vec<Slowest>,
}

/// All in seconds.
#[derive(Serialize)]
struct Times {
    min: f64,
    median: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
struct Slowest {
    whole: f64,
    first_byte: f64,
    connection: u64,
    line: u64,
    request: String,
}

/// The findings for a program, on one line.
pub(super) fn json(all: &[Findings]) -> String {
    json::write(&Document {
        version: crate::VERSION,
        files: all.iter().map(file).collect(),
    })
}

fn file(findings: &Findings) -> File<'_> {
    let tally = &findings.tally;
    File {
        file: &findings.name,
        lines: findings.lines,
        faults: findings.faults.count(),
        connections: findings.connections,
        exchanges: tally.answered,
        unanswered: tally.unanswered,
        first_byte: times(&tally.first_byte),
        whole: times(&tally.whole),
        slowest: tally.slowest().into_iter().map(slowest).collect(),
    }
}

fn times(durations: &Durations) -> Option<Times> {
    durations.summary().map(|summary| Times {
        min: decimal(summary.min),
        median: decimal(summary.median),
        p90: decimal(summary.p90),
        p99: decimal(summary.p99),
        max: decimal(summary.max),
    })
}

fn slowest(slow: &Slow) -> Slowest {
    Slowest {
        whole: decimal(slow.answer.whole),
        first_byte: decimal(slow.answer.first_byte),
        connection: slow.connection,
        line: slow.line,
        request: request(slow),
    }
}

fn decimal(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::super::analysis::Analysis;
    use super::*;

    const LOG: &str = "\
0004021 0.000001 C PUT /a HTTP/1.1..Host: h....
0004021 0.041877 B HTTP/1.1 204 No Content..
0004021 1.000000 C GET /b HTTP/1.1..
0004021 1.000500 B HTTP/1.1 200 OK..
0004021 3.000000 B rest
0004021 4.000000 C GET /never HTTP/1.1..
rubbish
";

    fn findings(name: &str, log: &str) -> Findings {
        let mut analysis = Analysis::new(name);
        analysis.push(log.as_bytes());
        analysis.end()
    }

    #[test]
    fn text_shows_counts_times_and_the_slowest_requests() {
        let text = text(&[findings("maple.log", LOG), findings("birch.log", "")]);

        assert_eq!(
            text,
            "maple.log: 2 exchanges on 1 connection, 1 without an answer, 1 line not understood\n\
             \x20 seconds             min       median          p90          p99          max\n\
             \x20 first byte     0.000500     0.000500     0.041876     0.041876     0.041876\n\
             \x20 whole          0.041876     0.041887     2.000000     2.000000     2.000000\n\
             \x20 slowest\n\
             \x20   2.000000  connection 0004021, line 3: GET /b HTTP/1.1\n\
             \x20   0.041876  connection 0004021, line 1: PUT /a HTTP/1.1\n\
             \n\
             birch.log: 0 exchanges on 0 connections\n"
        );
    }

    #[test]
    fn json_has_the_same_in_seconds() {
        let text = json(&[findings("maple.log", LOG), findings("birch.log", "")]);

        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let maple = &value["files"][0];
        assert_eq!(maple["lines"], 7);
        assert_eq!(maple["exchanges"], 2);
        assert_eq!(maple["unanswered"], 1);
        assert_eq!(maple["faults"], 1);
        assert_eq!(maple["whole"]["max"], 2.0);
        assert_eq!(maple["slowest"][1]["request"], "PUT /a HTTP/1.1");
        assert_eq!(value["files"][1]["whole"], serde_json::Value::Null);
        assert!(text.contains("\"min\":0.000500,"), "{text}");
    }
}
