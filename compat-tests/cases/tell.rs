//! `tell`: an operator changes a running daemon.

use crate::cases::Trees;
use crate::harness::{Backend, Setup, until};

/// C02 (documented).
#[test]
fn both_spellings_of_tell_set_the_state() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    let short = proxy.run(["tell", "shop", "birch", "down"]);
    let state_after_short = proxy.state("birch");
    let long = proxy.run(["tell", "shop", "maple", "state", "down"]);

    assert_eq!(short.clean(), "shop birch: available -> down\n");
    assert_eq!(state_after_short, "down");
    assert_eq!(long.clean(), "shop maple: available -> down\n");
    assert_eq!(proxy.state("maple"), "down");
    assert_eq!(proxy.reason("maple"), "told");
}

/// 2.3, 2.5 (states documented, output decided).
#[test]
fn every_state_can_be_told_also_the_one_that_is_there() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    for (state, output) in [
        ("down", "shop maple: available -> down\n"),
        ("down", "shop maple: down -> down\n"),
        ("unavailable", "shop maple: down -> unavailable\n"),
        ("up", "shop maple: unavailable -> available\n"),
        ("available", "shop maple: available -> available\n"),
    ] {
        assert_eq!(proxy.run(["tell", "shop", "maple", state]).clean(), output);
    }
}

/// C03 (inferred).
#[test]
fn names_are_found_without_regard_to_case_when_that_is_unique() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    proxy.tell("birch", "down");

    let run = proxy.run(["tell", "SHOP", "Birch", "up"]);

    assert_eq!(run.clean(), "shop birch: down -> available\n");
    assert_eq!(proxy.state("birch"), "available");
}

/// C04 (decided).
#[test]
fn a_name_that_is_nearly_right_is_guessed() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    let run = proxy.run(["tell", "shop", "birhc", "down"]);

    assert_eq!(
        run.failed_with_one_line(),
        "no back end 'birhc' in service 'shop' (did you mean 'birch'?)"
    );
    assert_eq!(proxy.state("birch"), "available");
}

/// C04 (decided).
#[test]
fn a_name_that_fits_two_in_another_case_is_ambiguous() {
    let maple = Backend::banner("maple");
    let proxy = Setup::new("")
        .backend("maple", maple.server(), "")
        .service("www", "")
        .backend("a", maple.server(), "")
        .service("WWW", "")
        .backend("a", maple.server(), "")
        .flags(["-W", "no-W09"])
        .start();

    let run = proxy.run(["tell", "Www", "a", "down"]);

    let text = run.failed_with_one_line();
    assert!(text.ends_with("(ambiguous: www, WWW)"), "{text}");
    let status = proxy.status();
    assert_eq!(status.service("www").backend("a").state(), "available");
    assert_eq!(status.service("WWW").backend("a").state(), "available");
}

/// 14.5 (decided).
#[test]
fn an_unknown_service_and_a_service_that_does_not_run_are_told_apart() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();

    let unknown = proxy.run(["tell", "desk", "maple", "up"]);
    let stopped = proxy.run(["tell", "shop", "maple", "up"]);

    let text = unknown.failed_with_one_line();
    assert!(text.starts_with("no service 'desk' in "), "{text}");
    assert_eq!(
        stopped.failed_with_one_line(),
        "service 'shop': not running"
    );
}

/// C05 (documented; that running connections stay is decided).
#[test]
fn a_told_server_serves_the_next_connection_and_running_ones_stay() {
    let (old, new) = (Backend::banner("old"), Backend::banner("new"));
    let proxy = Setup::new("").backend("birch", old.server(), "").start();
    let (mut running, name) = proxy.greeted();

    let run = proxy.run(["tell", "shop", "birch", "server", &new.server()]);
    let next = proxy.visit();

    assert_eq!(
        run.clean(),
        format!("shop birch: {} -> {}\n", old.server(), new.server())
    );
    assert_eq!((name.as_str(), next.as_str()), ("old", "new"));
    running.assert_echo("still with the old one");
    let status = proxy.status();
    let birch = status.service("shop").backend("birch");
    assert_eq!(birch.text("server"), new.server());
    assert_eq!(birch.state(), "available");
}

/// 14.5 (decided): the same words as E34.
#[test]
fn a_told_server_must_be_an_address() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    for address in ["127.0.0.1:0", "127.0.0.1:65536", "127.1:80", "a b:80", ""] {
        let run = proxy.run(["tell", "shop", "maple", "server", address]);
        assert_eq!(run.code, Some(1), "{address:?}: {run:#?}");
        assert_eq!(run.stdout, "", "{address:?}");
    }
}

/// 6.2 (inferred): running connections of a back end that is told `down` go on.
#[test]
fn a_connection_outlives_the_order_to_its_backend_to_go_down() {
    let trees = Trees::new();
    let proxy = trees.behind("dispatchmode byorder;").start();
    let (mut running, name) = proxy.greeted();

    proxy.tell("maple", "down");

    assert_eq!(name, "maple");
    assert_eq!(proxy.visit(), "birch");
    running.assert_echo("still with maple");
    until("it is counted", || proxy.number("maple", "active") == 1);
}

/// 2.3 (decided): a daemon can be told although its file was broken meanwhile.
#[test]
fn tell_goes_on_after_the_file_was_broken() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let text = proxy.config_text();
    proxy.rewrite(&text.replace("backend cedar {", "backend cedar { wieght 2;"));

    let run = proxy.run(["tell", "shop", "birch", "down"]);

    proxy.rewrite(&text);
    assert_eq!(run.ok(), "shop birch: available -> down\n");
    assert!(run.stderr.contains("error[E02]"), "{run:#?}");
}

/// 4.19, 6.2 (decided): both forms of `tell` begin the count of failures anew.
#[test]
fn tell_begins_the_count_of_failures_anew() {
    let (maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", maple.server(), "retries 1;")
        .backend("birch", birch.server(), "")
        .start();

    proxy.visit();
    proxy.tell("maple", "up");
    proxy.visit();
    let after_state = proxy.state("maple");
    proxy
        .run(["tell", "shop", "maple", "server", &maple.server()])
        .clean();
    proxy.visit();
    let after_server = proxy.state("maple");
    proxy.visit();

    assert_eq!([after_state, after_server], ["available", "available"]);
    assert_eq!(proxy.state("maple"), "unavailable");
}
