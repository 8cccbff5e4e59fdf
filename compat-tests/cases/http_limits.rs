//! Limits of size, and of connections.

use crate::cases::{Lanes, http_shop};
use crate::harness::http::{After, HttpBackend, reply, request, sticky};
use crate::harness::{Backend, Setup};

/// A request head of exactly `size` bytes.
fn head_of(size: usize) -> Vec<u8> {
    let empty = request("GET", "/", "X: \r\n").len();
    request("GET", "/", &format!("X: {}\r\n", "y".repeat(size - empty)))
}

/// 9.3 (decided): the limits that hold without a directive.
#[test]
fn a_head_of_64_kib_or_200_fields_passes_and_a_larger_one_does_not() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    // `Host` is a field as well.
    let fields = |count: usize| request("GET", "/", &"X: y\r\n".repeat(count - 1));

    let mut client = proxy.http();
    assert_eq!(client.ask(head_of(65_536)).code(), 200);
    assert_eq!(client.ask(fields(200)).code(), 200);
    assert_eq!(client.ask(fields(201)).code(), 431);
    client.assert_closed();
    assert_eq!(proxy.http().ask(head_of(65_537)).code(), 431);

    assert_eq!(maple.counts(), [2]);
    assert_eq!(
        maple.received_on(0),
        [head_of(65_536), fields(200)].concat()
    );
}

/// `maxheadersize`, `maxheaders` (decided).
#[test]
fn limits_of_heads_can_be_set() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("maxheadersize 1024; maxheaders 10;", &maple, "");
    let fields = |count: usize| request("GET", "/", &"X: y\r\n".repeat(count - 1));

    let mut client = proxy.http();
    assert_eq!(client.ask(head_of(1024)).code(), 200);
    assert_eq!(client.ask(fields(10)).code(), 200);
    assert_eq!(proxy.http().ask(head_of(1025)).code(), 431);
    assert_eq!(proxy.http().ask(fields(11)).code(), 431);
    // Empty lines before it are no way around.
    let dribbled = [b"\r\n\r\n", &head_of(1025)[..1020]].concat();
    client.send(dribbled);
    client.send(&head_of(1025)[1020..]);
    assert_eq!(client.reply().code(), 431);

    assert_eq!(maple.counts(), [2]);
}

/// 9.3 (decided): a head without an end is refused at the limit, not held.
#[test]
fn a_head_without_an_end_is_refused_at_the_limit() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("maxheadersize 4096;", &maple, "");

    for endless in ["GET /", "GET / HTTP/1.1\r\nX: ", "GET / HTTP/1.1\r\n"] {
        let mut client = proxy.http();
        client.send(endless);
        let filler = if endless.ends_with('\n') {
            "X: y\r\n"
        } else {
            "yyyyyy"
        };
        client.send(filler.repeat(800));
        assert_eq!(client.reply().code(), 431, "{endless:?}");
    }

    assert_eq!(maple.accepted(), 0);
}

/// 9.3 (decided): the same limits for replies.
#[test]
fn a_reply_with_too_large_a_head_is_a_502() {
    let maple = HttpBackend::new(|turn| {
        let count: usize = turn.head.target()[1..].parse().unwrap();
        turn.message();
        turn.send(reply("200 OK", &"X: yyyyyyyy\r\n".repeat(count), ""));
        while turn.receive().is_ok() {}
        After::Close
    });
    let proxy = http_shop("maxheadersize 1100; maxheaders 50;", &maple, "");

    assert_eq!(proxy.http().get("/49", "").code(), 200);
    assert_eq!(proxy.http().get("/50", "").code(), 502);
    assert_eq!(proxy.http().get("/90", "").code(), 502);

    proxy.await_idle();
    assert_eq!(proxy.state("maple"), "available");
}

