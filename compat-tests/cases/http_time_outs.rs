//! Limits of time in `type http`.

use std::time::{Duration, Instant};

use crate::cases::http_shop;
use crate::harness::http::{After, HttpBackend, HttpClient, post, reply, request};
use crate::harness::{Backend, Ending, Proxy, Setup, pace};

/// A back end that answers nothing.
fn silent() -> HttpBackend {
    HttpBackend::new(|turn| {
        while turn.receive().is_ok() {}
        After::Close
    })
}

/// Reads a reply that must come within `least` and a second and a half more.
#[track_caller]
fn late_reply(client: &mut HttpClient, least: f64) -> u16 {
    let begun = Instant::now();
    let code = client.reply().code();
    let taken = begun.elapsed().as_secs_f64();
    assert!(taken > least - 0.1 && taken < least + 1.6, "{taken}");
    code
}

#[track_caller]
fn assert_available(proxy: &Proxy) {
    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
    assert_eq!(proxy.number("maple", "failures"), 0);
}

/// 9.3, 8.2 (decided): the limit counts from the first byte of the head, and
/// more bytes do not put it off.
#[test]
fn a_head_that_is_not_complete_in_time_is_answered_408() {
    let maple = HttpBackend::named("maple");
    let proxy = Setup::http("")
        .backend("maple", maple.server(), "")
        .limit("head", 0.5)
        .start();

    let mut silent = proxy.http();
    let mut client = proxy.http();
    client.send("GET / HTTP/1.1\r\n");
    assert_eq!(late_reply(&mut client, 0.5), 408);
    client.assert_closed();

    let mut client = proxy.http();
    let begun = Instant::now();
    let slow = b"GET / HTTP/1.1\r\nX-Slow: abcdefghijklmnopqrstuvwxyz";
    for byte in slow {
        pace(Duration::from_millis(40));
        if client.raw().try_send(&[*byte]).is_err() || begun.elapsed().as_secs() > 3 {
            break;
        }
    }
    assert_eq!(client.reply().code(), 408);
    assert!(begun.elapsed() < Duration::from_secs(3));

    // Without a byte there is no head that could be late.
    assert_eq!(silent.get("/", "").code(), 200);
    assert_eq!(maple.accepted(), 1);
}

/// 8.2 (decided): so it is between two requests.
#[test]
fn the_limit_of_a_head_begins_anew_with_each_request() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("headtimeout 1;", &maple, "");
    let mut client = proxy.http();

    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHo");
        pace(Duration::from_millis(500));
        assert_eq!(client.ask("st: shop.test\r\n\r\n").code(), 200);
    }
    pace(Duration::from_millis(1200));
    client.send("GET / HTTP/1.1\r\nHo");

    assert_eq!(late_reply(&mut client, 1.0), 408);
    client.assert_closed();
    assert_eq!(maple.counts(), [3]);
}

/// `keepalivetimeout` (decided): a kept client that says nothing is closed
/// without a word; one that is being served is not.
#[test]
fn an_idle_kept_client_is_closed_after_keepalivetimeout() {
    let maple = HttpBackend::new(|turn| {
        if turn.head.target() == "/slow" {
            pace(Duration::from_millis(1400));
        }
        turn.answer(&reply("200 OK", "", ""))
    });
    let proxy = http_shop("keepalivetimeout 1;", &maple, "");
    let mut client = proxy.http();
    for _ in 0..3 {
        assert_eq!(client.get("/", "").code(), 200);
        pace(Duration::from_millis(500));
    }

    assert_eq!(client.get("/slow", "").code(), 200);
    let begun = Instant::now();
    client.assert_closed();

    let taken = begun.elapsed().as_secs_f64();
    assert!(taken > 0.9 && taken < 2.6, "{taken}");
    assert_available(&proxy);
}

/// 9.9, 4.12 (decided): before a back end is chosen, and after a reply, the
/// service's `connectiontimeout` closes without an answer.
#[test]
fn a_client_that_says_nothing_is_closed_after_connectiontimeout() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("connectiontimeout 1;", &maple, "");
    let (mut fresh, mut kept) = (proxy.http(), proxy.http());
    let begun = Instant::now();
    assert_eq!(kept.get("/", "").code(), 200);

    assert_eq!(fresh.rest().0, b"");
    assert_eq!(kept.rest().0, b"");

    let taken = begun.elapsed().as_secs_f64();
    assert!(taken > 0.9 && taken < 2.6, "{taken}");
    assert_available(&proxy);
}

/// 9.9 (decided): the idle limit while a reply is waited for; success.
#[test]
fn a_reply_that_does_not_begin_within_the_idle_limit_is_a_504() {
    let maple = silent();
    let proxy = Setup::http("connectiontimeout 1;")
        .backend("maple", maple.server(), "")
        .flags(["-a"])
        .start();
    let mut client = proxy.http();

    client.send(request("GET", "/", ""));
    assert_eq!(late_reply(&mut client, 1.0), 504);

    client.assert_closed();
    maple.await_ending(0);
    let line = proxy.sandbox().syslog.await_line("ending shop");
    assert!(line.text.ends_with(" s, idle"), "{line:?}");
    assert_available(&proxy);
}

