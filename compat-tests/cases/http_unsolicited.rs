//! Bytes that a back end sends unasked: they are nobody's reply.

use nix::sys::signal::Signal;

use crate::harness::Setup;
use crate::harness::http::{After, Gate, HttpBackend, Shared, reply, request};

/// RFC 9112, 9.2 (decided): bytes that nobody asked for reach nobody, whether
/// connections are shared or not.
#[test]
fn unsolicited_bytes_of_an_idle_backend_reach_no_client() {
    const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let (gate, poisoned) = (Gate::new(), Gate::new());
    poisoned.open();
    let (held, done) = (gate.clone(), poisoned.clone());
    let maple = HttpBackend::new(move |turn| {
        let good = reply("200 OK", "", "good");
        match turn.head.target().as_str() {
            "/with" => {
                turn.send([&good[..], POISON.as_bytes()].concat());
                After::Keep
            }
            "/later" => {
                turn.answer(&good);
                held.wait();
                turn.send(POISON);
                done.wait();
                After::Keep
            }
            "/error" => {
                turn.answer(&good);
                held.wait();
                turn.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
                done.wait();
                After::Close
            }
            _ => turn.answer(&reply("200 OK", "", "own")),
        }
    });

    let mut sent = 0;
    for service in ["reuse safe;", "reuse never;"] {
        let proxy = Setup::http(service)
            .backend("maple", maple.server(), "")
            .flags(["-w", "1"])
            .start();
        for _ in 0..10 {
            for target in ["/with", "/later", "/error"] {
                let mut client = proxy.http();
                assert_eq!(client.get(target, "").text(), "good");
                if target != "/with" {
                    sent += 1;
                    gate.pass();
                    poisoned.await_arrived(sent);
                }
                assert_eq!(client.get("/own", "").text(), "own", "{target}");
                for _ in 0..3 {
                    assert_eq!(proxy.http().get("/own", "").text(), "own", "{target}");
                }
            }
        }
        proxy.await_idle();
        assert_eq!(proxy.state("maple"), "available");
    }
}

/// The same (decided) where both events are waiting when the daemon looks.
#[test]
fn unsolicited_bytes_are_found_before_a_request_that_came_later() {
    let (gate, poisoned) = (Gate::new(), Gate::new());
    poisoned.open();
    let (held, done) = (gate.clone(), poisoned.clone());
    let maple = HttpBackend::new(move |turn| {
        turn.answer(&reply("200 OK", "", turn.head.target()));
        if turn.head.target() == "/first" {
            held.wait();
            turn.send(reply("200 OK", "", "poison"));
            done.wait();
        }
        After::Keep
    });
    for (round, service) in ["reuse safe;", "reuse never;"].iter().enumerate() {
        let proxy = Setup::http(service)
            .backend("maple", maple.server(), "")
            .flags(["-w", "1"])
            .start();
        let daemon = proxy.process();
        let (mut client, mut other) = (proxy.http(), proxy.http());
        assert_eq!(client.get("/first", "").text(), "/first");

        daemon.freeze();
        gate.pass();
        poisoned.await_arrived(round + 1);
        client.send(request("GET", "/second", ""));
        other.send(request("GET", "/other", ""));
        daemon.signal(Signal::SIGCONT);

        assert_eq!(client.reply().text(), "/second", "{service}");
        assert_eq!(other.reply().text(), "/other", "{service}");
    }
}

/// The same (decided) where the request was there first, but has not gone out: a
/// connection is looked at before it is lent.
#[test]
fn unsolicited_bytes_are_found_before_a_connection_is_lent() {
    let (gate, poisoned) = (Gate::new(), Gate::new());
    poisoned.open();
    let (held, done) = (gate.clone(), poisoned.clone());
    let maple = HttpBackend::new(move |turn| {
        turn.answer(&reply("200 OK", "", turn.head.target()));
        if turn.head.target() == "/first" {
            held.wait();
            turn.send(reply("200 OK", "", "poison"));
            done.wait();
        }
        After::Keep
    });
    let proxy = Shared::before(&maple, "");
    let daemon = proxy.process();
    let mut other = proxy.http();
    assert_eq!(proxy.visit("/first"), "/first");

    daemon.freeze();
    other.send(request("GET", "/other", ""));
    gate.pass();
    poisoned.await_arrived(1);
    daemon.signal(Signal::SIGCONT);

    assert_eq!(other.reply().text(), "/other");
    assert_eq!(maple.counts(), [1, 1]);
}

/// 9.4 (decided): the body of a reply that has none is no reply.
#[test]
fn a_body_that_must_not_be_there_is_never_taken_for_a_reply() {
    const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    for service in ["reuse safe;", "reuse never;"] {
        let maple = HttpBackend::new(|turn| {
            let status = match turn.head.target().as_str() {
                "/204" => "204 No Content",
                "/304" => "304 Not Modified",
                "/head" => "200 OK",
                _ => return turn.answer(&reply("200 OK", "", "own")),
            };
            turn.send(reply(status, "", POISON));
            After::Keep
        });
        let proxy = Setup::http(service)
            .backend("maple", maple.server(), "")
            .flags(["-w", "1"])
            .start();
        for (method, target) in [("GET", "/204"), ("GET", "/304"), ("HEAD", "/head")] {
            let mut client = proxy.http();
            let two = [request(method, target, ""), request("GET", "/own", "")];
            client.send(two.concat());
            client.reply_to("HEAD");
            assert_eq!(client.reply().text(), "own", "{target}");
            assert_eq!(client.get("/own", "").text(), "own", "{target}");
            assert_eq!(proxy.http().get("/own", "").text(), "own", "{target}");
        }
    }
}
