//! `crossroads throughput`: what throughput logs say about times.

use std::fmt::Write;

use crate::harness::{Run, Sandbox};

/// A log of ours: a kept connection, one without an answer, and a greeting.
const LOG: &str = "\
0004021 0.000001 C PUT /a HTTP/1.1..Host: h....
0004022 0.000001 B 220 mail ready..
0004021 0.041877 B HTTP/1.1 204 No Content..Server: maple....
0004021 1.000000 C GET /b/../c HTTP/1.1..Host: h....
0004023 0.000001 C GET /never HTTP/1.1..
0004021 1.000500 B HTTP/1.1 200 OK..
0004022 0.500000 C EHLO here..
0004021 3.000000 B rest
0004022 0.500250 B 250 ok..
";

fn throughput(sandbox: &Sandbox, words: &[&str]) -> Run {
    sandbox.program().args(["throughput"]).args(words).run()
}

fn json(run: &Run) -> serde_json::Value {
    serde_json::from_str(run.ok()).unwrap()
}

/// 13.2 (documented): the layout; what an exchange is (decided).
#[test]
fn exchanges_of_a_log_are_counted_and_timed() {
    let sandbox = Sandbox::new();
    sandbox.write("maple.log", LOG);

    let run = throughput(&sandbox, &["maple.log"]);

    let expected = "\
maple.log: 3 exchanges on 3 connections, 1 without an answer
  seconds             min       median          p90          p99          max
  first byte     0.000250     0.000500     0.041876     0.041876     0.041876
  whole          0.000250     0.041887     2.000000     2.000000     2.000000
  slowest
    2.000000  connection 0004021, line 4: GET /b/../c HTTP/1.1
    0.041876  connection 0004021, line 1: PUT /a HTTP/1.1
    0.000250  connection 0004022, line 7: EHLO here
";
    assert_eq!(run.clean(), expected);
}

/// 13.2 (documented): the original wrote process ids, which are used again.
#[test]
fn logs_of_the_original_are_read_and_a_process_may_serve_twice() {
    let sandbox = Sandbox::new();
    let log = "\
31337 0.000001 C GET /1 HTTP/1.0..
31337 0.000400 B HTTP/1.0 200 OK..
812 0.000001 C GET /2 HTTP/1.0..
31337 0.000001 C GET /3 HTTP/1.0..
812 0.000200 B HTTP/1.0 200 OK..
31337 0.000100 B HTTP/1.0 200 OK..
";
    sandbox.write("old.log", log);

    let value = json(&throughput(&sandbox, &["-j", "old.log"]));

    let file = &value["files"][0];
    assert_eq!(file["file"], "old.log");
    assert_eq!(file["lines"], 6);
    assert_eq!(file["connections"], 3);
    assert_eq!(file["exchanges"], 3);
    assert_eq!(file["whole"]["min"], 0.000_099);
    assert_eq!(file["whole"]["max"], 0.000_399);
    assert_eq!(file["slowest"][2]["connection"], 31_337);
    assert_eq!(file["slowest"][2]["line"], 4);
    assert_eq!(file["slowest"][2]["request"], "GET /3 HTTP/1.0");
}

/// 2.5 (decided): each file for itself, whatever the others are.
#[test]
fn files_that_cannot_be_read_do_not_hide_the_others() {
    let sandbox = Sandbox::new();
    sandbox.write("maple.log", LOG);
    sandbox.write("empty.log", "");
    sandbox.write("old.log.gz", b"\x1f\x8b\x08\0");
    sandbox.write("t.pcapng", b"\n\r\r\n");

    let words = [
        "maple.log",
        "gone.log",
        "old.log.gz",
        "t.pcapng",
        "empty.log",
    ];
    let run = throughput(&sandbox, &words);

    assert_eq!(run.code, Some(1), "{run:#?}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{run:#?}");
    assert_eq!(lines[0], "crossroads: gone.log: No such file or directory");
    assert!(
        lines[1].starts_with("crossroads: old.log.gz: compressed by gzip"),
        "{run:#?}"
    );
    assert!(
        lines[2].starts_with("crossroads: t.pcapng: a capture"),
        "{run:#?}"
    );
    assert!(run.stdout.starts_with("maple.log: 3 exchanges"), "{run:#?}");
    assert!(
        run.stdout
            .ends_with("empty.log: 0 exchanges on 0 connections\n"),
        "{run:#?}"
    );
}

