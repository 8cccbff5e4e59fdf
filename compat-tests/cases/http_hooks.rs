//! Hooks, logs and accounts of connections in `type http`: they belong to a
//! connection to a back end, not to a client and not to a request.

use std::path::{Path, PathBuf};

use crate::cases::{Lanes, http_shop};
use crate::harness::http::{After, HttpBackend, post, reply, request, sticky};
use crate::harness::{Backend, Level, Proxy, Setup, until};

/// The lines of a file, none if it does not exist.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Statements for all three hooks, which write a line each into `log`.
fn logging(log: &Path) -> String {
    let log = log.display();
    let hook = |word: &str| format!("on{word} echo {word} %b %r >> {log};");
    [hook("start"), hook("end"), hook("fail")].concat()
}

/// 11.2 (decided): hooks run for each connection to a back end.
#[test]
fn hooks_run_for_each_connection_to_a_backend() {
    let (maple, birch) = (HttpBackend::named("maple"), HttpBackend::named("birch"));
    let dead = Backend::dead("dead");
    let mut setup = Setup::http("dispatchmode byorder;");
    let log = setup.sandbox().path().join("log");
    let both = |name| logging(&log) + &sticky(name);
    let proxy = setup
        .backend("dead", dead.server(), &logging(&log))
        .backend("maple", maple.server(), &both("maple"))
        .backend("birch", birch.server(), &both("birch"))
        .start();
    let mut client = proxy.http();

    for cookie in ["none", "maple", "birch", "birch", "maple"] {
        client.get("/", &format!("Cookie: lane={cookie}\r\n"));
    }
    drop(client);

    let expected = [
        "fail dead",
        "start maple",
        "end maple",
        "start birch",
        "end birch",
        "start maple",
        "end maple",
    ]
    .map(|line| format!("{line} 127.0.0.1"));
    until("all have run", || lines(&log).len() >= expected.len());
    assert_eq!(lines(&log), expected);
}

/// 9.8, 11.2 (decided): the end of a connection between requests is an end.
#[test]
fn onend_runs_when_the_backend_closes_between_requests() {
    let maple = HttpBackend::new(|turn| {
        turn.answer(&reply("200 OK", "", ""));
        After::Close
    });
    let mut setup = Setup::http("");
    let log = setup.sandbox().path().join("log");
    let proxy = setup
        .backend("maple", maple.server(), &logging(&log))
        .start();
    let mut client = proxy.http();

    for round in 1..=2 {
        client.get("/", "");
        until("it has ended", || lines(&log).len() == 2 * round);
    }

    let pair = ["start maple 127.0.0.1", "end maple 127.0.0.1"];
    assert_eq!(lines(&log), pair.repeat(2));
    until("the client is shown", || proxy.shop_number("active") == 1);
}

/// 9.9 (decided): none for requests that the daemon answered itself.
#[test]
fn requests_that_are_refused_run_no_hooks() {
    let maple = HttpBackend::named("maple");
    let mut setup = Setup::http("");
    let log = setup.sandbox().path().join("log");
    let proxy = setup
        .backend("maple", maple.server(), &logging(&log))
        .start();

    assert_eq!(proxy.http().ask("GET / HTTP/1.1\r\n\r\n").code(), 400);
    proxy.tell("maple", "down");
    assert_eq!(proxy.http().get("/", "").code(), 503);
    proxy.tell("maple", "up");
    assert_eq!(proxy.http().get("/", "").code(), 200);

    until("onend has run", || lines(&log).len() >= 2);
    assert_eq!(
        lines(&log),
        ["start maple 127.0.0.1", "end maple 127.0.0.1"]
    );
}

/// 13.4 (documented; a line for each connection to a back end decided).
#[test]
fn start_and_end_of_each_connection_to_a_backend_are_logged() {
    let lanes = Lanes::new();
    let proxy = lanes.behind("").flags(["-a"]).start();
    let mut client = proxy.http();

    for name in ["maple", "birch", "birch"] {
        client.get("/", &format!("Cookie: lane={name}\r\n"));
    }
    drop(client);

    let syslog = &proxy.sandbox().syslog;
    let starts = syslog.await_lines("starting shop", 2);
    let ends = syslog.await_lines("ending shop", 2);
    for (lines, word) in [(&starts, "starting"), (&ends, "ending")] {
        for (line, name) in lines.iter().zip(["maple", "birch"]) {
            assert_eq!(line.level, Level::Notice);
            assert!(
                line.text
                    .starts_with(&format!("{word} shop from 127.0.0.1 to "))
            );
            assert!(
                line.text
                    .contains(&format!(", back end {name}, connection 0000001"))
            );
        }
    }
    // It was left for another back end, which is the client's doing.
    assert!(ends[1].text.ends_with(" s, client"), "{ends:?}");
}

