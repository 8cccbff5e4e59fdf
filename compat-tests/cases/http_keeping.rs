//! Which connections stay open, and how they end (9.8).

use crate::cases::http_shop;
use crate::harness::http::{After, HttpBackend, post, reply, request};
use crate::harness::{Ending, Setup, until};

/// 9.8 (decided): a row says when a connection stays.
#[test]
fn connections_persist_if_request_and_reply_both_do() {
    const ROWS: &[(u8, &str, u8, &str, bool)] = &[
        (1, "", 1, "", true),
        (1, "Connection: close", 1, "", false),
        (1, "connection: x , CLOSE", 1, "", false),
        (
            1,
            "Connection: keep-alive\r\nConnection: close",
            1,
            "",
            false,
        ),
        (1, "", 1, "Connection: close", false),
        (1, "", 0, "", false),
        (1, "", 0, "Connection: Keep-Alive", true),
        (0, "", 1, "", false),
        (0, "Connection: keep-alive", 1, "", true),
        (0, "Connection: keep-alive", 0, "", false),
        (
            0,
            "Connection: keep-alive",
            0,
            "Connection: keep-alive",
            true,
        ),
        (1, "Proxy-Connection: close", 1, "", false),
        (
            0,
            "Proxy-Connection: keep-alive",
            0,
            "Connection: keep-alive",
            true,
        ),
        (
            1,
            "Connection: keep-alive\r\nProxy-Connection: close",
            1,
            "",
            true,
        ),
        (1, "Connection: closed", 1, "", true),
    ];
    let maple = HttpBackend::new(|turn| {
        let row: usize = turn.head.target()[1..].parse().unwrap();
        let (_, _, version, field, _) = ROWS[row];
        let end = if field.is_empty() { "" } else { "\r\n" };
        let head = format!("HTTP/1.{version} 200 OK\r\n{field}{end}Content-Length: 2\r\n\r\nok");
        turn.send(head);
        After::Keep
    });
    let proxy = http_shop("", &maple, "");

    for (row, (version, field, _, _, stays)) in ROWS.iter().enumerate() {
        let mut client = proxy.http();
        let end = if field.is_empty() { "" } else { "\r\n" };
        let request = format!("GET /{row} HTTP/1.{version}\r\nHost: shop.test\r\n{field}{end}\r\n");
        assert_eq!(client.ask(&request).text(), "ok");
        if *stays {
            assert_eq!(client.ask(&request).text(), "ok");
            assert_eq!(maple.counts()[row], 2, "{:?}", ROWS[row]);
            client.raw().finish_sending();
        }
        client.assert_closed();
        assert_eq!(maple.counts().len(), row + 1, "{:?}", ROWS[row]);
        maple.await_ending(row);
    }
}

/// 9.8 (decided): a complete request is still answered, then all closes.
#[test]
fn requests_are_answered_after_the_client_has_ended_its_sending() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    client.send([request("GET", "/1", ""), post("/2", "", "body")].concat());
    client.raw().finish_sending();

    assert_eq!(client.reply().text(), "maple GET /1\n");
    assert_eq!(client.reply().text(), "maple POST /2\n");
    assert_eq!(client.rest(), (Vec::new(), Ending::Fin));
    maple.await_ending(0);
    proxy.await_idle();
}

/// 9.8 (decided).
#[test]
fn a_client_that_ends_within_a_head_is_closed_without_an_answer() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");

    for part in ["", "GET / HTTP/1.1\r\nHo", "\r\n"] {
        let mut client = proxy.http();
        client.send(part);
        client.raw().finish_sending();
        client.assert_closed();
    }

    assert_eq!(maple.accepted(), 0);
    proxy.await_idle();
}

/// 9.8 (decided).
#[test]
fn a_client_that_ends_within_a_body_cuts_both_connections() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");

    for (number, framing) in ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"]
        .iter()
        .enumerate()
    {
        let mut client = proxy.http();
        client.send(request("POST", "/", framing));
        client.send("3\r\nabc");
        until("it arrives", || maple.has_received(number, "abc"));
        client.raw().finish_sending();
        client.assert_closed();
        maple.await_ending(number);
    }

    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
}

/// 9.8, section 5 (decided).
#[test]
fn a_reset_by_the_client_reaches_the_backend_as_a_reset() {
    let maple = HttpBackend::new(|turn| {
        turn.message();
        // No answer: what comes next is the end of the connection.
        let _ = turn.receive();
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    client.send(request("GET", "/", ""));
    until("it arrives", || maple.heads().len() == 1);
    client.reset();

    assert_eq!(maple.await_ending(0), Ending::Reset);
    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
}

/// 9.8 (decided): the client stays, also for a request that must not be
/// repeated.
#[test]
fn a_backend_may_close_between_requests() {
    let maple = HttpBackend::new(|turn| {
        turn.answer(&reply("200 OK", "", turn.head.target()));
        After::Close
    });
    let proxy = Setup::http("")
        .backend("maple", maple.server(), "")
        .flags(["-a"])
        .start();
    let mut client = proxy.http();

    for number in 0..3 {
        let target = format!("/{number}");
        assert_eq!(client.ask(post(&target, "", "body")).text(), target);
        let ends = proxy
            .sandbox()
            .syslog
            .await_lines("ending shop", number + 1);
        assert!(ends[number].text.ends_with(" s, backend"), "{ends:?}");
    }

    assert_eq!(maple.counts(), [1; 3]);
    until("all are counted", || proxy.number("maple", "total") == 3);
    assert_eq!(proxy.shop_number("active"), 1);
}
