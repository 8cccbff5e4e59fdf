//! `-A json`: one line for each client connection, which explains it.

use serde_json::{Value, json};

use crate::cases::Trees;
use crate::harness::{Backend, Blackhole, Level, Proxy, Setup, until};

/// The records that were logged so far.
fn records(proxy: &Proxy) -> Vec<Value> {
    let lines = proxy.sandbox().syslog.matching("{\"time\":");
    let parse = |line: crate::harness::Line| {
        assert_eq!(line.level, Level::Notice);
        serde_json::from_str(&line.text).unwrap()
    };
    lines.into_iter().map(parse).collect()
}

fn await_record(proxy: &Proxy) -> Value {
    until("a record is logged", || !records(proxy).is_empty());
    records(proxy).remove(0)
}

/// Ours (decided).
#[test]
fn a_served_client_has_a_record_of_tries_choice_bytes_and_times() {
    let (maple, birch, cedar) = (
        Backend::dead("maple"),
        Backend::banner("birch"),
        Backend::banner("cedar"),
    );
    let proxy = Setup::new("dispatchmode byconnections;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "weight 2;")
        .backend("cedar", cedar.server(), "weight 3;")
        .flags(["-A", "json"])
        .start();

    let (mut client, name) = proxy.greeted();
    client.assert_echo("four");
    client.finish_sending();
    client.rest();

    assert_eq!(name, "birch");
    let record = await_record(&proxy);
    for (field, expected) in [
        ("service", json!("shop")),
        ("connection", json!(1)),
        ("client", json!("127.0.0.1")),
        ("backend", json!("birch")),
        ("server", json!(birch.server())),
        ("mode", json!("byconnections")),
        ("chosen_by", json!("mode")),
        ("score", json!(2.0)),
        ("tries", json!([{"backend": "maple", "reason": "refused"}])),
        ("bytes_to_client", json!(10)),
        ("bytes_to_backend", json!(4)),
        ("ended_by", json!("client")),
        ("how", json!("closed")),
    ] {
        assert_eq!(record[field], expected, "{field}: {record:#}");
    }
    let passed_over = json!([
        {"backend": "maple", "why": "tried", "score": 1.0},
        {"backend": "cedar", "why": "more connections", "score": 3.0},
    ]);
    assert_eq!(record["passed_over"], passed_over);
    let seconds = |field: &str| record[field].as_f64().unwrap();
    assert!(seconds("time") > 1e9);
    let whole = seconds("seconds");
    for part in ["wait", "connect", "first_byte"] {
        assert!((0.0..=whole).contains(&seconds(part)), "{record:#}");
    }
}

/// Ours (decided).
#[test]
fn a_client_that_no_backend_served_has_a_record_too() {
    let maple = Backend::dead("maple");
    let proxy = Setup::new("")
        .backend("maple", maple.server(), "")
        .flags(["-A", "json"])
        .start();

    proxy.connect().assert_closed_without_data();

    let record = await_record(&proxy);
    assert_eq!(record["backend"], Value::Null);
    assert_eq!(
        record["tries"],
        json!([{"backend": "maple", "reason": "refused"}])
    );
    assert_eq!(
        (&record["ended_by"], &record["how"]),
        (&json!("error"), &json!("no back end"))
    );
    assert_eq!(record["connect"], Value::Null);
}

/// Ours (decided).
#[test]
fn a_record_says_who_chose_and_who_reset() {
    let trees = Trees::new();
    let proxy = trees
        .behind("dispatchmode externalhandler echo birch;")
        .flags(["-A", "json"])
        .start();
    proxy.tell("cedar", "down");

    let (client, _) = proxy.greeted();
    client.reset();

    let record = await_record(&proxy);
    assert_eq!(record["chosen_by"], "handler");
    assert_eq!(record["mode"], "externalhandler");
    let passed_over = json!([
        {"backend": "maple", "why": "not named", "score": null},
        {"backend": "cedar", "why": "down", "score": null},
    ]);
    assert_eq!(record["passed_over"], passed_over);
    assert_eq!(
        (&record["ended_by"], &record["how"]),
        (&json!("client"), &json!("reset"))
    );
}

/// Ours (decided): a back end that has not answered yet has served nobody.
#[test]
fn a_record_tells_which_backend_was_given_up() {
    let maple = Blackhole::new();
    let proxy = Setup::new("")
        .backend("maple", maple.server(), "")
        .flags(["-A", "json"])
        .limit("failover", 0.3)
        .start();

    proxy.connect().assert_closed_without_data();

    let record = await_record(&proxy);
    assert_eq!(record["backend"], Value::Null, "{record:#}");
    assert_eq!(record["how"], "no back end");
    assert_eq!(
        record["tries"],
        json!([{"backend": "maple", "reason": "given up"}])
    );
    assert!(record["wait"].is_number(), "{record:#}");
}

/// Ours (decided): nothing is said of what did not happen.
#[test]
fn a_record_of_a_client_that_leaves_its_handler_has_no_choice() {
    let trees = Trees::new();
    let proxy = trees
        .behind("dispatchmode externalhandler sleep 1000;")
        .flags(["-A", "json"])
        .start();

    proxy.connect().reset();

    let record = await_record(&proxy);
    assert_eq!(record["tries"], json!([]));
    for field in ["backend", "server", "chosen_by", "wait", "connect"] {
        assert_eq!(record[field], Value::Null, "{field}: {record:#}");
    }
    assert_eq!(
        (&record["ended_by"], &record["how"]),
        (&json!("client"), &json!("reset"))
    );
}

/// Ours (decided).
#[test]
fn records_are_kept_only_where_they_are_asked_for() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    assert_eq!(proxy.visits(3).len(), 3);
    proxy.await_idle();
    assert_eq!(records(&proxy), Vec::<Value>::new());

    let run = proxy.run(["-A", "xml", "start"]);

    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr
            .starts_with("crossroads: argument of '-A' is 'xml', accepted: json\n")
    );
}
