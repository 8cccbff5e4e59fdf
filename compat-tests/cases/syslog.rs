//! What the daemon writes to syslog.

use regex::Regex;

use crate::cases::Trees;
use crate::harness::{Backend, Level, Setup, until};

#[track_caller]
fn assert_matches(text: &str, pattern: &str) {
    let whole = Regex::new(&format!("^{pattern}$")).unwrap();
    assert!(whole.is_match(text), "{text:?} is not as {pattern}");
}

/// 13.3 (decided).
#[test]
fn start_and_stop_are_noticed_for_each_service() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .backend("birch", trees.birch.server(), "")
        .service("desk", "")
        .backend("cedar", trees.cedar.server(), "")
        .start();
    let syslog = &proxy.sandbox().syslog;
    let daemon = proxy.process();
    proxy.stop();

    let shop = format!("shop: listening on {}, 2 back ends", proxy.address());
    syslog.await_exactly(Level::Notice, &shop);
    let desk = format!(
        "desk: listening on {}, 1 back ends",
        proxy.address_of("desk")
    );
    syslog.await_exactly(Level::Notice, &desk);
    syslog.await_exactly(Level::Notice, "shop: stopped, 0 connections cut");
    syslog.await_exactly(Level::Notice, "desk: stopped, 0 connections cut");
    for line in syslog.lines() {
        assert_eq!((line.facility, line.pid), (3, daemon.0), "{line:?}");
    }
}

/// 2.2 (decided).
#[test]
fn flag_l_sets_the_facility() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-l", "LOG_LOCAL3"]).start();

    let line = proxy.sandbox().syslog.await_line("listening");

    assert_eq!(line.facility, 19);
}

/// 13.4 (flag documented, lines decided).
#[test]
fn flag_a_logs_start_and_end_of_every_connection() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-a"]).start();
    let (mut client, _) = proxy.greeted();
    client.assert_echo("12345");
    drop(client);
    let syslog = &proxy.sandbox().syslog;
    syslog.await_lines("ending shop", 1);
    proxy.visit();
    syslog.await_lines("ending shop", 2);

    let lines = syslog.matching("shop from 127.0.0.1");
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let time = r"\d{4}-\d\d-\d\d/\d\d:\d\d:\d\d";
    let maple = trees.maple.address();
    assert_matches(
        texts[0],
        &format!(
            "starting shop from 127.0.0.1 to {maple} at {time}, back end maple, connection 0000001"
        ),
    );
    assert_matches(
        texts[1],
        &format!(
            r"ending shop from 127.0.0.1 to {maple} at {time}, back end maple, connection 0000001, 16 bytes, \d+\.\d{{6}} s, client"
        ),
    );
    assert!(
        texts[2].ends_with("back end birch, connection 0000002"),
        "{texts:?}"
    );
    assert!(lines.iter().all(|line| line.level == Level::Notice));
}

/// 13.3 (decided): nothing that a client can do is logged above info without
/// the flag or the switch.
#[test]
fn without_flags_and_switches_connections_are_not_logged() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    proxy.visits(20);
    proxy.stop();

    let syslog = &proxy.sandbox().syslog;
    syslog.await_line("shop: stopped");
    assert_eq!(syslog.lines().len(), 2, "{:#?}", syslog.lines());
}

/// 4.6 (documented; which switch covers what decided).
#[test]
fn verbosity_of_service_and_backend_are_independent() {
    let trees = Trees::new();
    let proxy = Setup::new("verbosity on;")
        .backend("maple", trees.maple.server(), "")
        .backend("birch", trees.birch.server(), "verbosity on;")
        .start();

    proxy.visits(2);
    proxy.await_idle();
    proxy.stop();

    let syslog = &proxy.sandbox().syslog;
    syslog.await_line("shop: stopped");
    let lines = syslog.lines();
    let infos: Vec<&str> = lines
        .iter()
        .filter(|line| line.level == Level::Info)
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(infos.len(), 4, "{infos:#?}");
    assert!(
        infos.contains(&"shop: connection 0000001 from 127.0.0.1"),
        "{infos:#?}"
    );
    assert!(
        infos.contains(&"shop: connection 0000002 from 127.0.0.1"),
        "{infos:#?}"
    );
    let to = format!("shop birch: connection 0000002 to {}", trees.birch.server());
    assert!(infos.contains(&to.as_str()), "{infos:#?}");
    let ended = r"shop birch: connection 0000002 ended: 6 bytes, \d+\.\d{6} s, client";
    assert!(
        infos
            .iter()
            .any(|line| Regex::new(ended).unwrap().is_match(line)),
        "{infos:#?}"
    );
}

/// 13.3 (decided): the end of a quiet service shows how many were cut.
#[test]
fn a_stop_tells_how_many_connections_it_cut() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let _clients: Vec<_> = (0..3).map(|_| proxy.greeted()).collect();
    until("they are counted", || proxy.shop_number("active") == 3);

    proxy.stop();

    let syslog = &proxy.sandbox().syslog;
    syslog.await_exactly(Level::Notice, "shop: stopped, 3 connections cut");
}

