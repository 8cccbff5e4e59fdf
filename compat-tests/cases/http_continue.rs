//! `Expect: 100-continue`, and replies that come before the request is whole.

use std::io::Write;
use std::time::Duration;

use crate::cases::http_shop;
use crate::cases::relay::Noise;
use crate::harness::http::{After, Gate, HttpBackend, post, reply, request};
use crate::harness::{pace, until};

const EXPECT: &str = "Expect: 100-continue\r\nContent-Length: 9\r\n";

/// C45 (decided): the daemon sends no 100 of its own; that of the back end
/// passes, and then the body.
#[test]
fn a_100_of_the_backend_is_passed_on_and_the_body_follows() {
    let gate = Gate::new();
    let held = gate.clone();
    let maple = HttpBackend::new(move |turn| {
        held.wait();
        turn.send("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n");
        let Some(message) = turn.message() else {
            return After::Close;
        };
        turn.answer(&reply("200 OK", "", message.wire))
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    let head = request("POST", "/", EXPECT);

    for round in 1..=2 {
        client.send(&head);
        // The head is there without its body.
        gate.await_arrived(round);
        gate.pass();
        assert_eq!(
            client.reply().wire,
            b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"
        );
        client.send("some body");
        assert_eq!(client.reply().body, [&head[..], b"some body"].concat());
    }

    assert_eq!(maple.counts(), [2]);
}

/// 9.4 (decided): the daemon says nothing of its own.
#[test]
fn no_100_comes_without_the_backend() {
    let gate = Gate::new();
    let held = gate.clone();
    let maple = HttpBackend::new(move |turn| {
        held.wait();
        turn.answer(&reply("200 OK", "", ""))
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    client.send(request("POST", "/", EXPECT));
    gate.await_arrived(1);
    let quiet = client.raw().is_quiet_for(Duration::from_millis(150));
    gate.open();
    client.send("some body");

    assert!(quiet);
    assert_eq!(client.reply().code(), 200);
}

/// 9.4 (decided): a client need not wait.
#[test]
fn a_body_that_does_not_wait_for_100_arrives() {
    let maple = HttpBackend::new(|turn| {
        turn.send("HTTP/1.1 100 Continue\r\n\r\n");
        turn.answer(&reply("200 OK", "", ""))
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    let whole = [&request("POST", "/", EXPECT)[..], b"some body"].concat();

    for _ in 0..3 {
        client.send(&whole);
        assert_eq!(client.reply().code(), 100);
        assert_eq!(client.reply().code(), 200);
    }

    assert_eq!(maple.received_on(0), whole.repeat(3));
}

/// 9.4 (decided): a final reply instead of 100 is delivered, and both
/// connections close.
#[test]
fn a_refusal_instead_of_100_is_delivered_and_both_connections_close() {
    for refusal in ["417 Expectation Failed", "413 Content Too Large"] {
        let maple = HttpBackend::new(move |turn| {
            turn.send(reply(refusal, "", "no"));
            let _ = turn.receive();
            After::Close
        });
        let proxy = http_shop("", &maple, "");
        let mut client = proxy.http();

        client.send(request("POST", "/", EXPECT));
        let answer = client.reply();

        assert_eq!(answer.wire, reply(refusal, "", "no"));
        client.assert_closed();
        maple.await_ending(0);
        proxy.await_idle();
        assert_eq!(proxy.state("maple"), "available");
    }
}

/// 9.4 (decided): the same while the body is under way.
#[test]
fn an_early_reply_is_delivered_in_the_middle_of_an_upload() {
    let maple = HttpBackend::new(|turn| {
        let _ = turn.receive();
        turn.send(reply("413 Content Too Large", "", "enough"));
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    client.send(request("POST", "/", "Content-Length: 10000000\r\n"));
    client.send(Noise(4).bytes(20_000));
    let answer = client.reply();

    assert_eq!((answer.code(), answer.text()), (413, "enough".to_owned()));
    client.assert_closed();
    proxy.await_idle();
}

/// 9.4 (decided): a client that goes on sending for a while sees the reply.
#[test]
fn an_early_reply_reaches_a_client_that_is_still_sending() {
    let maple = HttpBackend::new(|turn| {
        turn.send(reply("413 Content Too Large", "", "enough"));
        // It reads on, as servers do that mean their reply to be seen.
        while turn.receive().is_ok() {}
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    client.send(request("POST", "/", "Content-Length: 10000000\r\n"));
    until("the reply is on its way", || maple.sent() > 0);
    for _ in 0..20 {
        if client.raw().try_send(&[b'x'; 1000]).is_err() {
            break;
        }
        pace(Duration::from_millis(5));
    }

    let answer = client.reply();
    assert_eq!((answer.code(), answer.text()), (413, "enough".to_owned()));
    client.assert_closed();
}

/// 9.8 (decided): a request that was refused early is not mistaken for the one
/// behind it.
#[test]
fn the_rest_of_a_refused_body_is_never_taken_for_a_request() {
    let maple = HttpBackend::new(|turn| {
        turn.send(reply("413 Content Too Large", "", ""));
        while turn.receive().is_ok() {}
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    client.send(request("POST", "/", "Content-Length: 500\r\n"));
    assert_eq!(client.reply().code(), 413);
    let hidden = [vec![b'x'; 400], request("GET", "/hidden", "")].concat();
    let _ = client.raw().try_send(&hidden);
    client.assert_closed();

    proxy.await_idle();
    assert_eq!(maple.targets(), ["/"]);
    assert_eq!(maple.accepted(), 1);
}

/// 9.4 (decided): the whole request has been sent already.
#[test]
fn a_reply_before_the_body_was_read_keeps_the_connection() {
    let maple = HttpBackend::new(|turn| {
        turn.send(reply("200 OK", "", "quick"));
        After::Keep
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    // The daemon has the whole request before it can have a reply to it.
    for _ in 0..5 {
        assert_eq!(client.ask(post("/", "", "tiny")).text(), "quick");
    }

    assert_eq!(maple.counts(), [5]);
}

/// 9.2 (decided): the reply is read at the same time.
#[test]
fn a_reply_may_begin_before_the_request_is_complete() {
    let maple = HttpBackend::new(|turn| {
        turn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut left = 40;
        while left > 0 {
            let Ok(bytes) = turn.receive() else {
                return After::Close;
            };
            left -= bytes.len();
            turn.send(chunk(&bytes));
        }
        turn.send("0\r\n\r\n");
        After::Keep
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for _ in 0..3 {
        client.send(request("POST", "/", "Content-Length: 40\r\n"));
        assert_eq!(client.head().code(), 200);
        for number in 0..10 {
            let text = format!("{number:04}");
            client.send(&text);
            assert_eq!(client.take(9), chunk(text.as_bytes()));
        }
        assert_eq!(client.take(5), b"0\r\n\r\n");
    }

    assert_eq!(maple.counts(), [3]);
}

/// One chunk.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    let wire = crate::harness::http::chunked(bytes, bytes.len());
    wire[..wire.len() - 5].to_vec()
}

/// Section 5 (decided): neither direction waits for the other.
#[test]
fn both_directions_move_at_once() {
    const SIZE: usize = 8_000_000;
    let maple = HttpBackend::new(|turn| {
        // It reads nothing before half of the reply is sent.
        let reply = reply("200 OK", "", vec![b'x'; SIZE]);
        let (first, second) = reply.split_at(reply.len() - SIZE / 2);
        turn.send(first);
        match turn.message() {
            Some(message) if message.body.len() == SIZE => turn.send(second),
            _ => return After::Close,
        };
        After::Keep
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for _ in 0..2 {
        let request = post("/", "", vec![b'y'; SIZE]);
        let mut writing = client.raw().stream().try_clone().unwrap();
        let writer = std::thread::spawn(move || writing.write_all(&request));
        assert_eq!(client.head().code(), 200);
        assert_eq!(client.take(SIZE / 2).len(), SIZE / 2);
        writer.join().unwrap().unwrap();
        assert_eq!(client.take(SIZE / 2).len(), SIZE / 2);
    }

    assert_eq!(maple.counts(), [2]);
}
