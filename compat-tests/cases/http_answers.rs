//! Replies of the daemon itself (9.10), byte for byte.

use std::net::IpAddr;
use std::time::Duration;

use crate::cases::http_shop;
use crate::harness::http::{After, HttpBackend, HttpClient, post, request};
use crate::harness::{Backend, Ending, Proxy, Setup, pace};

/// The whole reply, as the specification words it.
fn page(code: u16, reason: &str) -> String {
    let body = format!("{code} {reason}\n");
    let retry = match code {
        503 => "Retry-After: 30\r\n",
        _ => "",
    };
    format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\n{retry}Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Sends `bytes` on a connection of its own; everything that comes.
#[track_caller]
fn told(proxy: &Proxy, bytes: impl AsRef<[u8]>) -> String {
    let mut client = proxy.http();
    client.send(bytes);
    let (answer, ending) = client.rest();
    assert_eq!(ending, Ending::Fin, "closed in order");
    String::from_utf8(answer).unwrap()
}

/// 9.10 (decided): 400, 431 and 505.
#[test]
fn faulty_requests_are_told_byte_for_byte() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    let long = format!("X: {}\r\n", "y".repeat(70 * 1024));
    let many = "X: y\r\n".repeat(200);

    let bad = page(400, "Bad Request");
    assert_eq!(told(&proxy, "GET / HTTP/1.1\r\n\r\n"), bad);
    assert_eq!(told(&proxy, "GET /\r\n"), bad);
    assert_eq!(told(&proxy, "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n"), bad);
    let version = page(505, "HTTP Version Not Supported");
    assert_eq!(told(&proxy, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), version);
    assert_eq!(told(&proxy, "GET / HTTP/1.2\r\nHost: x\r\n\r\n"), version);
    let large = page(431, "Request Header Fields Too Large");
    assert_eq!(told(&proxy, request("GET", "/", &long)), large);
    assert_eq!(told(&proxy, request("GET", "/", &many)), large);

    assert_eq!(maple.accepted(), 0);
}

/// 9.10 (decided): 408, 502 and 504; of a reply to HEAD only the head.
#[test]
fn failures_of_time_and_of_backends_are_told_byte_for_byte() {
    let maple = HttpBackend::new(|turn| match turn.head.target().as_str() {
        "/fault" => {
            turn.send("no reply at all\r\n\r\n");
            After::Close
        }
        _ => {
            while turn.receive().is_ok() {}
            After::Close
        }
    });
    let proxy = Setup::http("responsetimeout 1;")
        .backend("maple", maple.server(), "")
        .limit("head", 0.3)
        .start();
    let head_of = |page: String| page.split_inclusive("\r\n\r\n").next().unwrap().to_owned();

    assert_eq!(told(&proxy, "GET"), page(408, "Request Timeout"));
    let gateway = page(502, "Bad Gateway");
    assert_eq!(told(&proxy, request("GET", "/fault", "")), gateway);
    assert_eq!(
        told(&proxy, request("HEAD", "/fault", "")),
        head_of(gateway)
    );
    let timeout = page(504, "Gateway Timeout");
    assert_eq!(told(&proxy, post("/", "", "body")), timeout);
    assert_eq!(told(&proxy, request("HEAD", "/", "")), head_of(timeout));
}

/// C38, 9.10 (decided).
#[test]
fn no_backend_is_told_byte_for_byte() {
    let dead = Backend::dead("dead");
    let proxy = http_shop("", &dead, "");
    let unavailable = page(503, "Service Unavailable");

    assert_eq!(told(&proxy, request("GET", "/", "")), unavailable);
    assert_eq!(told(&proxy, post("/", "", "body")), unavailable);
    let head = unavailable.split_inclusive("\r\n\r\n").next().unwrap();
    assert_eq!(told(&proxy, request("HEAD", "/", "")), head);
    let old = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(told(&proxy, old), unavailable, "also for HTTP/1.0");
}

/// 9.10 (decided).
#[test]
fn retry_after_is_the_revivinginterval() {
    let dead = Backend::dead("dead");
    let proxy = http_shop("revivinginterval 7;", &dead, "");

    let answer = proxy.http().get("/", "");

    assert_eq!(answer.code(), 503);
    assert_eq!(answer.head.value("Retry-After").as_deref(), Some("7"));
}

