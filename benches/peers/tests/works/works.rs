//! Each work, for a moment.

use serde_json::Value;

use crate::harness::{backend, client, report};

fn run(options: &str) -> Value {
    let (_backend, addresses) = backend(1);

    let report = report(client(addresses[0], options));

    assert_eq!(report["errors"], 0, "{report}");
    assert_eq!(report["first_error"], Value::Null);
    assert!(report["units"].as_u64().unwrap() > 0, "{report}");
    report
}

fn latencies(report: &Value) -> u64 {
    report["latency_us"]["count"].as_u64().unwrap()
}

#[test]
fn conn_counts_connections() {
    let report = run("--work conn --connections 4 --seconds 0.2");

    assert_eq!(report["units"], latencies(&report));
    assert!(report["bytes"].as_u64() > report["units"].as_u64());
}

#[test]
fn keep_counts_requests() {
    let report = run("--work keep --connections 4 --seconds 0.2");

    assert_eq!(report["units"], latencies(&report));
    assert!(report["latency_us"]["p50"].as_f64().unwrap() > 0.0);
}

#[test]
fn threads_share_the_connections() {
    run("--work keep --connections 5 --threads 2 --seconds 0.2");
}

#[test]
fn headers_are_sent_along() {
    let options = "--work keep --connections 2 --seconds 0.2 --header";
    let (_backend, addresses) = backend(1);
    let to = addresses[0].to_string();
    let mut arguments = vec!["client", "--to", &to];
    arguments.extend(options.split(' '));
    arguments.push("Cookie: a=b");

    let report = report(crate::harness::Program::start(&arguments));

    assert_eq!(report["errors"], 0, "{report}");
}

#[test]
fn bulk_counts_mebibytes_received() {
    let report = run("--work bulk --connections 2 --size 3000000 --seconds 0.2");

    assert_eq!(report["units"], report["bytes"].as_u64().unwrap() >> 20);
    assert!(latencies(&report) > 0);
}

#[test]
fn upload_counts_mebibytes_sent() {
    let report = run("--work upload --connections 2 --size 3000000 --seconds 0.2");

    assert_eq!(report["units"], report["bytes"].as_u64().unwrap() >> 20);
}

#[test]
fn both_counts_both_directions() {
    run("--work both --connections 2 --size 3000000 --seconds 0.2");
}

#[test]
fn fixed_measures_every_request_that_was_due() {
    let report = run("--work fixed --connections 4 --rate 500 --seconds 0.2");

    assert_eq!(latencies(&report), 100);
}

#[test]
fn fixed_conn_measures_every_request_that_was_due() {
    let report = run("--work fixed-conn --connections 4 --rate 500 --seconds 0.2");

    assert_eq!(latencies(&report), 100);
}

#[test]
fn idle_counts_open_connections() {
    let report = run("--work idle --connections 300 --seconds 0.2");

    assert_eq!(report["units"], 300);
    assert_eq!(report["bytes"], 0);
}

#[test]
fn slow_counts_requests_beside_stalled_readers() {
    let report = run("--work slow --connections 2 --stalled 3 --seconds 0.2");

    assert_eq!(report["units"], latencies(&report));
}

#[test]
fn churn_counts_connections() {
    run("--work churn --connections 4 --seconds 0.2");
}
