//! Large bodies, compared byte for byte.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use crate::cases::http_shop;
use crate::cases::relay::Noise;
use crate::harness::http::{After, HttpBackend, HttpClient, Turn, chunked, request};
use crate::harness::{Ending, Proxy};

const SIZE: usize = 64 * 1024 * 1024;

/// The body of all cases: by its length, and in chunks.
fn bodies() -> &'static [(String, Arc<Vec<u8>>); 2] {
    static BODIES: OnceLock<[(String, Arc<Vec<u8>>); 2]> = OnceLock::new();
    BODIES.get_or_init(|| {
        let plain = Noise(64).bytes(SIZE);
        let chunks = chunked(&plain, 77_777);
        [
            (format!("Content-Length: {SIZE}\r\n"), Arc::new(plain)),
            (
                "Transfer-Encoding: chunked\r\n".to_owned(),
                Arc::new(chunks),
            ),
        ]
    })
}

/// Compares what comes with `expected`; gives what is wrong.
fn compare(turn: &mut Turn<'_>, expected: &[u8]) -> Option<String> {
    let mut at = 0;
    while at < expected.len() {
        match turn.receive() {
            Ok(bytes) if expected[at..].starts_with(&bytes) => at += bytes.len(),
            Ok(_) => return Some(format!("another byte, or one too many, behind {at}")),
            Err(ending) => return Some(format!("{ending:?} behind {at}")),
        }
    }
    None
}

/// A back end for uploads: it tells what was wrong, or `the same`.
fn comparing() -> HttpBackend {
    HttpBackend::new(|turn| {
        let number = usize::from(turn.head.target() == "/1");
        let found = compare(turn, &bodies()[number].1);
        let found = found.unwrap_or_else(|| "the same".to_owned());
        turn.send(crate::harness::http::reply("200 OK", "", found));
        After::Keep
    })
}

fn upload(client: &mut HttpClient, number: usize) {
    let (framing, body) = &bodies()[number];
    client.send(request("POST", &format!("/{number}"), framing));
    let stream = client.raw().stream();
    stream
        .set_write_timeout(Some(std::time::Duration::from_secs(20)))
        .unwrap();
    stream.write_all(body).unwrap();
    assert_eq!(client.reply().text(), "the same");
}

/// 9.4 (decided): 64 MiB to the back end, by length and in chunks, on one
/// connection.
#[test]
fn large_uploads_arrive_unharmed() {
    let maple = comparing();
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    upload(&mut client, 0);
    upload(&mut client, 1);

    assert_eq!(maple.counts(), [2]);
}

/// A back end for downloads.
fn sending() -> HttpBackend {
    HttpBackend::new(|turn| {
        let target = turn.head.target();
        let (framing, body) = &bodies()[usize::from(target == "/1")];
        let (framing, after) = match target.as_str() {
            "/2" => ("", After::Close),
            _ => (framing.as_str(), After::Keep),
        };
        turn.message();
        turn.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n"));
        turn.send(&body[..]);
        after
    })
}

/// Reads a body piece by piece.
#[track_caller]
fn download(client: &mut HttpClient, number: usize) {
    let body = &bodies()[number % 2].1;
    client.send(request("GET", &format!("/{number}"), ""));
    assert_eq!(client.head().code(), 200);
    for piece in body.chunks(1 << 20) {
        assert!(client.take(piece.len()) == piece, "changed");
    }
}

/// 9.4 (decided): 64 MiB to the client, by length, in chunks and until close.
#[test]
fn large_downloads_arrive_unharmed() {
    let maple = sending();
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    for number in 0..3 {
        download(&mut client, number);
    }

    assert_eq!(client.rest(), (Vec::new(), Ending::Fin));
    assert_eq!(maple.counts(), [3]);
}

/// 14.3 (inferred): every byte is counted, those of heads as well.
#[test]
fn bytes_of_large_bodies_are_counted() {
    let maple = sending();
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();

    download(&mut client, 0);
    drop(client);

    proxy.await_idle();
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", bodies()[0].0);
    let bytes = |field| proxy.number("maple", field);
    assert_eq!(bytes("bytes_to_client"), (SIZE + head.len()) as u64);
    let request = request("GET", "/0", "");
    assert_eq!(bytes("bytes_to_backend"), request.len() as u64);
}

/// Section 5 (decided): a direction is read only when what was read before is
/// written; that holds for chunks, too.
#[test]
fn a_slow_reader_of_a_large_body_costs_little_memory() {
    let maple = sending();
    let proxy = http_shop("", &maple, "");
    warm(&proxy);
    let daemon = proxy.process();
    let at_first = daemon.memory();
    let mut clients: Vec<HttpClient> = (0..2).map(|_| proxy.http()).collect();

    for (number, client) in clients.iter_mut().enumerate() {
        client.send(request("GET", &format!("/{number}"), ""));
        assert_eq!(client.head().code(), 200);
    }
    await_standstill(&maple);
    let while_stalled = daemon.memory();
    for (number, client) in clients.iter_mut().enumerate() {
        let body = &bodies()[number].1;
        for piece in body.chunks(1 << 20) {
            assert!(client.take(piece.len()) == piece, "changed");
        }
    }

    let grown = while_stalled.max(daemon.memory()).saturating_sub(at_first);
    assert!(grown < 4 * 1024 * 1024, "the daemon grew by {grown} bytes");
}

/// A visit, so that what is needed once is there.
fn warm(proxy: &Proxy) {
    let mut client = proxy.http();
    download(&mut client, 0);
}

/// Waits until the back end can send no more.
fn await_standstill(maple: &HttpBackend) {
    let mut last = (0, 0);
    crate::harness::until("the senders stand still", || {
        let sent = maple.sent();
        last = match sent == last.0 {
            true => (sent, last.1 + 1),
            false => (sent, 0),
        };
        last.1 > 40
    });
}
