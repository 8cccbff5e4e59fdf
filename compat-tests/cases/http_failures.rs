//! Back ends that fail after a connection to them was made (9.9).

use crate::cases::http_shop;
use crate::harness::http::{After, HttpBackend, post, reply, request};
use crate::harness::{Blackhole, Proxy, Setup, until};

/// No failure of an established connection changes the state of a back end.
#[track_caller]
pub(super) fn assert_state_unchanged(proxy: &Proxy) {
    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
    assert_eq!(proxy.number("maple", "failures"), 0);
    assert_eq!(proxy.number("maple", "consecutive"), 0);
}

/// 9.9 (decided): a new connection that ends unanswered.
#[test]
fn a_new_connection_that_ends_without_a_reply_is_a_502() {
    for after in [After::Close, After::Reset] {
        let maple = HttpBackend::new(move |turn| {
            turn.message();
            after
        });
        let proxy = http_shop("", &maple, "");

        for (number, request) in [request("GET", "/", ""), post("/", "", "body")]
            .iter()
            .enumerate()
        {
            let mut client = proxy.http();
            assert_eq!(client.ask(request).code(), 502);
            client.assert_closed();
            assert_eq!(maple.accepted(), number as u64 + 1);
        }

        assert_state_unchanged(&proxy);
    }
}

/// 9.9 (decided): a reply that has begun is not begun again.
#[test]
fn a_reply_that_breaks_off_in_its_head_is_a_502_and_not_repeated() {
    for after in [After::Close, After::Reset] {
        let maple = HttpBackend::new(move |turn| {
            if turn.number == 2 || turn.head.target() == "/at-once" {
                turn.message();
                turn.send("HTTP/1.1 200 OK\r\nContent-");
                return after;
            }
            turn.answer(&reply("200 OK", "", ""))
        });
        let proxy = http_shop("", &maple, "");
        let mut client = proxy.http();
        client.get("/", "");

        // A reset may overtake the bytes before it: then it is no reply at all.
        let answer = client.get("/second", "");
        assert!(answer.code() == 502 || after == After::Reset, "{answer:?}");
        assert_eq!(proxy.http().get("/at-once", "").code(), 502);

        assert_state_unchanged(&proxy);
    }
}

/// 9.9, C75 (decided): a faulty head of a reply.
#[test]
fn a_faulty_reply_is_a_502_and_its_connection_is_closed() {
    let maple = HttpBackend::new(|turn| {
        turn.message();
        turn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok");
        while turn.receive().is_ok() {}
        After::Close
    });
    let proxy = http_shop("", &maple, "");

    for number in 0..3 {
        let mut client = proxy.http();
        assert_eq!(client.get("/", "").code(), 502);
        client.assert_closed();
        maple.await_ending(number);
    }

    assert_eq!(maple.counts(), [1; 3]);
    assert_state_unchanged(&proxy);
}

/// C64 (decided): the client has gone before its back end was connected.
#[test]
fn a_client_that_resets_while_its_backend_is_connected_is_aborted() {
    let hole = Blackhole::new();
    let proxy = http_shop_at(&hole, "");
    let mut client = proxy.http();
    client.send(request("GET", "/", ""));
    until("it is being connected", || {
        proxy.number("hole", "active") == 1
    });

    client.reset();

    until("it is given up", || proxy.number("hole", "aborted") == 1);
    proxy.await_idle();
    assert_eq!(proxy.number("hole", "failures"), 0);
    assert_eq!(proxy.state("hole"), "available");
    assert_eq!(proxy.shop_number("no_backend"), 0);
}

/// C64 (decided): the end of its sending alone changes nothing.
#[test]
fn a_client_that_has_ended_its_sending_is_still_failed_over() {
    let (hole, birch) = (Blackhole::new(), HttpBackend::named("birch"));
    let proxy = Setup::http("dispatchmode byorder;")
        .backend("hole", hole.server(), "")
        .backend("birch", birch.server(), "")
        .limit("connect", 0.5)
        .start();
    let mut client = proxy.http();

    client.send(post("/", "", "body"));
    client.raw().finish_sending();

    assert_eq!(client.reply().text(), "birch POST /\n");
    client.assert_closed();
    assert_eq!(proxy.state("hole"), "unavailable");
}

fn http_shop_at(hole: &Blackhole, service: &str) -> Proxy {
    Setup::http(service)
        .backend("hole", hole.server(), "")
        .limit("connect", 60.0)
        .limit("failover", 60.0)
        .start()
}