/// 13.2 (decided): faulty lines are counted and named, and end nothing.
#[test]
fn faulty_lines_are_told_with_their_places_and_counted() {
    let sandbox = Sandbox::new();
    let mut log = format!("rubbish\n{LOG}4021 C x\n4021 0.5 X x\n");
    log += &"\u{1b}[31m\n".repeat(30);
    sandbox.write("maple.log", &log);

    let run = throughput(&sandbox, &["maple.log"]);

    assert!(
        run.ok()
            .starts_with("maple.log: 3 exchanges on 3 connections"),
        "{run:#?}"
    );
    assert!(
        run.stdout.contains(", 33 lines not understood\n"),
        "{run:#?}"
    );
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 11, "{run:#?}");
    assert_eq!(
        lines[0],
        "maple.log:1: does not begin with a connection number"
    );
    assert!(
        lines[1].starts_with("maple.log:11: no time in seconds"),
        "{run:#?}"
    );
    assert!(
        lines[2].starts_with("maple.log:12: neither ` C ` nor ` B `"),
        "{run:#?}"
    );
    assert_eq!(
        lines[10],
        "crossroads: maple.log: 33 faults, the first 10 are shown"
    );
    assert!(!run.stderr.contains('\u{1b}'), "{run:#?}");
}

/// A log of `count` connections, whose exchanges take one millisecond more each.
fn long_log(count: u64) -> String {
    let mut log = String::new();
    for number in 1..=count {
        let end = number * 1_000 + 1;
        let (seconds, micros) = (end / 1_000_000, end % 1_000_000);
        writeln!(log, "{number:07} 0.000001 C GET /{number} HTTP/1.1..").unwrap();
        writeln!(log, "{number:07} {seconds}.{micros:06} B HTTP/1.1 200 OK..").unwrap();
    }
    log
}

/// Percentiles (decided): to three significant digits.
#[test]
fn percentiles_of_many_exchanges_are_those_of_a_sorted_list() {
    let sandbox = Sandbox::new();
    sandbox.write("maple.log", long_log(5_000));

    let value = json(&throughput(&sandbox, &["maple.log", "--json"]));

    let whole = &value["files"][0]["whole"];
    for (name, expected) in [
        ("min", 0.001),
        ("median", 2.5),
        ("p90", 4.5),
        ("p99", 4.95),
        ("max", 5.0),
    ] {
        let found = whole[name].as_f64().unwrap();
        assert!((found / expected - 1.0).abs() < 0.002, "{name}: {found}");
    }
    let slowest = value["files"][0]["slowest"].as_array().unwrap();
    assert_eq!(slowest.len(), 10);
    assert_eq!(slowest[9]["request"], "GET /4991 HTTP/1.1");
}

/// `--plot` (decided): a picture of all files.
#[test]
fn picture_shows_every_file() {
    let sandbox = Sandbox::new();
    sandbox.write("maple.log", long_log(2_000));
    sandbox.write("birch & co.log", long_log(20));

    let words = ["--plot", "out.svg", "maple.log", "birch & co.log"];
    throughput(&sandbox, &words).clean();
    // An older picture is replaced.
    throughput(&sandbox, &words).clean();

    let picture = std::fs::read_to_string(sandbox.path().join("out.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains(">maple.log</text>"));
    assert!(picture.contains(">birch &amp; co.log</text>"));
    assert_eq!(
        picture.matches("<circle").count(),
        20,
        "dots for the short log"
    );
}

/// `--plot` (decided): a log that was named in its place stays as it is.
#[test]
fn picture_does_not_overwrite_a_log() {
    let sandbox = Sandbox::new();
    let maple = sandbox.write("maple.log", LOG);
    sandbox.write("birch.log", LOG);

    let run = throughput(&sandbox, &["--plot", "maple.log", "birch.log"]);

    let line = run.failed_with_one_line();
    assert_eq!(
        line,
        "maple.log: exists and is no SVG file; '--plot' does not overwrite it"
    );
    assert_eq!(std::fs::read_to_string(maple).unwrap(), LOG);
}

/// 2.5 (decided).
#[test]
fn usage_errors_say_what_is_needed() {
    let sandbox = Sandbox::new();
    let none = throughput(&sandbox, &[]);
    let foreign = throughput(&sandbox, &["a.log", "--follow"]);

    assert_eq!(
        none.usage_error(),
        "'throughput' needs a file, or '-' for standard input"
    );
    assert_eq!(
        foreign.usage_error(),
        "'--follow' belongs to 'trafficlog', not to 'throughput'"
    );
}

/// `--plot` (decided): a picture may go into a pipe, and nothing is read from
/// that first.
#[test]
fn picture_may_go_into_a_pipe() {
    let sandbox = Sandbox::new();
    sandbox.write("maple.log", LOG);

    let run = throughput(&sandbox, &["maple.log", "--plot", "/dev/stdout"]);

    let text = run.clean();
    assert!(text.starts_with("maple.log: 3 exchanges"), "{run:#?}");
    assert!(
        text.contains("\n<svg ") && text.ends_with("</svg>\n"),
        "{run:#?}"
    );
}