/// 13.3 (decided).
#[test]
fn orders_of_an_operator_are_noticed() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let (old, new) = (trees.birch.server(), trees.maple.server());

    proxy.tell("birch", "down");
    proxy.run(["tell", "shop", "birch", "server", &new]).clean();

    let syslog = &proxy.sandbox().syslog;
    syslog.await_exactly(Level::Notice, "shop birch: available -> down (told)");
    let server = format!("shop birch: server {old} -> {new} (told)");
    syslog.await_exactly(Level::Notice, &server);
}

/// 13.3 (decided): a warning that traffic causes comes once in its time, and
/// the next one says how many were left out.
#[test]
fn repeated_warnings_are_counted_instead_of_written() {
    let trees = Trees::new();
    let proxy = trees.behind("").limit("log_repeat", 1.0).start();
    for backend in ["maple", "birch", "cedar"] {
        proxy.tell(backend, "down");
    }
    let turn_away = |count: usize| {
        (0..count).for_each(|_| proxy.connect().assert_closed_without_data());
    };
    let syslog = &proxy.sandbox().syslog;

    turn_away(5);
    syslog.await_line("no usable back end");
    crate::harness::pace(std::time::Duration::from_millis(1200));
    turn_away(1);

    let second = syslog.await_line(" more)");
    assert_eq!(
        second.text,
        "shop: no usable back end for 127.0.0.1 (4 more)"
    );
    assert_eq!(syslog.matching("no usable back end").len(), 2);
}

/// C76 (decided).
#[test]
fn a_syslog_that_goes_and_comes_back_costs_no_traffic_and_no_later_lines() {
    let trees = Trees::new();
    let mut proxy = trees.behind("").flags(["-a"]).start();
    assert_eq!(proxy.visits(3).len(), 3);
    proxy.sandbox().syslog.await_lines("ending shop", 3);

    proxy.sandbox_mut().syslog.remove();
    assert_eq!(proxy.visits(6).len(), 6);
    proxy.sandbox_mut().syslog.restore();
    assert_eq!(proxy.visits(3).len(), 3);

    proxy.sandbox().syslog.await_lines("ending shop", 12);
}

/// 13.3 (decided): a syslog that does not exist delays nothing.
#[test]
fn without_any_syslog_the_daemon_starts_serves_and_stops() {
    let trees = Trees::new();
    let mut proxy = trees.behind("").flags(["-a"]).write();
    proxy.sandbox_mut().syslog.remove();

    proxy.start();
    let served = proxy.visits(30);
    proxy.stop();

    assert_eq!(served.len(), 30);
}

/// 13.3 (decided): with `-f` messages also go to stderr.
#[test]
fn in_the_foreground_messages_go_to_stderr_as_well() {
    let maple = Backend::banner("maple");
    let proxy = Setup::new("").backend("maple", maple.server(), "").write();
    let running = proxy.start_foreground();
    proxy.visit();

    proxy.stop();
    let run = running.finish(crate::harness::Deadline::usual());

    assert_eq!(run.code, Some(0), "{run:#?}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    let time = r"\d{4}-\d\d-\d\d/\d\d:\d\d:\d\d";
    let listening = format!(
        "{time} notice shop: listening on {}, 1 back ends",
        proxy.address()
    );
    assert_matches(lines[0], &listening);
    assert_matches(
        lines[1],
        &format!("{time} notice shop: stopped, 0 connections cut"),
    );
}

/// 2.2 (decided): `-v` with `start` acts as if every block said `verbosity on`.
#[test]
fn flag_v_of_start_makes_everything_verbose() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    proxy.run(["-v", "start"]).ok();

    proxy.visit();

    let syslog = &proxy.sandbox().syslog;
    syslog.await_exactly(Level::Info, "shop: connection 0000001 from 127.0.0.1");
    let to = format!("shop maple: connection 0000001 to {}", trees.maple.server());
    syslog.await_exactly(Level::Info, &to);
}

/// 13.3 (decided): a verbose back end tells why a connect and a probe failed.
#[test]
fn a_verbose_backend_tells_of_failed_connects_and_probes() {
    let (mut maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder; revivinginterval 1;")
        .backend("maple", maple.server(), "verbosity on;")
        .backend("birch", birch.server(), "")
        .start();
    let syslog = &proxy.sandbox().syslog;

    proxy.visit();
    let failed = syslog.await_line("connect failed: ");
    let probe = syslog.await_line("shop maple: probe: ");
    maple.revive();
    syslog.await_exactly(Level::Info, "shop maple: probe: ok");

    assert_eq!(failed.level, Level::Info);
    assert!(
        failed
            .text
            .starts_with("shop maple: connection 0000001 connect failed: "),
        "{failed:?}"
    );
    assert_eq!(probe.level, Level::Info);
    assert_ne!(probe.text, "shop maple: probe: ok");
}