/// 4.12 (decided): the back end's own value counts once it is chosen.
#[test]
fn a_backend_has_an_idle_limit_of_its_own() {
    let maple = silent();
    let proxy = http_shop("connectiontimeout 300;", &maple, "connectiontimeout 1;");
    let mut client = proxy.http();

    client.send(post("/", "", "body"));

    assert_eq!(late_reply(&mut client, 1.0), 504);
    assert_available(&proxy);
}

/// `responsetimeout` (decided): a limit for the head of a reply alone; interim
/// replies are none.
#[test]
fn a_reply_that_does_not_begin_within_responsetimeout_is_a_504() {
    let maple = HttpBackend::new(|turn| match turn.head.target().as_str() {
        "/interim" => {
            for _ in 0..100 {
                if !turn.send("HTTP/1.1 102 Processing\r\n\r\n") {
                    break;
                }
                pace(Duration::from_millis(200));
            }
            After::Close
        }
        "/slow" => {
            turn.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
            for byte in *b"slow" {
                pace(Duration::from_millis(500));
                turn.send([byte]);
            }
            After::Keep
        }
        _ => {
            while turn.receive().is_ok() {}
            After::Close
        }
    });
    let proxy = http_shop("responsetimeout 1;", &maple, "");

    let mut client = proxy.http();
    assert_eq!(client.get("/slow", "").text(), "slow", "a body has time");
    client.send(request("GET", "/never", ""));
    assert_eq!(late_reply(&mut client, 1.0), 504);
    client.assert_closed();

    let mut client = proxy.http();
    client.send(request("GET", "/interim", ""));
    let begun = Instant::now();
    while let Ok(reply) = client.try_reply("GET") {
        // What has been passed on cannot be taken back, and a 504 may follow.
        assert!(matches!(reply.code(), 102 | 504), "{reply:?}");
    }
    assert!(begun.elapsed() < Duration::from_millis(2600));
    assert_available(&proxy);
}

/// `responsetimeout` (decided): it does not run while the client is sending.
#[test]
fn a_slow_upload_is_not_held_against_the_backend() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("responsetimeout 1;", &maple, "");
    let mut client = proxy.http();

    client.send(request("POST", "/", "Content-Length: 5\r\n"));
    for byte in *b"slow!" {
        pace(Duration::from_millis(400));
        client.send([byte]);
    }

    assert_eq!(client.reply().code(), 200);
}

/// 9.9 (decided): within a body there is no reply any more; the client can
/// tell.
#[test]
fn a_reply_that_stands_still_in_its_body_is_cut() {
    let maple = HttpBackend::new(|turn| {
        turn.message();
        turn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        while turn.receive().is_ok() {}
        After::Close
    });
    let proxy = http_shop("connectiontimeout 1;", &maple, "");
    let mut client = proxy.http();

    client.send(request("GET", "/", ""));
    let broken = client.try_reply("GET").unwrap_err();

    assert_eq!(broken.ending, Ending::Reset);
    assert!(broken.bytes.ends_with(b"half"));
    maple.await_ending(0);
    assert_available(&proxy);
}

/// 8.2 (decided): what keeps moving lives on, in either direction.
#[test]
fn exchanges_that_keep_moving_live_on() {
    let maple = HttpBackend::new(|turn| {
        let Some(message) = turn.message() else {
            return After::Close;
        };
        turn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        for byte in message.body {
            pace(Duration::from_millis(400));
            turn.send([byte]);
        }
        After::Keep
    });
    let proxy = http_shop("connectiontimeout 1;", &maple, "");
    let mut client = proxy.http();

    client.send(request("POST", "/", "Content-Length: 5\r\n"));
    for byte in *b"vivid" {
        pace(Duration::from_millis(400));
        client.send([byte]);
    }

    assert_eq!(client.reply().text(), "vivid");
}

/// Section 5 (decided): the failover limit of one request.
#[test]
fn a_request_that_finds_no_backend_in_time_is_answered_503() {
    let hole = crate::harness::Blackhole::new();
    let dead = Backend::dead("dead");
    let proxy = Setup::http("dispatchmode byorder;")
        .backend("dead", dead.server(), "retries 9;")
        .backend("hole", hole.server(), "")
        .limit("connect", 60.0)
        .limit("failover", 0.5)
        .start();
    let mut client = proxy.http();

    client.send(request("GET", "/", ""));

    assert_eq!(late_reply(&mut client, 0.5), 503);
    client.assert_closed();
    proxy.await_idle();
    assert_eq!(proxy.state("hole"), "available", "not held against it");
    assert_eq!(proxy.shop_number("no_backend"), 1);
}
