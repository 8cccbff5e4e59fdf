//! Bodies that break off, or whose chunks are faulty.

use std::time::Duration;

use crate::cases::http_failures::assert_state_unchanged;
use crate::cases::http_shop;
use crate::harness::http::{After, Broken, Gate, HttpBackend, request};
use crate::harness::{Ending, pace, until};

/// 9.9 (decided, stricter than the specification): a body that breaks off resets the
/// client's connection, so that it can tell.
#[test]
fn a_body_that_breaks_off_is_passed_on_as_a_reset() {
    let replies = [
        ("Content-Length: 10", "half"),
        ("Transfer-Encoding: chunked", "4\r\nhalf\r\n"),
        ("Transfer-Encoding: chunked", "4\r\nha"),
        ("Transfer-Encoding: chunked", "4\r\nhalf\r\n0\r\n"),
        (
            "Transfer-Encoding: chunked",
            "4\r\nhalf\r\n0\r\nTrailer: x\r\n",
        ),
        ("Transfer-Encoding: chunked", "4\r\nhalf\r\n2"),
    ];
    for after in [After::Close, After::Reset] {
        let maple = HttpBackend::new(move |turn| {
            turn.message();
            let number: usize = turn.head.target()[1..].parse().unwrap();
            let (framing, body) = replies[number];
            turn.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}"));
            after
        });
        let proxy = http_shop("", &maple, "");

        for (number, row) in replies.iter().enumerate() {
            let mut client = proxy.http();
            client.send(request("GET", &format!("/{number}"), ""));
            let Err(Broken { bytes, ending }) = client.try_reply("GET") else {
                panic!("a whole reply, {row:?}");
            };
            // What was under way may be lost with a reset of the back end, also
            // all of it: then the reply has not begun.
            let refused = bytes.starts_with(b"HTTP/1.1 502") && after == After::Reset;
            assert!(ending == Ending::Reset || refused, "{row:?}");
        }

        assert_state_unchanged(&proxy);
    }
}

/// 9.9 (decided): a reset within a body that lasts until the close is no close.
#[test]
fn a_reset_is_not_taken_for_the_end_of_a_body() {
    let gate = Gate::new();
    let held = gate.clone();
    let maple = HttpBackend::new(move |turn| {
        turn.message();
        turn.send("HTTP/1.1 200 OK\r\n\r\nso far");
        held.wait();
        After::Reset
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    client.send(request("GET", "/", ""));
    assert_eq!(client.head().code(), 200);
    assert_eq!(client.take(6), b"so far");

    gate.open();

    assert_eq!(client.rest(), (Vec::new(), Ending::Reset));
    assert_state_unchanged(&proxy);
}

/// 9.4, C75 (decided): faults of chunks; nothing more is sent.
#[test]
fn a_fault_in_a_chunk_cuts_both_connections() {
    let faults = [
        "4\nhalf\r\n0\r\n\r\n",
        "4\r\nhalf\n0\r\n\r\n",
        "4\r\nhalf!\r\n0\r\n\r\n",
        "x\r\nhalf\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "-4\r\nhalf\r\n0\r\n\r\n",
        "0x4\r\nhalf\r\n0\r\n\r\n",
        "8000000000000000\r\nhalf",
        "4\r\nhalf\r\n0\r\nX: y\n\r\n",
        "4\r\nhalf\r\n0\r\n\n",
    ];
    let maple = HttpBackend::new(move |turn| {
        turn.message();
        let number: usize = turn.head.target()[1..].parse().unwrap();
        turn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        turn.send(faults[number]);
        while turn.receive().is_ok() {}
        After::Close
    });
    let proxy = http_shop("", &maple, "");

    for (number, fault) in faults.iter().enumerate() {
        let mut client = proxy.http();
        client.send(request("GET", &format!("/{number}"), ""));
        let broken = client.try_reply("GET").expect_err(fault);
        assert_eq!(broken.ending, Ending::Reset, "{fault:?}");
        maple.await_ending(number);
    }

    assert_state_unchanged(&proxy);
}

/// 9.4 (decided): the same in a request. Its back end cannot take a part for
/// the whole.
#[test]
fn a_fault_in_a_chunk_of_a_request_cuts_both_connections() {
    let maple = HttpBackend::new(|turn| {
        let whole = turn.message();
        assert!(whole.is_none(), "taken for whole: {whole:?}");
        After::Close
    });
    let proxy = http_shop("", &maple, "");

    for (number, fault) in ["4\nhalf\r\n0\r\n\r\n", "g\r\n", "4\r\nhalf0\r\n\r\n"]
        .iter()
        .enumerate()
    {
        let mut client = proxy.http();
        let head = request("POST", "/", "Transfer-Encoding: chunked\r\n");
        client.send([&head[..], b"2\r\nok\r\n"].concat());
        until("it arrives", || maple.has_received(number, "ok\r\n"));
        client.send(fault);
        // A reply of the daemon is allowed where none has begun.
        let (bytes, _) = client.rest();
        assert!(
            bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 400 "),
            "{fault:?}"
        );
        maple.await_ending(number);
    }

    assert_state_unchanged(&proxy);
}

/// 8.2 (decided): a reply that its client does not read is idle at last.
#[test]
fn a_reply_that_nobody_reads_is_cut_as_idle() {
    let maple = HttpBackend::new(|turn| {
        turn.send("HTTP/1.1 200 OK\r\n\r\n");
        let block = vec![b'x'; 1 << 16];
        while turn.send(&block) {}
        After::Close
    });
    let proxy = http_shop("connectiontimeout 1;", &maple, "");
    let mut client = proxy.http();

    client.send(request("GET", "/", ""));

    until("the back end is free again", || {
        maple.accepted() == 1 && maple.open() == 0
    });
    let broken = client.try_reply("GET").unwrap_err();
    assert_eq!(broken.ending, Ending::Reset);
    assert_state_unchanged(&proxy);
}

/// 9.8 (decided): a client that leaves within a reply takes its back end
/// connection along.
#[test]
fn a_client_that_leaves_within_a_reply_frees_its_backend() {
    let maple = HttpBackend::new(|turn| {
        turn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while turn.send([b'x'; 1000]) {
            pace(Duration::from_millis(1));
        }
        After::Close
    });
    let proxy = http_shop("", &maple, "");

    for _ in 0..3 {
        let mut client = proxy.http();
        client.send(request("GET", "/", ""));
        assert_eq!(client.head().code(), 200);
        client.take(5000);
    }

    until("the back end is free again", || maple.open() == 0);
    assert_state_unchanged(&proxy);
}