/// `errorfile` (decided): the page is the body, its type that of its name.
#[test]
fn errorfile_replaces_the_body() {
    let dead = Backend::dead("dead");
    let mut setup = Setup::http(
        "revivinginterval 9; errorfile 503 sorry.html; errorfile 400 bad.json;
         errorfile 505 plain.txt;",
    );
    let page = "<h1>Back soon</h1>\r\n\r\n%b \u{e9}\n".repeat(200);
    setup.sandbox().write("sorry.html", &page);
    setup.sandbox().write("bad.json", "{}");
    setup.sandbox().write("plain.txt", "\n");
    let proxy = setup.backend("maple", dead.server(), "").start();

    let sorry = proxy.http().get("/", "");
    assert_eq!((sorry.code(), sorry.text()), (503, page.clone()));
    let kind = sorry.head.value("Content-Type").unwrap();
    assert!(kind.starts_with("text/html"), "{kind}");
    assert_eq!(sorry.head.value("Retry-After").as_deref(), Some("9"));
    assert_eq!(
        sorry.head.value("Cache-Control").as_deref(),
        Some("no-store")
    );
    assert!(sorry.head.lists("Connection", "close"));

    let head = proxy.http().ask(request("HEAD", "/", ""));
    let length = head.head.value("Content-Length").unwrap();
    assert_eq!((head.body.len(), length), (0, page.len().to_string()));

    let bad = proxy.http().ask("GET / HTTP/1.1\r\n\r\n");
    assert_eq!((bad.code(), bad.text().as_str()), (400, "{}"));
    let kind = bad.head.value("Content-Type").unwrap();
    assert!(kind.starts_with("application/json"), "{kind}");
    let plain = proxy.http().ask("GET / HTTP/3.0\r\n\r\n");
    assert_eq!((plain.code(), plain.text().as_str()), (505, "\n"));
}

/// 9.10 (decided): what a client is still sending is discarded for a while, so
/// that it sees the reply instead of a reset.
#[test]
fn a_client_that_is_still_sending_sees_the_reply() {
    let dead = Backend::dead("dead");
    let proxy = http_shop("", &dead, "");
    let mut client = proxy.http();

    client.send(request("POST", "/", "Content-Length: 60000\r\n"));
    for _ in 0..60 {
        client.send([b'x'; 1000]);
        pace(Duration::from_millis(2));
    }
    let answer = client.reply();

    assert_eq!(answer.code(), 503);
    assert_eq!(client.rest(), (Vec::new(), Ending::Fin));
}

/// 9.10 (decided): the sending direction ends at once; the rest is patience
/// that has an end.
#[test]
fn a_client_that_neither_sends_nor_closes_is_let_go() {
    let dead = Backend::dead("dead");
    let proxy = Setup::http("")
        .backend("maple", dead.server(), "")
        .limit("discard", 0.3)
        .start();
    let mut clients: Vec<_> = (0..20).map(|_| proxy.http()).collect();

    for client in &mut clients {
        client.send(request("GET", "/", ""));
        assert_eq!(client.reply().code(), 503);
        assert_eq!(client.rest(), (Vec::new(), Ending::Fin));
    }

    // They are still open at this end.
    proxy.await_idle();
    drop(clients);
}

/// 9.10 (decided): at most 65536 bytes are discarded.
#[test]
fn a_client_that_sends_without_end_is_cut() {
    let dead = Backend::dead("dead");
    let proxy = Setup::http("")
        .backend("maple", dead.server(), "")
        .limit("discard", 3600.0)
        .start();
    let mut client = proxy.http();

    client.send(request("POST", "/", "Content-Length: 100000000\r\n"));
    let block = [b'x'; 1 << 16];
    let cut = (0..1000).any(|_| client.raw().try_send(&block).is_err());

    assert!(cut, "it takes everything");
    proxy.await_idle();
}

/// 9.10 (decided): what follows a refused request is not served.
#[test]
fn nothing_behind_a_refused_request_is_served() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");

    let refused = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\nx";
    let both = [&refused[..], &request("GET", "/", "")].concat();

    assert_eq!(told(&proxy, both), page(400, "Bad Request"));
    assert_eq!(maple.accepted(), 0);
    proxy.await_idle();
}

/// 12.2 (decided): who is not admitted is not told why.
#[test]
fn a_client_on_the_deny_list_gets_no_reply() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("denyfrom 127.0.0.9;", &maple, "");

    let denied = IpAddr::from([127, 0, 0, 9]);
    HttpClient::connect_from(denied, proxy.address()).assert_closed();

    assert_eq!(proxy.http().get("/", "").code(), 200);
}