/// What a traffic log holds of one side.
#[track_caller]
fn logged(proxy: &Proxy, side: &str) -> String {
    let run = proxy
        .sandbox()
        .program()
        .args(["trafficlog", "--raw", side, "traffic"])
        .run();
    run.clean();
    run.bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// 13.3 (decided): bytes are logged as received, before directives; a head that
/// was read before the back end was chosen is not forgotten.
#[test]
fn trafficlog_holds_the_bytes_as_they_were_received() {
    const ANSWER: &str = "HTTP/1.1 200 OK\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;x\r\nhello\r\n0\r\n\r\n";
    let maple = HttpBackend::answering(ANSWER);
    let birch = HttpBackend::named("birch");
    let proxy = Setup::http("dispatchmode byorder;")
        .backend(
            "maple",
            maple.server(),
            "trafficlog traffic; setserverheader \"Host: inside\"; setclientheader \"X: z\";
             addclientheader \"Set-Cookie: lane=maple\"; stickycookie lane=maple;",
        )
        .backend("birch", birch.server(), &sticky("birch"))
        .start();
    let mut client = proxy.http();
    let asked = [
        "GET /lf HTTP/1.1\nHost: shop.test\n\n".as_bytes(),
        &post("/", "", "a body"),
    ];

    for request in asked {
        client.ask(request);
    }
    client.get("/", "Cookie: lane=birch\r\n");
    let last = request("GET", "/last", "Cookie: lane=maple\r\n");
    client.ask(&last);
    drop(client);
    proxy.await_idle();

    let asked = [asked.concat(), last].concat();
    let asked: String = asked.iter().map(|byte| char::from(*byte)).collect();
    until("the log is written", || {
        logged(&proxy, "backend").len() >= 3 * ANSWER.len()
    });
    assert_eq!(logged(&proxy, "client"), asked);
    assert_eq!(logged(&proxy, "backend"), ANSWER.repeat(3));
}

/// C52 (documented).
#[test]
fn both_logs_of_an_exchange_have_the_specified_shapes() {
    let maple = HttpBackend::answering("HTTP/1.1 204 No Content\r\nServer: maple\r\n\r\n");
    let mut setup = Setup::http("");
    let place: PathBuf = setup.sandbox().path().to_owned();
    let proxy = setup
        .backend(
            "maple",
            maple.server(),
            "trafficlog traffic; throughputlog through;",
        )
        .start();
    let mut client = proxy.http();

    client.ask("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    drop(client);
    proxy.await_idle();
    until("both are written", || {
        lines(&place.join("through")).len() >= 2
    });

    let traffic = lines(&place.join("traffic"));
    assert_eq!(
        traffic[..2],
        [
            "C 0000 50 55 54 20 2f 61 20 48 54 54 50 2f 31 2e 31 0d PUT /a HTTP/1.1.",
            "C 0010 0a 48 6f 73 74 3a 20 68 0d 0a 43 6f 6e 74 65 6e .Host: h..Conten",
        ]
    );
    let through = lines(&place.join("through"));
    assert!(
        through[0].starts_with("0000001 0.000001 C PUT /a HTTP/1.1..Host: h..Content-Length: 0"),
        "{through:?}"
    );
    let tail = " B HTTP/1.1 204 No Content..Server: maple....";
    assert!(through[1].ends_with(tail), "{through:?}");
}

/// 14.2, 14.3 (decided): requests, replies by class, the time to a first byte.
#[test]
fn status_counts_requests_and_replies_by_class() {
    let maple = HttpBackend::new(|turn| match turn.head.target().as_str() {
        "/broken" => After::Close,
        "/interim" => {
            turn.send("HTTP/1.1 103 Early Hints\r\n\r\n");
            turn.answer(&reply("200 OK", "", ""))
        }
        target => turn.answer(&reply(&format!("{} X", &target[1..]), "", "")),
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for status in ["200", "201", "304", "404", "410", "404", "503"] {
        client.get(&format!("/{status}"), "");
    }
    client.send(request("GET", "/interim", ""));
    assert_eq!((client.reply().code(), client.reply().code()), (103, 200));
    assert_eq!(client.ask(post("/broken", "", "")).code(), 502);
    assert_eq!(proxy.http().ask("GET / HTTP/1.1\r\n\r\n").code(), 400);

    proxy.await_idle();
    let number = |field: &str| proxy.number("maple", field);
    assert_eq!(number("requests"), 9);
    let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
    let replies = classes.map(|class| number(&format!("replies_{class}")));
    assert_eq!(replies, [1, 3, 1, 3, 1], "of the back end only");
    let text = proxy.run(["status"]);
    assert!(text.ok().starts_with("shop: type http, "), "{text:?}");
}

/// 14.3 (decided): bytes are counted as they are written, with what directives
/// added and without what was refused.
#[test]
fn bytes_are_counted_as_they_are_written() {
    let maple = HttpBackend::mirror();
    let proxy = http_shop(
        "",
        &maple,
        "addserverheader \"X: 1\"; addclientheader \"Y: 22\";",
    );
    let mut client = proxy.http();

    let first = client.ask(post("/", "", "some body"));
    let second = client.get("/", "");
    client.ask("GET / HTTP/1.1\r\n\r\n");
    drop(client);

    proxy.await_idle();
    let sent = maple.received_on(0).len() as u64;
    let answered = (first.wire.len() + second.wire.len()) as u64;
    assert_eq!(proxy.number("maple", "bytes_to_backend"), sent);
    assert_eq!(proxy.number("maple", "bytes_to_client"), answered);
}
