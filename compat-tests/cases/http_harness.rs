//! The actors of HTTP, without the program in between.

use crate::harness::http::{
    After, Gate, Head, HttpBackend, HttpClient, Kind, chunked, parse, post, reply, request,
};
use crate::harness::{Backend, Ending, until};

#[test]
fn replies_are_framed_by_method_code_and_fields() {
    let cases: &[(&str, &str, bool, Option<&str>)] = &[
        ("GET", "200 OK\r\nContent-Length: 3", false, Some("abc")),
        ("HEAD", "200 OK\r\nContent-Length: 3", false, Some("")),
        ("GET", "204 No Content", false, Some("")),
        ("GET", "304 Not\r\nContent-Length: 9", false, Some("")),
        ("GET", "101 Switching Protocols", false, Some("")),
        ("CONNECT", "200 OK", false, Some("")),
        ("GET", "200 OK", false, None),
        ("GET", "200 OK", true, Some("abc")),
        ("GET", "200 OK\r\nContent-Length: 4", true, None),
    ];
    for (method, head, ended, expected) in cases {
        let bytes = format!("HTTP/1.1 {head}\r\n\r\nabc");
        let parsed = parse(bytes.as_bytes(), Kind::ReplyTo(method), *ended).unwrap();
        let body = parsed.map(|(message, _)| message.text());
        assert_eq!(body.as_deref(), *expected, "{method}: {head}");
    }
}

#[test]
fn chunks_are_taken_apart_with_extensions_and_trailers() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "3;a=b\r\nabc\r\n00A \r\n0123456789\r\n0\r\nX: y\r\n\r\n";
    let bytes = format!("{head}{body}next");
    for end in 0..head.len() + body.len() {
        let parsed = parse(&bytes.as_bytes()[..end], Kind::Request, false).unwrap();
        assert!(parsed.is_none(), "whole after {end} bytes");
    }

    let parsed = parse(bytes.as_bytes(), Kind::Request, false).unwrap();

    let (message, length) = parsed.unwrap();
    assert_eq!(message.text(), "abc0123456789");
    assert_eq!(length, bytes.len() - 4);
}

#[test]
fn messages_in_doubt_are_faults() {
    for fields in [
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3, 3",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Name : value",
        "no colon",
        "Name: a\nb: c",
    ] {
        let bytes = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
        let parsed = parse(bytes.as_bytes(), Kind::Request, false);
        assert!(parsed.is_err(), "{fields:?}");
    }
}

#[test]
fn fields_are_found_whatever_their_case() {
    let head = "GET /a HTTP/1.1\r\nset-cookie: a=1\r\nSET-Cookie:\t b=2 \r\nVia: x, Close\r\n\r\n";
    let head = Head::parse(head.as_bytes()).unwrap().unwrap();

    assert_eq!(head.values("Set-Cookie"), ["a=1", "b=2"]);
    assert_eq!(head.value("via").as_deref(), Some("x, Close"));
    assert!(head.lists("VIA", "close") && !head.lists("VIA", "clo"));
    assert_eq!((head.method(), head.target()), ("GET".into(), "/a".into()));
}

#[test]
fn a_backend_keeps_connections_and_records_what_came() {
    let maple = HttpBackend::named("maple");
    let mut client = HttpClient::connect(maple.address());
    let first = request("GET", "/1", "");
    let second = post("/2", "", "body");
    let third = request("HEAD", "/3", "Connection: close\r\n");

    assert_eq!(client.ask(&first).text(), "maple GET /1\n");
    assert_eq!(client.ask(&second).text(), "maple POST /2\n");
    assert_eq!(client.ask(&third).code(), 200);
    client.assert_closed();

    assert_eq!(maple.accepted(), 1);
    assert_eq!(maple.received_on(0), [first, second, third].concat());
    assert_eq!(maple.targets(), ["/1", "/2", "/3"]);
    assert_eq!(maple.counts(), [3]);
}

#[test]
fn a_backend_waits_dribbles_closes_and_resets_as_it_is_told() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let maple = HttpBackend::new(move |turn| match turn.head.target().as_str() {
        "/wait" => {
            waiting.wait();
            let number = turn.number;
            turn.answer(&reply("200 OK", "", format!("waited {number}")))
        }
        "/close" => {
            turn.dribble("HTTP/1.1 200 OK\r\n\r\nto the end", 3);
            After::Close
        }
        _ => {
            turn.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
            After::Reset
        }
    });
    let mut client = HttpClient::connect(maple.address());
    client.send(request("GET", "/wait", ""));
    gate.await_arrived(1);
    gate.open();
    assert_eq!(client.reply().text(), "waited 1");
    assert_eq!(client.get("/wait", "").text(), "waited 2");
    assert_eq!(client.get("/close", "").text(), "to the end");
    client.assert_closed();

    let mut client = HttpClient::connect(maple.address());
    client.send(request("GET", "/reset", ""));
    let broken = client.try_reply("GET").unwrap_err();
    assert_eq!(broken.ending, Ending::Reset);
}

#[test]
fn a_backend_can_answer_before_the_body_and_read_on() {
    let maple = HttpBackend::new(|turn| {
        turn.send("HTTP/1.1 100 Continue\r\n\r\n");
        turn.answer(&reply("200 OK", "", "thanks"))
    });
    let mut client = HttpClient::connect(maple.address());
    let body = chunked(b"some text in pieces", 4);

    client.send(request("POST", "/", "Transfer-Encoding: chunked\r\n"));
    assert_eq!(client.reply().code(), 100);
    client.dribble(&body, 5);

    assert_eq!(client.reply().text(), "thanks");
    assert!(maple.received_on(0).ends_with(&body));
}

#[test]
fn a_backend_can_leave_http_behind() {
    let maple = HttpBackend::new(|turn| {
        turn.send("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        while let Ok(bytes) = turn.receive() {
            turn.send(bytes);
        }
        turn.send("bye");
        After::Close
    });
    let mut client = HttpClient::connect(maple.address());

    client.send([&request("GET", "/", "")[..], b"early "].concat());
    assert_eq!(client.head().code(), 101);
    client.send("late");
    assert_eq!(client.take(10), b"early late");
    client.raw().finish_sending();

    assert_eq!(client.rest(), (b"bye".to_vec(), Ending::Fin));
    assert_eq!(maple.await_ending(0), Ending::Fin);
}

#[test]
fn a_backend_sees_how_a_client_ends() {
    let maple = HttpBackend::named("maple");
    let mut client = HttpClient::connect(maple.address());
    client.get("/", "");
    client.send("GET / HT");
    until("it arrives", || maple.has_received(0, "HT"));

    client.reset();

    assert_eq!(maple.await_ending(0), Ending::Reset);
}

#[test]
fn a_client_tells_a_close_from_a_reset() {
    let closing = Backend::serving(|mut peer| {
        peer.receive();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
    });
    let mut client = HttpClient::connect(closing.address());

    client.send("x");
    let broken = client.try_reply("GET").unwrap_err();

    assert_eq!(broken.ending, Ending::Fin);
    assert!(broken.bytes.ends_with(b"abc"));
}