/// 9.4 (decided): size lines of 4096 bytes, trailers of 16384.
#[test]
fn size_lines_and_trailers_of_chunks_have_limits() {
    let maple = HttpBackend::new(|turn| {
        let numbers = turn.head.target();
        let mut numbers = numbers[1..].split('/').map(|text| text.parse().unwrap());
        let (line, trailer) = (numbers.next().unwrap(), numbers.next().unwrap());
        let extension: String = "x".repeat(line);
        let trailer = match trailer {
            0 => String::new(),
            size => format!("X: {}\r\n", "y".repeat(size)),
        };
        let body = format!("2;{extension}\r\nok\r\n0\r\n{trailer}\r\n");
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        turn.answer(format!("{head}{body}").as_bytes())
    });
    let proxy = http_shop("", &maple, "");
    let passes = |line: usize, trailer: usize| {
        let mut client = proxy.http();
        client.send(request("GET", &format!("/{line}/{trailer}"), ""));
        client.try_reply("GET").is_ok()
    };

    assert!(passes(4_000, 16_000));
    assert!(!passes(4_100, 0));
    assert!(!passes(0, 16_400));
}

/// C38 and 9.10 (decided): 503 also for a client that was served before.
#[test]
fn a_kept_client_without_a_usable_backend_is_answered_503() {
    let lanes = Lanes::new();
    let proxy = lanes.behind("").start();
    let mut client = proxy.http();
    assert_eq!(client.get("/", "").code(), 200);

    for name in ["maple", "birch", "cedar"] {
        proxy.tell(name, "down");
    }

    assert_eq!(client.get("/", "Cookie: lane=maple\r\n").code(), 503);
    client.assert_closed();
    assert_eq!(proxy.http().get("/", "").code(), 503);
    proxy.await_idle();
    assert_eq!(proxy.shop_number("no_backend"), 2);
    let line = proxy.sandbox().syslog.await_line("no usable back end");
    assert_eq!(line.text, "shop: no usable back end for 127.0.0.1");
}

/// 9.10 (decided): every candidate failed.
#[test]
fn a_client_whose_candidates_all_refuse_is_answered_503() {
    let (maple, birch) = (Backend::dead("maple"), Backend::dead("birch"));
    let proxy = Setup::http("")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .start();

    assert_eq!(proxy.http().get("/", "").code(), 503);

    assert_eq!(proxy.state("maple"), "unavailable");
    assert_eq!(proxy.state("birch"), "unavailable");
    proxy.await_idle();
    assert_eq!(proxy.shop_number("no_backend"), 1);
}

/// 8.1 (decided): kept clients hold their places at their back ends.
#[test]
fn kept_clients_count_towards_maxconnections_of_their_backend() {
    let (maple, birch) = (HttpBackend::named("maple"), HttpBackend::named("birch"));
    let one = |name| format!("maxconnections 1; {}", sticky(name));
    let proxy = Setup::http("dispatchmode byorder;")
        .backend("maple", maple.server(), &one("maple"))
        .backend("birch", birch.server(), &one("birch"))
        .flags(["-a"])
        .start();
    let (mut first, mut second, mut third) = (proxy.http(), proxy.http(), proxy.http());

    assert_eq!(first.get("/1", "").text(), "maple GET /1\n");
    assert_eq!(
        second.get("/2", "Cookie: lane=maple\r\n").text(),
        "birch GET /2\n"
    );
    assert_eq!(third.get("/3", "").code(), 503);
    // Places are not lost, and one that is left goes to the next.
    assert_eq!(first.get("/4", "").text(), "maple GET /4\n");
    drop(first);
    proxy.sandbox().syslog.await_line("ending shop");
    assert_eq!(
        second.get("/5", "Cookie: lane=maple\r\n").text(),
        "maple GET /5\n"
    );

    assert_eq!(birch.counts(), [1]);
    assert_eq!(maple.counts(), [2, 1]);
}

/// 8.1 (decided): an idle kept client keeps its place in the service.
#[test]
fn kept_clients_count_towards_maxconnections_of_the_service() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("maxconnections 2;", &maple, "");
    let (mut first, mut second) = (proxy.http(), proxy.http());
    assert_eq!(first.get("/1", "").code(), 200);
    assert_eq!(second.get("/2", "").code(), 200);

    let mut third = proxy.http();
    third.send(request("GET", "/3", ""));
    assert!(
        third
            .raw()
            .is_quiet_for(std::time::Duration::from_millis(300))
    );
    assert_eq!(first.get("/1", "").code(), 200);
    drop(first);

    assert_eq!(third.reply().text(), "maple GET /3\n");
    assert_eq!(maple.accepted(), 3);
}
