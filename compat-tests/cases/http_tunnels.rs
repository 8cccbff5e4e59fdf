//! Connections that leave HTTP behind.

use std::time::Duration;

use crate::cases::http_shop;
use crate::cases::relay::Noise;
use crate::harness::http::{After, HttpBackend, HttpClient, Turn, post, reply, request};
use crate::harness::{Ending, Proxy, Setup, until};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: chat/1\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n";

/// Sends back what comes, and at its end a farewell.
fn converse(turn: &mut Turn<'_>, opening: &str) -> After {
    turn.send(opening);
    while let Ok(bytes) = turn.receive() {
        turn.send(bytes);
    }
    turn.send("farewell");
    After::Close
}

/// A tunnel echoes both early and late bytes, and has two ends.
#[track_caller]
fn assert_tunnel(mut client: HttpClient, maple: &HttpBackend) {
    let noise = Noise(9).bytes(300_000);
    for _ in 0..3 {
        client.send(&noise);
        assert!(client.take(noise.len()) == noise);
    }
    client.raw().finish_sending();
    assert_eq!(client.rest(), (b"farewell".to_vec(), Ending::Fin));
    assert_eq!(maple.await_ending(0), Ending::Fin);
}

/// C45 (decided): with header directives on both sides of the handshake.
#[test]
fn an_upgrade_becomes_a_tunnel_with_half_close() {
    let maple = HttpBackend::new(|turn| converse(turn, SWITCH));
    let proxy = http_shop(
        "",
        &maple,
        "setclientheader \"X: 1\"; setserverheader \"Y: 2\";",
    );
    let mut client = proxy.http();

    client.send(request("GET", "/chat", UPGRADE));
    let head = client.head();

    assert_eq!(head.code(), 101);
    assert_eq!(head.value("X").as_deref(), Some("1"), "101 is changed, too");
    assert!(head.lists("Upgrade", "chat/1") && head.lists("Connection", "upgrade"));
    assert_tunnel(client, &maple);
    let sent = maple.heads().remove(0);
    assert_eq!(
        sent.bytes(),
        request("GET", "/chat", &format!("{UPGRADE}Y: 2\r\n"))
    );
}

