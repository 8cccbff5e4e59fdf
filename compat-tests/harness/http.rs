//! Both ends of HTTP, byte by byte: a raw client, a scripted back end, and a
//! small parser between them and the case.
//!
//! Nothing here uses the HTTP code of the program. What a case sends is sent as
//! it is written, and what a back end received is kept as it came, so a case can
//! compare bytes.

mod backend;
mod client;
mod gate;
mod message;
mod shared;
mod turn;

pub(crate) use backend::HttpBackend;
pub(crate) use client::{Broken, HttpClient};
pub(crate) use gate::Gate;
pub(crate) use message::{Head, Kind, Message, parse};
pub(crate) use shared::Shared;
pub(crate) use turn::{After, Turn};

/// Statements of a back end that is found by the cookie `lane=NAME`, and sets it.
pub(crate) fn sticky(name: &str) -> String {
    format!("stickycookie lane={name}; addclientheader \"Set-Cookie: lane={name}; Path=/\";")
}

/// A reply with the status line `status`, `fields` (each with its line end) and
/// a body of a known length.
pub(crate) fn reply(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A request without a body; `fields` each with its line end.
pub(crate) fn request(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n").into_bytes()
}

/// A request with a body of a known length.
pub(crate) fn post(target: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let fields = format!("{fields}Content-Length: {}\r\n", body.len());
    [&request("POST", target, &fields), body].concat()
}

/// `bytes` as a chunked body in pieces of `size`, without extensions or trailers.
pub(crate) fn chunked(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::with_capacity(bytes.len() + bytes.len() / size * 12 + 16);
    for chunk in bytes.chunks(size) {
        wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}
