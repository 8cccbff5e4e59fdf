//! When the programs begin and end, and what they say then.

use std::time::{Duration, Instant};

use crate::harness::{Program, backend, client};

#[test]
fn client_says_where_it_is() {
    let (_backend, addresses) = backend(2);

    let client = client(addresses[1], "--work keep --connections 1 --seconds 0.1");

    let (lines, _, success) = client.finish();
    assert!(success);
    assert_eq!(lines[..3], ["ready", "begin", "end"]);
    assert_eq!(lines.len(), 4);
}

#[test]
fn client_ends_early_with_its_input() {
    let (_backend, addresses) = backend(1);
    let begun = Instant::now();
    let mut client = client(addresses[0], "--work keep --connections 1 --seconds 600");
    assert_eq!(client.line(), "ready");
    assert_eq!(client.line(), "begin");

    client.end_input();

    let (lines, _, success) = client.finish();
    assert!(success);
    assert_eq!(lines[0], "end");
    let report: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    assert!(report["seconds"].as_f64().unwrap() < 60.0, "{report}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn backend_ends_with_its_input() {
    let (mut backend, _) = backend(1);

    backend.end_input();

    let (lines, errors, success) = backend.finish();
    assert!(success);
    assert_eq!(lines, Vec::<String>::new());
    assert_eq!(errors, "");
}

#[test]
fn taken_address_is_reported() {
    let (_backend, addresses) = backend(1);

    let second = Program::start(&["backend", "--listen", &addresses[0].to_string()]);

    let (_, errors, success) = second.finish();
    assert!(!success);
    let expected = format!("cannot listen on {}", addresses[0]);
    assert!(errors.contains(&expected), "{errors}");
}

#[test]
fn rate_is_demanded() {
    let (_backend, addresses) = backend(1);

    let client = client(addresses[0], "--work fixed --connections 1 --seconds 0.1");

    let (_, errors, success) = client.finish();
    assert!(!success);
    assert!(errors.contains("needs --rate"), "{errors}");
}

#[test]
fn lingering_client_keeps_its_connections_until_its_input_ends() {
    let (backend, addresses) = backend(1);
    let mut client = client(
        addresses[0],
        "--work idle --connections 5 --seconds 0.05 --linger",
    );
    for word in ["ready", "begin", "end"] {
        assert_eq!(client.line(), word);
    }
    let report: serde_json::Value = serde_json::from_str(&client.line()).unwrap();
    assert_eq!(report["units"], 5, "{report}");

    assert_eq!(backend.sockets(), 1 + 5);
    client.end_input();

    let (_, errors, success) = client.finish();
    assert!(success, "{errors}");
}
