//! Programs that stay: `externalhandler persistent` and `onevents`, ours.

use std::path::PathBuf;
use std::thread::ScopedJoinHandle;

use serde_json::Value;

use crate::cases::Trees;
use crate::harness::{Backend, Level, Proxy, Setup, until};

/// A shell script that logs all it reads into `heard` and answers each request
/// by what `answer` prints for `$id`.
fn script(answer: &str) -> String {
    format!(
        "while read -r line; do\n  printf '%s\\n' \"$line\" >> heard\n  case $line in\n  \
         *'\"type\":\"dispatch\"'*) id=${{line#*'\"id\":'}}; id=${{id%%,*}}; {answer};;\n  esac\ndone\n\
         echo bye >> heard\n"
    )
}

/// A service of all three whose handler is a script that stays.
fn chosen_by(trees: &Trees, answer: &str, more: &str) -> Setup {
    let mode = "dispatchmode externalhandler persistent sh ./stay;";
    let mut setup = trees.behind(&format!("{mode} {more}"));
    setup.sandbox().write("stay", script(answer));
    setup
}

/// What the script has heard so far.
fn heard(proxy: &Proxy) -> Vec<String> {
    let text = std::fs::read_to_string(proxy.sandbox().path().join("heard"));
    text.unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The lines of `kind` that it has heard.
fn lines_of(proxy: &Proxy, kind: &str) -> Vec<Value> {
    let lines = heard(proxy).into_iter();
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    lines.filter(|line| line["type"] == kind).collect()
}

/// Ours (decided).
#[test]
fn a_persistent_handler_answers_all_clients_from_one_process() {
    let trees = Trees::new();
    let proxy = chosen_by(&trees, "echo \"$id birch\"", "").start();

    assert_eq!(proxy.visits(20), ["birch"; 20]);

    let hellos = lines_of(&proxy, "hello");
    assert_eq!(hellos.len(), 1, "one process");
    let daemon = proxy.process().0;
    assert_eq!(hellos[0]["v"], 1);
    assert_eq!(hellos[0]["service"], "shop");
    assert_eq!(hellos[0]["pid"], daemon);
    assert_eq!(hellos[0]["version"], "3.0.0");
    let maple = &hellos[0]["backends"][0];
    assert_eq!(
        (&maple["name"], &maple["weight"]),
        (&"maple".into(), &1.into())
    );
    assert_eq!(maple["server"], trees.maple.server());
    let requests = lines_of(&proxy, "dispatch");
    assert_eq!(requests.len(), 20);
    let first = &requests[0];
    assert_eq!((&first["v"], &first["id"]), (&1.into(), &1.into()));
    assert_eq!(first["client"], "127.0.0.1");
    assert_eq!(first["connection"], 1);
    assert_eq!(first["tried"], serde_json::json!([]));
    assert!(first["time"].as_f64().unwrap() > 1e9);
    let birch = &first["backends"][1];
    let expected = serde_json::json!({"name": "birch", "usable": true, "active": 0, "weight": 1});
    assert_eq!(*birch, expected);
    assert_eq!(proxy.sandbox().syslog.matching("handler").len(), 0);
}

/// Ours (decided): what it is told of a back end that failed and of one that is
/// busy.
#[test]
fn a_persistent_handler_is_told_what_was_tried_and_how_the_others_stand() {
    let (maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let answer =
        "case $line in *'\"tried\":[]'*) echo \"$id maple\";; *) echo \"$id birch\";; esac";
    let mut setup = Setup::new("dispatchmode externalhandler persistent sh ./stay;");
    setup.sandbox().write("stay", script(answer));
    let proxy = setup
        .backend("maple", maple.server(), "retries 9;")
        .backend("birch", birch.server(), "maxconnections 2;")
        .start();

    let (client, name) = proxy.greeted();
    assert_eq!(
        (name.as_str(), proxy.visit()),
        ("birch", "birch".to_owned())
    );

    let requests = lines_of(&proxy, "dispatch");
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[1]["tried"], serde_json::json!(["maple"]));
    assert_eq!(requests[3]["backends"][1]["active"], 1);
    assert_eq!(requests[3]["backends"][0]["usable"], true);
    drop(client);
}

/// Ours (decided): each bad answer has one warning, and `roundrobin` stands in.
#[test]
fn bad_answers_are_warned_of_once_and_replaced_by_roundrobin() {
    for (answer, reason) in [
        ("echo \"$id birhc\"", "no such back end"),
        ("echo \"$id\"", "empty answer"),
        ("echo \"$id cedar\"", "back end not usable"),
        (":", "no answer in time"),
        ("echo birch", "no answer in time"),
        ("echo \"9$id birch\"", "no answer in time"),
    ] {
        let trees = Trees::new();
        let proxy = chosen_by(&trees, answer, "handlertimeout 100;").start();
        proxy.tell("cedar", "down");

        let served = proxy.visits(3);

        assert_eq!(served, ["maple", "birch", "maple"], "{answer}");
        let text = format!("shop: handler: {reason}, using roundrobin");
        proxy.sandbox().syslog.await_line("shop: handler");
        proxy.await_idle();
        let lines = proxy.sandbox().syslog.matching("shop: handler");
        assert_eq!(lines.len(), 1, "{answer}: {lines:?}");
        assert_eq!((lines[0].level, &lines[0].text), (Level::Warning, &text));
    }
}

/// Ours (decided).
#[test]
fn a_program_that_dies_is_replaced_by_roundrobin_and_started_again() {
    let trees = Trees::new();
    let answer = "[ -e fit ] && echo \"$id birch\" || exit 7";
    let proxy = chosen_by(&trees, answer, "").start();

    assert_eq!(proxy.visit(), "maple");
    let syslog = &proxy.sandbox().syslog;
    let text = "shop: handler: exit status 7, started again in 0.1 s";
    syslog.await_exactly(Level::Warning, text);
    proxy.sandbox().write("fit", "");

    until("it serves again", || proxy.visits(2) == ["birch", "birch"]);
    assert!(lines_of(&proxy, "hello").len() >= 2);
    assert_eq!(
        syslog.matching("started again").len(),
        1,
        "said once a minute"
    );
}

/// Ours (decided).
#[test]
fn a_program_that_is_missing_costs_warnings_and_no_client() {
    let trees = Trees::new();
    let proxy = trees
        .behind("dispatchmode externalhandler persistent ./missing; onevents ./missing_too;")
        .start();

    assert_eq!(proxy.visits(3), ["maple", "birch", "cedar"]);

    let syslog = &proxy.sandbox().syslog;
    syslog.await_line("shop: handler: exit status 127, started again in");
    syslog.await_line("shop: onevents: exit status 127, started again in");
    syslog.await_exactly(
        Level::Warning,
        "shop: handler: not running, using roundrobin",
    );
    until("what nobody hears is counted", || {
        proxy.shop_number("helper_dropped") > 0
    });
}

/// Ours (decided).
#[test]
fn a_program_that_floods_is_ended_and_traffic_goes_on() {
    let trees = Trees::new();
    let mut setup = trees.behind("dispatchmode externalhandler persistent sh ./stay;");
    setup.sandbox().write("stay", "exec yes\n");
    let proxy = setup.start();

    assert_eq!(proxy.visits(6).len(), 6);

    let text = "shop: handler: flooded its output, started again in 0.1 s";
    proxy.sandbox().syslog.await_exactly(Level::Warning, text);
}

/// Ours (decided).
#[test]
fn a_program_that_does_not_read_loses_lines_which_are_counted() {
    let maple = Backend::banner("maple");
    let proxy = Setup::new("onevents exec sleep 1000;")
        .backend("maple", maple.server(), "")
        .limit("hook_kill", 0.2)
        .start();

    // Some 320 bytes for each connection, beside 1 MiB and what the pipe holds.
    let text = "shop: onevents does not read, lines dropped";
    until("lines are dropped", || {
        proxy.visits(200);
        !proxy.sandbox().syslog.matching(text).is_empty()
    });

    proxy.sandbox().syslog.await_exactly(Level::Warning, text);
    until("they are counted", || {
        proxy.shop_number("helper_dropped") > 0
    });
    let status = proxy.run(["status"]);
    assert!(
        status.ok().contains(" lines to helpers\n"),
        "{}",
        status.ok()
    );
}

/// Ours (decided): every event has its line, in order.
#[test]
fn onevents_is_told_of_connections_failures_and_states() {
    let (maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let mut setup = Setup::new("dispatchmode byorder; onevents sh ./stay;");
    setup.sandbox().write("stay", script(":"));
    let proxy = setup
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .start();

    let (mut client, _) = proxy.greeted();
    client.assert_echo("four");
    drop(client);

    until("the end is told", || lines_of(&proxy, "end").len() == 1);
    let kinds = heard(&proxy).into_iter().map(|line| {
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["v"], 1);
        assert_eq!(line["service"], "shop");
        line["type"].as_str().unwrap().to_owned()
    });
    let kinds: Vec<String> = kinds.collect();
    assert_eq!(kinds, ["hello", "fail", "state", "start", "end"]);
    let fail = &lines_of(&proxy, "fail")[0];
    assert_eq!(
        (&fail["backend"], &fail["reason"]),
        (&"maple".into(), &"refused".into())
    );
    assert_eq!(
        (&fail["client"], &fail["connection"]),
        (&"127.0.0.1".into(), &1.into())
    );
    let state = &lines_of(&proxy, "state")[0];
    assert_eq!(
        (&state["from"], &state["to"]),
        (&"available".into(), &"unavailable".into())
    );
    let (start, end) = (&lines_of(&proxy, "start")[0], &lines_of(&proxy, "end")[0]);
    assert_eq!(start["server"], birch.server());
    assert_eq!(end["connection"], start["connection"]);
    assert_eq!(end["ended"], "client");
    assert_eq!(end["bytes_to_backend"], 4);
    assert_eq!(end["bytes_to_client"], 10);
    assert!(end["seconds"].as_f64().unwrap() > 0.0);

    proxy.tell("birch", "down");
    until("an order is told too", || {
        lines_of(&proxy, "state").len() == 2
    });
}

/// Ours (decided): two directives with the same command.
#[test]
fn one_process_answers_and_hears_where_both_directives_have_the_same_command() {
    let trees = Trees::new();
    let proxy = chosen_by(&trees, "echo \"$id cedar\"", "onevents sh ./stay;").start();

    assert_eq!(proxy.visit(), "cedar");

    until("the end is told", || lines_of(&proxy, "end").len() == 1);
    let kinds: Vec<_> = ["hello", "dispatch", "start", "end"]
        .map(|kind| lines_of(&proxy, kind).len())
        .to_vec();
    assert_eq!(kinds, [1, 1, 1, 1]);
}

/// 2.6 (decided): what programs take is counted once, before any is started.
#[test]
fn programs_take_their_share_of_a_small_number_of_descriptors() {
    let trees = Trees::new();
    let limited = |limit: &str| {
        let limits = format!("ulimit -n {limit}; exec \"$@\"");
        let setup = chosen_by(&trees, "echo \"$id birch\"", "onevents sh ./stay again;");
        setup
            .flags(["-w", "2"])
            .wrap(["sh", "-c", &limits, "sh"])
            .write()
    };
    let proxy = limited("40");

    let run = proxy.run(["start"]);

    let (_, advice) = run.failed().split_once("at least ").expect("an advice");
    let enough: String = advice.chars().take_while(char::is_ascii_digit).collect();
    assert_eq!(heard(&proxy), Vec::<String>::new(), "none was started");
    let proxy = limited(&enough);
    proxy.start();
    assert_eq!(proxy.visit(), "birch");
    let few: u32 = enough.parse().unwrap();
    assert!(
        few < 100,
        "{few} for two programs, no hook, and no other handler"
    );
}

/// Ours (decided): states change and are told while workers ask.
#[test]
fn one_process_for_both_holds_up_neither_orders_nor_clients() {
    let trees = Trees::new();
    let more = "onevents sh ./stay; handlertimeout 20000;";
    let setup = chosen_by(&trees, "echo \"$id cedar\"", more);
    let proxy = setup.flags(["-w", "4"]).start();
    let mut orders = 0;

    std::thread::scope(|scope| {
        let visits = || assert_eq!(proxy.visits(250), ["cedar"; 250]);
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(visits)).collect();
        while !clients.iter().all(ScopedJoinHandle::is_finished) {
            proxy.tell("birch", "down");
            proxy.tell("birch", "up");
            orders += 2;
        }
    });

    until("all orders are told", || {
        lines_of(&proxy, "state").len() == orders
    });
}

/// Ours (decided): the end of input is the order to end.
#[test]
fn a_stop_tells_all_that_happened_and_then_closes_the_input() {
    let trees = Trees::new();
    let proxy = chosen_by(&trees, "echo \"$id cedar\"", "onevents sh ./stay;").start();
    let (client, _) = proxy.greeted();

    proxy.stop();

    let ends = lines_of(&proxy, "end");
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0]["ended"], "stopped");
    assert_eq!(heard(&proxy).last().map(String::as_str), Some("bye"));
    drop(client);
}

/// Ours (decided): a program that does not end by itself is ended.
#[test]
fn a_program_that_ignores_the_end_of_its_input_is_killed() {
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("onevents sh ./stay;");
    let up: PathBuf = setup.sandbox().path().join("up");
    setup.sandbox().write(
        "stay",
        "trap '' TERM\ntouch up\nwhile :; do sleep 1000; done\n",
    );
    let proxy = setup
        .backend("maple", maple.server(), "")
        .limit("hook_kill", 0.3)
        .start();
    until("it is up", || up.exists());

    proxy.stop();

    // The sandbox finds whoever is left.
    assert_eq!(proxy.sandbox().processes(), []);
}
