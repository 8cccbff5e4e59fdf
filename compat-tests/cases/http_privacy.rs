//! `reuse safe`: what must not pass from one client to another.

use crate::harness::Setup;
use crate::harness::http::{
    After, Gate, HttpBackend, Kind, Shared, chunked, parse, reply, request,
};

/// `reuse` (decided): credentials of NTLM and Negotiate belong to a connection.
#[test]
fn a_connection_that_carried_ntlm_is_never_shared() {
    let maple = HttpBackend::new(|turn| match turn.head.target().as_str() {
        "/ask" => turn.answer(&reply("401 Who", "WWW-Authenticate: Negotiate\r\n", "")),
        "/proxy" => turn.answer(&reply("407 Who", "Proxy-Authenticate: NTLM\r\n", "")),
        _ => turn.answer(&reply("200 OK", "", "")),
    });
    let proxy = Shared::before(&maple, "");
    let carriers = [
        ("/", "Authorization: NTLM TlRMTVNTUAAB\r\n"),
        ("/", "authorization: negotiate YII\r\n"),
        ("/", "Proxy-Authorization: NTLM TlRMTVNTUAAB\r\n"),
        ("/ask", ""),
        ("/proxy", ""),
    ];

    for (target, fields) in carriers {
        let before = maple.counts();
        let mut client = proxy.http();
        client.get(target, fields);
        let carrier = changed(&before, &maple.counts());
        let count = maple.counts()[carrier];
        // It stays with its client, who goes on with the same connection.
        client.get("/private", "");
        assert_eq!(maple.counts()[carrier], count + 1, "{target} {fields}");
        drop(client);
        proxy.await_end_of_lease();

        for _ in 0..3 {
            assert_eq!(proxy.http().get("/other", "").code(), 200);
            proxy.await_end_of_lease();
        }
        assert_eq!(
            maple.counts()[carrier],
            count + 1,
            "shared: {target} {fields}"
        );
    }
}

/// The connection that has served more since `before`.
fn changed(before: &[usize], now: &[usize]) -> usize {
    let old = |number| before.get(number).copied().unwrap_or(0);
    let mut numbers = (0..now.len()).filter(|number| now[*number] > old(*number));
    numbers.next().expect("one that served")
}

/// `reuse` (decided): other credentials are those of a request.
#[test]
fn basic_credentials_do_not_bind_a_connection() {
    let maple = HttpBackend::named("maple");
    let proxy = Shared::before(&maple, "");

    for _ in 0..3 {
        proxy
            .http()
            .get("/", "Authorization: Basic bmVnb3RpYXRlOm50bG0=\r\n");
        proxy.await_end_of_lease();
    }

    assert_eq!(maple.counts(), [3]);
}

/// `reuse` (decided): a connection whose exchange did not come to its end is
/// not used again.
#[test]
fn a_connection_whose_client_has_gone_is_not_used_again() {
    let gate = Gate::new();
    let held = gate.clone();
    let maple = HttpBackend::new(move |turn| {
        if turn.head.target() == "/slow" {
            held.wait();
        }
        turn.answer(&reply("200 OK", "", turn.head.target()))
    });
    let proxy = Shared::before(&maple, "");

    let mut client = proxy.http();
    client.send(request("GET", "/slow", ""));
    gate.await_arrived(1);
    client.reset();
    proxy.await_end_of_lease();
    gate.open();

    for _ in 0..5 {
        assert_eq!(proxy.http().get("/own", "").text(), "/own");
        proxy.await_end_of_lease();
    }
    assert_eq!(maple.counts()[0], 1);
}

/// `reuse`, RFC 9110 7.6.1 (decided): fields that belong to one connection do
/// not pass to another.
#[test]
fn fields_of_a_connection_are_managed_by_the_daemon() {
    let maple = HttpBackend::new(|turn| {
        turn.message();
        let fields = "Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=9\r\nX-Hop: 1\r\n";
        turn.send(reply("200 OK", &format!("{fields}X-End: 2\r\n"), "ok"));
        After::Keep
    });
    let proxy = Shared::before(&maple, "");
    let mut client = proxy.http();

    let answer = client.get(
        "/",
        "Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n\
         Proxy-Connection: keep-alive\r\nX-End: 2\r\n",
    );
    proxy.await_end_of_lease();
    assert_eq!(client.get("/", "Connection: close\r\n").code(), 200);
    client.assert_closed();
    proxy.await_end_of_lease();
    let old = proxy
        .http()
        .ask("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n");

    let heads = maple.heads();
    let sides = heads.iter().chain([&answer.head, &old.head]);
    for head in sides {
        for name in ["X-Hop", "Keep-Alive", "Proxy-Connection"] {
            assert_eq!(head.values(name), [""; 0], "{head:?}");
        }
        assert!(!head.lists("Connection", "x-hop"), "{head:?}");
    }
    for head in [&heads[0], &answer.head] {
        assert_eq!(head.values("X-End"), ["2"], "{head:?}");
    }
    assert!(
        heads.iter().all(crate::harness::http::Head::persists),
        "{heads:#?}"
    );
    assert_eq!(
        maple.counts(),
        [3],
        "a client that closes takes nothing along"
    );
}

