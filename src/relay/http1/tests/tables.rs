//! Messages that are refused, each for its own reason, and odd ones that pass.

use super::*;
use crate::relay::http1::body::Chunked;
use crate::relay::http1::rewrite::{Hops, Rewriter};
use http_faults::{CHUNKED, Faulty, ODD_CHUNKED, ODD_REPLIES, ODD_REQUESTS, REPLIES, REQUESTS};

#[path = "../../../../compat-tests/harness/http_faults.rs"]
mod http_faults;

/// Asserts that a row is refused as it says, and that no beginning of it passes
/// or is refused otherwise.
fn refused<T>(row: &Faulty, read: impl Fn(&[u8]) -> Result<Option<T>, Fault>) {
    let (name, section, kind, what, bytes) = row;
    for end in 0..=bytes.len() {
        match read(&bytes[..end]) {
            Ok(None) => assert!(end < bytes.len(), "{name} ({section}) goes on"),
            Ok(Some(_)) => panic!("{name} ({section}) passes"),
            Err(fault) => {
                assert_eq!(fault.what, *what, "{name} ({section})");
                assert_eq!(fault.kind, super::kind(kind), "{name} ({section})");
            }
        }
    }
}

#[test]
fn there_are_at_least_200_faulty_messages() {
    assert!(REQUESTS.len() + REPLIES.len() + CHUNKED.len() >= 200);
}

#[test]
fn faulty_requests_are_refused() {
    for row in REQUESTS {
        refused(row, request);
    }
}

#[test]
fn faulty_replies_are_refused() {
    for row in REPLIES {
        refused(row, reply);
    }
}

#[test]
fn faulty_chunked_bodies_are_refused() {
    for row in CHUNKED {
        refused(row, |input| {
            let taken = Chunked::new().take(input)?;
            Ok(taken.complete.then_some(()))
        });
    }
}

#[test]
fn odd_requests_pass() {
    for (name, section, bytes) in ODD_REQUESTS {
        for end in 0..bytes.len() {
            assert_eq!(
                request(&bytes[..end]),
                Ok(None),
                "{name} ({section}), {end}"
            );
        }
        let mut head = Head::default();
        let accepted = head.request(bytes, LIMITS).unwrap();

        assert!(accepted.is_some(), "{name} ({section})");
        assert_eq!(head.length, bytes.len(), "{name} ({section})");
    }
}

#[test]
fn odd_replies_pass() {
    for (name, section, bytes) in ODD_REPLIES {
        for end in 0..bytes.len() {
            assert_eq!(reply(&bytes[..end]), Ok(None), "{name} ({section}), {end}");
        }

        assert!(reply(bytes).unwrap().is_some(), "{name} ({section})");
    }
}

#[test]
fn odd_chunked_bodies_pass() {
    for (name, section, bytes) in ODD_CHUNKED {
        let mut body = Chunked::new();
        for (place, byte) in bytes.iter().enumerate() {
            let taken = body.take(&[*byte]).unwrap();

            let is_last = place + 1 == bytes.len();
            assert_eq!(
                (taken.bytes, taken.complete),
                (1, is_last),
                "{name} ({section})"
            );
        }
    }
}

#[test]
fn odd_requests_are_sent_with_cr_lf_and_nothing_else_changed() {
    for (name, section, bytes) in ODD_REQUESTS {
        let mut head = Head::default();
        head.request(bytes, LIMITS).unwrap();
        let mut sent = Vec::new();

        let mut rewriter = Rewriter::default();
        rewriter
            .edit(bytes, &head)
            .finish(Hops::PassedOn, true, &mut sent);

        let text = String::from_utf8_lossy(&bytes[head.start..]).replace('\r', "");
        let expected = text.replace('\n', "\r\n");
        assert_eq!(
            String::from_utf8_lossy(&sent),
            expected,
            "{name} ({section})"
        );
    }
}
