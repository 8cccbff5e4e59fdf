//! A WebSocket through the daemon; both ends written by hand after RFC 6455.

use crate::cases::Lanes;
use crate::cases::relay::Noise;
use crate::harness::http::{After, HttpBackend, HttpClient, Turn, request, sticky};

/// Key and answer of the example in RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame with `payload`; with a mask if a client sends it.
fn frame(kind: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | kind];
    match payload.len() {
        length @ 0..126 => bytes.push(masked | length as u8),
        length @ 126..0x1_0000 => {
            bytes.push(masked | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(masked | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(
        mask.unwrap_or_default()
            .iter()
            .take(4 * usize::from(mask.is_some())),
    );
    let mask = mask.unwrap_or_default();
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// Takes a frame from what `take` gives byte by byte: its kind and payload.
fn unframe(mut take: impl FnMut(usize) -> Vec<u8>) -> (u8, Vec<u8>) {
    let head = take(2);
    assert_eq!(head[0] & 0xf0, 0x80, "whole, without extensions");
    let length = match head[1] & 0x7f {
        126 => take(2)
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        127 => take(8)
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        length => usize::from(length),
    };
    let mask = match head[1] & 0x80 {
        0 => vec![0; 4],
        _ => take(4),
    };
    let payload = take(length);
    let payload = payload.iter().zip(mask.iter().cycle());
    (
        head[0] & 0x0f,
        payload.map(|(byte, mask)| byte ^ mask).collect(),
    )
}

/// The server: it echoes messages, answers pings, and closes when told.
fn serve(turn: &mut Turn<'_>) -> After {
    assert!(turn.head.lists("Upgrade", "websocket"));
    assert_eq!(turn.head.value("Sec-WebSocket-Key").as_deref(), Some(KEY));
    turn.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    ));
    let mut buffer = Vec::new();
    loop {
        let mut ended = false;
        let (kind, payload) = unframe(|count| {
            while buffer.len() < count && !ended {
                match turn.receive() {
                    Ok(bytes) => buffer.extend(bytes),
                    Err(_) => ended = true,
                }
            }
            match ended {
                // As if the other side had said goodbye.
                true => [0x80 | CLOSE, 0][..count.min(2)].to_vec(),
                false => buffer.drain(..count).collect(),
            }
        });
        let answer = if kind == PING { PONG } else { kind };
        turn.send(frame(answer, &payload, None));
        if kind == CLOSE {
            return After::Close;
        }
    }
}

/// Greets the server; the tunnel is open after that.
fn open(mut client: HttpClient, cookie: &str) -> HttpClient {
    let fields = format!(
        "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\nOrigin: http://shop.test\r\n{cookie}"
    );
    client.send(request("GET", "/socket", &fields));
    let head = client.head();
    assert_eq!(head.code(), 101);
    assert_eq!(head.value("Sec-WebSocket-Accept").as_deref(), Some(ACCEPT));
    client
}

#[track_caller]
fn exchange(client: &mut HttpClient, kind: u8, payload: &[u8]) -> u8 {
    client.send(frame(kind, payload, Some([0x5a, 0x00, 0xff, 0x13])));
    let (answer, echo) = unframe(|count| client.take(count));
    assert!(echo == payload, "changed");
    answer
}

/// C45 (decided).
#[test]
fn a_websocket_works_through_the_daemon() {
    let maple = HttpBackend::new(serve);
    let proxy = crate::cases::http_shop("", &maple, "");
    let mut client = open(proxy.http(), "");

    assert_eq!(exchange(&mut client, TEXT, b"hello"), TEXT);
    assert_eq!(exchange(&mut client, PING, b""), PONG);
    for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        let payload = Noise(size as u64 + 1).bytes(size);
        assert_eq!(exchange(&mut client, BINARY, &payload), BINARY);
    }
    assert_eq!(exchange(&mut client, CLOSE, &[3, 232]), CLOSE);

    client.assert_closed();
    proxy.await_idle();
    assert_eq!(proxy.number("maple", "replies_1xx"), 1);
}

/// C39, C45 (decided): a page by its cookie, then a socket to the same server;
/// the socket outlives that server's being told down.
#[test]
fn a_websocket_goes_where_the_cookie_of_its_page_leads() {
    let lanes = Lanes::new();
    let elm = HttpBackend::new(|turn| match turn.head.target().as_str() {
        "/socket" => serve(turn),
        _ => turn.answer(&crate::harness::http::reply("200 OK", "", "page")),
    });
    let proxy = lanes
        .behind("")
        .backend("elm", elm.server(), &sticky("elm"))
        .start();
    let cookie = "Cookie: lane=elm\r\n";
    let mut page = proxy.http();
    assert_eq!(page.get("/", cookie).text(), "page");

    let mut same = open(page, cookie);
    let mut other = open(proxy.http(), cookie);
    proxy.tell("elm", "down");

    for client in [&mut same, &mut other] {
        assert_eq!(exchange(client, TEXT, b"still here"), TEXT);
        exchange(client, CLOSE, b"");
    }
    drop((same, other));
    proxy.await_idle();
    assert_eq!(elm.counts(), [2, 1]);
}