/// `reuse` (decided): tunnels belong to their client.
#[test]
fn a_tunnel_is_not_shared() {
    let maple = HttpBackend::new(|turn| {
        if turn.head.target() != "/chat" {
            return turn.answer(&reply("200 OK", "", "plain"));
        }
        assert!(turn.head.lists("Connection", "upgrade"));
        assert_eq!(turn.head.values("Upgrade"), ["chat/1"]);
        turn.send("HTTP/1.1 101 Over\r\nConnection: upgrade\r\nUpgrade: chat/1\r\n\r\n");
        while let Ok(bytes) = turn.receive() {
            turn.send(bytes);
        }
        After::Close
    });
    let proxy = Shared::before(&maple, "");
    assert_eq!(proxy.http().get("/", "").text(), "plain");
    proxy.await_end_of_lease();

    let mut client = proxy.http();
    client.send(request(
        "GET",
        "/chat",
        "Connection: Upgrade\r\nUpgrade: chat/1\r\n",
    ));
    let head = client.head();
    assert_eq!(head.code(), 101);
    assert!(head.lists("Connection", "upgrade") && head.lists("Upgrade", "chat/1"));
    client.send("to and fro");
    assert_eq!(client.take(10), b"to and fro");

    assert_eq!(proxy.http().get("/", "").text(), "plain");
    proxy.await_end_of_lease();
    client.send("on and on");
    assert_eq!(client.take(9), b"on and on");
    drop(client);
    proxy.await_end_of_lease();
}

/// RFC 9112, 9.3 (decided): a client of HTTP/1.0 is told that it may stay.
#[test]
fn a_kept_client_of_http_1_0_is_told_so() {
    let maple = HttpBackend::named("maple");
    let proxy = Shared::before(&maple, "");
    let asked = "GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n";
    let mut client = proxy.http();

    for _ in 0..3 {
        let answer = client.ask(asked);
        assert!(answer.head.lists("Connection", "keep-alive"), "{answer:?}");
        proxy.await_end_of_lease();
    }

    assert_eq!(maple.counts(), [3]);
}

/// RFC 9110, 7.6.1 (decided): a `Connection` option cannot take away what says
/// where a message ends or whom it is for, nor what a directive has set.
#[test]
fn connection_options_cannot_take_away_what_a_message_needs() {
    let maple = HttpBackend::mirror();
    let setup = Setup::http("reuse safe;").backend(
        "maple",
        maple.server(),
        "setserverheader \"X-Client: %r\"; addserverheader \"X-Added: 1\";",
    );
    let proxy = Shared::start(setup);
    let body = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = format!(
        "Connection: content-length\r\nContent-Length: {}\r\n",
        body.len()
    );
    let chunks = "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n";
    let plain = |options: &str| request("GET", "/", &format!("Connection: {options}\r\n"));
    let requests = [
        [request("POST", "/", &length), body.into()].concat(),
        [request("POST", "/", chunks), chunked(body.as_bytes(), 9)].concat(),
        plain("host"),
        plain("close, Host, x"),
        plain("x-client, X-Added\r\nX-Client: 10.9.9.9\r\nX-Added: 2"),
    ];

    for asked in &requests {
        let mut client = proxy.http();
        let answer = client.ask(asked);
        if answer.code() == 400 {
            continue;
        }
        let sent = parse(&answer.body, Kind::Request, false).unwrap();
        let (sent, length) = sent.expect("a whole request");
        assert_eq!(length, answer.body.len());
        assert_eq!(sent.head.value("Host").as_deref(), Some("shop.test"));
        assert_eq!(sent.head.value("X-Client").as_deref(), Some("127.0.0.1"));
        assert_eq!(sent.head.values("X-Added"), ["1"], "{sent:?}");
        let with_body = asked.starts_with(b"POST");
        assert_eq!(sent.text(), if with_body { body } else { "" });
        proxy.await_end_of_lease();
    }
    assert!(maple.targets().iter().all(|target| target == "/"));
}

/// The same (decided) for replies.
#[test]
fn connection_options_cannot_take_away_what_a_reply_needs() {
    let maple = HttpBackend::new(|turn| {
        turn.message();
        let (framing, body) = match turn.head.target().as_str() {
            "/chunks" => ("Transfer-Encoding: chunked", chunked(b"own", 1)),
            _ => ("Content-Length: 3", b"own".to_vec()),
        };
        let option = framing.split(':').next().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nConnection: {option}, x\r\n{framing}\r\n\r\n");
        turn.send([head.as_bytes(), &body].concat());
        After::Keep
    });
    let proxy = Shared::before(&maple, "");

    for target in ["/length", "/chunks"] {
        let mut client = proxy.http();
        for _ in 0..2 {
            assert_eq!(client.get(target, "").text(), "own");
            proxy.await_end_of_lease();
        }
    }

    assert_eq!(maple.counts(), [4]);
}
