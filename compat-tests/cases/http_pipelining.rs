//! Requests that are sent before the replies to those before them have come.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::cases::{Lanes, http_shop};
use crate::harness::http::{After, Gate, HttpBackend, post, reply, request};
use crate::harness::{Setup, until};

/// 9.1 (decided): twenty at once, to several back ends, answered in order.
#[test]
fn twenty_pipelined_requests_are_answered_in_order_by_several_backends() {
    let lanes = Lanes::new();
    let proxy = lanes.behind("").start();
    let mut client = proxy.http();
    let names = ["maple", "birch", "birch", "cedar", "maple"];
    let all: Vec<u8> = (0..20)
        .flat_map(|number| {
            let fields = format!("Cookie: lane={}\r\n", names[number % 5]);
            let target = format!("/{number}");
            match number % 3 {
                0 => post(&target, &fields, "GET /hidden HTTP/1.1\r\n\r\n"),
                _ => request("GET", &target, &fields),
            }
        })
        .collect();

    client.send(all);

    for number in 0..20 {
        let method = if number % 3 == 0 { "POST" } else { "GET" };
        let expected = format!("{} {method} /{number}\n", names[number % 5]);
        assert_eq!(client.reply().text(), expected);
    }
    let served = [&lanes.maple, &lanes.birch, &lanes.cedar].map(|lane| lane.heads().len());
    assert_eq!(served, [8, 8, 4]);
}

/// 9.1 (decided): requests are served strictly one after another.
#[test]
fn a_pipelined_request_waits_until_the_one_before_it_is_answered() {
    let gate = Gate::new();
    let held = gate.clone();
    let maple = HttpBackend::new(move |turn| {
        held.wait();
        turn.answer(&reply("200 OK", "", turn.head.target()))
    });
    let birch = HttpBackend::named("birch");
    let proxy = Setup::http("dispatchmode byorder;")
        .backend("maple", maple.server(), "")
        .backend(
            "birch",
            birch.server(),
            "stickycookie to=birch; addclientheader \"Set-Cookie: to=birch\";",
        )
        .start();
    let mut client = proxy.http();

    let first = request("GET", "/first", "");
    client.send(
        [
            &first[..],
            &request("GET", "/second", "Cookie: to=birch\r\n"),
        ]
        .concat(),
    );
    gate.await_arrived(1);
    let mut other = proxy.http();
    other.get("/other", "Cookie: to=birch\r\n");

    assert_eq!(birch.targets(), ["/other"], "the second one waits");
    assert_eq!(maple.received_on(0), first);
    gate.open();
    assert_eq!(client.reply().text(), "/first");
    assert_eq!(client.reply().text(), "birch GET /second\n");
}

/// 9.8 (decided): what is behind a request that closes is not served.
#[test]
fn requests_behind_one_that_closes_are_not_served() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    let last = request("GET", "/last", "Connection: close\r\n");
    client.send([&last[..], &request("GET", "/behind", "")].concat());

    assert_eq!(client.reply().text(), "maple GET /last\n");
    client.assert_closed();
    proxy.await_idle();
    assert_eq!(maple.received_on(0), last);
}

/// 9.3 (decided): a faulty request behind good ones spoils none of them.
#[test]
fn a_faulty_request_in_a_pipeline_is_answered_in_its_turn() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    let good = [request("GET", "/1", ""), post("/2", "", "body")].concat();

    client.send(
        [
            &good[..],
            b"GET / HTTP/1.1\r\n\r\n",
            &request("GET", "/3", ""),
        ]
        .concat(),
    );

    assert_eq!(client.reply().text(), "maple GET /1\n");
    assert_eq!(client.reply().text(), "maple POST /2\n");
    assert_eq!(client.reply().code(), 400);
    client.assert_closed();
    proxy.await_idle();
    assert_eq!(maple.received_on(0), good);
}

/// 9.1 (decided): thousands, with a client that reads only now and then.
#[test]
fn a_long_pipeline_neither_stalls_nor_loses_a_request() {
    const ROUNDS: usize = 40;
    const DEPTH: usize = 100;
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for round in 0..ROUNDS {
        let all: Vec<u8> = (0..DEPTH)
            .flat_map(|number| request("GET", &format!("/{round}/{number}"), ""))
            .collect();
        client.send(all);
        for number in 0..DEPTH {
            let expected = format!("maple GET /{round}/{number}\n");
            assert_eq!(client.reply().text(), expected);
        }
    }

    until("all are counted", || {
        proxy.number("maple", "requests") == (ROUNDS * DEPTH) as u64
    });
    assert_eq!(maple.counts(), [ROUNDS * DEPTH]);
}

/// 9.8 (decided): a reply that lasts until the close is the last one.
#[test]
fn requests_behind_a_reply_that_lasts_until_the_close_are_not_served() {
    let maple = HttpBackend::new(|turn| {
        turn.message();
        turn.send("HTTP/1.1 200 OK\r\n\r\nto the end");
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    client.send(request("GET", "/", "").repeat(3));

    assert_eq!(client.reply().text(), "to the end");
    proxy.await_idle();
    assert_eq!(maple.accepted(), 1);
}

/// Section 5 (decided): a client that only sends is held back.
#[test]
fn a_client_that_reads_no_replies_is_held_back() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    proxy.http().get("/", "");
    let daemon = proxy.process();
    let before = daemon.memory();
    let mut client = proxy.http();
    let stream = client.raw().stream();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let block = request("GET", "/", "").repeat(1000);

    let held_back = (0..2000).any(|_| stream.write(&block).is_err());

    assert!(held_back, "it takes everything");
    let grown = daemon.memory().saturating_sub(before);
    assert!(grown < 3 << 20, "{grown} bytes more");
}

/// Section 5 (decided): one client with an endless pipeline does not starve
/// others of the same worker.
#[test]
fn a_client_with_a_long_pipeline_leaves_room_for_others() {
    let maple = HttpBackend::named("maple");
    let proxy = Setup::http("")
        .backend("maple", maple.server(), "")
        .flags(["-w", "1"])
        .start();
    let mut busy = proxy.http();
    let (mut writing, mut reading) = (
        busy.raw().stream().try_clone().unwrap(),
        busy.raw().stream().try_clone().unwrap(),
    );
    let block = request("GET", "/", "").repeat(500);
    let writer = std::thread::spawn(move || while writing.write_all(&block).is_ok() {});
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 18];
        while reading.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    until("it flows", || maple.sent() > 100_000);

    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(proxy.http().get("/", "").code(), 200);
        slowest = slowest.max(begun.elapsed());
    }
    let _ = busy.raw().stream().shutdown(std::net::Shutdown::Both);
    writer.join().unwrap();
    reader.join().unwrap();

    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}
