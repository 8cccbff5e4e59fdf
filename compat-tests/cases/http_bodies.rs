//! Bodies: where they end, and that they pass unharmed.

use std::sync::Arc;

use crate::cases::http_shop;
use crate::cases::relay::Noise;
use crate::harness::http::{After, HttpBackend, chunked, post, reply, request};
use crate::harness::{Ending, Setup};

/// A chunked body with all that the grammar allows.
const CHUNKS: &str = "5;ext=\"a;b\";x\r\nhello\r\n00A\r\n0123456789\r\n1;\r\n\n\r\n\
    000;last\r\nX-Trailer:  t \r\nEtag: \"x\"\r\n\r\n";

/// C44 (documented): bodies of replies by length and in chunks, then another
/// request.
#[test]
fn replies_with_bodies_leave_the_connection_open() {
    let maple = HttpBackend::new(|turn| {
        let bytes = match turn.head.target().as_str() {
            "/chunked" => {
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}").into()
            }
            "/Chunked" => {
                format!("HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n{CHUNKS}").into()
            }
            "/empty" => reply("200 OK", "", ""),
            _ => reply("200 OK", "", "0\r\n\r\n"),
        };
        turn.answer(&bytes)
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for target in ["/chunked", "/length", "/Chunked", "/empty", "/length"] {
        let answer = client.get(target, "");
        match target.to_ascii_lowercase().as_str() {
            "/chunked" => assert!(answer.wire.ends_with(CHUNKS.as_bytes()), "{answer:?}"),
            "/empty" => assert_eq!(answer.body, b""),
            _ => assert_eq!(answer.body, b"0\r\n\r\n"),
        }
    }

    assert_eq!(maple.counts(), [5]);
}

/// C44 (decided): replies that have no body, whatever their fields say.
#[test]
fn replies_to_head_and_of_204_and_304_have_no_body() {
    let maple = HttpBackend::new(|turn| {
        let status = match turn.head.target().as_str() {
            "/204" => "204 No Content",
            "/304" => "304 Not Modified",
            _ => "200 OK",
        };
        let framing = match turn.head.value("X-Framing").as_deref() {
            Some("length") => "Content-Length: 5\r\n",
            Some("chunked") => "Transfer-Encoding: chunked\r\n",
            _ => "",
        };
        turn.message();
        turn.send(format!("HTTP/1.1 {status}\r\n{framing}X: y\r\n\r\n"));
        After::Keep
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for framing in ["none", "length", "chunked"] {
        for (method, target) in [
            ("HEAD", "/"),
            ("GET", "/204"),
            ("GET", "/304"),
            ("HEAD", "/304"),
        ] {
            // The one that RFC 9112 6.1 forbids.
            if (target, framing) == ("/204", "chunked") {
                continue;
            }
            let fields = format!("X-Framing: {framing}\r\n");
            let answer = client.ask(request(method, target, &fields));
            assert_eq!(answer.head.value("X").as_deref(), Some("y"));
        }
    }

    assert_eq!(maple.counts(), [11]);
}

/// 9.4 (decided): neither chunks nor a length.
#[test]
fn a_reply_of_unknown_length_lasts_until_the_backend_closes() {
    let maple = HttpBackend::new(|turn| {
        turn.dribble("HTTP/1.1 200 OK\r\nX: y\r\n\r\nto the very end", 7);
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    let answer = client.get("/", "");

    assert_eq!(
        answer.wire,
        b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nto the very end"
    );
    assert_eq!(client.rest(), (Vec::new(), Ending::Fin));
}

/// 9.4 (decided): bodies of requests by length and in chunks, byte for byte.
#[test]
fn requests_with_bodies_pass_byte_for_byte() {
    let maple = HttpBackend::mirror();
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    let in_chunks = request("POST", "/", "Transfer-Encoding: Chunked\r\nTrailer: x\r\n");
    let in_chunks = [&in_chunks[..], CHUNKS.as_bytes()].concat();
    let requests = [
        post("/", "", "by length"),
        in_chunks.clone(),
        post("/", "", ""),
        request("GET", "/", ""),
        [&request("GET", "/", "Content-Length: 3\r\n")[..], b"odd"].concat(),
        post("/", "", "GET / HTTP/1.1\r\nHost: smuggled\r\n\r\n"),
        [
            &request("POST", "/", "Transfer-Encoding: chunked\r\n")[..],
            b"0\r\n\r\n",
        ]
        .concat(),
        post("/", "", Noise(3).bytes(200_000)),
        in_chunks,
    ];

    for request in &requests {
        let answer = client.ask(request);
        assert!(answer.body == *request, "changed: {answer:?}");
    }

    assert_eq!(maple.counts(), [requests.len()]);
}

/// 9.4 (decided): the places where reads end make no difference to chunks.
#[test]
fn chunks_may_be_cut_anywhere() {
    let maple = HttpBackend::new(|turn| {
        let size = turn.head.target()[1..].parse().unwrap();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let Some(message) = turn.message() else {
            return After::Close;
        };
        let body = &message.wire[message.head.bytes().len()..];
        turn.dribble([head.as_bytes(), body].concat(), size);
        After::Keep
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for size in 1..=9 {
        let head = request(
            "POST",
            &format!("/{size}"),
            "Transfer-Encoding: chunked\r\n",
        );
        client.dribble([&head[..], CHUNKS.as_bytes()].concat(), size);
        let answer = client.reply();
        assert!(answer.wire.ends_with(CHUNKS.as_bytes()), "{answer:?}");
    }

    assert_eq!(maple.counts(), [9]);
}

/// 9.4 (decided): chunks of many sizes, both ways at once.
#[test]
fn chunks_of_all_sizes_pass_both_ways() {
    let wire: Arc<Vec<u8>> = Arc::new(
        (1..40_usize)
            .flat_map(|size| {
                let bytes = chunked(&Noise(size as u64 + 1).bytes(size * size * 17), size * size);
                bytes[..bytes.len() - 5].to_vec()
            })
            .chain(*b"0\r\n\r\n")
            .collect(),
    );
    let sent = Arc::clone(&wire);
    let maple = HttpBackend::new(move |turn| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        turn.answer(&[head.as_bytes(), &sent].concat())
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    let head = request("POST", "/", "Transfer-Encoding: chunked\r\n");

    for _ in 0..3 {
        let answer = client.ask([&head, &wire[..]].concat());
        assert!(answer.wire.ends_with(&wire));
    }

    let received = maple.received_on(0);
    let expected = [&head, &wire[..]].concat().repeat(3);
    assert!(
        received == expected[..received.len()],
        "chunks were changed"
    );
    assert_eq!(maple.received(), expected.len() as u64);
}

/// 2.2 (flag documented, range decided): neither the smallest buffer nor a large
/// one changes a byte, also of heads that do not fit into it.
#[test]
fn the_size_of_the_buffer_changes_no_byte() {
    for size in ["1024", "5000", "4194304"] {
        let maple = HttpBackend::mirror();
        let proxy = Setup::http("")
            .backend("maple", maple.server(), "addclientheader \"X: y\";")
            .flags(["-B", size])
            .start();
        let mut client = proxy.http();
        let head = format!("X: {}\r\n", "z".repeat(60_000));
        let in_chunks = chunked(&Noise(31).bytes(150_000), 4_321);
        let chunks = "Transfer-Encoding: chunked\r\n";
        let requests = [
            request("GET", "/", &head),
            post("/", &head, Noise(32).bytes(150_000)),
            [&request("POST", "/", chunks)[..], &in_chunks].concat(),
            post("/", "", "short"),
        ];

        client.send(requests.concat());
        for request in &requests {
            let answer = client.reply();
            assert!(answer.body == *request, "changed, -B {size}");
            assert_eq!(answer.head.values("X"), ["y"]);
        }
        assert_eq!(maple.counts(), [4]);
    }
}
