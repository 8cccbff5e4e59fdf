//! What holds for heads, bodies and rewriting together.

use crate::relay::http1::head::{
    Fault, FaultKind, Head, HeadLimits, Reply, Request, is_worth_reading,
};

mod laws;
mod model;
mod tables;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 65_536,
    fields: 200,
};

fn request(input: &[u8]) -> Result<Option<Request>, Fault> {
    Head::default().request(input, LIMITS)
}

/// Reads a reply to a plain GET.
fn reply(input: &[u8]) -> Result<Option<Reply>, Fault> {
    let get = request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    Head::default().reply(input, LIMITS, &get.unwrap().unwrap())
}

fn kind(name: &str) -> FaultKind {
    match name {
        "bad" => FaultKind::Bad,
        "large" => FaultKind::TooLarge,
        "version" => FaultKind::Version,
        _ => panic!("no kind of fault: {name}"),
    }
}