/// 9.11 (decided): bytes that come in one packet with the head are not lost.
#[test]
fn bytes_beside_the_heads_of_an_upgrade_are_relayed() {
    let maple = HttpBackend::new(|turn| {
        turn.send(format!("{SWITCH}hello"));
        let heard = turn.receive().unwrap_or_default();
        turn.send(heard);
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    client.send([&request("GET", "/chat", UPGRADE)[..], b"early"].concat());

    assert_eq!(client.head().code(), 101);
    assert_eq!(client.take(10), b"helloearly");
    assert_eq!(client.rest().0, b"");
}

/// 9.11 (decided): the back end may end its direction first.
#[test]
fn a_backend_that_has_ended_its_sending_in_a_tunnel_still_receives() {
    let maple = HttpBackend::new(|turn| {
        turn.send(SWITCH);
        turn.finish_sending();
        while turn.receive().is_ok() {}
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    client.send(request("GET", "/chat", UPGRADE));
    assert_eq!(client.head().code(), 101);
    assert_eq!(client.rest(), (Vec::new(), Ending::Fin));

    client.send("late");

    until("it arrives", || maple.has_received(0, "late"));
    drop(client);
    maple.await_ending(0);
    proxy.await_idle();
}

/// 9.11, section 5 (decided).
#[test]
fn resets_pass_through_a_tunnel_both_ways() {
    let maple = HttpBackend::new(|turn| {
        turn.send(SWITCH);
        match turn.receive() {
            Ok(_) => After::Reset,
            Err(_) => After::Close,
        }
    });
    let proxy = http_shop("", &maple, "");
    let tunnel = || {
        let mut client = proxy.http();
        client.send(request("GET", "/chat", UPGRADE));
        assert_eq!(client.head().code(), 101);
        client
    };

    let mut first = tunnel();
    first.send("reset, please");
    assert_eq!(first.rest().1, Ending::Reset);
    tunnel().reset();
    assert_eq!(maple.await_ending(1), Ending::Reset);
}

/// 9.11 (decided): a 101 that was not asked for is a faulty reply.
#[test]
fn a_101_that_nobody_asked_for_is_a_502() {
    let maple = HttpBackend::new(|turn| {
        turn.send(SWITCH);
        while turn.receive().is_ok() {}
        After::Close
    });
    let proxy = http_shop("", &maple, "");

    for fields in ["", "Upgrade: chat/1\r\n", "Connection: upgrade\r\n"] {
        let mut client = proxy.http();
        assert_eq!(client.get("/", fields).code(), 502, "{fields:?}");
        client.assert_closed();
    }

    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
}

/// 9.11 (decided): an upgrade that is not granted is an ordinary exchange.
#[test]
fn an_upgrade_that_is_refused_leaves_a_connection_of_http() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    assert_eq!(client.get("/chat", UPGRADE).text(), "maple GET /chat\n");
    assert_eq!(client.get("/plain", "").text(), "maple GET /plain\n");

    assert_eq!(maple.counts(), [2]);
}

/// Connects through the service as through a proxy.
fn connect(proxy: &Proxy) -> HttpClient {
    let mut client = proxy.http();
    client.send("CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n");
    client
}

/// C45 (decided).
#[test]
fn connect_with_a_2xx_reply_becomes_a_tunnel() {
    for status in ["200 Connection established", "204 Fine"] {
        let opening = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");
        let maple = HttpBackend::new(move |turn| converse(turn, &opening));
        let proxy = http_shop("", &maple, "");
        let mut client = connect(&proxy);

        assert_eq!(client.head().code() / 100, 2);

        assert_tunnel(client, &maple);
        assert_eq!(maple.targets(), ["far.test:443"]);
    }
}

/// 9.11 (decided): any other reply has its body, and the connection stays.
#[test]
fn a_refused_connect_is_an_ordinary_exchange() {
    let maple = HttpBackend::answering(reply("407 Who Are You", "", "a page"));
    let proxy = http_shop("", &maple, "");
    let mut client = connect(&proxy);

    assert_eq!(client.reply_to("CONNECT").text(), "a page");

    assert_eq!(client.get("/next", "").code(), 407);
    assert_eq!(maple.counts(), [2]);
}

/// 9.1 (documented): back ends may be proxies.
#[test]
fn absolute_targets_are_passed_on() {
    let maple = HttpBackend::mirror();
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    let absolute = b"POST http://far.test:8080/x?y HTTP/1.1\r\nHost: far.test:8080\r\n\
        Content-Length: 2\r\n\r\nok";

    assert_eq!(client.ask(absolute).body, absolute);
    assert_eq!(client.ask(post("/", "", "ok")).code(), 200);
}

/// 9.11 (decided): the idle limit of a tunnel, and its accounts.
#[test]
fn an_idle_tunnel_is_cut_and_counts_as_success() {
    let maple = HttpBackend::new(|turn| converse(turn, SWITCH));
    let proxy = Setup::http("connectiontimeout 1;")
        .backend("maple", maple.server(), "")
        .flags(["-a"])
        .start();
    let mut client = proxy.http();
    client.send(request("GET", "/chat", UPGRADE));
    assert_eq!(client.head().code(), 101);
    for _ in 0..4 {
        crate::harness::pace(Duration::from_millis(400));
        client.send("tick");
        assert_eq!(client.take(4), b"tick");
    }

    let (bytes, _) = client.rest();

    assert_eq!(bytes, b"");
    let line = proxy.sandbox().syslog.await_line("ending shop");
    assert!(line.text.ends_with(" s, idle"), "{line:?}");
    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
    let sent = request("GET", "/chat", UPGRADE).len() as u64 + 16;
    assert_eq!(proxy.number("maple", "bytes_to_backend"), sent);
    assert_eq!(
        proxy.number("maple", "bytes_to_client"),
        SWITCH.len() as u64 + 16
    );
}
