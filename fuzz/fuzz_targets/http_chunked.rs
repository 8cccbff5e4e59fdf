//! A chunked body: how it is cut makes no difference, and another reader finds
//! the same body with the same payload in it.
//!
//! The first two bytes say how it is cut.

#![no_main]

use crossroads::relay::http1::body::{Chunked, Taken};
use crossroads::relay::http1::head::{Fault, FaultKind};
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "other targets need more of it")]
#[path = "../../src/relay/http1/session/differential/strict.rs"]
mod strict;

fuzz_target!(|bytes: &[u8]| {
    let Some((cuts, body)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let whole = Chunked::new().take(body);
    let (cut, payload) = in_pieces(body, *cuts);
    assert_eq!(cut, whole);
    let other = strict::chunked(body);
    match (whole, other) {
        (Ok(taken), Ok(other)) => {
            assert_eq!((taken.bytes, taken.complete), (other.bytes, other.whole));
            assert_eq!(payload, other.payload);
        }
        (Err(fault), Ok(_)) => assert_eq!(fault.kind, FaultKind::TooLarge, "{fault:?}"),
        (Ok(taken), Err(why)) => panic!("{why}, but {taken:?}"),
        (Err(_), Err(_)) => {}
    }
});

/// What becomes of the body in pieces, where data passes unread now and then;
/// and its payload.
fn in_pieces(body: &[u8], cuts: [u8; 2]) -> (Result<Taken, Fault>, Vec<u8>) {
    let mut random = u32::from(u16::from_le_bytes(cuts)) | 1;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % below
    };
    let mut chunked = Chunked::new();
    let mut payload = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let data = usize::try_from(chunked.data_left()).unwrap_or(usize::MAX);
        let most = match data {
            0 => 1,
            _ => data.min(body.len() - at),
        };
        let piece = &body[at..at + 1 + draw(most)];
        at += piece.len();
        if data > 0 {
            payload.extend_from_slice(piece);
        }
        if data > 0 && draw(2) == 0 {
            chunked.skip(piece.len() as u64);
            continue;
        }
        match chunked.take(piece) {
            Err(fault) => return (Err(fault), payload),
            Ok(taken) if taken.complete => {
                let taken = Taken { bytes: at, ..taken };
                return (Ok(taken), payload);
            }
            Ok(taken) => assert_eq!(taken.bytes, piece.len()),
        }
    }
    let taken = Taken {
        bytes: at,
        complete: false,
    };
    (Ok(taken), payload)
}
