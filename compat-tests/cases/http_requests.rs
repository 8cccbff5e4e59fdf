//! Requests and replies on connections that stay open.

use crate::cases::http_shop;
use crate::harness::http::{After, HttpBackend, post, reply, request};

/// 9.1 (decided): what no directive asks for is not changed.
#[test]
fn heads_pass_byte_for_byte_in_both_directions() {
    let answer = b"HTTP/1.1 207 Multi  Status \xe9\r\nserver:maple\r\nX-ODD:   spaced\t out \t\r\n\
        Empty:\r\nX-Odd: again\r\nCONTENT-length: 2\r\n\r\nok";
    let maple = HttpBackend::answering(*answer);
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    let requests: [&[u8]; 5] = [
        b"OPTIONS * HTTP/1.1\r\nHost: \r\n\r\n",
        b"GET http://other.test:81/a?b=c HTTP/1.1\r\nHost: Other.test:81\r\n\r\n",
        b"M-SEARCH /%2e%2e/..;p?x=[1]&y={2}|\\^`<>\" HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        b"get /a HTTP/1.1\r\nhOST:shop.test\r\nX-ODD:   spaced \t out\t \r\nx-odd:again\r\n\
          Empty:\r\nX-City: K\xe9ln\r\nTE: trailers\r\nConnection: keep-alive, TE\r\n\
          Keep-Alive: timeout=5\r\n\r\n",
        b"DELETE /a HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 0\r\n\r\n",
    ];

    for request in requests {
        let reply = client.ask(request);
        assert_eq!(reply.wire, answer);
    }

    assert_eq!(maple.received_on(0), requests.concat());
}

/// 9.8 (documented; counts decided): requests of one client share a connection.
#[test]
fn fifty_requests_of_a_client_are_one_connection_to_the_backend() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for number in 0..50 {
        let target = format!("/{number}");
        let answer = match number % 3 {
            0 => client.get(&target, ""),
            1 => client.ask(post(&target, "", "some body")),
            _ => client.ask(request("HEAD", &target, "")),
        };
        assert_eq!(answer.code(), 200);
        let shown = format!("maple {} /{number}\n", ["GET", "POST"][number % 3 % 2]);
        assert!(number % 3 == 2 || answer.text() == shown);
    }
    client.raw().finish_sending();
    client.assert_closed();

    proxy.await_idle();
    assert_eq!(maple.counts(), [50]);
    assert_eq!(proxy.number("maple", "total"), 1);
    assert_eq!(proxy.shop_number("accepted"), 1);
}

/// 9.3 (decided).
#[test]
fn up_to_four_empty_lines_before_a_request_are_skipped() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    let plain = request("GET", "/", "");
    let mut client = proxy.http();

    for lines in ["\r\n", "\r\n\r\n\r\n\r\n", "\n\r\n\n"] {
        client.send(lines);
        assert_eq!(client.ask(&plain).code(), 200, "{lines:?}");
    }
    client.send("\r\n\r\n\r\n\r\n\r\n");
    client.send(&plain);

    assert_eq!(client.reply().code(), 400);
    assert_eq!(maple.received_on(0), plain.repeat(3));
}

/// 9.1, C75 (decided): heads are sent on with CR LF, in both directions.
#[test]
fn heads_with_bare_line_feeds_are_sent_on_with_cr_lf() {
    let maple =
        HttpBackend::answering("HTTP/1.1 200 OK\nX-A: b\r\nContent-Length: 2\nX-C:  d \n\nok");
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    let answers: Vec<_> = [
        "GET /lf HTTP/1.1\nHost: shop.test\nX-A:  b\n\n",
        "GET /mixed HTTP/1.1\r\nHost: shop.test\nX-A:  b\r\n\n",
    ]
    .map(|request| client.ask(request).wire)
    .to_vec();

    let head = "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\nX-C:  d \r\n\r\nok";
    assert_eq!(answers, [head.as_bytes(); 2]);
    let rest = "HTTP/1.1\r\nHost: shop.test\r\nX-A:  b\r\n\r\n";
    assert_eq!(maple.text_on(0), format!("GET /lf {rest}GET /mixed {rest}"));
}

/// 9.2 (decided): how bytes are cut into packets makes no difference.
#[test]
fn messages_may_come_byte_by_byte() {
    let maple = HttpBackend::new(|turn| {
        let Some(message) = turn.message() else {
            return After::Close;
        };
        turn.dribble(reply("200 OK", "X-A: b\r\n", message.body), 1);
        After::Keep
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for _ in 0..3 {
        client.dribble(post("/", "X-C: d\r\n", "a body"), 1);
        assert_eq!(client.reply().text(), "a body");
    }

    assert_eq!(maple.counts(), [3]);
}

/// 9.3 (decided): in HTTP/1.0 `Host` may be missing; versions pass unchanged.
#[test]
fn http_1_0_is_passed_on_as_it_is() {
    let maple = HttpBackend::new(|turn| {
        turn.send("HTTP/1.0 200 OK\r\n\r\nto the end");
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    let answer = client.ask("GET /old HTTP/1.0\r\n\r\n");

    assert_eq!(answer.wire, b"HTTP/1.0 200 OK\r\n\r\nto the end");
    assert_eq!(maple.text_on(0), "GET /old HTTP/1.0\r\n\r\n");
    client.assert_closed();
}

/// 9.2 (decided): interim replies are passed on unchanged, without directives.
#[test]
fn interim_replies_are_passed_on_at_once_and_unchanged() {
    const EARLY: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nx: 1\r\n\r\n";
    let gate = crate::harness::http::Gate::new();
    let held = gate.clone();
    let maple = HttpBackend::new(move |turn| {
        turn.send("HTTP/1.1 102 Processing\r\n\r\n");
        turn.send(EARLY);
        held.wait();
        turn.answer(&reply("200 OK", "", "done"))
    });
    let proxy = http_shop("", &maple, "setclientheader \"X: 2\";");
    let mut client = proxy.http();

    client.send(request("GET", "/", ""));
    assert_eq!(client.reply().wire, b"HTTP/1.1 102 Processing\r\n\r\n");
    assert_eq!(client.reply().wire, EARLY.as_bytes());
    gate.open();

    let answer = client.reply();
    assert_eq!((answer.code(), answer.text()), (200, "done".to_owned()));
    assert_eq!(answer.head.values("X"), ["2"]);
    assert_eq!(client.get("/", "").code(), 102);
}

/// RFC 9110, 15.2 (decided): HTTP/1.0 knows no interim replies.
#[test]
fn interim_replies_are_kept_from_an_http_1_0_client() {
    let maple = HttpBackend::new(|turn| {
        turn.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        turn.answer(&reply("200 OK", "", "done"))
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    let answer = client.ask("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n");

    assert_eq!((answer.code(), answer.text()), (200, "done".to_owned()));
    client.assert_closed();
}
