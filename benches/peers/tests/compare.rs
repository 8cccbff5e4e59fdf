//! The comparison from one end to the other.
//!
//! Set `PEERS_CROSSROADS` to a crossroads program to have that one take part;
//! without it the client and the back end talk to each other directly.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

/// A comparison that can be told from others by a mark in its environment,
/// which all that it starts inherits.
struct Comparison {
    child: Child,
    mark: String,
}

impl Comparison {
    fn start(out: &Path, arguments: &[&str]) -> Self {
        let mark = format!("PEERS_TEST={}", out.display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
        command.arg("compare").arg("--out").arg(out).args(arguments);
        match std::env::var("PEERS_CROSSROADS") {
            Ok(program) => command
                .args(["--peers", "direct,crossroads"])
                .args(["--crossroads", &format!("crossroads={program}")]),
            Err(_) => command.args(["--peers", "direct"]),
        };
        let (name, value) = mark.split_once('=').unwrap();
        let child = command
            .env(name, value)
            // One that is killed cannot tidy up, but the directory goes.
            .env("TMPDIR", out)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self {
            child: child.unwrap(),
            mark,
        }
    }

    /// Sends a signal once it measures something.
    fn interrupt(&self, signal: Signal) {
        let working = || {
            self.processes()
                .iter()
                .any(|pid| command_line(*pid).contains("\0client\0"))
        };
        until("a client runs", working);
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// All processes with the mark, those that have ended left out.
    fn processes(&self) -> Vec<u32> {
        let processes = fs::read_dir("/proc").unwrap();
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == self.mark.as_bytes())
        };
        pids.filter(marked).collect()
    }

    /// What it has written when it is over, and its exit code.
    fn end(&mut self) -> (String, String, Option<i32>) {
        let output = self.child.stdout.take().unwrap();
        let errors = self.child.stderr.take().unwrap();
        let output = thread::spawn(move || text(output));
        let errors = text(errors);
        let status = self.child.wait().unwrap();
        (output.join().unwrap(), errors, status.code())
    }
}

impl Drop for Comparison {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(from: impl std::io::Read) -> String {
    let lines = BufReader::new(from).lines().map_while(Result::ok);
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

fn command_line(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

#[track_caller]
fn until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !reached() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::yield_now();
    }
}

#[test]
fn every_round_of_every_balancer_is_in_the_report() {
    let out = tempfile::tempdir().unwrap();
    let arguments = [
        "--only",
        "keep",
        "--rounds",
        "2",
        "--seconds",
        "0.1",
        "--warm",
        "0",
    ];

    let mut comparison = Comparison::start(out.path(), &arguments);
    let (output, errors, code) = comparison.end();

    assert_eq!(code, Some(0), "{errors}");
    assert!(output.contains("\nkeep: 64 kept connections"), "{output}");
    let report = fs::read_to_string(out.path().join("results.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let entries = report["works"][0]["entries"].as_array().unwrap();
    assert!(!entries.is_empty());
    for entry in entries {
        assert_eq!(entry["failed"], Value::Null, "{entry}");
        let rounds = entry["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 2, "{entry}");
        for round in rounds {
            assert!(round["client"]["units"].as_u64().unwrap() > 0, "{round}");
            assert_eq!(
                round["cpu_us"].is_f64(),
                entry["peer"] != "direct",
                "{round}"
            );
        }
    }
    let markdown = fs::read_to_string(out.path().join("results.md")).unwrap();
    assert!(markdown.contains("| direct |"), "{markdown}");
    assert_eq!(comparison.processes(), Vec::<u32>::new());
}

#[test]
fn idle_connections_are_counted() {
    let out = tempfile::tempdir().unwrap();
    let arguments = [
        "--only",
        "idle",
        "--rounds",
        "1",
        "--seconds",
        "0.1",
        "--warm",
        "0",
    ];

    let (_, errors, code) = Comparison::start(out.path(), &arguments).end();

    assert_eq!(code, Some(0), "{errors}");
    let report = fs::read_to_string(out.path().join("results.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let entries = report["works"][0]["entries"].as_array().unwrap();
    for entry in entries {
        assert_eq!(entry["rounds"][0]["client"]["units"], 3000, "{entry}");
    }
}

#[test]
fn control_c_ends_everything_in_order() {
    let out = tempfile::tempdir().unwrap();
    let mut comparison = Comparison::start(out.path(), &["--only", "keep", "--seconds", "600"]);

    comparison.interrupt(Signal::INT);
    let (_, errors, code) = comparison.end();

    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("interrupted"), "{errors}");
    assert_eq!(comparison.processes(), Vec::<u32>::new());
}

#[test]
fn nothing_outlives_a_comparison_that_is_killed() {
    let out = tempfile::tempdir().unwrap();
    let mut comparison = Comparison::start(out.path(), &["--only", "keep", "--seconds", "600"]);

    comparison.interrupt(Signal::KILL);
    comparison.child.wait().unwrap();

    until("the last process has gone", || {
        comparison.processes().is_empty()
    });
}

#[test]
fn unknown_names_are_refused() {
    let out = tempfile::tempdir().unwrap();

    let (_, errors, code) = Comparison::start(out.path(), &["--only", "kep"]).end();

    assert_eq!(code, Some(1));
    assert!(errors.contains("no work or group `kep`"), "{errors}");
}
